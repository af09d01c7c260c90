# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restarts services that run files which are gone."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import (
    deleted_libraries,
)

_SYSTEMD = "init.scope"


def run(host: Host, later: list[str], *, check: bool) -> dict[str, Any]:
    """Restart them, or with `check` say which. Raises HostError where one does not come back."""
    found = sorted(deleted_libraries.units(host))
    services = [unit for unit in found if unit.endswith(".service") and not _waits(unit, later)]
    if not check:
        if _SYSTEMD in found:
            host.output(["systemctl", "daemon-reexec"])
        if services:  # an update may have brought another unit file
            host.output(["systemctl", "daemon-reload"])
        for unit in services:
            done = host.run(["systemctl", "restart", "--", unit], timeout=180)
            if done.rc != 0:
                raise HostError(f"{unit} did not come back: {done.complaint()}")
    left = [unit for unit in found if unit not in services]
    if not check and found:
        left = sorted(deleted_libraries.units(host))
    return {"changed": bool(services), "restarted": services, "left": left}


def _waits(unit: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(unit, pattern) for pattern in patterns)
