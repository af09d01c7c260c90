# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import BackupError
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    backup_care,
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


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes care of a client's repository, from the controller, with the keeper's key."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """What was or would be done."""
        super().run(tmp, task_vars or {})
        sites = self._task.args.get("sites") or []
        what = self._task.args.get("what")
        work = {
            "prune": self._prune,
            "add_password": self._add_password,
            "drop_passwords": self._drop_passwords,
            "escrow": self._escrow,
            "shred": self._shred,
            "adopt": self._adopt,
            "copy": self._copy,
        }.get(str(what))
        try:
            if work is None:
                raise SettingsError(f"what: found {what!r}, expected prune, add_password, …")
            if what != "prune" and len({backups.holder(site) for site in sites}) != 1:
                raise SettingsError("sites: expected the sites of one client")
            if not sites:
                raise SettingsError("sites: there are none")
            return work(sites)
        except (ClientError, BotoCoreError) as error:
            raise AnsibleActionFail(f"S3: {error}") from None
        except (SettingsError, BackupError, ProgramError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None

    def _opened(self, site: dict[str, Any], folder: str, **other: str) -> Any:
        return _backup_host.opened(
            **{**backups.opening(site, "keeper"), **other},
            authority=self._task.args.get("authority") or "",
            cache=folder,
        )

    def _prune(self, sites: list[dict[str, Any]]) -> dict[str, Any]:
        """Each repository; one that cannot be pruned stops no other."""
        pruned: dict[str, int] = {}
        troubles = []
        for holder, own in backups.by_repository(sites).items():
            try:
                pruned |= self._prune_one(own)
            except (SettingsError, BackupError, OSError) as error:
                troubles.append(f"{holder}: {error}")
        found = {"changed": any(pruned.values()), "pruned": pruned}
        return {**found, "failed": True, "msg": "; ".join(troubles)} if troubles else found

    def _prune_one(self, sites: list[dict[str, Any]]) -> dict[str, int]:
        keep = {site["id"]: site["backup"].get("keep", {}) for site in sites}
        run = backup_care.bound(restic_program.program())
        with tempfile.TemporaryDirectory() as cache, self._opened(sites[0], cache) as repository:
            gone = backup_care.prune(run, repository, keep, check=self._task.check_mode)
        return {backups.name_of(site): gone[site["id"]] for site in sites}

    def _add_password(self, sites: list[dict[str, Any]]) -> dict[str, Any]:
        coming = sites[0]["backup"].get("next", {}).get("password")
        if not coming:
            raise SettingsError("the register has no backup.next.password")
        run = backup_care.bound(restic_program.program())
        with tempfile.TemporaryDirectory() as cache, self._opened(sites[0], cache) as repository:
            added = backup_care.add_password(
                run, repository, str(coming), check=self._task.check_mode
            )
        return {"changed": added}

    def _drop_passwords(self, sites: list[dict[str, Any]]) -> dict[str, Any]:
        held = self._task.args.get("held")
        if not held:
            raise SettingsError("held: expected what the hosts say, for drop_passwords")
        if sites[0]["backup"].get("next"):
            said = "the register still has backup.next: it becomes backup.password first, or goes"
            raise SettingsError(f"{said}; no password was removed")
        backup_care.require_held(str(backups.opening(sites[0], "keeper")["password"]), held)
        run = backup_care.bound(restic_program.program())
        with tempfile.TemporaryDirectory() as cache, self._opened(sites[0], cache) as repository:
            count = backup_care.drop_others(run, repository, check=self._task.check_mode)
        return {"changed": bool(count), "dropped": count}

    def _escrow(self, sites: list[dict[str, Any]]) -> dict[str, Any]:
        recipients, target = sites[0]["backup"].get("escrow", []), _escrow_file(sites[0])
        password = str(backups.opening(sites[0], "keeper")["password"])
        backup_care.escrow(password, recipients, target, check=self._task.check_mode)
        return {"changed": True, "file": str(target), "recipients": recipients}

    def _adopt(self, sites: list[dict[str, Any]]) -> dict[str, Any]:
        bucket, names = self._task.args.get("bucket"), self._task.args.get("archives") or []
        if not bucket or not names:
            raise SettingsError("expected bucket and archives, what is to be adopted")
        authority, program = self._task.args.get("authority") or "", restic_program.program()
        with (
            tempfile.TemporaryDirectory() as cache,
            self._opened(sites[0], cache) as repository,
            backup_recover.connected(sites[0], authority) as client,
        ):
            done = [
                backup_care.adopt(
                    client,
                    bucket,
                    name,
                    repository,
                    program,
                    remove=boolean(self._task.args.get("remove", False)),
                    check=self._task.check_mode,
                )
                for name in names
            ]
        changed = any(one["adopted"] or one.get("removed") for one in done)
        return {"changed": changed, "archives": done}

    def _copy(self, sites: list[dict[str, Any]]) -> dict[str, Any]:
        site, old = sites[0], self._task.args.get("old") or {}
        if not old.get("repository") or not old.get("password"):
            raise SettingsError("old: expected repository and password of what is to be copied")
        if old["repository"] == backups.folder(site):
            raise SettingsError("old.repository: is the one the register names now")
        before = {**site, "backup": {**site["backup"], **old}}
        run = backup_care.bound(restic_program.program())
        with (
            tempfile.TemporaryDirectory() as cache,
            self._opened(site, cache) as repository,
            self._opened(before, cache) as source,
        ):
            count = backup_care.copy(run, source, repository, check=self._task.check_mode)
        return {"changed": bool(count), "copied": count}

    def _shred(self, sites: list[dict[str, Any]]) -> dict[str, Any]:
        site = sites[0]
        if self._task.args.get("confirm") != backups.holder(site):
            expected = backups.holder(site)
            raise SettingsError(f"confirm: expected {expected!r}: nothing was shredded")
        authority = self._task.args.get("authority") or ""
        with backup_recover.connected(site, authority) as client:
            done = backup_care.shred(
                client,
                site["backup"]["bucket"],
                backups.folder(site),
                check=self._task.check_mode,
            )
        still = not self._task.check_mode and self._still_opens(site)
        copy = _escrow_file(site)
        return {
            "changed": bool(done["deleted"]),
            **done,
            "opens": still,
            "destroy": [str(copy)] if copy.exists() else [],
        }

    def _still_opens(self, site: dict[str, Any]) -> bool:
        """Whether the repository opens without anything that this controller had kept of it."""
        with tempfile.TemporaryDirectory() as cache, self._opened(site, cache) as repository:
            try:
                _backup_host.restic(
                    repository,
                    "cat",
                    "config",
                    "--no-lock",
                    program=restic_program.program(),
                )
            except BackupError as error:
                return error.code not in (_backup_host.NO_REPOSITORY, 12)
        return True


def _escrow_file(site: dict[str, Any]) -> Path:
    base = Path(os.environ.get("RINGFENCE_EVIDENCE_DIR") or "evidence")
    return base / "backup-escrow" / f"{backups.holder(site).replace('/', '-')}.age"
