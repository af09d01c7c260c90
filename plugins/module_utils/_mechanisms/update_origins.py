# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From which origins unattended-upgrades installs."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

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
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

PARAMS: dict[str, str] = {}
VALUE = ("str",)

_DROP_IN = "/etc/apt/apt.conf.d/zz-ringfence"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_LIST = "Unattended-Upgrade::Origins-Pattern::"
_SECURITY = "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"
_ENTRY = re.compile(
    r'^Unattended-Upgrade::(?:Origins-Pattern|Allowed-Origins)::[^\s"]* "(.*)";$',
    re.MULTILINE | re.IGNORECASE,
)


def observe(host: Host, _control: Control) -> Observation:
    entries = _ENTRY.findall(_apt.configuration(host))
    state = {"entries": entries, "codename": _apt.codename(host)}
    return Observation(state, "; ".join(entries) or "none")


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    seen = any(_brings_security(entry, state["codename"]) for entry in state["entries"])
    if control.meets("security" if seen else "none"):
        return Verdict(PASS)
    return Verdict(FAIL, "no origin of unattended-upgrades is Debian's security archive")


def plan(_control: Control, _observation: Observation, stage: Stage) -> None:
    stage.edit(_DROP_IN, set_line(_LIST, f'{_LIST} "{_SECURITY}";', _HEADER))


def _is_of(value: str, codename: str) -> bool:
    """Whether a suite is of this release; of an old one nothing is installed."""
    release = value.removesuffix("-security")
    if not codename or release in ("${distro_codename}", "stable", "oldstable", "oldoldstable"):
        return True
    return fnmatchcase(codename, release)


def _brings_security(entry: str, codename: str) -> bool:
    """An entry asks for all that it names; it must name security and nothing that is never so."""
    asked = [part.strip().partition("=") for part in entry.split(",")]
    if not all(equals for _key, equals, _value in asked):
        old = re.fullmatch(r"Debian:(\S*-security)", entry)  # Allowed-Origins
        return old is not None and _is_of(old[1], codename)
    given = {_LONG.get(key, key): value for key, _equals, value in asked}
    named = given.get("label") == "Debian-Security" or any(
        value.endswith("-security") for key, value in given.items() if key in _SUITES
    )
    fits = given.get("origin", "Debian") in ("Debian", "*")
    fits = fits and all(_is_of(given[key], codename) for key in _SUITES if key in given)
    return named and fits and given.get("label", "Debian-Security") == "Debian-Security"


_LONG = {"o": "origin", "l": "label", "n": "codename", "a": "archive", "suite": "archive"}
_SUITES = ("codename", "archive")
