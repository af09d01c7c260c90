# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether /proc shows users the processes of others: now, and after the next boot.

systemd mounts /proc itself; systemd-remount-fs then gives it the options of its line in fstab.
Services that look after others' processes get a group that still sees all of them.
Sources: proc(5), systemd-remount-fs.service(8).
"""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# group: an existing one, whose members see all processes. units: services that must be in it.
PARAMS = {"group": "str", "units": "list"}
VALUE = ("str",)

_VISIBLE = "visible"
_MOUNTS = "/proc/self/mounts"
_FSTAB = "/etc/fstab"
_DROP_IN = "/etc/systemd/system/{}.d/zz-ringfence-processes.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
# noaccess (1) still shows which processes there are, and whose.
_HIDING = {"2", "invisible", "4", "ptraceable"}
# What systemd mounts /proc with: a line of fstab replaces all of it.
_USUAL = ["nosuid", "nodev", "noexec"]


class _Hiding(NamedTuple):
    """Whether others' processes are hidden, and the number of the group that sees them ("0")."""

    hidden: bool
    group: str


def observe(host: Host, control: Control) -> Observation:
    if control.value == _VISIBLE:
        return Observation({"asked": False}, "not asked for")
    live, at_boot = _live(host), _at_boot(host)
    number = _group_number(host, control.params["group"])
    state = {
        "asked": True,
        "number": number,
        "live": live,
        "at_boot": at_boot,
        "outside": _outside(host, control),
    }
    words = ("shown to all", "hidden")
    return Observation(state, f"{words[live.hidden]}; at boot {words[at_boot.hidden]}")


def judge(control: Control, observation: Observation) -> Verdict:
    state, group = observation.state, control.params["group"]
    if not state["asked"]:
        return Verdict(PASS)
    for hiding, where in ((state["live"], "/proc"), (state["at_boot"], f"at boot {_FSTAB}")):
        if not hiding.hidden:
            return Verdict(FAIL, f"{where} lets every user see the processes of all")
        if hiding.group != state["number"]:
            return Verdict(FAIL, f"{where} does not name {group} as the group that sees all")
    outside = state["outside"]
    if outside:
        others = and_others(len(outside))
        return Verdict(FAIL, f"{outside[0]} is not in the group {group} that sees all{others}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state, wanted = observation.state, _Hiding(True, observation.state["number"])
    text = f"{_HEADER}[Service]\nSupplementaryGroups={control.params['group']}\n"
    for unit in state["outside"]:
        stage.edit(_DROP_IN.format(unit), lambda _old: text)
    if state["at_boot"] != wanted:
        stage.edit(_FSTAB, partial(_with_row, number=state["number"]), validator="fstab")
        stage.notify("reload_systemd")
    if state["outside"]:
        stage.step(partial(_let_see, units=state["outside"]))
    if state["live"] != wanted:
        stage.step(partial(_remount, number=state["number"]))


def _let_see(host: Host, units: list[str]) -> None:
    """First the services, then the mount: none of them is blind in between."""
    host.output(["systemctl", "daemon-reload"])
    host.output(["systemctl", "try-restart", *units])


def _remount(host: Host, number: str) -> None:
    host.output(["mount", "-o", f"remount,{_options(number)}", "/proc"])


def _options(number: str) -> str:
    # By number: kernels before 5.8 do not know the words.
    return ",".join([*_USUAL, "hidepid=2", f"gid={number}"])


def _live(host: Host) -> _Hiding:
    rows = [row for row in _rows(host.text(_MOUNTS) or "") if row[1] == "/proc" and len(row) > 3]
    if not rows or rows[-1][2] != "proc":
        raise HostError(f"{_MOUNTS} has no mount of /proc")
    return _hiding(rows[-1][3])  # the last one covers those before


def _at_boot(host: Host) -> _Hiding:
    row = next((row for row in _rows(host.text(_FSTAB) or "") if row[1] == "/proc"), [])
    return _hiding(row[3] if len(row) > 3 else "")


def _hiding(options: str) -> _Hiding:
    said = dict(option.partition("=")[::2] for option in options.split(","))
    return _Hiding(said.get("hidepid") in _HIDING, said.get("gid", "0"))


def _rows(text: str) -> list[list[str]]:
    rows = (line.split() for line in text.splitlines())
    return [row for row in rows if len(row) > 2 and not row[0].startswith("#")]


def _with_row(text: str, number: str) -> str:
    """fstab whose line for /proc hides processes; other options of the line are kept."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        row = line.split()
        if len(row) > 2 and not row[0].startswith("#") and row[1] == "/proc":
            said = row[3].split(",") if len(row) > 3 else []
            kept = [word for word in said if not re.match(r"(hidepid|gid)=|defaults$", word)]
            more = [word for word in _options(number).split(",") if word not in kept]
            lines[index] = " ".join([*row[:3], ",".join([*kept, *more]), *(row[4:] or ["0", "0"])])
            break
    else:
        lines.append(f"proc /proc proc {_options(number)} 0 0")
    return "".join(f"{line}\n" for line in lines)


def _group_number(host: Host, name: str) -> str:
    for line in (host.text("/etc/group") or "").splitlines():
        row = line.split(":")
        if row[0] == name and len(row) > 2 and row[2].isdecimal():
            return row[2]
    raise HostError(f"the host has no group {name}")


def _outside(host: Host, control: Control) -> list[str]:
    """The units of the host that are not in the group."""
    units = control.params["units"]
    text = host.output(
        ["systemctl", "show", "--property=Id,LoadState,SupplementaryGroups", "--", *units]
    )
    blocks = text.strip("\n").split("\n\n")
    if len(blocks) != len(units):
        raise HostError(f"systemctl show told of {len(blocks)} units, asked for {len(units)}")
    found = []
    for unit, block in zip(units, blocks, strict=True):
        said = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "LoadState" not in said:
            raise HostError(f"systemd said nothing of {unit}")
        groups = said.get("SupplementaryGroups", "").split()
        if said["LoadState"] == "loaded" and control.params["group"] not in groups:
            found.append(unit)
    return found
