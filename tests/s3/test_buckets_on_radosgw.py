# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets and objects on a service that really encrypts, locks and checks signatures."""

from __future__ import annotations

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
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket as buckets
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket_plan as plan
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket_run as running
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client as connecting
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_listing as listing
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_reencrypt as reencrypting
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_heads import Target
from botocore.exceptions import ClientError

from tests.s3.radosgw import KMS_KEYS, REGION, Gateway, Key

pytestmark = pytest.mark.hosts

ROOT = Path(__file__).resolve().parents[2]
_CHILD = """
import sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1] + "/collections"])
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client, _s3_reencrypt
order = _s3_reencrypt.Order("objects", "", "aws:kms", sys.argv[3], True, "copy", sys.argv[4], None,
                            4, 0, False, 5 * 1024**2)
clients = _s3_client.Clients(sys.argv[2], "eu-west-1", None, None, "s3")
print("ready", flush=True)
found = _s3_reencrypt.reencrypt(clients, order)
print(found)
sys.exit(not found["clean"])
"""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway("buckets") as started:
        yield started


@pytest.fixture
def owner(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Key:
    key = gateway.user(f"owner{random.randrange(10**6)}")  # noqa: S311 - no secret
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
    (tmp_path / "authority.pem").write_text(gateway.authority)
    return key


def test_a_bucket_is_brought_to_it_and_stays(gateway: Gateway, owner: Key, tmp_path: Path) -> None:
    authority = str(tmp_path / "authority.pem")
    wanted = [buckets.settings_of({"name": "safe", "kms_key": KMS_KEYS[0], "lock_days": 1}, ())]

    def bring(url: str) -> dict[str, Any]:
        clients = connecting.Clients(url, REGION, None, authority, "s3")
        return running.bring(clients, wanted, account=False, create=True, check=False)

    with pytest.raises(plan.PlanError, match="would shut out the caller"):
        bring(gateway.url)
    first = bring(gateway.tls_url)
    assert first["changed"]
    bad = [
        control
        for control in first["buckets"][0]["controls"]
        if control["status"] not in ("pass", "not_applicable")
    ]
    assert [control["id"] for control in bad] == ["aws_s3_access_log"], bad
    again = bring(gateway.tls_url)
    assert (again["changed"], again["calls"]) == (False, [])

    safe = gateway.client(owner, url=gateway.tls_url, verify=authority)
    stored = safe.put_object(Bucket="safe", Key="config", Body=b"x")  # as restic: no header
    assert stored["SSEKMSKeyId"] == KMS_KEYS[0]
    with pytest.raises(ClientError, match="AccessDenied"):
        safe.put_object(Bucket="safe", Key="config", Body=b"x", ServerSideEncryption="AES256")
    with pytest.raises(ClientError, match="AccessDenied"):
        gateway.client(owner).get_object(Bucket="safe", Key="config")
    safe.delete_object(Bucket="safe", Key="config")
    with pytest.raises(ClientError, match="AccessDenied"):
        safe.delete_object(Bucket="safe", Key="config", VersionId=stored["VersionId"])
    kept = safe.get_object(Bucket="safe", Key="config", VersionId=stored["VersionId"])
    assert kept["Body"].read() == b"x"


def test_keys_and_versions_are_listed_as_boto3_lists_them(gateway: Gateway, owner: Key) -> None:
    client = gateway.client(owner)
    client.create_bucket(Bucket="listed")
    client.put_bucket_versioning(Bucket="listed", VersioningConfiguration={"Status": "Enabled"})
    for key in ["a", "a b+c%20d", "é/\U0001f512", "<&>", "line\nend", "x//y", "gone"]:
        for body in (b"1", b"2"):
            client.put_object(Bucket="listed", Key=key, Body=body)
    client.delete_object(Bucket="listed", Key="gone")
    rows = client.list_objects_v2(Bucket="listed")["Contents"]
    versions = client.list_object_versions(Bucket="listed")["Versions"]
    assert (len(rows), len(versions)) == (6, 14)
    client.meta.events.register("provide-client-params.s3.*", _few)
    found = [
        [one for batch in listing.listed(client, "listed", "", old, None, 1) for one in batch]
        for old in (False, True)
    ]
    assert found == [
        [Target(row["Key"]) for row in rows],
        [Target(row["Key"], row["VersionId"]) for row in versions],
    ]


def _few(params: dict[str, Any], **_more: Any) -> None:
    params["MaxKeys"] = 3


def test_killed_at_any_moment_no_object_is_lost(
    gateway: Gateway, owner: Key, tmp_path: Path
) -> None:
    client = gateway.client(owner)
    client.create_bucket(Bucket="objects")
    bodies = {f"{number:03}": os.urandom(500) for number in range(200)}
    bodies |= {f"large{number}": os.urandom(6 * 1024**2) for number in range(2)}
    for name, body in bodies.items():
        client.put_object(
            Bucket="objects", Key=name, Body=body, Metadata={"n": name}, Tagging=f"n={name}"
        )
    journal, child = tmp_path / "journal", tmp_path / "child.py"
    child.write_text(_CHILD)
    command = [sys.executable, str(child), str(ROOT), gateway.url, KMS_KEYS[0], str(journal)]
    chance, kills = random.Random(11), 0  # noqa: S311 - no secret
    for _attempt in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.1, 0.8))
        process.kill()
        kills += process.wait() == -9
        process.stdout.close()
        for name, body in bodies.items():
            found = client.get_object(Bucket="objects", Key=name)
            assert (found["Body"].read(), found["Metadata"]) == (body, {"n": name})
    assert kills
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, body in bodies.items():
        found = client.get_object(Bucket="objects", Key=name)
        assert (found["Body"].read(), found["SSEKMSKeyId"]) == (body, KMS_KEYS[0])
        tags = client.get_object_tagging(Bucket="objects", Key=name)["TagSet"]
        assert tags == [{"Key": "n", "Value": name}]


@pytest.mark.parametrize("size", [1024, 6 * 1024**2])
def test_a_lock_is_kept_and_so_is_what_it_held(gateway: Gateway, owner: Key, size: int) -> None:
    client, name = gateway.client(owner), f"held{size}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    locks = {
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": datetime.now(UTC).replace(microsecond=0) + timedelta(days=9),
        "ObjectLockLegalHoldStatus": "ON",
    }
    body = os.urandom(size)
    old = client.put_object(Bucket=name, Key="k", Body=body, **locks)["VersionId"]
    clients = connecting.Clients(gateway.url, REGION, None, None, "s3")
    order = reencrypting.Order(
        name, "", "aws:kms", KMS_KEYS[0], True, "copy", None, None, 4, 0, False, 5 * 1024**2
    )
    found = reencrypting.reencrypt(clients, order)
    assert (found["done"], found["clean"]) == (1, True), found
    head = client.head_object(Bucket=name, Key="k")
    assert {key: head.get(key) for key in locks} == locks
    assert head["SSEKMSKeyId"] == KMS_KEYS[0]
    assert client.get_object(Bucket=name, Key="k")["Body"].read() == body
    for version in (old, head["VersionId"]):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=name, Key="k", VersionId=version)
