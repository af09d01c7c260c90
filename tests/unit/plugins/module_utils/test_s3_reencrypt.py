# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects brought under another key, and none of them lost: killed, cut off, changed meanwhile."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client as connecting
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_heads as heads
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_reencrypt as reencrypting
from moto.moto_api._internal.models import moto_api_backend

from tests.s3 import embedded, enforced

KEY = "arn:aws:kms:eu-west-1:123456789012:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11"
ROOT = Path(__file__).parents[4]
REGION = {"CreateBucketConfiguration": {"LocationConstraint": embedded.REGION}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[enforced.Servers]:
    with enforced.servers(tmp_path_factory.mktemp("moto")) as started:
        yield started


@pytest.fixture
def client(server: enforced.Servers, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", embedded.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", embedded.SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(heads, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(heads, "_LONGEST_PAUSE_S", 0.05)
    moto_api_backend.reset()
    made = enforced.client(server.http)
    made.create_bucket(Bucket="bucket", **REGION)
    return made


def order(**changes: Any) -> reencrypting.Order:
    usual = {
        "bucket": "bucket",
        "prefix": "",
        "encryption": "aws:kms",
        "kms_key": KEY,
        "bucket_key": True,
        "method": "auto",
        "journal": None,
        "offenders": None,
        "threads": 4,
        "rate": 0,
        "check": False,
    }
    return reencrypting.Order(**{**usual, **changes})


def run(url: str, what: reencrypting.Order) -> dict[str, Any]:
    clients = connecting.Clients(url, embedded.REGION, None, None, "aws")
    return reencrypting.reencrypt(clients, what)


def shown(client: Any, key: str) -> dict[str, Any]:
    """All that people can see of an object, but for what has to change."""
    head = client.head_object(Bucket="bucket", Key=key, ChecksumMode="ENABLED")
    tags = client.get_object_tagging(Bucket="bucket", Key=key)["TagSet"]
    body = client.get_object(Bucket="bucket", Key=key)["Body"].read()
    changing = {
        "ResponseMetadata", "LastModified", "ETag", "VersionId", "ServerSideEncryption",
        "SSEKMSKeyId", "BucketKeyEnabled", "AcceptRanges",
    }  # fmt: skip
    return {**{k: v for k, v in head.items() if k not in changing}, "tags": tags, "body": body}


FULL: dict[str, Any] = {
    "Metadata": {"client": "acme", "odd": "a=b;c"},
    "ContentType": "application/x-tar",
    "ContentEncoding": "gzip",
    "ContentLanguage": "en",
    "ContentDisposition": "attachment",
    "CacheControl": "no-store",
    "Tagging": "kind=old%20backup&n=1",
    "StorageClass": "STANDARD_IA",
    "ServerSideEncryption": "AES256",
    "ChecksumAlgorithm": "SHA256",
}


@pytest.mark.parametrize(
    ("changes", "way"),
    [
        ({}, "copy"),
        ({"method": "copy"}, "copy"),
        ({"method": "in_place"}, "in place"),
        ({"largest_copy": 5 * 1024**2}, "copy in parts"),
    ],
)
def test_all_that_an_object_has_is_kept(
    server: enforced.Servers, client: Any, changes: Any, way: str
) -> None:
    body = os.urandom(6 * 1024**2)
    client.put_object(Bucket="bucket", Key="ä/+?&#%41 x", Body=body, **FULL)
    before = shown(client, "ä/+?&#%41 x")
    found = run(server.http, order(**changes))
    assert (found["objects"], found["done"], found["ways"]) == (1, 1, {way: 1})
    assert found["clean"]
    head = client.head_object(Bucket="bucket", Key="ä/+?&#%41 x")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KEY)
    after = shown(client, "ä/+?&#%41 x")
    if way == "copy in parts":  # a checksum of parts says the same in another way
        before = {k: v for k, v in before.items() if not k.startswith("Checksum")}
        after = {k: v for k, v in after.items() if not k.startswith("Checksum")}
    assert after == before
    again = run(server.http, order(**changes))
    assert (again["done"], again["clean"]) == (0, True)


@pytest.mark.parametrize("largest", [5 * 1024**3, 5 * 1024**2])
def test_a_lock_is_kept(server: enforced.Servers, client: Any, largest: int) -> None:
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True, **REGION)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    locks = {
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": until,
        "ObjectLockLegalHoldStatus": "ON",
    }
    client.put_object(Bucket="locked", Key="k", Body=os.urandom(6 * 1024**2), **locks)
    found = run(server.http, order(bucket="locked", largest_copy=largest))
    assert found["clean"]
    head = client.head_object(Bucket="locked", Key="k")  # moto drops it of an upload in parts
    assert {name: head.get(name) for name in locks} == locks
    versions = client.list_object_versions(Bucket="locked")["Versions"]
    assert len(versions) == 2


@pytest.mark.parametrize(("days", "names"), [(1, 3), (-1, 1)])
def test_a_lock_that_has_ended_is_not_asked_for_again(days: int, names: int) -> None:
    until = datetime.now(UTC) + timedelta(days=days)
    head = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    found = reencrypting._locks({**head, "ObjectLockLegalHoldStatus": "ON", "ETag": "x"})
    assert len(found) == names
    assert found["ObjectLockLegalHoldStatus"] == "ON"
    assert found.get("ObjectLockRetainUntilDate") == (until.isoformat() if days > 0 else None)


def test_old_versions_stay_as_they_were(server: enforced.Servers, client: Any) -> None:
    client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket="bucket", Key="k", Body=b"old")["VersionId"]
    client.put_object(Bucket="bucket", Key="k", Body=b"new")
    run(server.http, order())
    assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == b"new"
    kept = client.get_object(Bucket="bucket", Key="k", VersionId=old)
    assert kept["Body"].read() == b"old"


