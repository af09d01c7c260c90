# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives and dumps in a bucket that lie there plain, or behind no more than a password.

Told by their first bytes and, for zip and 7z, by their directory at the end; a name says only what
might be expected. Repositories of restic are known by their layout and passed over.
Sources: PKWARE APPNOTE 6.3.10; RFC 9580 (OpenPGP packets); 7zFormat.txt; RAR 5.0 technote; the
age specification v1.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import IO, Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import (
    is_s3_error,
    told,
)

HEAD_BYTES = 4096
TAIL_BYTES = 1 << 16
PLAIN, PASSWORD, PUBLIC_KEY, UNKNOWN = "plain", "password", "public_key", "unknown"
_NAMED = re.compile(
    r"\.(zip|7z|rar|tar|tgz|tbz2?|txz|gz|bz2|xz|zst|lz4|sql|dump|gpg|pgp|asc|age|enc|aes|"
    r"wpress|jpa|jps|bak|sqlite3?)$",
    re.IGNORECASE,
)
_OF_RESTIC = re.compile(
    r"^(?P<root>.*?/?)(config|(data/[0-9a-f]{2}|index|keys|locks|snapshots)/[0-9a-f]{64})$"
)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"PGDMP", "PostgreSQL dump"),
    (b"JPA", "Akeeba archive"),
)
_DUMP = re.compile(
    rb"^(\xef\xbb\xbf)?\s*(--\s|/\*!?M?!|#|SET\s|DROP\s|CREATE\s|INSERT\s|BEGIN|PRAGMA\s|START\s)",
    re.I,
)
_SQL = re.compile(
    rb"(MySQL dump|MariaDB dump|phpMyAdmin SQL|PostgreSQL database dump|adminer|"
    rb"(CREATE TABLE|INSERT INTO|DROP TABLE|CREATE DATABASE|SET NAMES))",
    re.I,
)
_7Z_AES = b"\x06\xf1\x07\x01"
_AES_EXTRA = 0x9901


class SurveyError(Exception):
    """Why no survey was made, in one line."""


class Found(NamedTuple):
    """What an object is: `form` as people call it, and what stands before its contents."""

    form: str
    protection: str
    detail: str = ""


class Candidate(NamedTuple):
    """An object of the bucket."""

    key: str
    size: int
    modified: str


Reads = Callable[[str, int, int], bytes]  # (key, first byte, how many) -> what lies there


def classify(key: str, size: int, read: Reads) -> Found | None:
    """What an object is; None for one that is no archive and no dump. `read` may raise."""
    head = read(key, 0, min(size, HEAD_BYTES)) if size else b""
    for look in (_zip, _seven_zip, _rar, _openpgp, _age, _others):
        found = look(key, size, head, read)
        if found is not None:
            return found
    named = _NAMED.search(key)
    if named and size:
        return Found(named[1].lower(), UNKNOWN, "its contents are not what its name says")
    return None


def _zip(key: str, size: int, head: bytes, read: Reads) -> Found | None:
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return None
    start = max(0, size - TAIL_BYTES)
    tail = read(key, start, size - start)
    entries = list(_zip_entries(key, tail, start, read))
    if not entries:
        return Found("zip", UNKNOWN, "it has no readable directory")
    locked = [entry for entry in entries if entry[0]]
    if len(locked) < len(entries):
        detail = f"{len(entries) - len(locked)} of {len(entries)} files open to all"
        return Found("zip", PLAIN, detail)
    weak = any(not entry[1] for entry in locked)
    detail = "ZipCrypto, which is broken" if weak else "AES"
    return Found("zip", PASSWORD, f"{detail}; the names of {len(entries)} files open to all")


def _zip_entries(key: str, tail: bytes, start: int, read: Reads) -> Iterator[tuple[bool, bool]]:
    """(encrypted, by AES) of each file in the directory of a zip; none where that is unreadable."""
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return
    count, length, offset = struct.unpack_from("<HII", tail, at + 10)
    if 0xFFFFFFFF in (length, offset) or count == 0xFFFF:
        wide = tail.rfind(b"PK\x06\x06", 0, at)
        if wide < 0 or len(tail) < wide + 56:
            return
        length, offset = struct.unpack_from("<QQ", tail, wide + 40)
    within = offset - start
    directory = tail[within : within + length] if within >= 0 else read(key, offset, length)
    place = 0
    while directory[place : place + 4] == b"PK\x01\x02" and len(directory) >= place + 46:
        flags, method = struct.unpack_from("<HH", directory, place + 8)
        name, extra, comment = struct.unpack_from("<HHH", directory, place + 28)
        folder = directory[place + 46 : place + 46 + name].endswith(b"/")
        if not folder:
            fields = directory[place + 46 + name : place + 46 + name + extra]
            yield bool(flags & 1), method == 99 or _has_extra(fields, _AES_EXTRA)
        place += 46 + name + extra + comment


