# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directives of nginx: what is in force in each server block, and what the running nginx shows.

Set at the level of http, in a drop-in of ours or in the place where http sets it already (nginx
refuses a directive that is there twice). What a server block sets for itself is told.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx, _web, _web_live
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# default: what nginx takes where nothing sets it. scope: main, tls (servers that serve it) or all
# servers. kind: word, seconds, bytes, mebibytes, protocols, ciphers, log. live: server_header or
# protocols.
PARAMS = {"directive": "str", "default": "str", "scope": "str?", "kind": "str?", "live": "str?"}
VALUE = ("str", "int", "list")

_NUMBERS = ("seconds", "bytes", "mebibytes")
_LOG = "/var/log/nginx/access.log"
# What is about to be reloaded is not asked in the meantime.
_SERVER = _web_live.Server("nginx", "nginx", "/run/nginx.pid")
_NO_LOG = ("off", "/dev/null")


class _Set(NamedTuple):
    """What a directive is for a server; `at` is None for nginx's own default."""

    label: str
    at: _nginx.Directive | None
    seen: Any


def observe(host: Host, control: Control) -> Observation:
    configuration = _nginx.read(host)
    found = _found(configuration, control)
    bad = [item for item in found if not control.meets(item.seen)]
    listeners = partial(_listeners, configuration)
    live = [] if bad else _web_live.complaints(host, control, _SERVER, listeners)
    state: dict[str, Any] = {
        "bad": bad,
        "global": _global(configuration, control),
        "included": _nginx.takes_our_drop_in(host, configuration),
        "live": live,
    }
    shown = sorted({_web.disliked(control, item.seen) for item in bad or found[:1]})
    return Observation(state, "; ".join(state["live"] or shown))


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not state["bad"] and not state["live"]:
        return Verdict(PASS)
    complaints = state["live"] or [_complaint(control, item) for item in state["bad"]]
    message = _web.shortened(list(dict.fromkeys(complaints)))
    return Verdict(FAIL, message, by_hand=bool(_left_by_hand(control, state)))


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state, directive = observation.state, control.params["directive"]
    stage.host.awaited.add(_SERVER.service)
    if not state["bad"]:
        stage.step(_nothing)  # the files are right: nginx has only not been told
        return
    if len(_left_by_hand(control, state)) == len(state["bad"]):
        return
    line = f"{directive} {_written(control)};"
    at = state["global"]
    if at is not None and at.path != _nginx.DROP_IN:
        before = (stage.host.text(at.path) or "")[at.start : at.end]
        stage.edit(at.path, _web.spliced(before, line, at.line), validator="nginx")
        return
    if not state["included"]:
        raise HostError(f"{_nginx.MAIN} does not include conf.d/*.conf, where ours is put")
    stage.edit(_nginx.DROP_IN, _web.set_part(directive, line), validator="nginx")


def _nothing(_host: Host) -> None:
    """A step that changes nothing, for the reload that comes after it."""


def _found(configuration: _nginx.Configuration, control: Control) -> list[_Set]:
    directive, scope = control.params["directive"], control.params.get("scope")
    if scope == "main":
        rows = [("nginx", configuration.main.own(directive))]
    else:
        # a location may well leave out its own log
        inner = control.params.get("kind") != "log"
        rows = _nginx.settings(configuration, directive, tls=scope == "tls", inner=inner)
    found = []
    for label, directives in rows:
        if not directives:
            found.append(_Set(label, None, _typed(control, control.params["default"].split())))
        # a log may be kept in several places, and is kept if one of them is a file
        seen = [_Set(label, at, _typed(control, at.args)) for at in directives]
        found += _kept(seen) if control.params.get("kind") == "log" else seen
    return found


def _kept(seen: list[_Set]) -> list[_Set]:
    return [item for item in seen if item.seen == "on"][:1] or seen


def _global(configuration: _nginx.Configuration, control: Control) -> _nginx.Directive | None:
    """Where the directive is set for all servers, if it is."""
    blocks = [configuration.main]
    if control.params.get("scope") != "main":
        blocks = configuration.main.own("http")
    set_at = [at for block in blocks for at in block.own(control.params["directive"])]
    return set_at[0] if set_at else None


def _left_by_hand(control: Control, state: dict[str, Any]) -> list[_Set]:
    """What no directive at the level of http would change."""
    at = state["global"]
    if control.params.get("scope") == "main":
        return [item for item in state["bad"] if item.at is None]
    return [item for item in state["bad"] if item.at is not None and item.at is not at]


def _complaint(control: Control, item: _Set) -> str:
    directive = control.params["directive"]
    seen = _web.disliked(control, item.seen)
    if item.at is None:
        return f"{item.label}: {directive} is not set, and nginx takes {seen}"
    return f"{item.at.place} sets {directive} {seen} for {item.label}"


def _typed(control: Control, words: list[str]) -> Any:
    kind = control.params.get("kind", "word")
    if kind == "ciphers":
        return _web.expanded_ciphers(" ".join(words))
    if kind == "protocols":
        return words
    if kind == "log":
        return "off" if words[:1] and words[0] in _NO_LOG else "on"
    if kind in _NUMBERS:
        endless = control.params["directive"] == "client_max_body_size"
        found = _web.number(kind, words[0] if words else "", endless_zero=endless)
        return " ".join(words) if found is None else found
    return " ".join(words).lower() if control.choices else " ".join(words)


def _written(control: Control) -> str:
    kind, value = control.params.get("kind", "word"), control.value
    if kind == "ciphers":
        return ":".join(value)
    if kind == "protocols":
        return " ".join(value)
    if kind == "log":
        return _LOG
    units = {"seconds": "s", "mebibytes": "m"}
    return f"{value}{units.get(kind, '')}"


def _listeners(configuration: _nginx.Configuration) -> list[_web_live.Listener]:
    found: dict[_web_live.Address, bool] = {}
    for server in configuration.servers():
        for words in server.listens:
            where = _web_live.address(words[0])
            if where is not None and "proxy_protocol" not in words:
                found[where] = found.get(where, False) or "ssl" in words[1:]
    return list(found.items())
