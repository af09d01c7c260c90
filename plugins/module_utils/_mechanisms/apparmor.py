# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AppArmor: whether the kernel uses it, how strictly its profiles are, and whom they hold."""

from __future__ import annotations

import os
import re
from pathlib import Path

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

PARAMS = {"check": "str"}  # enabled, profiles or processes
VALUE = ("str",)

_SWITCH = "/sys/module/apparmor/parameters/enabled"
_PROFILES = "/sys/kernel/security/apparmor/profiles"
_LINE = re.compile(r"^(?P<name>.+) \((?P<mode>\w+)\)$")
_STRICT = {"enforce": "enforce", "kill": "enforce", "complain": "complain"}


def observe(host: Host, control: Control) -> Observation:
    check = control.params["check"]
    if check == "enabled":
        seen = "enabled" if (host.text(_SWITCH) or "").strip() == "Y" else "disabled"
        return Observation({"seen": seen}, seen)
    loaded = host.once(_PROFILES, lambda: _loaded(host))
    if check == "profiles":
        counts = {mode: list(loaded.values()).count(mode) for mode in sorted(set(loaded.values()))}
        shown = ", ".join(f"{number} {mode}" for mode, number in counts.items())
        return Observation({"loaded": loaded}, shown or "no profiles are loaded")
    free = _unconfined(host, set(loaded))
    return Observation({"free": free}, ", ".join(free) or "none runs without its profile")


def judge(control: Control, observation: Observation) -> Verdict:
    check, state = control.params["check"], observation.state
    if check == "enabled":
        if control.meets(state["seen"]):
            return Verdict(PASS)
        return Verdict(FAIL, f"the kernel's AppArmor is {state['seen']}")
    if check == "processes":
        if control.value == "confined" and state["free"]:
            return Verdict(FAIL, f"{state['free'][0]} runs without its profile")
        return Verdict(PASS)
    # A profile in mode unconfined holds nobody: it only gives its program a name.
    holding = {name: _STRICT[m] for name, m in state["loaded"].items() if m in _STRICT}
    if not holding:
        return Verdict(FAIL, "no profile is loaded that holds anybody")
    loose = [name for name, mode in holding.items() if not control.meets(mode)]
    if not loose:
        return Verdict(PASS)
    others = and_others(len(loose))
    return Verdict(FAIL, f"{loose[0]} only complains{others}")


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """What a profile would stop, a person must have seen in the log first."""


def _loaded(host: Host) -> dict[str, str]:
    text = host.text(_PROFILES)
    if text is None:
        raise HostError(f"there is no {_PROFILES}")
    matches = map(_LINE.match, text.splitlines())
    return {match["name"]: match["mode"] for match in matches if match}


def _unconfined(host: Host, names: set[str]) -> list[str]:
    """Programs that run unconfined though a loaded profile has their path for its name."""
    found = set()
    for process in host.names("/proc"):
        if not process.isdecimal():
            continue
        try:
            program = os.readlink(host.real(f"/proc/{process}/exe"))
            label = Path(host.real(f"/proc/{process}/attr/current")).read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # the kernel's own, or gone meanwhile
            continue
        except OSError as error:
            raise HostError(f"process {process} cannot be examined: {error.strerror}") from error
        if program in names and label.strip(b"\0\n ") == b"unconfined":
            found.add(program)
    return sorted(found)
