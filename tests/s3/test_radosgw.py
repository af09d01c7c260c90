# SPDX-License-Identifier: GPL-3.0-or-later
"""The S3 gateway that other tests rely on does what they rely on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.s3.radosgw import KMS_KEYS, Gateway

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway("radosgw") as started:
        yield started


def test_a_locked_version_stays_and_an_unlocked_one_goes(gateway: Gateway) -> None:
    client = gateway.client(gateway.user("owner"))
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    free = client.put_object(Bucket="locked", Key="free", Body=b"free")["VersionId"]
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket="locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    held = client.put_object(
        Bucket="locked",
        Key="held",
        Body=b"held",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=KMS_KEYS[0],
    )
    assert held["SSEKMSKeyId"] == KMS_KEYS[0]
    client.delete_object(Bucket="locked", Key="free", VersionId=free)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket="locked", Key="held", VersionId=held["VersionId"])


def test_a_wrong_secret_is_refused_and_a_right_one_is_not(gateway: Gateway) -> None:
    key = gateway.user("somebody")
    assert gateway.client(key).list_buckets()["Buckets"] == []
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        gateway.client(replace(key, secret="wrong")).list_buckets()


def test_its_certificate_is_vouched_for(gateway: Gateway, tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text(gateway.authority)
    client = gateway.client(gateway.user("careful"), url=gateway.tls_url, verify=str(authority))
    assert client.list_buckets()["Buckets"] == []
