# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's keys and password of an account of moto's, which then open nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _offboard_aws
from moto import mock_aws


@pytest.fixture
def iam(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        client = boto3.client("iam")
        for name in ("cho", "ben"):
            client.create_user(UserName=name)
            client.create_access_key(UserName=name)
            client.create_login_profile(UserName=name, Password="Made-Up-1")
        client.create_access_key(UserName="cho")
        yield client


def _active(iam: Any, user: str) -> list[bool]:
    keys = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    return [key["Status"] == "Active" for key in keys]


def test_keys_are_deactivated_and_the_password_goes_and_others_stay(iam: Any) -> None:
    steps, absent = _offboard_aws.plan(iam, ["cho", "nobody"])
    assert absent == ["nobody"]
    assert [what for what, _user, _key in steps] == [*["deactivate key"] * 2, "remove password"]
    assert _active(iam, "cho") == [True, True]  # a plan changes nothing
    _offboard_aws.carry_out(iam, steps)
    assert _active(iam, "cho") == [False, False]
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_login_profile(UserName="cho")
    assert _active(iam, "ben") == [True]
    assert iam.get_login_profile(UserName="ben")
    assert _offboard_aws.plan(iam, ["cho"]) == ([], [])


def test_the_identity_of_the_play_is_not_taken(iam: Any) -> None:
    steps, _absent = _offboard_aws.plan(iam, ["cho"])
    with pytest.raises(_offboard_aws.LastOneError, match="cho: this play comes in by it"):
        _offboard_aws.require_not_own(steps, "arn:aws:iam::1:user/staff/cho")
    _offboard_aws.require_not_own(steps, "arn:aws:iam::1:user/chocho")