def test_a_dry_run_says_what_it_would_do(
    server: enforced.Servers, client: Any, tmp_path: Path
) -> None:
    client.put_object(Bucket="bucket", Key="k", Body=b"x")
    journal = tmp_path / "journal"
    found = run(server.http, order(check=True, journal=str(journal)))
    assert (found["done"], found["ways"]) == (1, {"copy": 1})
    assert client.head_object(Bucket="bucket", Key="k").get("ServerSideEncryption") != "aws:kms"
    assert not journal.exists()


def test_what_cannot_be_done_is_left_and_told(
    server: enforced.Servers, client: Any, tmp_path: Path
) -> None:
    client.put_object(Bucket="bucket", Key="frozen", Body=b"x", StorageClass="DEEP_ARCHIVE")
    client.put_object(Bucket="bucket", Key="fine", Body=b"x")
    found = run(server.http, order(offenders=str(tmp_path / "left")))
    assert (found["done"], found["left"], found["not_done"]) == (1, 1, 0)
    assert not found["clean"]
    rows = [json.loads(line) for line in (tmp_path / "left").read_text().splitlines()]
    assert rows == [
        {"key": "frozen", "state": "left", "why": "it lies in DEEP_ARCHIVE: restore it first"}
    ]


def test_what_was_written_meanwhile_is_not_covered(server: enforced.Servers, client: Any) -> None:
    client.put_object(Bucket="bucket", Key="k", Body=b"old")

    def fault(_number: int, line: str) -> None:
        if line.startswith("PUT /bucket/k"):
            client.put_object(Bucket="bucket", Key="k", Body=b"new and longer")

    with embedded.FaultyWay(server.http, fault) as way:
        found = run(way.url, order())
    assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == b"new and longer"
    assert found["done"] + found["left"] + found["not_done"] == 1


def test_a_service_that_does_not_do_it_is_found_out(server: enforced.Servers, client: Any) -> None:
    """One that says 200 and changes nothing."""
    client.put_object(Bucket="bucket", Key="k", Body=b"x")
    nothing = b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(nothing), nothing)

    def fault(_number: int, line: str) -> bytes | None:
        return answer if line.startswith("PUT") else None

    with embedded.FaultyWay(server.http, fault) as way:
        found = run(way.url, order())
    assert (found["done"], found["not_done"]) == (0, 1)


