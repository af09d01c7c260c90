# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings a repository back after somebody deleted or overwrote its objects in a versioned bucket.

restic names each object by the SHA-256 of its content and never writes one twice, so the right
version of an object tells itself: nothing must be known of when the attack was. Only `config` has
no such name; what its first version holds is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups

try:
    import boto3
except ImportError:  # told where it is needed
    boto3 = None

_THREADS = 16
_NAMED = re.compile(r"(?:^|/)(data/[0-9a-f]{2}|index|snapshots|keys)/([0-9a-f]{64})$")
# Of these a strange one stops restic at once; they are small enough to be looked at one by one.
_SMALL = ("index", "snapshots", "keys")


@dataclass(frozen=True)
class Version:
    """A version of an object, or a delete marker; `order` 0 is the newest."""

    id: str
    marker: bool
    order: int


@dataclass
class Plan:
    """What brings the repository back, by object name."""

    unmark: dict[str, list[str]] = field(default_factory=dict)
    copy: dict[str, str] = field(default_factory=dict)
    hide: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    sound: int = 0

    def __bool__(self) -> bool:
        return bool(self.unmark or self.copy or self.hide)


def plan(versions: dict[str, list[Version]], digest: Callable[[str, str], str]) -> Plan:
    """What to do for `versions` (name -> newest first); `digest(name, version)` is a SHA-256.

    A digest is asked for only where there is a choice, and for the small objects.
    """
    made = Plan()
    for name, stack in sorted(versions.items()):
        if "/locks/" in f"/{name}":
            continue
        right = _right(name, stack, digest)
        if right is None:
            (made.hide if not stack[0].marker else made.lost).append(name)
            continue
        above = [one for one in stack if one.order < right.order]
        if not above:
            made.sound += 1
        elif all(one.marker for one in above):
            made.unmark[name] = [one.id for one in above]
        else:
            made.copy[name] = right.id
    return made


def _right(name: str, stack: list[Version], digest: Callable[[str, str], str]) -> Version | None:
    """The newest sound version."""
    real = [one for one in stack if not one.marker]
    if not real:
        return None
    found = _NAMED.search(name)
    if found is None:
        return _first(name, real, digest) if name.rsplit("/", 1)[-1] == "config" else None
    if len(real) == 1 and found[1] not in _SMALL:
        return real[0]
    return next((one for one in real if digest(name, one.id) == found[2]), None)


def _first(name: str, real: list[Version], digest: Callable[[str, str], str]) -> Version:
    """The first version, or the newest if it is the same: then it was put back already."""
    if len(real) > 1 and digest(name, real[0].id) == digest(name, real[-1].id):
        return real[0]
    return real[-1]


@contextlib.contextmanager
def connected(site: dict[str, Any], authority: str) -> Iterator[Any]:
    """boto3's client with the keeper's key. Raises SettingsError where the register has none."""
    if boto3 is None:
        raise backups.SettingsError("the Python library boto3 is not installed here")
    opening = backups.opening(site, "keeper")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "authority.pem")
        bundle.write_text(authority, encoding="utf-8")
        yield boto3.client(
            "s3",
            endpoint_url=site["backup"].get("endpoint"),
            region_name=site["backup"].get("region") or "us-east-1",
            aws_access_key_id=opening["access"],
            aws_secret_access_key=opening["secret"],
            verify=str(bundle) if authority else None,
        )


def listed(client: Any, bucket: str, prefix: str) -> dict[str, list[Version]]:
    """All versions below a prefix; `client` is boto3's."""
    found: dict[str, list[tuple[Any, bool, bool, str]]] = {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for kind, marker in (("Versions", False), ("DeleteMarkers", True)):
            for one in page.get(kind, []):
                row = (one["LastModified"], one["IsLatest"], marker, one["VersionId"])
                found.setdefault(one["Key"], []).append(row)
    return {
        key: [
            Version(row[3], row[2], order)
            for order, row in enumerate(sorted(rows, key=lambda row: row[:2], reverse=True))
        ]
        for key, rows in found.items()
    }


def digest_of(client: Any, bucket: str, name: str, version: str) -> str:
    """The SHA-256 of a version."""
    body = client.get_object(Bucket=bucket, Key=name, VersionId=version)["Body"]
    digest = hashlib.sha256()
    for block in body.iter_chunks(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def carry_out(client: Any, bucket: str, made: Plan) -> None:
    """Do it. A run that was cut off is simply done again."""

    def unmark(item: tuple[str, list[str]]) -> None:
        for version in item[1]:
            client.delete_object(Bucket=bucket, Key=item[0], VersionId=version)

    def copy(item: tuple[str, str]) -> None:
        source = {"Bucket": bucket, "Key": item[0], "VersionId": item[1]}
        client.copy_object(Bucket=bucket, Key=item[0], CopySource=source)

    def hide(name: str) -> None:
        client.delete_object(Bucket=bucket, Key=name)

    with ThreadPoolExecutor(_THREADS) as pool:
        for work, items in (
            (copy, made.copy.items()),
            (unmark, made.unmark.items()),
            (hide, made.hide),
        ):
            _all(pool.map(work, items))


def _all(results: Iterable[None]) -> None:
    for _done in results:
        pass
