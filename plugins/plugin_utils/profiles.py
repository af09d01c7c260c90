# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which controls are demanded of a host: those of its profile, and what somebody asked for.

A control has a level, 1 or 2, which comes from the benchmarks. A host has a profile:
`ringfence_profile`, or what the tiers of its sites ask for, whichever demands more. Beyond its
profile a host is still asked, and the answer is marked as not demanded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LEVELS = {"l1_server": 1, "l2_server": 2}
PROFILES = (*LEVELS, "all")
DEFAULT = "l1_server"
VARIABLE = "ringfence_profile"
TIER_VARIABLE = "ringfence_tier_profile"


def strictest(names: Iterable[str | None]) -> str:
    """The profile that demands most; the default where none is named. Raises ValueError."""
    found = DEFAULT
    for name in names:
        if name is None:
            continue
        if name not in PROFILES:
            raise ValueError(f"found {name!r}, expected one of {', '.join(PROFILES)}")
        found = max(found, name, key=PROFILES.index)
    return found


def of_host(variables: Mapping[str, Any]) -> str:
    """The profile of a host with these variables. Raises ValueError naming the variable."""
    try:
        asked = strictest([variables.get(VARIABLE)])
    except ValueError as error:
        raise ValueError(f"variable {VARIABLE}: {error}") from None
    return strictest([asked, variables.get(TIER_VARIABLE)])


def is_demanded(control: Mapping[str, Any], value: Any, profile: str) -> bool:
    """Whether a host with `profile` must have this control, at `value`."""
    return _in_profile(control, profile) or value != control["value"]["default"]


def reason(control: Mapping[str, Any], value: Any, profile: str) -> str:
    """The same in words, for people."""
    level = control.get("level", 1)
    if _in_profile(control, profile):
        return f"level {level}, demanded by the profile {profile}"
    if value != control["value"]["default"]:
        return f"level {level}, beyond the profile {profile}; demanded, for its value was chosen"
    return f"level {level}, beyond the profile {profile}: audited, not demanded, never applied"


def _in_profile(control: Mapping[str, Any], profile: str) -> bool:
    return profile == "all" or int(control.get("level", 1)) <= LEVELS[profile]
