# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versions of PHP: until when whoever packages them mends their holes."""

from __future__ import annotations

import re
from datetime import date

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

# debian: "release version last-day" of Debian's own; upstream: "version last-day" of all others.
# as_of: the day these were looked up.
PARAMS = {"debian": "list", "upstream": "list", "as_of": "str"}
# Days that must be left.
VALUE = ("int",)

_PACKAGE = re.compile(r"(?:php|libapache2-mod-php)(\d+\.\d+)(?:-fpm|-cgi|-cli)?")
# Words in the version of a package that is not Debian's own.
_FOREIGN = re.compile(r"sury|ubuntu|gbp|\+0~|remi|ondrej")


def observe(host: Host, control: Control) -> Observation:
    found: dict[str, str] = {}
    for name, version in sorted(host.installed_packages().items()):
        match = _PACKAGE.fullmatch(name)
        if match:
            found.setdefault(match[1], _end(host, control, match[1], version))
    shown = ", ".join(f"{name} until {end or 'unknown'}" for name, end in sorted(found.items()))
    return Observation({"ends": found}, shown)


def judge(control: Control, observation: Observation) -> Verdict:
    ends = observation.state["ends"]
    if not ends:
        return Verdict(NOT_APPLICABLE, "the host has no PHP")
    for version, end in sorted(ends.items()):
        if not end:
            return Verdict(FAIL, f"nobody is known to mend PHP {version}")
        left = (date.fromisoformat(end) - _today()).days
        if left < control.value:
            word = "ended" if left < 0 else "ends"
            return Verdict(FAIL, f"support for PHP {version} {word} on {end}")
    return Verdict(PASS)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    raise HostError("a site must be tried on another version of PHP before it gets one")


def _end(host: Host, control: Control, version: str, package: str) -> str:
    """The last day of support as YYYY-MM-DD; "" where none is known."""
    release = str(host.facts()["release"])
    for row in control.params["debian"]:
        if row.split()[:2] == [release, version] and not _FOREIGN.search(package):
            return str(row.split()[2])
    ends = dict(row.split() for row in control.params["upstream"])
    return str(ends.get(version, ""))


def _today() -> date:
    return date.today()
