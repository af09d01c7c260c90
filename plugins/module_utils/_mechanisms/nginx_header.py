# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Response headers that nginx adds, for each server and each location that has headers of its own.

A location with one add_header drops all that it would inherit. Ours is set at the level of http,
through a map that leaves a site's own header alone; what drops it is told.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx, _web
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

# header: its name. scope: tls for servers that serve it, else all. number: the key in front of the
# value, such as max-age. policy: a directive of Content-Security-Policy that does the same.
PARAMS = {"header": "str", "scope": "str?", "number": "str?", "policy": "str?"}
VALUE = ("str", "int")

# What these send is no page: a redirect, a refusal, a page of an error.
_ANSWERS_ITSELF = ("return", "internal")


class _Lacks(NamedTuple):
    """A block whose answers lack the header; `dropped_by`: what keeps ours from reaching it."""

    label: str
    place: str
    seen: str
    dropped_by: str


def observe(host: Host, control: Control) -> Observation:
    configuration = _nginx.read(host)
    tls = control.params.get("scope") == "tls"
    servers = [server for server in configuration.servers() if server.tls or not tls]
    lacks: list[_Lacks] = []
    for server in servers:
        for chain in (server.chain, *_nginx.inner_blocks(server.chain)):
            found = _lack(configuration, control, server, chain)
            if found is not None and found.dropped_by not in [row.dropped_by for row in lacks]:
                lacks.append(found)
    state = {
        "servers": len(servers),
        "lacks": lacks,
        "included": _nginx.takes_our_drop_in(host, configuration),
    }
    return Observation(state, _web.shortened([_said(control, row) for row in lacks]) or "sent")


def judge(_control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not state["servers"]:
        return Verdict(NOT_APPLICABLE, "no server of nginx serves TLS")
    if not state["lacks"]:
        return Verdict(PASS)
    by_hand = any(row.dropped_by for row in state["lacks"])
    return Verdict(FAIL, observation.shown, by_hand=by_hand)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if all(row.dropped_by for row in observation.state["lacks"]):
        return
    if not observation.state["included"]:
        raise HostError(f"{_nginx.MAIN} does not include conf.d/*.conf, where ours is put")
    header = control.params["header"]
    stage.edit(_nginx.DROP_IN, _web.set_part(header, _written(control)), validator="nginx")


def _lack(
    configuration: _nginx.Configuration,
    control: Control,
    server: _nginx.Server,
    chain: tuple[_nginx.Directive, ...],
) -> _Lacks | None:
    """What is wrong with the headers of the last block of `chain`; None for nothing."""
    block = chain[-1]
    own = block.own("add_header")
    inner = len(chain) > len(server.chain)
    if inner and (not own or any(block.own(name) for name in _ANSWERS_ITSELF)):
        return None  # inherits, or sends no page
    if not inner and any(block.own("return")):
        return None
    sent = _nginx.in_force("add_header", chain)
    values = [_value(configuration, control, at) for at in sent]
    seen = [value for value in values if value is not None]
    if any(_meets(control, value) for value in seen):
        return None
    source = next((at for at in sent if at.path != _nginx.DROP_IN), None)
    # Other headers of http are no hindrance: ours joins them.
    at_http = source is not None and source in chain[1].children
    dropped_by = source.place if source is not None and (seen or not at_http) else ""
    return _Lacks(server.label, block.place, seen[0] if seen else "", dropped_by)


def _value(
    configuration: _nginx.Configuration, control: Control, at: _nginx.Directive
) -> str | None:
    """What `at` sends as the header; None where it is about another one."""
    if len(at.args) < 2:
        return None
    name, text = at.args[0].lower(), at.args[1]
    if name == "content-security-policy" and "policy" in control.params:
        policy = re.search(rf"(?:^|;)\s*{control.params['policy']}\s+([^;]+)", text)
        return "policy" if policy and "*" not in policy[1].split() else None
    if name != control.params["header"].lower():
        return None
    return _mapped(configuration, control, text) if text.startswith("$") else text


def _mapped(configuration: _nginx.Configuration, control: Control, variable: str) -> str:
    """What a map gives where the site sends no such header itself."""
    mappings = [one for http in configuration.main.own("http") for one in http.own("map")]
    for mapping in mappings:
        if mapping.args[-1:] != [variable]:
            continue
        values: dict[str, str] = {row.name: row.args[0] for row in mapping.children if row.args}
        source = mapping.args[0]
        key = "on:" if source.startswith("$https:") else ""
        if source.endswith(_sent(control)) and key in values:
            return values[key]
    return variable


def _meets(control: Control, value: str) -> bool:
    if value == "policy":
        return True
    key = control.params.get("number")
    if key is None:
        same = {choice.lower(): choice for choice in control.choices}
        return control.meets(same.get(value.lower(), value))
    match = re.search(rf"(?i)(?:^|;)\s*{key}\s*=\s*\"?(\d+)", value)
    return match is not None and control.meets(int(match[1]))


def _said(control: Control, row: _Lacks) -> str:
    header = control.params["header"]
    if row.seen:
        return f"{row.dropped_by or row.place} sends {header}: {row.seen} for {row.label}"
    if row.dropped_by:
        why = f"{row.dropped_by} has headers of its own, which drop those it would inherit"
        return f"{row.label} sends no {header} there: {why}"
    return f"{row.place}: {row.label} sends no {header}"


def _sent(control: Control) -> str:
    return "$sent_http_" + str(control.params["header"]).lower().replace("-", "_")


def _written(control: Control) -> str:
    """A header of ours only where the site sends none, and HSTS only over TLS."""
    header, key = str(control.params["header"]), control.params.get("number")
    variable = "$ringfence_" + header.lower().replace("-", "_")
    value = str(control.value) if key is None else f"{key}={control.value}"
    if re.search(r'["\\$\n]', value):
        raise HostError(f"{header} cannot be set to a value with quotation marks or variables")
    tls = control.params.get("scope") == "tls"
    source, empty = (f'"$https:{_sent(control)}"', "on:") if tls else (_sent(control), "")
    return (
        f'map {source} {variable} {{\n    default "";\n    "{empty}" "{value}";\n}}\n'
        f"add_header {header} {variable} always;\n"
    )
