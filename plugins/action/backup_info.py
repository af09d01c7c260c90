# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import time
from datetime import date, datetime
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import BackupError
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    backups,
    catalogue,
    control_action,
    restic_program,
    targets,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.backups import SettingsError
from ansible_collections.ringfence.hosting.plugins.plugin_utils.restic_program import ProgramError


class ActionModule(ActionBase):  # type: ignore[misc]
    """Judges the backups of each site: the repository's word, the host's, and the last drill."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """A row for each site."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        sites = self._task.args.get("sites") or []
        known = catalogue.load()
        told, trouble = self._host(sites, task_vars)
        rows = self._templar.template(task_vars.get("ringfence_waivers", []))
        waived = control_action.waivers(rows, date.today())
        made: dict[str, dict[str, list[datetime]] | str] = {}
        rows = []
        for site in sites:
            client = site["client"]
            if client not in made:
                made[client] = self._made(site)
            rows.append(self._row(site, known, made[client], told, trouble, waived))
        return {"changed": False, **targets.returned(rows, known)}

    def _host(
        self, sites: list[dict[str, Any]], task_vars: dict[str, Any]
    ) -> tuple[dict[str, Any], str]:
        clients = sorted({site["client"] for site in sites})
        if not clients:
            return {}, ""
        try:
            result = self._execute_module(
                module_name="ringfence.hosting.backup_info",
                module_args={"sites": [], "clients": clients},
                task_vars=task_vars,
            )
        except AnsibleConnectionFailure as error:
            return {}, f"the host cannot be reached: {error}"
        if result.get("failed") or result.get("unreachable"):
            return {}, str(result.get("msg"))
        return result["state"], ""

    def _made(self, site: dict[str, Any]) -> dict[str, list[datetime]] | str:
        """Site -> when its backups were made; or why the repository does not say it."""
        if backups.missing(site):
            return {}
        who = "keeper" if site["backup"].get("keeper") else "writer"
        try:
            with _backup_host.opened(
                **backups.opening(site, who),
                authority=self._task.args.get("authority") or "",
                cache=str(restic_program.cache() / "restic"),
            ) as repository:
                rows = _backup_host.snapshots(repository, program=restic_program.program())
        except (BackupError, ProgramError, SettingsError, OSError, ValueError) as error:
            return str(error)
        found: dict[str, list[datetime]] = {}
        for row in rows:
            found.setdefault(row["site"], []).append(datetime.fromisoformat(row["made"]))
        return found

    def _row(
        self,
        site: dict[str, Any],
        known: catalogue.Catalogue,
        made: dict[str, list[datetime]] | str,
        told: dict[str, Any],
        trouble: str,
        waived: dict[str, Any],
    ) -> dict[str, Any]:
        name, client = f"backup:{backups.name_of(site)}", backups.owner(site)
        asked = {
            "backups_late_after": site.get("backup", {}).get("late_after"),
            "backups_drill_every": site.get("backup", {}).get("drill_every"),
            "backups_prune_within": site.get("backup", {}).get("prune_within"),
        }
        troubles = {"host": trouble, "repository": made if isinstance(made, str) else ""}
        try:
            values = targets.values(known, "backup", {k: v for k, v in asked.items() if v})
            findings = backups.judge(
                site,
                values,
                made.get(site["id"], []) if isinstance(made, dict) else [],
                told.get(site["client"], {}).get(site["id"]),
                backups.drill_record(site),
                time.time(),
                troubles,
            )
        except (ValueError, KeyError, TypeError) as error:
            return targets.unread(name, "backup", f"cannot be judged: {error}", client=client)
        return targets.row(name, "backup", findings, values, client=client, waivers=waived)
