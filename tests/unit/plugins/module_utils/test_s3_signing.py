# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures, compared with those of botocore."""

from __future__ import annotations

import calendar
import datetime
from unittest import mock

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_signing as signing
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

HOST = "agency.s3.eu-west-1.amazonaws.com"
NOW = datetime.datetime(2026, 3, 1, 23, 59, 58, tzinfo=datetime.UTC)


@pytest.mark.parametrize("key", ["a", "a/b c+d~e", "é/ü?x=1&y#z", "%41", "a//b/./..", "*'()!$,;:@"])
@pytest.mark.parametrize("version", ["", "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"])
@pytest.mark.parametrize("token", ["", "FwoGZXIvYXdzE/+="])
def test_as_botocore_signs(key: str, version: str, token: str) -> None:
    path = signing.path_of("agency", key, in_host=True)
    query = {"versionId": version} if version else {}
    ours = signing.Signer(HOST, "eu-west-1").headers(
        signing.Credentials("AKIAEXAMPLE", "made-up", token),
        "HEAD",
        path,
        query,
        calendar.timegm(NOW.timetuple()),
    )
    url = f"https://{HOST}{path}" + (f"?{signing.query_of(query)}" if query else "")
    request = AWSRequest("HEAD", url, headers={"host": HOST})
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        signer = S3SigV4Auth(
            Credentials("AKIAEXAMPLE", "made-up", token or None), "s3", "eu-west-1"
        )
        signer.add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]


def test_a_new_day_and_new_credentials_have_a_key_of_their_own() -> None:
    signer = signing.Signer(HOST, "eu-west-1")
    first, second = (signing.Credentials("A", secret) for secret in ("one", "two"))
    calls = [(first, 0.0), (first, 86_399.0), (first, 86_400.0), (second, 86_400.0), (first, 0.0)]
    made = [signer.headers(who, "HEAD", "/", {}, when)["authorization"] for who, when in calls]
    assert made[0] == made[4]
    assert len(set(made)) == 4


def test_a_bucket_is_in_the_path_or_in_the_host() -> None:
    assert signing.path_of("agency", "a b", in_host=False) == "/agency/a%20b"
    assert signing.path_of("agency", "a b", in_host=True) == "/a%20b"
