# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups, catalogue, targets
from ansible_collections.ringfence.hosting.plugins.plugin_utils.backups import SettingsError

_CONTROL = "backups_drilled"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Has each site restored on the host, and judges what came of it."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """A row for each site, and `drills`."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "a drill restores, or is none"}
        known = catalogue.load()
        sites = self._task.args.get("sites") or []
        rows, drills = [], []
        for site in sites:
            if not backups.enabled(site):
                continue
            row, drill = self._drill(site, known, task_vars)
            rows.append(row)
            drills += [drill] if drill else []
        failed = [drill["site"] for drill in drills if drill["wrong"]]
        failed += [row["name"] for row in rows if row["state"] != "ok"]
        result = {"changed": False, "drills": drills, **targets.returned(rows, known)}
        return {**result, "failed_sites": failed}

    def _drill(
        self, site: dict[str, Any], known: catalogue.Catalogue, task_vars: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        name, client = f"backup:{backups.name_of(site)}", backups.owner(site)
        on = task_vars["inventory_hostname"]
        try:
            result = self._execute_module(
                module_name="ringfence.hosting.backup_restore",
                module_args={
                    "site": {},
                    "opening": backups.opening(site),
                    "client": site["client"],
                    "site_id": site["id"],
                    "authority": self._task.args.get("authority") or "",
                    "drill": True,
                },
                task_vars=task_vars,
            )
            every = site.get("backup", {}).get("drill_every")
            asked = {"backups_drill_every": every} if every else {}
            wanted = {_CONTROL: targets.values(known, "backup", asked)[_CONTROL]}
        except (SettingsError, AnsibleConnectionFailure, ValueError) as error:
            return targets.unread(name, "backup", str(error), client=client), None
        except AnsibleActionFail as error:
            return targets.unread(name, "backup", str(error), client=client), None
        if result.get("failed"):
            why = f"cannot be restored: {result.get('msg')}"
            backups.keep_drill(site, backups.drill_failed(site, why, on))
            return targets.unread(name, "backup", why, client=client), None
        drill = backups.drill_result(
            site, result["proof"], result["snapshot"], result["seconds"], on
        )
        backups.keep_drill(site, drill)
        finding = backups.drilled(wanted[_CONTROL], drill, time.time())
        return targets.row(name, "backup", [finding], wanted, client=client), drill
