# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import BackupError
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups, restic_program
from ansible_collections.ringfence.hosting.plugins.plugin_utils.backups import SettingsError
from ansible_collections.ringfence.hosting.plugins.plugin_utils.restic_program import ProgramError


class ActionModule(ActionBase):  # type: ignore[misc]
    """Makes the repositories that are not there, and a job for each client of the host."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        sites = self._task.args.get("sites") or []
        authority = self._task.args.get("authority") or ""
        try:
            jobs = backups.jobs(sites, task_vars["inventory_hostname"])
            made = [job["client"] for job in jobs if self._make(job, authority)]
        except (SettingsError, BackupError, ProgramError) as error:
            raise AnsibleActionFail(str(error)) from None
        for job in jobs:
            job["authority"] = authority
        result: dict[str, Any] = self._execute_module(
            module_name="ringfence.hosting.backup_set",
            module_args={"sites": [], "jobs": jobs},
            task_vars=task_vars,
        )
        if made and not result.get("failed"):
            result["changed"] = True
        return result | {"repositories_made": made}

    def _make(self, job: dict[str, Any], authority: str) -> bool:
        """Whether the repository of a job had to be made."""
        program = restic_program.program()
        # Hosts are asked at the same time: two of them must not make one repository twice.
        with (
            restic_program.alone(),
            _backup_host.opened(
                job["repository"],
                job["password"],
                job["access_key"],
                job["secret_key"],
                region=job["region"],
                authority=authority,
                cache=str(restic_program.cache() / "restic"),
            ) as repository,
        ):
            try:
                _backup_host.restic(
                    repository, "cat", "config", "--no-lock", program=program, seconds=300
                )
            except BackupError as error:
                if error.code != _backup_host.NO_REPOSITORY:
                    raise BackupError(f"client {job['client']}: {error}") from None
                if not self._task.check_mode:
                    _backup_host.restic(repository, "init", program=program, seconds=300)
                return True
        return False