@pytest.mark.parametrize("what", [503, "drop"])
def test_a_storm_loses_nothing(server: enforced.Servers, client: Any, what: int | str) -> None:
    for number in range(20):
        client.put_object(Bucket="bucket", Key=f"{number:02}", Body=f"{number}".encode())

    def fault(number: int, _line: str) -> int | str | None:
        return what if number % 4 == 0 else None

    with embedded.FaultyWay(server.http, fault) as way:
        found = run(way.url, order())
    assert (found["done"], found["clean"]) == (20, True)
    for number in range(20):
        body = client.get_object(Bucket="bucket", Key=f"{number:02}")["Body"].read()
        assert body == f"{number}".encode()


_CHILD = """
import sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1] + "/collections"])
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client, _s3_reencrypt
order = _s3_reencrypt.Order("bucket", "", "aws:kms", sys.argv[3], True, "auto", sys.argv[4], None,
                            4, 0, False, 5 * 1024**2)
clients = _s3_client.Clients(sys.argv[2], "eu-west-1", None, None, "aws")
print("ready", flush=True)
print(_s3_reencrypt.reencrypt(clients, order))
"""


def test_killed_at_any_moment_no_object_is_lost(
    server: enforced.Servers, client: Any, tmp_path: Path
) -> None:
    bodies = {f"{number:03}": os.urandom(50) for number in range(120)}
    bodies |= {f"large{number}": os.urandom(6 * 1024**2) for number in range(3)}
    for key, body in bodies.items():
        client.put_object(
            Bucket="bucket", Key=key, Body=body, Metadata={"n": key}, Tagging=f"n={key}"
        )
    journal, child = tmp_path / "journal", tmp_path / "child.py"
    child.write_text(_CHILD)
    command = [sys.executable, str(child), str(ROOT), server.http, KEY, str(journal)]
    chance = random.Random(7)  # noqa: S311 - no secret
    kills = 0
    for _attempt in range(5):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.05, 0.6))
        process.kill()
        kills += process.wait() == -9
        process.stdout.close()
        for key, body in bodies.items():
            found = client.get_object(Bucket="bucket", Key=key)
            assert (found["Body"].read(), found["Metadata"]) == (body, {"n": key})
    assert kills
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert not journal.exists()
    for key, body in bodies.items():
        found = client.get_object(Bucket="bucket", Key=key)
        assert (found["Body"].read(), found["SSEKMSKeyId"]) == (body, KEY)
        tags = client.get_object_tagging(Bucket="bucket", Key=key)["TagSet"]
        assert tags == [{"Key": "n", "Value": key}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no journal"),
        ("[]", "is no journal"),
        (
            '{"version": 1, "scope": {}, "after": "", "uploads": {}, "counts": {}}',
            "is of another run",
        ),
    ],
)
def test_a_journal_that_is_none_is_refused(
    server: enforced.Servers, client: Any, tmp_path: Path, text: str, said: str
) -> None:
    del client
    (tmp_path / "journal").write_text(text)
    with pytest.raises(reencrypting.ReencryptError, match=said):
        run(server.http, order(journal=str(tmp_path / "journal")))


def test_uploads_that_were_left_open_are_ended(
    server: enforced.Servers, client: Any, tmp_path: Path
) -> None:
    upload = client.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    journal = reencrypting.Journal(tmp_path / "journal", order().scope())
    journal.uploads[upload] = reencrypting.Open("k", {}, {})
    journal.write()
    assert run(server.http, order(journal=str(tmp_path / "journal")))["resumed"]
    assert not client.list_multipart_uploads(Bucket="bucket").get("Uploads")


def test_the_pace_is_kept() -> None:
    pace, started = reencrypting.Pace(100), time.monotonic()
    for _call in range(11):
        pace.wait()
    assert time.monotonic() - started >= 0.1
