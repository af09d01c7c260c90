# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves in S3, read by boto3 and compared with literals."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ringfence.evidence import Store
from tests.s3 import enforced
from tests.s3.serve import BUCKET, LOCK_DAYS, OBJECT, THEIRS

_FOLDER = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "none"))


@pytest.fixture(scope="module")
def server() -> dict[str, str]:
    found: dict[str, str] = json.loads((_FOLDER / "s3" / "server.json").read_text())
    return found


@pytest.fixture(scope="module")
def s3(server: dict[str, str]) -> Any:
    return enforced.client(server["https"], verify=server["ca"])


@pytest.mark.parametrize(("bucket", "days"), [(BUCKET, LOCK_DAYS), ("agency-new", 50)])
def test_nothing_is_public_and_all_is_locked(s3: Any, bucket: str, days: int) -> None:
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert (len(block), set(block.values())) == (4, {True})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    lock = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    rule = lock["Rule"]["DefaultRetention"]
    assert (rule["Mode"], rule["Days"]) == ("GOVERNANCE", days)
    logging = s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    assert logging["TargetBucket"] == "agency-logs"


def test_statements_of_others_stay(s3: Any) -> None:
    statements = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert statements[0] == THEIRS
    assert {one["Sid"][:9] for one in statements[1:]} == {"Ringfence"}


def test_an_old_object_is_under_the_key_and_still_itself(s3: Any, server: dict[str, str]) -> None:
    found = s3.get_object(Bucket=BUCKET, Key=OBJECT)
    assert (found["Body"].read(), found["Metadata"]) == (b"old", {"client": "acme"})
    assert found["SSEKMSKeyId"] == server["kms_key"]


@pytest.mark.parametrize(
    ("way", "call", "key", "allowed"),
    [
        ("https", "put_object", "acme/data/1", True),
        ("http", "put_object", "acme/data/2", False),
        ("https", "put_object", "zoo/data/1", False),
        ("https", "put_object", "acme/locks/1", True),
        ("https", "delete_object", "acme/locks/1", True),
        ("https", "delete_object", "acme/data/1", False),
    ],
)
def test_the_writer_adds_and_deletes_nothing_but_locks(
    server: dict[str, str], way: str, call: str, key: str, allowed: bool
) -> None:
    writer = enforced.client(server[way], key=server["writer_key"], verify=server["ca"])
    body = {"Body": b"1"} if call == "put_object" else {}
    with nullcontext() if allowed else pytest.raises(ClientError, match="AccessDenied"):
        getattr(writer, call)(Bucket=BUCKET, Key=key, **body)


def test_the_controls_pass_in_the_evidence() -> None:
    document = Store(f"sqlite:///{_FOLDER / 'evidence' / 'ringfence.sqlite'}").latest()
    assert document is not None
    rows = {row["name"]: row["results"] for row in document["hosts"]}
    assert set(rows) == {"s3://agency-backups", "s3://agency-logs", "s3://agency-new"}
    for bucket in ("s3://agency-backups", "s3://agency-new"):
        found = {one["id"]: one["status"] for one in rows[bucket]}
        assert set(found.values()) == {"pass", "not_applicable"}, found
        assert found["aws_s3_object_encryption"] == "pass"
