# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects brought under another key, so that none can be lost on the way.

Nothing is ever deleted. An object is changed in place, or copied onto itself: S3 puts the copy in
the place of the old one in one step, or not at all. A run that was killed therefore leaves every
object whole, under the old key or the new one, and the next run goes on by what it sees.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_object_audit as auditing
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import (
    Clients,
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
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_listing import listed

LARGEST_COPY = 5 * 1024**3  # more than that, S3 copies in parts only
_PART = 512 * 1024**2
_MOST_PARTS = 10_000
_FROZEN = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# What an object has beside its bytes, and is given again where its parts are put together anew.
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
)
_LOCKS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
_CHECKSUMS = {
    "ChecksumSHA256": "SHA256",
    "ChecksumSHA1": "SHA1",
    "ChecksumCRC64NVME": "CRC64NVME",
    "ChecksumCRC32C": "CRC32C",
    "ChecksumCRC32": "CRC32",
}
_STATE_VERSION = 1
_IN_PLACE = ("SSE-S3", "SSE-KMS")

DONE, LEFT, FAILED = "done", "left", "not_done"


class ReencryptError(Exception):
    """Why nothing was begun, or the run ended, in one line."""


@dataclass(frozen=True)
class Order:
    """What to encrypt anew; the fields are the options of the module s3_reencrypt."""

    bucket: str
    prefix: str
    encryption: str
    kms_key: str
    bucket_key: bool
    method: str
    journal: str | None
    offenders: str | None
    threads: int
    rate: int
    check: bool
    largest_copy: int = LARGEST_COPY

    @property
    def demand(self) -> auditing.Demand:
        """What objects must have to be left alone."""
        kind = {"aws:kms": "SSE-KMS", "aws:kms:dsse": "DSSE-KMS"}[self.encryption]
        return auditing.Demand(frozenset({kind}), frozenset({self.kms_key}))

    def scope(self) -> dict[str, Any]:
        """What two runs must have in common for the second to go on from the first."""
        names = ("bucket", "prefix", "encryption", "kms_key")
        return {name: getattr(self, name) for name in names}


class Outcome(NamedTuple):
    """What became of an object: done, left (as it is, on purpose) or not done; how, or why."""

    state: str
    how: str


class Open(NamedTuple):
    """An upload in parts that is not known to have ended, and what its object has: tags, and the
    lock and hold that are in force, as S3 names them.
    """

    key: str
    tags: dict[str, str]
    locks: dict[str, str]


