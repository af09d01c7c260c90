# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the controller does to a client's repository with the keeper's key: prune it, bring old
archives into it, change its password, keep a copy of that in escrow, shred its keys at last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import (
    BackupError,
    Repository,
)

_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
# forget ends with 0 also where S3 refused each removal.
_REFUSED = r"access ?denied|unable to remove|failed to remove|forbidden"
_WRONG_PASSWORD = 12
_BLOCK = 1 << 20

Restic = Callable[..., str]


def prune(
    run: Restic, repository: Repository, sites: Mapping[str, Mapping[str, int]], *, check: bool
) -> dict[str, int]:
    """Forget what `sites` (site -> how many of each period) do not keep, then remove its data.

    Site -> how many backups went. Raises BackupError where anything was refused.
    """
    policies = {
        site: [f"--keep-{period}={keep[period]}" for period in _PERIODS if keep.get(period)]
        for site, keep in sorted(sites.items())
    }
    for site, wanted in policies.items():
        if not wanted:
            raise BackupError(f"{site}: the register keeps nothing of it: nothing was pruned")
    gone = {}
    trial = ["--dry-run"] if check else []
    if not check:
        # Of runs that were killed; those of others that still go on are left.
        run(repository, "unlock")
    for site, wanted in policies.items():
        said = run(
            repository,
            "forget",
            "--json",
            "--group-by=tags",
            f"--tag=site={site}",
            *wanted,
            *trial,
            refused=_REFUSED,
        )
        groups = json.loads(said.strip().splitlines()[0]) if said.strip() else []
        gone[site] = sum(len(group.get("remove") or []) for group in groups or [])
    if not check:
        # Also where nothing was forgotten now: a run before may have been stopped in between.
        run(repository, "prune", refused=_REFUSED)
    return gone


def opens(run: Restic, repository: Repository, password: str) -> bool:
    """Whether a password opens the repository."""
    with _in_file(password) as path:
        tried = Repository(**{**vars(repository), "password_file": path})
        try:
            run(tried, "cat", "config", "--no-lock")
        except BackupError as error:
            if error.code == _WRONG_PASSWORD:
                return False
            raise
    return True


def add_password(run: Restic, repository: Repository, password: str, *, check: bool) -> bool:
    """Have `password` open it too; whether it did not yet. The old one goes on working."""
    if opens(run, repository, password):
        return False
    if not check:
        with _in_file(password) as path:
            run(repository, "key", "add", f"--new-password-file={path}")
        if not opens(run, repository, password):
            raise BackupError("the new password was added and does not open the repository")
    return True


