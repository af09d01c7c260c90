# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directives of Apache: what is in force in each virtual host, and what the running Apache shows.

Set for the whole server, in a drop-in of ours that is read after Debian's own files. What a virtual
host, a section or an .htaccess sets for itself is told.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _apache, _web, _web_live
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

# default: what Apache takes where nothing sets it. scope: main, tls (sites that serve it) or all
# sites. kind: word, seconds, mebibytes, protocols, ciphers, log, header, body (seconds of
# RequestReadTimeout). module: what must be loaded for the directive to do anything; `needed` has
# it loaded. live: server_header, trace or protocols.
PARAMS = {
    "directive": "str",
    "default": "str",
    "scope": "str?",
    "kind": "str?",
    "module": "str?",
    "needed": "bool?",
    "live": "str?",
}
VALUE = ("str", "int", "list")

_ENDLESS = 1 << 62
_ALL_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_LOGS = ("customlog", "transferlog", "globallog")
_LOG = "${APACHE_LOG_DIR}/access.log combined"
# What is about to be reloaded is not asked in the meantime.
_SERVER = _web_live.Server("Apache", "apache", "/run/apache2/apache2.pid")
_REQUEST = re.compile(r"(\d+)(?:-(\d+))?(?:,minrate=(\d+))?", re.IGNORECASE)
_SAME = {"productonly": "prod", "min": "minimal"}


class _Set(NamedTuple):
    """What a directive is for a site; `at` is None for Apache's own default."""

    label: str
    at: _apache.Directive | None
    seen: Any


def observe(host: Host, control: Control) -> Observation:
    configuration = _apache.read(host)
    if not _present(configuration, control):
        needed = bool(control.params.get("needed"))
        bad = [_Set("Apache", None, "nothing")] if needed else []
        absent = {"absent": True, "bad": bad, "by_hand": [], "live": []}
        return Observation({**absent, "configuration": configuration}, "module not loaded")
    found = _found(host, configuration, control)
    bad = [item for item in found if not control.meets(item.seen)]
    listeners = partial(_listeners, configuration)
    live = [] if bad else _web_live.complaints(host, control, _SERVER, listeners)
    state: dict[str, Any] = {
        "absent": False,
        "bad": bad,
        "by_hand": [item for item in bad if _is_left(configuration, item)],
        "live": live,
        "configuration": configuration,
    }
    shown = sorted({_told(control, item.seen) for item in bad or found[:1]})
    return Observation(state, "; ".join(state["live"] or shown))


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    module = control.params.get("module")
    if state["absent"] and control.params.get("scope") == "tls":
        return Verdict(NOT_APPLICABLE, f"Apache has not loaded its module {module}")
    if not state["bad"] and not state["live"]:
        return Verdict(PASS)
    if state["absent"]:
        return Verdict(FAIL, f"Apache has not loaded its module {module}")
    complaints = state["live"] or [_complaint(control, item) for item in state["bad"]]
    message = _web.shortened(list(dict.fromkeys(complaints)))
    return Verdict(FAIL, message, by_hand=bool(state["by_hand"]))


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state = observation.state
    stage.host.awaited.add(_SERVER.service)
    if not state["bad"]:
        stage.step(_nothing)  # the files are right: Apache has only not been told
        return
    if len(state["by_hand"]) == len(state["bad"]):
        return
    configuration = state["configuration"]
    _apache.stage_part(
        stage,
        configuration,
        _part(control),
        _written(configuration, control),
        module=str(control.params.get("module", "")),
    )


def _nothing(_host: Host) -> None:
    """A step that changes nothing, for the reload that comes after it."""


def _present(configuration: _apache.Configuration, control: Control) -> bool:
    module = control.params.get("module")
    return module is None or f"{module}_module" in configuration.modules


def _found(host: Host, configuration: _apache.Configuration, control: Control) -> list[_Set]:
    scope, kind = control.params.get("scope"), control.params.get("kind")
    name = str(control.params["directive"]).lower()
    main = _apache.Site(configuration.main, configuration.main)
    if scope == "main":
        return [_in_force(control, main)]
    sites = [site for site in configuration.sites() if site.tls or scope != "tls"]
    found = [_in_force(control, site) for site in sites or [main]]
    if kind not in ("log", "header", "body"):
        found += [
            _Set(label, at, _typed(control, at.args))
            for label, at in _apache.everywhere(host, configuration, name)
        ]
    return found


def _in_force(control: Control, site: _apache.Site) -> _Set:
    kind = control.params.get("kind")
    default = _typed(control, control.params["default"].split())
    if kind in ("header", "body"):
        at = _request_part(site, kind)
    elif kind == "log":
        at = _log(site)
    else:
        at = site.last(str(control.params["directive"]).lower())
        if kind == "ciphers" and at is not None and at.args[:1] == ["TLSv1.3"]:
            plain = [row for row in _of_both(site, "sslciphersuite") if row.args[:1] != ["TLSv1.3"]]
            at = plain[-1] if plain else None
    return _Set(site.label, at, default if at is None else _typed(control, at.args))


def _of_both(site: _apache.Site, name: str) -> list[_apache.Directive]:
    own = site.block.own(name)
    return own if site.block is site.main else [*site.main.own(name), *own]


def _request_part(site: _apache.Site, part: str) -> _apache.Directive | None:
    """The RequestReadTimeout that speaks of `part`; each part is inherited by itself."""
    said = [
        at
        for at in _of_both(site, "requestreadtimeout")
        if any(word.lower().startswith(f"{part}=") for word in at.args)
    ]
    return said[-1] if said else None


