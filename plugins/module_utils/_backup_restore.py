# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restores a site's backup into a folder of its own, over the live site, or to prove it can be."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import (
    BackupError,
    Repository,
)


def chosen(repository: Repository, site: str, at: float | None) -> dict[str, Any]:
    """The snapshot that would be restored."""
    return _backup_host.choose(_backup_host.snapshots(repository), site, at)


def drill(
    repository: Repository, client: str, site: str, snapshot: dict[str, Any]
) -> dict[str, Any]:
    """Restore into a scratch folder, prove it, remove it: `proof` and `seconds`."""
    with (
        tempfile.TemporaryDirectory(prefix="ringfence-drill-", dir="/var/tmp") as folder,
        _scratch() as scratch,
    ):
        began = time.monotonic()
        _backup_host.restore(repository, snapshot["id"], folder)
        proof = _backup_host.prove(folder, client, site, os.path.join(scratch, "mariadb"))
        return {"proof": proof, "seconds": time.monotonic() - began}


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A folder through which the database's own user can get at what is in it."""
    # Nobody can guess the name, and mkdir refuses one that is there.
    folder = f"/var/tmp/ringfence-scratch-{secrets.token_hex(8)}"  # noqa: S108
    os.mkdir(folder, 0o700)
    try:
        # Not by mkdir: a hardened host's umask would take the right away again.
        os.chmod(folder, 0o711)  # noqa: S103 - to pass through, not to list
        yield folder
    finally:
        shutil.rmtree(folder)


def into(repository: Repository, snapshot: dict[str, Any], folder: str) -> None:
    """Restore below `folder`, which must be empty or not there."""
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise BackupError(f"{folder} is not empty: nothing was restored")
    _backup_host.restore(repository, snapshot["id"], folder)


def over_live(
    repository: Repository, client: str, site: str, snapshot: dict[str, Any], database: str | None
) -> None:
    """Put files and database of the live site back to the snapshot.

    Files that the snapshot does not have go; tables that it does not have stay.
    """
    with tempfile.TemporaryDirectory(prefix="ringfence-restore-", dir="/var/tmp") as folder:
        spool = f"{_backup_host.STATE}/spool/{client}/{site}"
        _backup_host.restic(
            repository,
            "restore",
            "--no-lock",
            f"--include={spool}",
            f"--target={folder}",
            snapshot["id"],
        )
        spool = _backup_host.spool_of(folder, client, site)
        with open(os.path.join(spool, _backup_host.MANIFEST), encoding="utf-8") as file:
            manifest = json.load(file)
        for path in manifest["paths"]:
            _put_back(repository, snapshot["id"], path, manifest["files"][path]["kind"], folder)
        if database and manifest["database"]:
            with open(os.path.join(spool, _backup_host.DUMP), "rb") as dumped:
                done = subprocess.run(
                    ["mariadb", "--", database], stdin=dumped, capture_output=True, check=False
                )
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise BackupError(
                    f"files are back, the database is not: {said[-1] if said else ''}"
                )


def _put_back(repository: Repository, snapshot: str, path: str, kind: str, folder: str) -> None:
    if kind == "folder":
        _backup_host.restic(
            repository, "restore", "--no-lock", "--delete", f"--target={path}", f"{snapshot}:{path}"
        )
        return
    _backup_host.restic(
        repository, "restore", "--no-lock", f"--include={path}", f"--target={folder}", snapshot
    )
    shutil.move(os.path.join(folder, path.lstrip("/")), path)