def _has_extra(fields: bytes, wanted: int) -> bool:
    place = 0
    while place + 4 <= len(fields):
        kind, length = struct.unpack_from("<HH", fields, place)
        if kind == wanted:
            return True
        place += 4 + length
    return False


def _seven_zip(key: str, size: int, head: bytes, read: Reads) -> Found | None:
    if head[:6] != b"7z\xbc\xaf\x27\x1c" or len(head) < 32:
        return None
    offset, length = struct.unpack_from("<QQ", head, 12)
    if 32 + offset + length > size or not length:
        return Found("7z", UNKNOWN, "it is cut off")
    directory = read(key, 32 + offset, min(length, TAIL_BYTES))
    if _7Z_AES in directory:
        hidden = directory[:1] == b"\x17"
        return Found("7z", PASSWORD, "AES" if hidden else "AES; its names open to all")
    if directory[:1] == b"\x17":
        return Found("7z", UNKNOWN, "its directory is packed: whether it is encrypted is not seen")
    return Found("7z", PLAIN)


def _rar(_key: str, _size: int, head: bytes, _read: Reads) -> Found | None:
    if head.startswith(b"Rar!\x1a\x07\x01\x00"):
        # After the checksum come the length and the type of the first block; 4 is encryption.
        kind = head[13:14] if head[12:13] < b"\x80" else head[14:15]
        if kind == b"\x04":
            return Found("rar", PASSWORD, "AES")
        return Found("rar", UNKNOWN, "whether its files are encrypted is not seen")
    if head.startswith(b"Rar!\x1a\x07\x00") and len(head) >= 12:
        flags = struct.unpack_from("<H", head, 10)[0]
        if flags & 0x80:
            return Found("rar", PASSWORD)
        first = struct.unpack_from("<H", head, 23)[0] if len(head) >= 25 else 0
        return Found("rar", PASSWORD if first & 4 else PLAIN)
    return None


def _openpgp(_key: str, _size: int, head: bytes, _read: Reads) -> Found | None:
    armoured = head.lstrip().startswith(b"-----BEGIN PGP MESSAGE-----")
    tag, body = _packet(_armoured(head) if armoured else head)
    # A session key behind a password: version, cipher, how the password becomes a key.
    if tag == 3 and body[:1] in (b"\x04", b"\x05", b"\x06") and body[1:2] <= b"\x0d":
        return Found("OpenPGP", PASSWORD)
    # Behind a public key: version, eight bytes of the key's id, algorithm.
    if tag == 1 and (body[:1] == b"\x06" or (body[:1] == b"\x03" and body[9:10] in _ALGORITHMS)):
        return Found("OpenPGP", PUBLIC_KEY)
    if armoured:
        return Found("OpenPGP", UNKNOWN, "its first packet is of another kind")
    return None


_ALGORITHMS = (b"\x01", b"\x02", b"\x10", b"\x12", b"\x19", b"\x1a")


