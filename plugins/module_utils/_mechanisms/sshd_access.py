# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which groups may sign in by SSH. Without groups in the value nothing is judged or changed.

A list that the operator's own account is not on is refused: it would shut the operator out.
"""

from __future__ import annotations

import os

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    MANUAL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    set_line,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import sshd_option

PARAMS: dict[str, str] = {}
VALUE = ("list",)

_LISTS = ("allowgroups", "allowusers")


def observe(host: Host, control: Control) -> Observation:
    in_force = host.once("sshd -T", lambda: sshd_option.in_force_of(host))
    if "port" not in in_force:
        raise HostError("sshd -T does not say what is in force")
    lists = {name: in_force.get(name, "").split() for name in _LISTS}
    lines = host.once("sshd lines", lambda: sshd_option.lines_of(host))
    wider = [
        f"{line.place} lets {name} sign in for Match {line.match}"
        for line in lines
        if line.match and line.key == "allowgroups"
        for name in line.value.split()
        if name not in control.value
    ]
    state = {
        **lists,
        "wider": wider,
        "refusal": _refusal(host, control.value) if control.value else "",
    }
    shown = "; ".join(f"{name} {' '.join(found)}" for name, found in lists.items() if found)
    return Observation(state, shown or "every account")


def judge(control: Control, observation: Observation) -> Verdict:
    groups, users = observation.state["allowgroups"], observation.state["allowusers"]
    if not control.value:
        if groups or users:
            return Verdict(PASS)
        return Verdict(MANUAL, "every account may sign in: say in ssh_allow_groups who should")
    if not groups:
        return Verdict(FAIL, "sshd lets every group sign in")
    extra = [name for name in groups if name not in control.value]
    if extra:
        return Verdict(FAIL, f"sshd lets {', '.join(extra)} sign in as well")
    if observation.state["wider"]:
        return Verdict(FAIL, observation.state["wider"][0])
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state = observation.state
    if state["refusal"]:
        raise HostError(state["refusal"])
    # sshd adds up all lines of this option: one of another file is not undone by ours.
    if any(name not in control.value for name in state["allowgroups"]):
        raise HostError("that line is not ours: take it out by hand")
    if state["allowgroups"]:
        raise HostError("that block is not ours to rewrite: mend it by hand")
    line = f"AllowGroups {' '.join(control.value)}"
    edit = set_line("AllowGroups", line, sshd_option.HEADER)
    stage.edit(sshd_option.DROP_IN, edit, mode=0o600, validator="sshd")


def _refusal(host: Host, allowed: list[str]) -> str:
    """Why this list must not be set; "" where the operator stays in."""
    operator = os.environ.get("SUDO_USER") or "root"
    groups = [line.split(":") for line in (host.text("/etc/group") or "").splitlines()]
    users = [line.split(":") for line in (host.text("/etc/passwd") or "").splitlines()]
    numbers = {row[0]: row[2] for row in groups if len(row) == 4}
    missing = [name for name in allowed if name not in numbers]
    if missing:
        return f"the host has no group {', '.join(missing)}"
    own = {row[3] for row in users if len(row) == 7 and row[0] == operator}
    members = {row[0]: row[3].split(",") for row in groups if len(row) == 4}
    if any(numbers[name] in own or operator in members[name] for name in allowed):
        return ""
    return f"{operator}, who is at work here, is in none of these groups and would be shut out"
