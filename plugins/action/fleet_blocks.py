# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import site_addresses


class ActionModule(ActionBase):  # type: ignore[misc]
    """Has the host's firewall drop what is blocked on the whole fleet, until it ends."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of firewall_set; unchanged where nothing was ever blocked on the fleet."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        rows = self._templar.template(task_vars.get("ringfence_blocked", []))
        timeouts, less = wanted(rows, datetime.now(UTC))
        if not timeouts and not less:
            return {"changed": False}
        result: dict[str, Any] = self._execute_module(
            module_name="ringfence.hosting.firewall_set",
            module_args={"list": "ban", "timeouts": timeouts, "without": less},
            task_vars=task_vars,
        )
        unloaded = result.get("failed") and "firewall is not loaded" in str(result.get("msg"))
        if unloaded and not timeouts:  # nothing is to be blocked here, and nothing can be
            return {"changed": False}
        return result


def wanted(rows: list[dict[str, Any]], now: datetime) -> tuple[dict[str, int], list[str]]:
    """Address or network -> seconds that are left (0: for ever); and what must come off."""
    fleet = [row for row in rows if row["scope"] == "fleet"]
    timeouts: dict[str, int] = {}
    for row in fleet:
        until = site_addresses.ends(row.get("expires"))
        if row.get("ended") or until <= now:
            continue
        left = 0 if until == site_addresses.EVER else max(1, int((until - now).total_seconds()))
        known = timeouts.get(row["network"])
        longer = known is None or left == 0 or (known != 0 and left > known)
        timeouts[row["network"]] = left if longer or known is None else known
    less = [row["network"] for row in fleet if row.get("ended")]
    return timeouts, sorted({network for network in less if network not in timeouts})
