# SPDX-License-Identifier: GPL-3.0-or-later
"""An account of moto's with people, machines, a role of others, a bucket and its key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row, _aws_access
from moto import mock_aws

ACCOUNT = "123456789012"
BUCKET = "acme-backups"
NOW = datetime(2031, 1, 1, tzinfo=UTC)


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("MOTO_ALLOW_NONEXISTENT_REGION", "true")


@contextmanager
def _mocked() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def account() -> Iterator[dict[str, Any]]:
    with _mocked():
        iam, s3, kms = (boto3.client(name) for name in ("iam", "s3", "kms"))
        key = kms.create_key()["KeyMetadata"]["Arn"]
        s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        s3.put_bucket_encryption(
            Bucket=BUCKET,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": rule}]
            },
        )
        for name in ("ada", "ben", "writer", "idle"):
            iam.create_user(UserName=name)
        iam.create_login_profile(UserName="ada", Password="Not-A-Real-1")
        iam.put_user_policy(UserName="ada", PolicyName="all", PolicyDocument=_policy(_allow("*")))
        iam.create_login_profile(UserName="ben", Password="Not-A-Real-1")
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName="ben")["VirtualMFADevice"]
        iam.enable_mfa_device(
            UserName="ben",
            SerialNumber=device["SerialNumber"],
            AuthenticationCode1="123456",
            AuthenticationCode2="234567",
        )
        iam.create_group(GroupName="writers")
        iam.add_user_to_group(GroupName="writers", UserName="writer")
        objects = f"arn:aws:s3:::{BUCKET}/*"
        iam.put_group_policy(
            GroupName="writers",
            PolicyName="write",
            PolicyDocument=_policy(
                _allow(["s3:GetObject", "s3:PutObject"], objects), _allow("kms:Decrypt", key)
            ),
        )
        access_key = iam.create_access_key(UserName="writer")["AccessKey"]["AccessKeyId"]
        iam.create_role(
            RoleName="vendor",
            AssumeRolePolicyDocument=_policy(
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
                }
            ),
        )
        yield {"iam": iam, "s3": s3, "kms": kms, "key": key, "access_key": access_key}


def _collect(buckets: tuple[str, ...] = (BUCKET,)) -> Any:
    clients: dict[str, Any] = {}

    def of(service: str) -> Any:
        return clients.setdefault(service, boto3.client(service))

    return _aws_access.collect(of, buckets, NOW, wait=lambda _seconds: None)


def _rows(found: Any, system: str, username: str) -> list[dict[str, Any]]:
    return [row for row in found.rows if (row["system"], row["username"]) == (system, username)]


@pytest.mark.usefixtures("account")
def test_all_is_read_and_is_of_the_shape_of_a_collection() -> None:
    found = _collect()
    assert {one["state"] for one in found.covered} == {"read"}
    document = _access_row.document(
        "aws_access_info", "2031-01-01T00:00:00Z", found.rows, found.covered, found.facts
    )
    assert _access_row.check(document)


@pytest.mark.parametrize(
    ("name", "credential", "mfa", "privileged"),
    [
        ("ada", "password", "no", True),
        ("ben", "password", "yes", False),
        ("writer", "access_key", "no", False),
        ("idle", "none", "no", False),
    ],
)
@pytest.mark.usefixtures("account")
def test_the_ways_in_of_each_user(name: str, credential: str, mfa: str, privileged: bool) -> None:
    (row,) = _rows(_collect(), "console", name)
    assert (row["credential_type"], row["mfa"], row["privileged"]) == (credential, mfa, privileged)


def test_a_key_has_its_id_and_its_age(account: dict[str, Any]) -> None:
    (row,) = _rows(_collect(), "console", "writer")
    assert row["details"]["credential"] == account["access_key"]
    assert row["key_age"] > 0
    assert row["roles"] == ["group writers"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("writer", {"reads objects", "writes objects", "decrypts"}),
        (
            "ada",
            {
                *("reads objects", "writes objects", "deletes objects", "deletes versions"),
                *("ends locks", "changes the bucket", "decrypts"),
            },
        ),
        ("ben", None),
        ("vendor", None),
    ],
)
@pytest.mark.usefixtures("account")
def test_what_each_may_do_at_the_bucket(name: str, expected: set[str] | None) -> None:
    rows = _rows(_collect(), "bucket", name)
    assert [set(row["roles"]) for row in rows] == ([expected] if expected else [])


def test_a_deny_of_the_bucket_takes_away_and_a_grant_of_it_gives(account: dict[str, Any]) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user"
    account["s3"].put_bucket_policy(
        Bucket=BUCKET,
        Policy=_policy(
            {
                "Sid": "NoAda",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": f"arn:aws:s3:::{BUCKET}/*",
                "Condition": {"ArnEquals": {"aws:PrincipalArn": f"{arn}/ada"}},
            },
            {
                "Sid": "Ben",
                "Effect": "Allow",
                "Principal": {"AWS": f"{arn}/ben"},
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{BUCKET}/*",
            },
        ),
    )
    found = _collect()
    (ada,) = _rows(found, "bucket", "ada")
    assert set(ada["roles"]) == {"changes the bucket", "decrypts"}
    (ben,) = _rows(found, "bucket", "ben")
    assert ben["roles"] == ["reads objects"]


@pytest.mark.parametrize(
    ("principal", "flag"),
    [("*", "public"), ({"AWS": "arn:aws:iam::999999999999:root"}, "foreign")],
)
def test_strangers_whom_the_policy_lets_in(
    account: dict[str, Any], principal: Any, flag: str
) -> None:
    statement = _allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal=principal, Sid="Open")
    account["s3"].put_bucket_policy(Bucket=BUCKET, Policy=_policy(statement))
    rows = [row for row in _collect().rows if row.get("credential_type") == "bucket_policy"]
    assert [row["flags"] for row in rows] == [[flag]]


def test_an_acl_for_everybody(account: dict[str, Any]) -> None:
    account["s3"].delete_public_access_block(Bucket=BUCKET)
    account["s3"].put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    rows = [row for row in _collect().rows if row.get("credential_type") == "acl"]
    assert [(row["username"], row["flags"], row["roles"]) for row in rows] == [
        ("global/AllUsers", ["public"], ["ACL READ"])
    ]


@pytest.mark.usefixtures("account")
def test_a_role_names_who_may_assume_it() -> None:
    (row,) = _rows(_collect(), "console", "vendor")
    assert row["grant_path"] == ["assumed by AWS arn:aws:iam::999999999999:root"]


@pytest.mark.usefixtures("account")
def test_a_bucket_that_is_not_there_is_told_and_costs_nothing_else() -> None:
    states = {one["source"]: one["state"] for one in _collect((BUCKET, "no-such-bucket")).covered}
    assert states["bucket no-such-bucket"] == "failed"
    assert states[f"bucket {BUCKET}"] == "read"


def _line(**more: str) -> dict[str, str]:
    known = {
        "user": "<root_account>",
        "arn": f"arn:aws:iam::{ACCOUNT}:root",
        "mfa_active": "true",
        "password_enabled": "not_supported",
        "password_last_used": "no_information",
        "access_key_1_active": "false",
        "access_key_2_active": "false",
    }
    return known | more


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (_line(), {"root_last_used": "", "root_keys": 0, "root_mfa": "yes"}),
        (
            _line(mfa_active="false", access_key_2_active="true"),
            {"root_last_used": "", "root_keys": 1, "root_mfa": "no"},
        ),
        (
            _line(password_last_used="2030-12-24T08:00:00+00:00", mfa_active=""),
            {
                "root_last_used": "2030-12-24T08:00:00+00:00",
                "root_keys": 0,
                "root_mfa": "unknown",
            },
        ),
    ],
)
def test_root(line: dict[str, str], expected: dict[str, Any]) -> None:
    assert _aws_access._root(line, ACCOUNT) == {"account": ACCOUNT, **expected}


def test_who_may_not_ask_is_told_so() -> None:
    """A service that refuses is no account without users."""

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            from botocore.exceptions import ClientError

            def refuse(**_given: Any) -> Any:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, name)

            return refuse

        def get_paginator(self, name: str) -> Any:
            return type("Pages", (), {"paginate": getattr(self, name)})

    found = _aws_access.collect(lambda _service: Refusing(), [BUCKET], NOW)
    states = {one["source"]: one["state"] for one in found.covered}
    assert states["account"] == states["credential report"] == "not_collected"
    assert states[f"bucket {BUCKET}"] == "not_collected"
    assert states["users and roles"] != "read"
