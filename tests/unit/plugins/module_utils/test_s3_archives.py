# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives as zip, gpg, openssl and others write them, told by what they are."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_archives as archives
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.s3 import embedded

# The first bytes of what gpg --symmetric, gpg --encrypt and openssl enc -pbkdf2 write.
SYMMETRIC = bytes.fromhex("8c0d040903027e811985791bfb17ffd247013682af92f9ebcfe38216049d")
PUBLIC = bytes.fromhex("85018c0385d4fe1b95b95085010bff6d17fa824bd8bc451e308cbdecd355")
CURVE = bytes.fromhex("845e03a1b2c3d4e5f60708120107404142434445464748494a4b4c4d4e4f50")
OPENSSL = bytes.fromhex("53616c7465645f5fca03e349c6a95bfd33a037901e81a31efdb60eff3e5a")


def zipped(*flags: int, method: int = 0, extra: bytes = b"", comment: bytes = b"") -> bytes:
    """A zip with a file for each of `flags`, which a directory says of it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("folder/", b"")
        for number, _flag in enumerate(flags):
            info = zipfile.ZipInfo(f"{number}.txt")
            info.extra = extra
            archive.writestr(info, b"secret" * 3)
        archive.comment = comment
    whole = bytearray(data.getvalue())
    place = whole.index(b"PK\x01\x02")
    for flag in (0, *flags):  # the folder first
        struct.pack_into("<H", whole, place + 8, flag)
        if method and flag:
            struct.pack_into("<H", whole, place + 10, method)
        place = whole.find(b"PK\x01\x02", place + 4)
    return bytes(whole)


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return data.getvalue()


def seven(directory: bytes, *, cut: bool = False) -> bytes:
    head = b"7z\xbc\xaf\x27\x1c\x00\x04" + b"\0" * 4
    head += struct.pack("<QQI", 10, len(directory) + cut, 0)
    return head + b"\0" * 10 + directory


AES = struct.pack("<HHHBBBH", 0x9901, 7, 2, 65, 69, 3, 0)
CASES: list[tuple[str, bytes, str | None, str | None]] = [
    ("a.zip", zipped(0, 0), "zip", "plain"),
    ("a.zip", zipped(1, 1), "zip", "password"),
    ("no extension", zipped(1), "zip", "password"),
    ("mixed.zip", zipped(1, 0, 1), "zip", "plain"),
    ("aes.zip", zipped(1, method=99, extra=AES), "zip", "password"),
    ("comment.zip", zipped(1, comment=b"c" * 60000), "zip", "password"),
    ("large.zip", b"PK\x03\x04" + b"\0" * 200000, "zip", "unknown"),
    ("a.gz", gzip.compress(b"x", mtime=0), "gzip", "plain"),
    ("a.bz2", bz2.compress(b"x"), "bzip2", "plain"),
    ("a.xz", lzma.compress(b"x"), "xz", "plain"),
    ("a.zst", b"\x28\xb5\x2f\xfd\x00", "zstd", "plain"),
    ("a.tar", tarred(), "tar", "plain"),
    ("a.7z", seven(b"\x01\x04\x06"), "7z", "plain"),
    ("a.7z", seven(b"\x17\x06\x06\xf1\x07\x01"), "7z", "password"),
    ("a.7z", seven(b"\x01\x04\x24\x06\xf1\x07\x01"), "7z", "password"),
    ("a.7z", seven(b"\x17\x06\x01"), "7z", "unknown"),
    ("a.7z", seven(b"\x01\x04", cut=True), "7z", "unknown"),
    ("a.rar", b"Rar!\x1a\x07\x01\x00" + b"\0\0\0\0\x21\x04\x00", "rar", "password"),
    ("a.rar", b"Rar!\x1a\x07\x01\x00" + b"\0\0\0\0\x0d\x01\x05", "rar", "unknown"),
    ("a.rar", b"Rar!\x1a\x07\x00\x00\x00\x73\x80\x00\x0d\x00", "rar", "password"),
    ("a.gpg", SYMMETRIC, "OpenPGP", "password"),
    ("no extension", SYMMETRIC, "OpenPGP", "password"),
    ("a.gpg", PUBLIC, "OpenPGP", "public_key"),
    ("a.gpg", CURVE, "OpenPGP", "public_key"),
    (
        "a.asc",
        b"-----BEGIN PGP MESSAGE-----\n\n" + base64.b64encode(SYMMETRIC) + b"\n",
        "OpenPGP",
        "password",
    ),
    (
        "a.asc",
        b"-----BEGIN PGP MESSAGE-----\r\nVersion: 1\r\n\r\n" + base64.b64encode(PUBLIC) + b"\r\n",
        "OpenPGP",
        "public_key",
    ),
    ("a.asc", b"-----BEGIN PGP MESSAGE-----\n\n!!!!\n", "OpenPGP", "unknown"),
    ("a.age", b"age-encryption.org/v1\n-> scrypt abc 18\n", "age", "password"),
    ("a.age", b"age-encryption.org/v1\n-> X25519 abc\n", "age", "public_key"),
    ("a.enc", OPENSSL, "openssl enc", "password"),
    ("d.sql", b"-- MariaDB dump 10.19\n", "SQL dump", "plain"),
    ("d", b"/*M!999999\\- enable the sandbox mode */\n-- MariaDB dump\n", "SQL dump", "plain"),
    ("d", b"\xef\xbb\xbfCREATE TABLE wp_users (", "SQL dump", "plain"),
    ("d.db", b"SQLite format 3\x00", "SQLite", "plain"),
    ("d", b"PGDMP\x01\x0e", "PostgreSQL dump", "plain"),
    ("site.jpa", b"JPA\x1b", "Akeeba archive", "plain"),
    ("site.jps", b"JPS\x01", "Akeeba archive", "password"),
    ("strange.zip", b"not a zip", "zip", "unknown"),
    ("strange.sql", b"\x93\x07\x00\x81", "sql", "unknown"),
    ("empty.sql", b"", None, None),
    ("page.html", b"<html>CREATE TABLE", None, None),
    ("photo.jpg", b"\xff\xd8\xff\xe0", None, None),
    ("notes.txt", b"# INSERT coin", None, None),
]


@pytest.mark.parametrize(("key", "data", "form", "protection"), CASES)
def test_what_it_is(key: str, data: bytes, form: str | None, protection: str | None) -> None:
    found = archives.classify(
        key, len(data), lambda _key, first, count: data[first : first + count]
    )
    assert (found and found.form, found and found.protection) == (form, protection)


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([data[:40] for _key, data, _form, _protection in CASES]),
    rest=st.binary(max_size=200),
)
def test_junk_ends_in_words(start: bytes, rest: bytes) -> None:
    data = start + rest
    archives.classify("x", len(data), lambda _key, first, count: data[first : first + count])


def test_names_of_a_zip_with_a_password_are_told() -> None:
    data = zipped(1, 1)
    found = archives.classify("a.zip", len(data), lambda _key, first, n: data[first : first + n])
    assert found is not None
    assert found.detail == "ZipCrypto, which is broken; the names of 2 files open to all"


HASH = "ab" * 32
KEYS = ["acme/config", f"acme/keys/{HASH}", f"acme/data/ab/{HASH}", f"lone/data/ab/{HASH}"]


def test_repositories_are_known_by_their_layout() -> None:
    roots = archives.restic_roots(KEYS)
    assert roots == {"acme/"}
    assert [archives.is_of_restic(key, roots) for key in KEYS] == [True, True, True, False]
    assert not archives.is_of_restic("acme/old.zip", roots)
    assert archives.restic_roots(["config", f"keys/{HASH}"]) == {""}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embedded.server() as started:
        yield started


def test_a_bucket_is_surveyed(url: str, tmp_path: Path) -> None:
    client = embedded.client(url)
    client.create_bucket(
        Bucket="archives", CreateBucketConfiguration={"LocationConstraint": embedded.REGION}
    )
    for key in KEYS[:3]:
        client.put_object(Bucket="archives", Key=key, Body=gzip.compress(os.urandom(9)))
    for key, data in {
        "old/site.zip": zipped(1),
        "old/site.tar.gz": gzip.compress(b"x"),
        "old/to-us.gpg": PUBLIC,
        "old/odd.zip": b"odd",
        "index.html": b"<html>",
        "nothing.zip": b"",
    }.items():
        client.put_object(Bucket="archives", Key=key, Body=data)
    options: dict[str, Any] = {"bucket": "archives", "prefix": "", "threads": 4, "show": 2}
    found = archives.survey(client, options, str(tmp_path / "found"))
    assert found["counts"] == {"plain": 1, "password": 1, "public_key": 1, "unknown": 1}
    assert not found["clean"]
    assert [row["key"] for row in found["found"]] == ["old/odd.zip", "old/site.tar.gz"]
    written = [json.loads(line) for line in (tmp_path / "found").read_text().splitlines()]
    assert [row["key"] for row in written] == ["old/odd.zip", "old/site.tar.gz", "old/site.zip"]
    assert (tmp_path / "found").stat().st_mode & 0o777 == 0o600
    clean = archives.survey(client, {**options, "prefix": "acme/"}, None)
    assert clean["clean"]


def test_what_cannot_be_read_is_unknown(url: str) -> None:
    client = embedded.client(url)
    client.create_bucket(
        Bucket="unread", CreateBucketConfiguration={"LocationConstraint": embedded.REGION}
    )
    client.put_object(Bucket="unread", Key="a", Body=b"x")

    def fault(_number: int, line: str) -> int | None:
        return 403 if line.startswith("GET /unread/a") else None

    with embedded.FaultyWay(url, fault) as way:
        options = {"bucket": "unread", "prefix": "", "threads": 1, "show": 5}
        found = archives.survey(embedded.client(way.url), options, None)
    assert (found["clean"], found["counts"]["unknown"]) == (False, 1)


def test_a_file_that_cannot_be_written_is_said(url: str) -> None:
    options = {"bucket": "archives", "prefix": "", "threads": 1, "show": 5}
    with pytest.raises(archives.SurveyError, match="cannot be written"):
        archives.survey(embedded.client(url), options, "/proc/none")