def require_held(password: str, held: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises BackupError where a host would be shut out if nothing but `password` opened it.

    `held`: host -> what ansible.builtin.stat says of its file with the password, empty where the
    host did not say. One that has no such file is not shut out: it never got in.
    """
    wanted = hashlib.sha256(f"{password}\n".encode()).hexdigest()
    troubles = []
    for host, seen in sorted(held.items()):
        found = seen.get("checksum")
        if not found and seen.get("exists") is not False:
            troubles.append(f"{host} does not say which password it has")
        elif found and found != wanted:
            troubles.append(f"{host} has another password than backup.password")
    if troubles:
        said = f"no password was removed: {'; '.join(troubles)}"
        raise BackupError(f"{said}: run playbooks/backup_hosts.yml first")


def drop_others(run: Restic, repository: Repository, *, check: bool) -> int:
    """Remove every password but the one that opened it; how many there were."""
    keys = json.loads(run(repository, "key", "list", "--json", "--no-lock"))
    others = [key["id"] for key in keys if not key["current"]]
    if len(others) == len(keys):
        raise BackupError("restic does not say which password is in use: none was removed")
    if others and not check:
        run(repository, "unlock")  # of runs here that were killed
    for name in [] if check else others:
        run(repository, "key", "remove", name, refused=_REFUSED)
    return len(others)


def copy(run: Restic, source: Repository, target: Repository, *, check: bool) -> int:
    """Copy every backup into a repository with another master key; how many were not there yet.

    What was copied is read back and checked.
    """
    listed = json.loads(run(source, "snapshots", "--json", "--no-lock") or "[]")
    copied = json.loads(run(target, "snapshots", "--json", "--no-lock") or "[]")
    known = {one["id"] for one in copied} | {one.get("original") for one in copied}
    waiting = [one["id"] for one in listed if not {one["id"], one.get("original")} & known]
    if waiting and not check:
        origin = [f"--from-repo={source.url}", f"--from-password-file={source.password_file}"]
        run(target, "copy", *origin, *waiting)
        run(target, "check", "--read-data")
    return len(waiting)


def escrow(password: str, recipients: Sequence[str], target: Path, *, check: bool) -> None:
    """Encrypt a password to several people of whom each can open it alone.

    A copy cannot be compared without a recipient's secret, so it is made anew each time.
    """
    if len(set(recipients)) < 2:
        raise BackupError("escrow: expected two recipients or more")
    if shutil.which("age") is None:
        raise BackupError("age is not installed on the controller")
    if check:
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = target.with_suffix(".new")
    command = ["age", "--encrypt", "--armor", *(f"--recipient={one}" for one in recipients)]
    done = subprocess.run(
        [*command, f"--output={staged}"],
        input=password.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"age: {done.stderr.decode(errors='replace').strip()[:200]}")
    staged.chmod(0o600)
    staged.replace(target)


def shred(client: Any, bucket: str, prefix: str, *, check: bool) -> dict[str, Any]:
    """Delete every version of every key file, without which nobody can open the repository.

    `deleted`: how many versions went; `locked`: how many S3 holds until their lock ends, which
    whoever has an old password could still open the repository with. `client` is boto3's.
    """
    found: dict[str, Any] = {"deleted": 0, "locked": []}
    pages = client.get_paginator("list_object_versions")
    versions = [
        (one["Key"], one["VersionId"])
        for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}/keys/")
        for kind in ("Versions", "DeleteMarkers")
        for one in page.get(kind, [])
    ]
    if check:
        return {"deleted": len(versions), "locked": []}
    for name in sorted({name for name, _version in versions}):
        client.delete_object(Bucket=bucket, Key=name)
    for name, version in versions:
        try:
            client.delete_object(Bucket=bucket, Key=name, VersionId=version)
            found["deleted"] += 1
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("AccessDenied", "InvalidRequest"):
                raise
            found["locked"].append(name)
    return found


def adopt(
    client: Any,
    bucket: str,
    name: str,
    repository: Repository,
    program: str,
    *,
    remove: bool = False,
    check: bool,
) -> dict[str, Any]:
    """Bring an old archive of a bucket into the repository, as it is, and read it back.

    `adopted`: whether it was not there yet. The archive itself stays where it was unless it is to
    be removed: then its version goes once its copy was read back now, and `removed` says so. Raises
    BackupError where what was read back differs, or where S3 holds the version.
    """
    seen = client.head_object(Bucket=bucket, Key=name)
    known = _adopted(repository, program, bucket, name, seen["ETag"])
    found: dict[str, Any] = {"name": name, "adopted": not known}
    if check:
        return found | ({"removed": True} if remove else {})
    if not known:
        found |= _adopt(client, bucket, name, seen, repository, program)
    elif remove:
        body = client.get_object(Bucket=bucket, Key=name, IfMatch=seen["ETag"])["Body"]
        digest = hashlib.sha256()
        for block in body.iter_chunks(_BLOCK):
            digest.update(block)
        if _dumped(repository, program, known, _path_of(bucket, name)) != digest.hexdigest():
            raise BackupError(f"{name}: its copy is not what the archive is: keep the archive")
    if remove:
        _remove(client, bucket, name, seen)
        found["removed"] = True
    return found


def _adopted(repository: Repository, program: str, bucket: str, name: str, etag: str) -> str:
    """The backup that an archive is in already, or nothing."""
    tag = f"--tag={_tag(bucket, name, etag)}"
    said = _backup_host.restic(repository, "snapshots", "--json", "--no-lock", tag, program=program)
    rows = json.loads(said or "[]")
    return str(rows[-1]["id"]) if rows else ""


def _tag(bucket: str, name: str, etag: str) -> str:
    return f"archive={hashlib.sha256(f'{bucket}/{name}/{etag}'.encode()).hexdigest()[:32]}"


def _path_of(bucket: str, name: str) -> str:
    # A folder in the name would have to be there on this machine.
    return f"/{quote(f'{bucket}/{name}', safe='')}"


def _remove(client: Any, bucket: str, name: str, seen: Mapping[str, Any]) -> None:
    """Delete the very version that was read, so that nobody reads it any more."""
    version = {"VersionId": seen["VersionId"]} if seen.get("VersionId") else {}
    if client.head_object(Bucket=bucket, Key=name)["ETag"] != seen["ETag"]:
        raise BackupError(f"{name}: was written to meanwhile: nothing was removed")
    try:
        client.delete_object(Bucket=bucket, Key=name, **version)
    except client.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("AccessDenied", "InvalidRequest"):
            raise
        why = "its lock, or a right that the keeper lacks"
        raise BackupError(f"{name}: was adopted, and S3 does not delete it ({why})") from None


def _adopt(
    client: Any,
    bucket: str,
    name: str,
    seen: Mapping[str, Any],
    repository: Repository,
    program: str,
) -> dict[str, Any]:
    """Stream it in, so that it needs no room on the controller, and read it back."""
    body = client.get_object(Bucket=bucket, Key=name, IfMatch=seen["ETag"])["Body"]
    path, tag = _path_of(bucket, name), _tag(bucket, name, seen["ETag"])
    command = [program, "backup", "--json", "--quiet", "--host=archive", f"--tag={tag}"]
    command += ["--stdin", f"--stdin-filename={path}"]
    code, told, digest = _fed(command, repository, body.iter_chunks(_BLOCK))
    if code:
        raise BackupError(f"{name}: {_backup_host.meaning(told)}")
    snapshot = json.loads(told.strip().splitlines()[-1])["snapshot_id"]
    if _dumped(repository, program, snapshot, path) != digest:
        raise BackupError(f"{name}: what was read back is not what was put in: keep the archive")
    return {"snapshot": snapshot, "bytes": seen["ContentLength"]}


def _fed(
    command: list[str], repository: Repository, blocks: Iterable[bytes]
) -> tuple[int, str, str]:
    """How restic ended with `blocks` as its input, what it said, and their SHA-256."""
    digest = hashlib.sha256()
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command,
            env=repository.environment(),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        try:
            for block in blocks:
                digest.update(block)
                if running.stdin:
                    running.stdin.write(block)
        except BrokenPipeError:  # restic says itself what is wrong
            pass
        except BaseException:
            # Half an archive must not become a backup of it.
            running.kill()
            raise
        if running.stdin:
            with contextlib.suppress(BrokenPipeError):
                running.stdin.close()
        code = running.wait()
        output.seek(0)
        return code, output.read().decode(errors="replace"), digest.hexdigest()


def _dumped(repository: Repository, program: str, snapshot: str, path: str) -> str:
    """The SHA-256 of a file of a snapshot."""
    digest = hashlib.sha256()
    with subprocess.Popen(
        [program, "dump", "--no-lock", snapshot, path],
        env=repository.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as running:
        while running.stdout and (block := running.stdout.read(_BLOCK)):
            digest.update(block)
    return digest.hexdigest() if running.returncode == 0 else ""


@contextlib.contextmanager
def _in_file(password: str) -> Iterator[str]:
    """A password in a file of one's own, for as long as the block lasts."""
    descriptor, path = tempfile.mkstemp(prefix="ringfence-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(password)
        yield path
    finally:
        os.unlink(path)


def bound(program: str) -> Restic:
    """`_backup_host.restic` with the controller's program."""

    def run(repository: Repository, *arguments: str, **options: Any) -> str:
        return _backup_host.restic(repository, *arguments, program=program, **options)

    return run
