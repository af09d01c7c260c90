# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From which origins unattended-upgrades installs."""

from __future__ import annotations

import re

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
    return Observation({"entries": entries}, "; ".join(entries) or "none")


def judge(control: Control, observation: Observation) -> Verdict:
    seen = any(_brings_security(entry) for entry in observation.state["entries"])
    if control.meets("security" if seen else "none"):
        return Verdict(PASS)
    return Verdict(FAIL, "no origin of unattended-upgrades is Debian's security archive")


def plan(_control: Control, _observation: Observation, stage: Stage) -> None:
    stage.edit(_DROP_IN, set_line(_LIST, f'{_LIST} "{_SECURITY}";', _HEADER))


def _brings_security(entry: str) -> bool:
    """An entry asks for all that it names; it must name security and nothing that is never so."""
    asked = [part.strip().partition("=") for part in entry.split(",")]
    if not all(equals for _key, equals, _value in asked):
        return bool(re.fullmatch(r"Debian:\S*-security", entry))  # Allowed-Origins
    given = {_LONG.get(key, key): value for key, _equals, value in asked}
    named = given.get("label") == "Debian-Security" or any(
        value.endswith("-security") for key, value in given.items() if key in _SUITES
    )
    fits = given.get("origin", "Debian") in ("Debian", "*")
    return named and fits and given.get("label", "Debian-Security") == "Debian-Security"


_LONG = {"o": "origin", "l": "label", "n": "codename", "a": "archive", "suite": "archive"}
_SUITES = ("codename", "archive")