def _log(site: _apache.Site) -> _apache.Directive | None:
    """A log that is kept, if there is one; else the one that is not."""
    logs = site.block.own(*_LOGS) or site.main.own(*_LOGS)
    logs = [*logs, *site.main.own("globallog")]
    kept = [at for at in logs if at.args[:1] != ["/dev/null"]]
    return next(iter(kept or logs), None)


def _is_left(configuration: _apache.Configuration, item: _Set) -> bool:
    """Whether no directive of the drop-in would change it."""
    if item.at is None:
        return False
    at_main = any(child is item.at for child in configuration.main.children)
    return not at_main or (
        item.at.path not in (_apache.ENABLED, _apache.DROP_IN) and configuration.after_ours(item.at)
    )


def _complaint(control: Control, item: _Set) -> str:
    directive = control.params["directive"]
    seen = _told(control, item.seen)
    if item.at is None:
        return f"{item.label}: {directive} is not set, and Apache takes {seen}"
    return f"{item.at.place} sets {directive} {seen} for {item.label}"


def _told(control: Control, seen: Any) -> str:
    return "no limit" if seen == _ENDLESS else _web.disliked(control, seen)


def _typed(control: Control, words: list[str]) -> Any:
    kind = control.params.get("kind", "word")
    if kind == "protocols":
        return _protocols(words)
    if kind == "ciphers":
        return _web.expanded_ciphers(words[-1] if words else "")
    if kind == "log":
        return "off" if words[:1] in ([], ["/dev/null"]) else "on"
    if kind in ("header", "body"):
        return _request_seconds(words, kind)
    if kind in ("seconds", "mebibytes"):
        return _number(kind, words[0] if words else "")
    said = " ".join(words)
    known = {choice.lower(): choice for choice in control.choices}
    lowered = _SAME.get(said.lower(), said.lower())
    return known.get(lowered, said)


def _protocols(words: list[str]) -> list[str]:
    """The versions that `all -TLSv1` and the like mean; a bare word replaces what came before."""
    chosen: list[str] = []
    for word in words:
        sign, name = (word[0], word[1:]) if word[:1] in ("+", "-") else ("", word)
        meant = [v for v in _ALL_VERSIONS if name.lower() in ("all", v.lower())] or [name]
        if sign == "-":
            chosen = [version for version in chosen if version not in meant]
        elif sign == "+":
            chosen += [version for version in meant if version not in chosen]
        else:
            chosen = list(meant)
    return [version for version in chosen if version.lower() != "sslv2"]


def _request_seconds(words: list[str], part: str) -> int | str:
    """The longest that a head may take; of a body the time until it must flow."""
    for word in words:
        if not word.lower().startswith(f"{part}="):
            continue
        match = _REQUEST.fullmatch(word[len(part) + 1 :])
        if match is None:
            return word
        first, most, rate = int(match[1]), match[2], match[3]
        if first == 0:
            return _ENDLESS
        if part == "header" and most is None and rate is not None:
            return _ENDLESS
        return int(most) if part == "header" and most is not None else first
    return _ENDLESS


def _number(kind: str, word: str) -> int | str:
    if kind == "mebibytes":
        if not word.isdecimal():
            return word
        return -(-int(word) // (1 << 20)) or _ENDLESS
    found = _web.seconds(word)
    return word if found is None else found


def _part(control: Control) -> str:
    kind = control.params.get("kind")
    name = str(control.params["directive"])
    return f"{name} {kind}" if kind in ("header", "body") else name


def _written(configuration: _apache.Configuration, control: Control) -> str:
    kind, value, name = control.params.get("kind"), control.value, control.params["directive"]
    if kind == "protocols":
        return f"{name} -all {' '.join(f'+{version}' for version in value)}\n"
    if kind == "ciphers":
        return f"{name} {':'.join(value)}\n"
    if kind == "log":
        return f"{name} {_LOG}\n"
    if kind == "header":
        return f"{name} header={min(20, value)}-{value},MinRate=500\n"
    if kind == "body":
        return f"{name} body={value},MinRate=500\n"
    if kind == "mebibytes":
        return f"{name} {value << 20}\n"
    return f"{name} {value}\n" + _kept_for_proxies(configuration, control)


def _kept_for_proxies(configuration: _apache.Configuration, control: Control) -> str:
    """PHP may still think for as long as it could before: Timeout would be its limit too."""
    main = configuration.main
    if control.params["directive"] != "Timeout":
        return ""
    at = [at for at in main.own("proxytimeout") if at.args]
    own = at and at[-1].path not in (_apache.ENABLED, _apache.DROP_IN)
    if own:
        return ""
    before = [row for row in main.own("timeout") if row.path not in (_apache.ENABLED,) and row.args]
    seconds = before[-1].args[0] if before and before[-1].args[0].isdecimal() else "60"
    return f"<IfModule proxy_module>\nProxyTimeout {seconds}\n</IfModule>\n"


def _listeners(configuration: _apache.Configuration) -> list[_web_live.Listener]:
    tls = {
        word.rpartition(":")[2]
        for site in configuration.sites()
        if site.tls
        for word in site.addresses
    }
    found: dict[_web_live.Address, bool] = {}
    for at in configuration.main.own("listen"):
        where = _web_live.address(at.args[0]) if at.args else None
        if where is not None:
            found[where] = str(where[1]) in tls
    return list(found.items())
