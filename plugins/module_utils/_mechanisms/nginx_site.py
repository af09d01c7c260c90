# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What nginx's sites give out: hidden files, copies, scripts among uploads, answers to any name.

Judged by following requests through each server block. A location cannot be set from outside a
server block: the rules are laid ready in a snippet, and where it has to be included is told.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _nginx,
    _nginx_request,
    _web,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: hidden (the value: names), copies (endings), uploads (folders) or unknown_names.
PARAMS = {"check": "str"}
VALUE = ("list", "str")

_INCLUDE = f"include {_nginx.SNIPPET.removeprefix('/etc/nginx/')};"
_SCRIPTS = ("x.php", "2026/01/x.phtml", "x.php7")
_NO_ANSWER = re.compile(r"4\d\d")
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]+")


class _Site(NamedTuple):
    """A server that gives out what it should not."""

    place: str
    said: str


def observe(host: Host, control: Control) -> Observation:
    configuration = _nginx.read(host)
    servers = configuration.servers()
    check = control.params["check"]
    if check == "unknown_names":
        found = _answer_to_any_name(servers)
    else:
        found = [site for server in servers for site in _given_out(host, control, server)]
    snippet = "" if check == "unknown_names" else host.text(_nginx.SNIPPET) or ""
    state = {"servers": len(servers), "found": found, "snippet": snippet}
    said = [f"{site.place}: {site.said}" for site in found]
    return Observation(state, _web.shortened(said) or "nothing")


def judge(control: Control, observation: Observation) -> Verdict:
    if not observation.state["servers"]:
        return Verdict(NOT_APPLICABLE, "nginx has no server block")
    if not observation.state["found"]:
        return Verdict(PASS)
    remedy = f"; put {_INCLUDE} at the top of the block"
    if control.params["check"] == "unknown_names":
        remedy = ""
    return Verdict(FAIL, observation.shown + remedy, by_hand=True)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    check = control.params["check"]
    if check == "unknown_names":
        return
    edit = _web.set_part(check, _rules(control))
    if edit(observation.state["snippet"]) != observation.state["snippet"]:
        stage.edit(_nginx.SNIPPET, edit)


def _given_out(host: Host, control: Control, server: _nginx.Server) -> list[_Site]:
    check = control.params["check"]
    wrong: tuple[str, ...] = (_nginx_request.EXECUTED,)
    if check != "uploads":
        wrong = (_nginx_request.EXECUTED, _nginx_request.SERVED)
    for uri in _probes(host, control, server):
        outcome, block = _nginx_request.answer(server, uri)
        if outcome in wrong and _has_files(server):
            verb = "executes" if outcome == _nginx_request.EXECUTED else "gives out"
            return [_Site(block.place, f"{server.label} {verb} {uri}")]
    return []


def _has_files(server: _nginx.Server) -> bool:
    """Whether the server has a folder of its own, and does not only hand on."""
    return any(True for _root in _nginx_request.roots(server))


def _probes(host: Host, control: Control, server: _nginx.Server) -> list[str]:
    check, value = control.params["check"], control.value
    if check == "hidden":
        return [f"{start}/{name}{rest}" for name in value for start in ("", "/a") for rest in
                ("", "/config")]  # fmt: skip
    if check == "copies":
        return [f"{start}{end}" for end in value for start in ("/index.php", "/a/wp-config.php")]
    folders = [
        folder.strip("/")
        for folder in value
        if any(host.exists(f"{root}/{folder.strip('/')}") for root in _nginx_request.roots(server))
    ]
    return [f"/{folder}/{script}" for folder in folders for script in _SCRIPTS]


def _rules(control: Control) -> str:
    check, value = control.params["check"], control.value
    for item in value:
        if not _PLAIN.fullmatch(item):
            raise HostError(f"{item}: expected letters, digits and . _ ~ / -")
    joined = "|".join(re.escape(item.strip("/")).replace("\\-", "-") for item in value)
    if check == "hidden":
        if not all(name.startswith(".") for name in value):
            raise HostError("a hidden file begins with a dot")
        return "location ~ /\\.(?!well-known(?:/|$)) {\n    deny all;\n}\n"
    if check == "copies":
        return f"location ~* (?:{joined})$ {{\n    deny all;\n}}\n"
    php = r"\.(?:php\d*|phtml|phar|pht)(?:/|$)"
    return f'location ~* "^/(?:{joined})/.*{php}" {{\n    deny all;\n}}\n'


def _answer_to_any_name(servers: list[_nginx.Server]) -> list[_Site]:
    """Of each address and port the server that answers names that nobody has."""
    chosen: dict[str, tuple[bool, _nginx.Server]] = {}
    for server in servers:
        for words in server.listens:
            where = words[0].removeprefix("*:").replace("0.0.0.0:", "")
            told = "default_server" in words or "default" in words
            if where not in chosen or (told and not chosen[where][0]):
                chosen[where] = (told, server)
    found = []
    for where, (_told, server) in chosen.items():
        if not _answers_nothing(server):
            site = _Site(
                server.block.place, f"{server.label} answers on {where} to any name there is"
            )
            found.append(site)
    return found


def _answers_nothing(server: _nginx.Server) -> bool:
    codes = [at.args[0] for at in server.block.own("return") if at.args]
    rejects = [at.args for at in server.block.own("ssl_reject_handshake")] == [["on"]]
    return any(_NO_ANSWER.fullmatch(code) for code in codes) or rejects
