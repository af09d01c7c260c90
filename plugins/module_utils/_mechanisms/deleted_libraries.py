# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Processes that still run a program or library which an update has replaced."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# The value lists services, as patterns, that may go on with what they have until the next reboot.
PARAMS: dict[str, str] = {}
VALUE = ("list",)

# Executable pages of a file below the system's own folders that is not there any more.
_DELETED = re.compile(
    rb"^[0-9a-f]+-[0-9a-f]+ ..x. \S+ \S+ \S+ +"
    rb"(/(?:usr|lib|lib64|bin|sbin|opt)/[^\n]*) \(deleted\)$",
    re.MULTILINE,
)
_UNIT = re.compile(r"/([^/\n]+\.(?:service|scope))(?:/|$)", re.MULTILINE)
_SHOWN = 10


def observe(host: Host, _control: Control) -> Observation:
    found = host.once("deleted libraries", lambda: units(host))
    listed = [f"{unit} ({paths[0]})" for unit, paths in sorted(found.items())]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return Observation({"units": sorted(found)}, f"{', '.join(listed[:_SHOWN])}{more}" or "none")


def judge(control: Control, observation: Observation) -> Verdict:
    bad = [
        unit
        for unit in observation.state["units"]
        if not any(fnmatchcase(unit, pattern) for pattern in control.value)
    ]
    if not bad:
        return Verdict(PASS)
    return Verdict(FAIL, f"what was replaced is still run by {observation.shown}")


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: restarts are for playbooks/updates.yml, which looks after the sites meanwhile."""


def units(host: Host) -> dict[str, list[str]]:
    """Unit -> the files that its processes run and that are gone, sorted; one look at /proc.

    A process in no unit is told by its name.
    """
    found: dict[str, set[str]] = {}
    numbers = [name for name in host.names("/proc") if name.isdigit()]
    if not numbers:
        raise HostError("/proc shows no process")
    for number in numbers:
        paths = {m.decode("utf-8", "replace") for m in _DELETED.findall(_maps(host, number))}
        if paths:
            found.setdefault(_unit(host, number), set()).update(paths)
    return {unit: sorted(paths) for unit, paths in found.items()}


def _maps(host: Host, number: str) -> bytes:
    try:
        return host.read(f"/proc/{number}/maps") or b""
    except HostError:
        if not host.exists(f"/proc/{number}"):
            return b""  # it ended meanwhile
        raise


def _unit(host: Host, number: str) -> str:
    text = _line(host, f"/proc/{number}/cgroup")
    named: list[str] = _UNIT.findall(text)
    if named:
        return named[-1]
    return _line(host, f"/proc/{number}/comm").strip() or f"process {number}"


def _line(host: Host, path: str) -> str:
    try:
        return host.text(path) or ""
    except HostError:
        return ""  # only how it is called is lost, not that it was seen
