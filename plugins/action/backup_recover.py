# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import tempfile
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import BackupError
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    backup_recover,
    backups,
    restic_program,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.backups import SettingsError
from ansible_collections.ringfence.hosting.plugins.plugin_utils.restic_program import ProgramError

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:  # told where it is needed, before any of these could be raised
    BotoCoreError = ClientError = OSError

_SHOWN = 5


class ActionModule(ActionBase):  # type: ignore[misc]
    """Brings a client's repository back, from the controller, with the keeper's key."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """What was or would be done, and how many backups there are after it."""
        super().run(tmp, task_vars or {})
        site = self._task.args["site"]
        authority = self._task.args.get("authority") or ""
        try:
            opening = backups.opening(site, "keeper")
            with backup_recover.connected(site, authority) as client:
                made = self._recover(client, site)
            told = {} if self._task.check_mode else self._checked(opening, authority, made.lost)
        except (ClientError, BotoCoreError) as error:
            raise AnsibleActionFail(f"S3: {error}") from None
        except (SettingsError, BackupError, ProgramError) as error:
            raise AnsibleActionFail(str(error)) from None
        return {
            "changed": bool(made),
            "undeleted": len(made.unmark),
            "put_back": len(made.copy),
            "hidden": made.hide,
            # Where all data is sound, nothing that is needed is among them.
            "lost": [] if told.get("read_data") else made.lost,
            "sound": made.sound,
            **told,
        }

    def _recover(self, client: Any, site: dict[str, Any]) -> backup_recover.Plan:
        bucket = site["backup"]["bucket"]
        versions = backup_recover.listed(client, bucket, f"{backups.folder(site)}/")
        made = backup_recover.plan(
            versions,
            lambda name, version: backup_recover.digest_of(client, bucket, name, version),
        )
        if made and not self._task.check_mode:
            backup_recover.carry_out(client, bucket, made)
        return made

    def _checked(self, opening: dict[str, Any], authority: str, lost: list[str]) -> dict[str, Any]:
        """How many snapshots the repository has; that all its data can be read."""
        program = restic_program.program()
        with (
            tempfile.TemporaryDirectory() as cache,
            _backup_host.opened(**opening, authority=authority, cache=cache) as repository,
        ):
            rows = _backup_host.snapshots(repository, program=program)
            read = bool(self._task.args.get("read_data", True))
            words = ["check", "--no-lock", *(["--read-data"] if read else [])]
            try:
                _backup_host.restic(repository, *words, program=program)
            except BackupError as error:
                names = f"; no sound version is left of {', '.join(lost[:_SHOWN])}" if lost else ""
                raise BackupError(f"{error}{names}") from None
        return {"snapshots": len(rows), "read_data": read}