def _armoured(head: bytes) -> bytes:
    _header, _blank, body = head.replace(b"\r\n", b"\n").partition(b"\n\n")
    line = body.split(b"\n", 1)[0]
    try:
        return base64.b64decode(line[: len(line) // 4 * 4])
    except binascii.Error:
        return b""


def _packet(data: bytes) -> tuple[int, bytes]:
    """(tag, body) of the first packet; (0, b"") where there is none."""
    if len(data) < 3 or not data[0] & 0x80:
        return 0, b""
    if data[0] & 0x40:
        long = 5 if data[1] == 255 else 2 if 192 <= data[1] < 224 else 1
        return data[0] & 0x3F, data[1 + long :]
    return data[0] >> 2 & 0xF, data[1 + (1, 2, 4, 0)[data[0] & 3] :]


def _age(_key: str, _size: int, head: bytes, _read: Reads) -> Found | None:
    if head.startswith(b"age-encryption.org/v1\n"):
        return Found("age", PASSWORD if b"\n-> scrypt " in head else PUBLIC_KEY)
    if head.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----"):
        inner = _armoured(head.replace(b"-----\n", b"-----\n\n", 1))
        return Found("age", PASSWORD if b"-> scrypt " in inner else PUBLIC_KEY)
    return None


def _others(_key: str, _size: int, head: bytes, _read: Reads) -> Found | None:
    if head.startswith(b"Salted__"):
        return Found("openssl enc", PASSWORD)
    if head.startswith(b"JPS"):
        return Found("Akeeba archive", PASSWORD)
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return Found(form, PLAIN)
    if head[257:262] == b"ustar":
        return Found("tar", PLAIN)
    if _DUMP.search(head) and _SQL.search(head):
        return Found("SQL dump", PLAIN)
    return None


def restic_roots(keys: Iterable[str]) -> set[str]:
    """Where repositories of restic lie: below each is a `config` and a key."""
    parts: dict[str, set[str]] = {}
    for key in keys:
        found = _OF_RESTIC.match(key)
        if found:
            kind = found[2].partition("/")[0]
            parts.setdefault(found["root"], set()).add(kind)
    return {root for root, kinds in parts.items() if {"config", "keys"} <= kinds}


def is_of_restic(key: str, roots: set[str]) -> bool:
    """Whether an object is part of one of these repositories."""
    found = _OF_RESTIC.match(key)
    return found is not None and found["root"] in roots


def listed(client: Any, bucket: str, prefix: str) -> Iterator[Candidate]:
    """The objects of a bucket that are there now."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for row in page.get("Contents", ()):
            yield Candidate(row["Key"], int(row["Size"]), row["LastModified"].isoformat())


def reader(client: Any, bucket: str) -> Reads:
    """Reads parts of objects by ranged GET."""

    def read(key: str, first: int, length: int) -> bytes:
        if length <= 0:
            return b""
        where = f"bytes={first}-{first + length - 1}"
        body = client.get_object(Bucket=bucket, Key=key, Range=where)["Body"]
        found: bytes = body.read(length)
        return found

    return read


def search(
    client: Any, bucket: str, prefix: str, threads: int
) -> Iterator[tuple[Candidate, Found]]:
    """Each archive and dump of a bucket outside of restic's repositories, in S3's order.

    What could not be read is Found("", UNKNOWN, why). Two passes of listing: the first learns where
    repositories lie, so that memory does not grow with the number of objects.
    """
    roots = restic_roots(one.key for one in listed(client, bucket, prefix))
    read = reader(client, bucket)

    def look(one: Candidate) -> tuple[Candidate, Found | None]:
        try:
            return one, classify(one.key, one.size, read)
        except Exception as error:
            if not is_s3_error(error):
                raise
            return one, Found("", UNKNOWN, told(error))

    with ThreadPoolExecutor(threads) as pool:
        for batch in _batches(listed(client, bucket, prefix), roots):
            for one, found in pool.map(look, batch):
                if found is not None:
                    yield one, found


def _batches(found: Iterable[Candidate], roots: set[str]) -> Iterator[list[Candidate]]:
    batch: list[Candidate] = []
    for one in found:
        if not is_of_restic(one.key, roots):
            batch.append(one)
        if len(batch) >= 1000:
            yield batch
            batch = []
    yield batch


def survey(client: Any, options: Mapping[str, Any], offenders: str | None) -> dict[str, Any]:
    """See RETURN of the module s3_archive_info. Raises SurveyError, and boto3's errors."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    shown: list[dict[str, Any]] = []
    with ExitStack() as stack:
        file = stack.enter_context(_opened(offenders)) if offenders else None
        searched = search(client, options["bucket"], options["prefix"], options["threads"])
        for one, found in searched:
            counts[found.protection] += 1
            sizes[found.protection] += one.size
            if found.protection == PUBLIC_KEY:
                continue
            row = {**one._asdict(), **found._asdict()}
            if file is not None:
                file.write(json.dumps(row) + "\n")
            if len(shown) < options["show"]:
                shown.append(row)
    names = (PLAIN, PASSWORD, PUBLIC_KEY, UNKNOWN)
    return {
        "clean": not any(counts[name] for name in names if name != PUBLIC_KEY),
        "counts": {name: counts[name] for name in names},
        "bytes": {name: sizes[name] for name in names},
        "found": shown,
    }


def _opened(path: str) -> IO[str]:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise SurveyError(f"{path}: cannot be written: {error.strerror}") from error
    return os.fdopen(descriptor, "w", encoding="utf-8")