@dataclass
class Journal:
    """How far a run came, and the uploads in parts that it has open. Written by rename."""

    path: Path | None
    scope: Mapping[str, Any]
    after: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    uploads: dict[str, Open] = field(default_factory=dict)  # by the id of an upload
    resumed: bool = False
    _writing: Any = field(default_factory=threading.Lock)

    def load(self) -> None:
        """Go on from what is there. Raises ReencryptError where that is of another run."""
        if self.path is None or not self.path.exists():
            return
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            scope, version = found["scope"], found["version"]
            self.after = str(found["after"])
            self.uploads = {name: Open(*one) for name, one in found["uploads"].items()}
            self.counts = Counter(found["counts"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReencryptError(f"{self.path}: is no journal: {error}") from error
        if version != _STATE_VERSION or scope != dict(self.scope):
            raise ReencryptError(
                f"{self.path}: is of another run ({scope}); remove it to begin anew"
            )
        self.resumed = True

    def write(self) -> None:
        """On disk, whole, before anybody relies on it."""
        if self.path is None:
            return
        with self._writing:
            document = {
                "version": _STATE_VERSION,
                "scope": dict(self.scope),
                "after": self.after,
                "counts": dict(self.counts),
                "uploads": dict(self.uploads),
            }
            _replace(self.path, json.dumps(document))

    def finish(self) -> None:
        """The run came to its end."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class Pace:
    """No more than `rate` calls a second over all threads; as many as go for 0."""

    def __init__(self, rate: int) -> None:
        self._rate, self._next, self._turn = rate, 0.0, threading.Lock()

    def wait(self) -> None:
        """Until the next call may be made."""
        if not self._rate:
            return
        with self._turn:
            now = time.monotonic()
            self._next = max(self._next, now) + 1 / self._rate
            pause = self._next - now - 1 / self._rate
        if pause > 0:
            time.sleep(pause)


class Worker:
    """Encrypts one object after the other anew."""

    def __init__(self, client: Any, order: Order, journal: Journal, *, in_place: bool) -> None:
        self._client, self._order, self._journal = client, order, journal
        self._in_place = in_place
        self._pace = Pace(order.rate)

    def work(self, key: str, kind: str) -> Outcome:
        """Bring one object under the key. Never raises boto3's errors: they are an outcome."""
        try:
            return self._work(key, kind)
        except Exception as error:
            if not is_s3_error(error):
                raise
            if code_of(error) in ("PreconditionFailed", "412"):
                return Outcome(LEFT, "it was changed meanwhile")
            if code_of(error) in ("404", "NoSuchKey"):
                return Outcome(LEFT, "it was deleted meanwhile")
            return Outcome(FAILED, told(error))

    def _work(self, key: str, kind: str) -> Outcome:
        order = self._order
        self._pace.wait()
        head = self._client.head_object(Bucket=order.bucket, Key=key, ChecksumMode="ENABLED")
        if kind == "SSE-C":
            return Outcome(LEFT, "its key is the sender's: it has to be uploaded again")
        if head.get("StorageClass") in _FROZEN and "ongoing-request" not in head.get("Restore", ""):
            return Outcome(LEFT, f"it lies in {head['StorageClass']}: restore it first")
        if order.check:
            return Outcome(DONE, self._way(head, kind))
        way = self._way(head, kind)
        tags = self._tags(key) if way != "in place" else None
        {"in place": self._change, "copy": self._copy, "copy in parts": self._copy_in_parts}[way](
            key, head
        )
        if tags is not None and self._tags(key) != tags:
            return Outcome(FAILED, "its tags are not what they were")
        return self._seen(key, head, way)

    def _way(self, head: Mapping[str, Any], kind: str) -> str:
        if self._in_place and kind in _IN_PLACE and self._order.encryption == "aws:kms":
            return "in place"
        return "copy" if head["ContentLength"] <= self._order.largest_copy else "copy in parts"

    def _change(self, key: str, _head: Mapping[str, Any]) -> None:
        sse = {"KMSKeyArn": self._order.kms_key, "BucketKeyEnabled": self._order.bucket_key}
        self._client.update_object_encryption(
            Bucket=self._order.bucket, Key=key, ObjectEncryption={"SSEKMS": sse}
        )

    def _sse(self) -> dict[str, Any]:
        return {
            "ServerSideEncryption": self._order.encryption,
            "SSEKMSKeyId": self._order.kms_key,
            "BucketKeyEnabled": self._order.bucket_key,
        }

    def _kept(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """What a copy does not take along by itself."""
        kept: dict[str, Any] = dict(_locks(head))
        kept["StorageClass"] = head.get("StorageClass", "STANDARD")
        if "WebsiteRedirectLocation" in head:
            kept["WebsiteRedirectLocation"] = head["WebsiteRedirectLocation"]
        algorithm = next((_CHECKSUMS[name] for name in _CHECKSUMS if name in head), None)
        return kept | ({"ChecksumAlgorithm": algorithm} if algorithm else {})

    def _copy(self, key: str, head: Mapping[str, Any]) -> None:
        # Not by version: what was written meanwhile must never be covered by what was before it.
        try:
            self._client.copy_object(
                Bucket=self._order.bucket,
                Key=key,
                CopySource={"Bucket": self._order.bucket, "Key": key},
                CopySourceIfMatch=head["ETag"],
                MetadataDirective="COPY",
                TaggingDirective="COPY",
                **self._sse(),
                **self._kept(head),
            )
        except Exception as error:
            # Some services copy nothing onto itself but in parts, Ceph's gateway for one.
            if code_of(error) not in ("InvalidRequest", "NotImplemented"):
                raise
            (self._copy_in_parts if head["ContentLength"] else self._put_empty)(key, head)

    def _put_empty(self, key: str, head: Mapping[str, Any]) -> None:
        where = {"Bucket": self._order.bucket, "Key": key}
        kept = self._all_kept(where, head)
        self._client.put_object(**where, Body=b"", IfMatch=head["ETag"], **self._sse(), **kept)

    def _copy_in_parts(self, key: str, head: Mapping[str, Any]) -> None:
        where = {"Bucket": self._order.bucket, "Key": key}
        kept = self._all_kept(where, head)
        if str(kept.get("ChecksumAlgorithm", "")).startswith("CRC"):
            kept["ChecksumType"] = "FULL_OBJECT"  # which SHA in parts cannot be
        tags = self._tags(key)
        upload = self._client.create_multipart_upload(**where, **self._sse(), **kept)["UploadId"]
        opened = Open(key, tags, _locks(head))
        self._journal.uploads[upload] = opened
        self._journal.write()
        try:
            parts = self._parts(where, upload, head)
            self._client.complete_multipart_upload(
                **where,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                IfMatch=head["ETag"],
            )
            make_whole(self._client, self._order.bucket, opened)
        except BaseException:
            with suppress(Exception):
                self._client.abort_multipart_upload(**where, UploadId=upload)
            raise
        finally:
            del self._journal.uploads[upload]

    def _parts(
        self, where: Mapping[str, str], upload: str, head: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        size, parts = head["ContentLength"], []
        step = max(min(_PART, self._order.largest_copy), -(-size // _MOST_PARTS))
        for number, first in enumerate(range(0, size, step), start=1):
            self._pace.wait()
            copied = self._client.upload_part_copy(
                **where,
                UploadId=upload,
                PartNumber=number,
                CopySource=dict(where),
                CopySourceIfMatch=head["ETag"],
                CopySourceRange=f"bytes={first}-{min(first + step, size) - 1}",
            )["CopyPartResult"]
            sums = {name: copied[name] for name in _CHECKSUMS if name in copied}
            parts.append({"PartNumber": number, "ETag": copied["ETag"], **sums})
        return parts

    def _all_kept(self, where: Mapping[str, str], head: Mapping[str, Any]) -> dict[str, Any]:
        """All that an object has, for one that is not made by a copy."""
        headers = {name: head[name] for name in _HEADERS if head.get(name)}
        if "ExpiresString" in head:
            headers["Expires"] = head["ExpiresString"]
        tags = self._tags(where["Key"])
        tagging = {"Tagging": urlencode(sorted(tags.items()))} if tags else {}
        return {**headers, **self._kept(head), **tagging}

    def _tags(self, key: str) -> dict[str, str]:
        """Asked for each time: not every service counts tags in what HEAD shows."""
        found = self._client.get_object_tagging(Bucket=self._order.bucket, Key=key)
        return {tag["Key"]: tag["Value"] for tag in found.get("TagSet", ())}

    def _seen(self, key: str, before: Mapping[str, Any], way: str) -> Outcome:
        """What S3 shows afterwards counts, not what it answered."""
        after = self._client.head_object(Bucket=self._order.bucket, Key=key, ChecksumMode="ENABLED")
        kind = {"aws:kms": "SSE-KMS", "aws:kms:dsse": "DSSE-KMS"}.get(
            after.get("ServerSideEncryption", ""), "NOT-SSE"
        )
        fault = self._order.demand.fault(kind, after.get("SSEKMSKeyId", ""))
        if fault:
            return Outcome(FAILED, f"S3 took the request, and shows {fault}")
        in_parts = "-" in after.get("ETag", "")  # a checksum then is one of the parts
        sums = [] if in_parts else _sums_of_all(before, after)
        for name in ("ContentLength", "Metadata", *_locks(before), *sums):
            if before.get(name) != after.get(name):
                return Outcome(FAILED, f"its {name} is not what it was")
        return Outcome(DONE, way)


def _sums_of_all(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Checksums that can be compared: of the whole object, not of its parts."""
    if "COMPOSITE" in (before.get("ChecksumType"), after.get("ChecksumType")):
        return []
    return [name for name in _CHECKSUMS if name in before and "-" not in str(before[name])]


def reencrypt(clients: Clients, order: Order) -> dict[str, Any]:
    """The whole run; see RETURN of the module. Raises ReencryptError, AuditError, boto3's."""
    journal = Journal(Path(order.journal) if order.journal else None, order.scope())
    journal.load()
    client = clients.of("s3")
    if not order.check:
        _abort_open(client, order, journal)
    in_place = order.method == "in_place" or (order.method == "auto" and clients.is_amazon)
    if in_place and not hasattr(client, "update_object_encryption"):
        if order.method == "in_place":
            raise ReencryptError("this boto3 has no UpdateObjectEncryption: it needs 1.44 or newer")
        in_place = False
    worker = Worker(client, order, journal, in_place=in_place)
    rows = _Rows(order.offenders)
    ways: Counter[str] = Counter()
    try:
        after = Target(journal.after) if journal.after else None
        batches = listed(client, order.bucket, order.prefix, False, after, 1000)
        with ThreadPoolExecutor(order.threads) as pool:
            for batch in batches:
                _one_batch(clients, order, worker, pool, batch, journal, rows, ways)
    finally:
        rows.close()
    if not order.check:
        journal.finish()
    return _told(journal, ways)


def _one_batch(
    clients: Clients,
    order: Order,
    worker: Worker,
    pool: ThreadPoolExecutor,
    batch: Sequence[Target],
    journal: Journal,
    rows: _Rows,
    ways: Counter[str],
) -> None:
    due: list[tuple[str, str]] = []
    for target, answer in zip(batch, asyncio.run(_asked(clients, order, batch)), strict=True):
        journal.counts["objects"] += 1
        due += _due(order, target, answer, journal, rows, clients.of("s3"))
    outcomes = pool.map(lambda one: worker.work(*one), due)
    for (key, _kind), outcome in zip(due, outcomes, strict=True):
        journal.counts[outcome.state] += 1
        if outcome.state == DONE:
            ways[outcome.how] += 1
        else:
            rows.write(key, outcome)
    journal.after = batch[-1].key
    if not order.check:
        journal.write()


class _Due(auditing.Ledger):
    """What an answer means here: an object to encrypt anew, or one that nothing is known of."""

    def __init__(self) -> None:
        super().__init__({}, None, None)
        self.kind = self.why = ""

    def judged(self, demand: auditing.Demand, target: Target, kind: str, kms_key: str) -> None:
        """Remember the kind of encryption of an object that is not as demanded."""
        del target
        self.kind = kind if demand.fault(kind, kms_key) else ""

    def not_judged(self, target: Target, why: str) -> None:
        """Remember why nothing is known."""
        del target
        self.why = why


def _due(
    order: Order, target: Target, answer: Answer, journal: Journal, rows: _Rows, client: Any
) -> list[tuple[str, str]]:
    """The object, if it has to be encrypted anew."""
    found = _Due()
    explain = auditing.explainer(client, order.bucket)
    auditing.judge(order.demand, found, target, answer, explain)
    if found.why:
        journal.counts[FAILED] += 1
        rows.write(target.key, Outcome(FAILED, f"not known: {found.why}"))
    return [(target.key, found.kind)] if found.kind else []


async def _asked(clients: Clients, order: Order, batch: Sequence[Target]) -> list[Answer]:
    connection = clients.connection()
    heads = Heads(
        endpoint_of(connection, order.bucket),
        connection.credentials,
        connections=min(32, order.threads * 2),
        rate=order.rate,
    )
    async with heads:
        return await heads.ask(batch)


def _abort_open(client: Any, order: Order, journal: Journal) -> None:
    """Uploads that a killed run left open hold parts that are paid for."""
    for upload, opened in list(journal.uploads.items()):
        try:
            client.abort_multipart_upload(Bucket=order.bucket, Key=opened.key, UploadId=upload)
        except Exception as error:
            if not is_s3_error(error) or code_of(error) not in ("NoSuchUpload", "404"):
                raise
            # It was put together, or never begun: its tags and lock may be missing.
            make_whole(client, order.bucket, opened)
        del journal.uploads[upload]


def make_whole(client: Any, bucket: str, opened: Open) -> None:
    """Some services drop the tags of an upload in parts, Ceph's gateway for one, or its lock."""
    where = {"Bucket": bucket, "Key": opened.key}
    try:
        if opened.tags and not client.get_object_tagging(**where).get("TagSet"):
            wanted = [{"Key": name, "Value": value} for name, value in opened.tags.items()]
            client.put_object_tagging(**where, Tagging={"TagSet": wanted})
        if opened.locks:
            _lock_again(client, where, opened.locks)
    except Exception as error:
        if not is_s3_error(error) or code_of(error) not in ("NoSuchKey", "404"):
            raise
        # deleted meanwhile


def _lock_again(client: Any, where: Mapping[str, str], locks: Mapping[str, str]) -> None:
    """Never shorter than it is: the bucket may have a longer one for all that is new."""
    head = client.head_object(**where)
    version = {**where, "VersionId": head["VersionId"]}
    if "ObjectLockMode" in locks:
        until = datetime.fromisoformat(locks["ObjectLockRetainUntilDate"])
        if "ObjectLockMode" not in head or head["ObjectLockRetainUntilDate"] < until:
            lock = {"Mode": locks["ObjectLockMode"], "RetainUntilDate": until}
            client.put_object_retention(**version, Retention=lock)
    if locks.get("ObjectLockLegalHoldStatus") == "ON" != head.get("ObjectLockLegalHoldStatus"):
        client.put_object_legal_hold(**version, LegalHold={"Status": "ON"})


def _locks(head: Mapping[str, Any]) -> dict[str, str]:
    """Lock and hold that are in force: S3 takes none that has ended already."""
    found = {name: head[name] for name in _LOCKS if name in head}
    until = found.get("ObjectLockRetainUntilDate")
    if until is None:
        return found
    if until <= datetime.now(UTC):
        return {name: found[name] for name in ("ObjectLockLegalHoldStatus",) if name in found}
    return {**found, "ObjectLockRetainUntilDate": until.isoformat()}


class _Rows:
    """The file of objects that were left or failed, a JSON object a line, for its owner only."""

    def __init__(self, path: str | None) -> None:
        self._file = None
        if path:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                raise ReencryptError(f"{path}: cannot be written: {error.strerror}") from error
            self._file = os.fdopen(descriptor, "a", encoding="utf-8")

    def write(self, key: str, outcome: Outcome) -> None:
        if self._file is not None:
            row = {"key": key, "state": outcome.state, "why": outcome.how}
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _told(journal: Journal, ways: Counter[str]) -> dict[str, Any]:
    counts = {name: journal.counts[name] for name in ("objects", DONE, LEFT, FAILED)}
    return {
        **counts,
        "ways": dict(ways),
        "clean": not counts[LEFT] and not counts[FAILED],
        "resumed": journal.resumed,
    }


def _replace(path: Path, text: str) -> None:
    try:
        descriptor, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(staged, path)
    except OSError as error:
        raise ReencryptError(f"{path}: cannot be written: {error.strerror}") from error
