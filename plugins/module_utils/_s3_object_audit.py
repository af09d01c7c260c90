# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How every object of a bucket is encrypted, and by which key: judged, counted, written down.

Kinds of encryption have the names that S3 Inventory gives them. S3 clients of boto3 are passed in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress, islice
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol
from urllib.parse import unquote_plus

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import (
    Connection,
    code_of,
    endpoint_of,
    is_s3_error,
    told,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_heads import (
    Answer,
    Heads,
    Target,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_inventory_rows import (
    Block,
    RowsError,
    read_blocks,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_listing import listed

KINDS = ("SSE-KMS", "DSSE-KMS", "SSE-S3", "SSE-C", "NOT-SSE")
_BY_HEADER = {"AES256": "SSE-S3", "aws:kms": "SSE-KMS", "aws:kms:dsse": "DSSE-KMS"}
_GONE = (404, 405)
_HEADER = "x-amz-server-side-encryption"
_COLUMNS = ("Key", "EncryptionStatus")
_STATE_VERSION = 1
_NO_INVENTORIES = ("AccessDenied", "NotImplemented", "MethodNotAllowed")


class AuditError(Exception):
    """Why an audit cannot be made, or be gone on with, in one line."""


class Demand(NamedTuple):
    """What objects must have: one of `kinds`, and where `keys` names any, one of these KMS keys.

    A key is an ARN, or the id at its end.
    """

    kinds: frozenset[str]
    keys: frozenset[str] = frozenset()

    def fault(self, kind: str, kms_key: str) -> str:
        """What is wrong with an object; empty where nothing is."""
        if kind not in self.kinds:
            return f"{kind}, expected {' or '.join(sorted(self.kinds))}"
        if self.keys and kind.endswith("KMS") and not self._knows(kms_key):
            return f"another key: {kms_key or 'none said'}"
        return ""

    def asks_key(self, kind: str) -> bool:
        """Whether an object of this kind passes by its key alone."""
        return bool(self.keys) and kind in self.kinds and kind.endswith("KMS")

    def _knows(self, kms_key: str) -> bool:
        return bool(kms_key) and (kms_key in self.keys or kms_key.rpartition("/")[2] in self.keys)


class Explains(Protocol):
    """Says what S3 has against a request that was answered with 400, which HEAD does not tell."""

    def __call__(self, target: Target) -> str: ...


@dataclass
class Tally:
    """What was counted. `unknown` objects were not judged: an audit with any is not clean."""

    objects: int = 0
    offenders: int = 0
    unknown: int = 0
    gone: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        counted = {
            name: getattr(self, name) for name in ("objects", "offenders", "unknown", "gone")
        }
        return {**counted, "kinds": dict(self.kinds), "keys": dict(self.keys)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Tally:
        """What `to_dict` made. Raises KeyError or TypeError for what is none."""
        plain = {name: int(found[name]) for name in ("objects", "offenders", "unknown", "gone")}
        return cls(**plain, kinds=Counter(found["kinds"]), keys=Counter(found["keys"]))


class Ledger:
    """Counts and the file of offenders, and how far an audit came: a later run can go on from it.

    `state` is written after each batch, by rename; the offenders' file is cut back to what the
    state knows, so that killing a run at any moment neither loses a row nor doubles one.
    """

    def __init__(self, scope: Mapping[str, Any], offenders: str | None, state: str | None) -> None:
        self._scope = dict(scope)
        self._state = Path(state) if state else None
        self.tally = Tally()
        self.after: Target | None = None
        self.resumed = False
        size = self._resume()
        self._file = _opened(offenders, size) if offenders else None

    def judged(self, demand: Demand, target: Target, kind: str, kms_key: str) -> None:
        """Count one object; write it down where it is not as demanded."""
        self.tally.objects += 1
        self.tally.kinds[kind] += 1
        if kms_key:
            self.tally.keys[kms_key] += 1
        fault = demand.fault(kind, kms_key)
        if fault:
            self.tally.offenders += 1
            self._write(target, fault, encryption=kind, kms_key=kms_key)

    def passed(self, kind: str, count: int) -> None:
        """So many objects that are as demanded."""
        self.tally.objects += count
        self.tally.kinds[kind] += count

    def not_judged(self, target: Target, why: str) -> None:
        """An object that nothing is known of."""
        self.tally.objects += 1
        self.tally.unknown += 1
        self._write(target, f"not known: {why}", encryption=None, kms_key="")

    def gone(self) -> None:
        """An object that was deleted since it was listed."""
        self.tally.gone += 1

    def _write(self, target: Target, why: str, **more: Any) -> None:
        if self._file is not None:
            row = {"key": target.key, "version": target.version, **more, "why": why}
            self._file.write(json.dumps(row) + "\n")

    def checkpoint(self, after: Target) -> None:
        """All up to and with `after` is counted and on disk."""
        self.after = after
        size = 0
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
        if self._state is not None:
            document = {
                "version": _STATE_VERSION,
                "scope": self._scope,
                "after": list(after),
                "offenders_bytes": size,
                "tally": self.tally.to_dict(),
            }
            _replace(self._state, json.dumps(document))

    def finish(self) -> None:
        """The audit came to its end: the next one begins anew."""
        self.close()
        if self._state is not None:
            self._state.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the files as they are."""
        if self._file is not None:
            self._file.close()

    def _resume(self) -> int:
        if self._state is None or not self._state.exists():
            return 0
        try:
            found = json.loads(self._state.read_text(encoding="utf-8"))
            scope, after = found["scope"], Target(*found["after"])
            tally, size = Tally.from_dict(found["tally"]), int(found["offenders_bytes"])
        except (ValueError, KeyError, TypeError) as error:
            raise AuditError(f"{self._state}: is no state of an audit: {error}") from error
        if found.get("version") != _STATE_VERSION or scope != self._scope:
            raise AuditError(
                f"{self._state}: is of another audit ({scope}); remove it to begin anew"
            )
        self.tally, self.after, self.resumed = tally, after, True
        return size


def classify(answer: Answer) -> str:
    """The kind of encryption that the headers of an object tell."""
    said = answer.headers.get(_HEADER)
    if said:
        return _BY_HEADER.get(said, said)
    if f"{_HEADER}-customer-algorithm" in answer.headers:
        return "SSE-C"
    return "NOT-SSE"


def judge(
    demand: Demand, ledger: Ledger, target: Target, answer: Answer, explain: Explains
) -> None:
    """Enter one answer into the ledger. Raises AuditError for what concerns the whole bucket."""
    if answer.status == 200:
        kms_key = answer.headers.get(f"{_HEADER}-aws-kms-key-id", "")
        ledger.judged(demand, target, classify(answer), kms_key)
    elif answer.status in _GONE:
        ledger.gone()
    elif answer.status in (301, 307):
        region = answer.headers.get("x-amz-bucket-region", "another")
        raise AuditError(f"the bucket is in the region {region}: pass it as region")
    elif answer.status == 400 and _is_customers(said := explain(target)):
        ledger.judged(demand, target, "SSE-C", "")
    elif answer.status == 400:
        ledger.not_judged(target, said or "bad request")
    else:
        ledger.not_judged(target, answer.why or _STATUS.get(answer.status, str(answer.status)))


_STATUS = {403: "not allowed to read it"}


def _is_customers(said: str) -> bool:
    """S3 does not show an object to whom does not send the key that it was stored with."""
    return "server side encryption" in said.lower()


async def by_head(
    heads: Heads,
    batches: AsyncIterator[Sequence[Target]],
    demand: Demand,
    ledger: Ledger,
    explain: Explains,
) -> None:
    """Ask for every object."""
    async for targets in batches:
        for target, answer in zip(targets, await heads.ask(targets), strict=True):
            judge(demand, ledger, target, answer, explain)
        ledger.checkpoint(targets[-1])


async def listed_ahead(batches: Iterator[Sequence[Target]]) -> AsyncIterator[Sequence[Target]]:
    """The next batch is listed, in a thread, while the last one is asked for."""
    following = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (found := await following) is not None:
            following = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield found
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await following


class Inventory(NamedTuple):
    """A finished S3 Inventory: where it lies, when it was taken (ISO 8601), and its manifest."""

    bucket: str
    taken: str
    manifest: Mapping[str, Any]


def newest_inventory(client: Any, bucket: str, prefix: str, versions: bool) -> Inventory | None:
    """The newest inventory that tells the encryption of all that is asked for, or None."""
    found = [
        inventory
        for configured in _configured(client, bucket)
        if _suits(configured, prefix, versions)
        for inventory in _delivered(client, bucket, configured)
    ]
    return max(found, key=lambda one: one.taken, default=None)


def _configured(client: Any, bucket: str) -> Iterator[Mapping[str, Any]]:
    more: dict[str, str] = {}
    while True:
        page = client.list_bucket_inventory_configurations(Bucket=bucket, **more)
        yield from page.get("InventoryConfigurationList", ())
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _suits(configured: Mapping[str, Any], prefix: str, versions: bool) -> bool:
    covered = configured.get("Filter", {}).get("Prefix", "")
    return (
        bool(configured.get("IsEnabled"))
        and prefix.startswith(covered)
        and "EncryptionStatus" in configured.get("OptionalFields", ())
        and configured["Destination"]["S3BucketDestination"].get("Format") == "CSV"
        and (not versions or configured.get("IncludedObjectVersions") == "All")
    )


def _delivered(client: Any, bucket: str, configured: Mapping[str, Any]) -> Iterator[Inventory]:
    """The newest inventory of one configuration, if any was delivered yet."""
    target = configured["Destination"]["S3BucketDestination"]
    where = target["Bucket"].rpartition(":")[2]
    folder = "/".join(filter(None, (target.get("Prefix", ""), bucket, configured["Id"]))) + "/"
    page = client.get_paginator("list_objects_v2").paginate(
        Bucket=where, Prefix=folder, Delimiter="/"
    )
    days = [row["Prefix"] for part in page for row in part.get("CommonPrefixes", ())]
    # Beside the days, named 2026-01-31T01-00Z, lie the folders data/ and hive/.
    for day in sorted((d for d in days if d[len(folder) :][:1].isdigit()), reverse=True):
        with suppress(client.exceptions.NoSuchKey):
            body = client.get_object(Bucket=where, Key=f"{day}manifest.json")["Body"].read()
            yield Inventory(where, day[len(folder) : -1], json.loads(body))
            return


def by_inventory(client: Any, inventory: Inventory) -> Iterator[Block]:
    """The rows of an inventory, in blocks. Raises AuditError."""
    columns = [name.strip() for name in str(inventory.manifest["fileSchema"]).split(",")]
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise AuditError(f"the inventory of {inventory.taken} has no column {missing[0]}")
    for part in inventory.manifest["files"]:
        with tempfile.TemporaryFile() as copy:
            _fetch(client, inventory.bucket, part, copy)
            try:
                yield from read_blocks(copy, columns)
            except RowsError as error:
                raise AuditError(f"{part['key']}: {error}") from error


def _fetch(client: Any, bucket: str, part: Mapping[str, Any], copy: IO[bytes]) -> None:
    """A file of an inventory, whole and unharmed, before any of it is believed."""
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in client.get_object(Bucket=bucket, Key=part["key"])["Body"].iter_chunks(1 << 20):
        digest.update(chunk)
        copy.write(chunk)
    if digest.hexdigest() != part["MD5checksum"]:
        raise AuditError(f"{part['key']}: is damaged: its MD5 is {digest.hexdigest()}")
    copy.seek(0)


class Scope(NamedTuple):
    """Which rows of an inventory are meant."""

    prefix: str = ""
    versions: bool = False

    def has(self, latest: str, marker: str) -> bool:
        """Whether a row is meant: delete markers hold nothing that could be encrypted."""
        return marker != "true" and (self.versions or latest == "true")


def enter_inventory(
    blocks: Iterable[Block], scope: Scope, demand: Demand, ledger: Ledger
) -> Iterator[Target]:
    """Enter what an inventory tells; yields those whose key must be asked for, which it does not
    tell. Rows with which nothing is wrong are only counted."""
    for whole in blocks:
        block = whole.within(scope.prefix)
        states = list(zip(block.latest, block.markers, block.kinds, strict=True))
        looked_at = set()
        for state, count in Counter(states).items():
            latest, marker, kind = state
            if not scope.has(latest, marker):
                continue
            if kind in demand.kinds and kind in KINDS and not demand.asks_key(kind):
                ledger.passed(kind, count)
            else:
                looked_at.add(state)
        rows = zip(block.keys, block.versions, states, strict=True)
        for key, version, state in compress(rows, map(looked_at.__contains__, states)):
            target, kind = Target(unquote_plus(key), version if scope.versions else ""), state[2]
            if demand.asks_key(kind):
                yield target
            elif kind in KINDS:
                ledger.judged(demand, target, kind, "")
            else:
                ledger.not_judged(target, f"the inventory says {kind or 'nothing'}")


@dataclass(frozen=True)
class Order:
    """What to audit, and how; the fields are the options of the module s3_object_audit."""

    bucket: str
    prefix: str
    versions: bool
    encryption: Sequence[str]
    keys: Sequence[str]
    source: str
    offenders: str | None
    state: str | None
    connections: int
    rate: int

    @property
    def demand(self) -> Demand:
        """What objects must have."""
        return Demand(frozenset(self.encryption), frozenset(self.keys))

    def scope(self) -> dict[str, Any]:
        """What two runs must have in common for the second to go on from the first."""
        return {
            "bucket": self.bucket,
            "prefix": self.prefix,
            "versions": self.versions,
            "encryption": sorted(self.encryption),
            "keys": sorted(self.keys),
            "offenders": self.offenders,
        }


def audit(connection: Connection, order: Order) -> dict[str, Any]:
    """The whole audit; see RETURN of the module. Raises AuditError, and boto3's errors."""
    inventory = None
    if order.source != "head":
        inventory = _inventory(connection.client, order)
    if inventory is None:
        return _audit_by_head(connection, order)
    ledger = Ledger(order.scope(), order.offenders, None)
    blocks = by_inventory(connection.client, inventory)
    asked = enter_inventory(blocks, Scope(order.prefix, order.versions), order.demand, ledger)
    requests = asyncio.run(_ask(connection, order, _batched(asked, _batch_size(order)), ledger))
    ledger.close()
    return _told(ledger, "inventory", inventory.taken, requests)


def _inventory(client: Any, order: Order) -> Inventory | None:
    try:
        found = newest_inventory(client, order.bucket, order.prefix, order.versions)
    except Exception as error:
        # Who may read the objects need not be allowed to know of inventories, nor the service.
        if order.source == "inventory" or code_of(error) not in _NO_INVENTORIES:
            raise
        return None
    if found is None and order.source == "inventory":
        raise AuditError(
            f"{order.bucket}: has no finished inventory (CSV, with EncryptionStatus) of what is "
            "asked for"
        )
    return found


def _audit_by_head(connection: Connection, order: Order) -> dict[str, Any]:
    ledger = Ledger(order.scope(), order.offenders, order.state)
    batches = listed(
        connection.client,
        order.bucket,
        order.prefix,
        order.versions,
        ledger.after,
        _batch_size(order),
    )
    try:
        requests = asyncio.run(_ask(connection, order, listed_ahead(batches), ledger))
    except BaseException:
        ledger.close()
        raise
    ledger.finish()
    return _told(ledger, "head", "", requests)


async def _ask(
    connection: Connection,
    order: Order,
    batches: AsyncIterator[Sequence[Target]],
    ledger: Ledger,
) -> int:
    """Ask for all; returns how many requests that took."""
    heads = Heads(
        endpoint_of(connection, order.bucket),
        connection.credentials,
        connections=order.connections,
        rate=order.rate,
    )
    async with heads:
        await by_head(
            heads, batches, order.demand, ledger, explainer(connection.client, order.bucket)
        )
    return heads.requests


def explainer(client: Any, bucket: str) -> Explains:
    """Asks by GET what a HEAD was refused for."""

    def explain(target: Target) -> str:
        version = {"VersionId": target.version} if target.version else {}
        try:
            client.get_object(Bucket=bucket, Key=target.key, Range="bytes=0-0", **version)
        except Exception as error:
            if is_s3_error(error):
                return told(error)
            raise
        return "bad request"

    return explain


def _batch_size(order: Order) -> int:
    """So many that waiting for the last of a batch does not count."""
    return max(2000, order.connections * 32)


async def _batched(targets: Iterable[Target], size: int) -> AsyncIterator[list[Target]]:
    """In this thread: making `targets` counts in the ledger, and so does what asks for them."""
    waiting = iter(targets)
    while batch := list(islice(waiting, size)):
        yield batch


def _told(ledger: Ledger, source: str, taken: str, requests: int) -> dict[str, Any]:
    tally = ledger.tally.to_dict()
    keys = tally.pop("keys")
    return {
        **tally,
        "kms_keys": keys,
        "clean": not tally["offenders"] and not tally["unknown"],
        "source": source,
        "as_of": taken,
        "requests": requests,
        "resumed": ledger.resumed,
    }


def _opened(path: str, size: int) -> Any:
    """The file of offenders, cut to the first `size` bytes. Raises AuditError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(descriptor, size)
        handle = os.fdopen(descriptor, "r+", encoding="utf-8")
        handle.seek(0, os.SEEK_END)
    except OSError as error:
        raise AuditError(f"{path}: cannot be written: {error.strerror}") from error
    return handle


def _replace(path: Path, text: str) -> None:
    descriptor, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(staged, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(staged)
        raise AuditError(f"{path}: cannot be written: {error.strerror}") from error
