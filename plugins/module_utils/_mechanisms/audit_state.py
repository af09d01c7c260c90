# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's audit: whether it goes by the rules on disk, and whether they are locked."""

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.module_utils._audit_rules import (
    RULES_FOLDER,
    Known,
    Rule,
    load,
    locked,
    parse,
    persisted,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

PARAMS: dict[str, str] = {}
VALUE = ("str",)  # loaded, or locked: loaded, and unchangeable until the next boot

_LOCK = f"{RULES_FOLDER}/99-ringfence-lock.rules"
_HEADER = "## Written by Ringfence; changes made here are lost.\n"


def observe(host: Host, _control: Control) -> Observation:
    on_disk = [line for lines in persisted(host).values() for line in lines]
    said = host.once("auditctl -l", lambda: host.output(["auditctl", "-l"]))
    loaded = _rules(said.splitlines())
    if not loaded and "No rules" not in said:
        raise HostError("auditctl -l says nothing that can be understood")
    wanted = _rules(on_disk)
    state = {
        "missing": _not_in(wanted, loaded),
        "unknown": _not_in(loaded, wanted),
        "locked": locked(host),
        "locks": _switch(on_disk) == "2",
    }
    how = "locked" if state["locked"] else "not locked"
    return Observation(state, f"{len(loaded)} rules loaded, {len(wanted)} on disk, {how}")


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    wrong = _difference(control, state)
    if not wrong:
        return Verdict(PASS)
    if state["locked"]:
        return Verdict(FAIL, f"{wrong}; they are locked: a reboot loads what is on disk", True)
    return Verdict(FAIL, wrong)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state = observation.state
    if control.value == "locked" and not state["locks"]:
        # Last in order on purpose, though augenrules moves the switch behind all rules anyway.
        stage.edit(_LOCK, lambda _text: f"{_HEADER}-e 2\n", mode=0o640)
    if not state["locked"]:
        stage.step(load)


def _difference(control: Control, state: dict[str, list[str]]) -> str:
    if state["missing"]:
        return f"{len(state['missing'])} rules are on disk and not loaded: {state['missing'][0]}"
    if state["unknown"]:
        return f"{len(state['unknown'])} rules are loaded and not on disk: {state['unknown'][0]}"
    if control.value == "locked" and not (state["locks"] and state["locked"]):
        return "the rules are not locked"
    return ""


def _rules(lines: list[str]) -> dict[str, Rule]:
    parsed = {line: parse(line) for line in lines}
    return {line: rule for line, rule in parsed.items() if rule is not None}


def _not_in(wanted: dict[str, Rule], there: dict[str, Rule]) -> list[str]:
    known = Known(there.values())
    return [line for line, rule in wanted.items() if not known.covers(rule)]


def _switch(lines: list[str]) -> str:
    """What the last -e says; augenrules lets the last one win."""
    found = [line.split()[1:2] for line in lines if line.split()[:1] == ["-e"]]
    return "".join(found[-1]) if found else ""
