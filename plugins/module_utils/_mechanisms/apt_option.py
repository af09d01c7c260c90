# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of apt: what `apt-config dump` says is in force."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _apt
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    set_line,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# default: what apt takes where the option is not set.
PARAMS = {"option": "str", "default": "str?"}
VALUE = ("str", "int")

# Last in order on purpose: apt reads the folder by name and the last line wins.
_DROP_IN = "/etc/apt/apt.conf.d/zz-ringfence"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
# The words that apt takes for yes and no.
_SWITCH = {
    **dict.fromkeys(("true", "yes", "1", "on", "with", "enable"), "true"),
    **dict.fromkeys(("false", "no", "0", "off", "without", "disable"), "false"),
}
_LINE = re.compile(r'^(?P<name>[^\s"]+) "(?P<value>.*)";$')


def observe(host: Host, control: Control) -> Observation:
    known = host.once("apt options", lambda: _dumped(host))
    seen = known.get(control.params["option"].lower(), control.params.get("default"))
    return Observation({"seen": seen}, "not set" if seen is None else seen)


def judge(control: Control, observation: Observation) -> Verdict:
    seen, option = observation.state["seen"], control.params["option"]
    if seen is None:
        return Verdict(FAIL, f"apt has no {option}")
    if control.meets(_typed(control, seen)):
        return Verdict(PASS)
    return Verdict(FAIL, f'apt-config says {option} "{seen}"')


def plan(control: Control, _observation: Observation, stage: Stage) -> None:
    option = control.params["option"]
    if '"' in str(control.value):
        raise HostError(f"{option} cannot be set to a value with a quotation mark in it")
    stage.edit(_DROP_IN, set_line(option, f'{option} "{control.value}";', _HEADER))


def _dumped(host: Host) -> dict[str, str]:
    """Option in small letters -> value; apt does not mind the case of a name."""
    matches = map(_LINE.match, _apt.configuration(host).splitlines())
    found = {match["name"].lower(): match["value"] for match in matches if match}
    if not found:
        raise HostError("apt-config dump says nothing that can be understood")
    return found


def _typed(control: Control, seen: str) -> Any:
    if isinstance(control.value, int):
        return int(seen) if re.fullmatch(r"[0-9]+", seen) else seen
    if control.value in ("true", "false"):
        return _SWITCH.get(seen.lower(), seen)
    return seen
