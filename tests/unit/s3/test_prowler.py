# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prowler found, as recorded: `python -m tests.s3.prowler` finds it anew."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.s3 import prowler


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(prowler.RECORDED.read_text(encoding="utf-8"))
    return found


def test_nothing_fails_that_has_no_reason(recorded: dict[str, Any]) -> None:
    assert prowler.unaccepted(recorded["after"]) == []
    assert recorded["prowler"] == prowler.VERSION


def test_the_naive_bucket_was_found_out(recorded: dict[str, Any]) -> None:
    failed = {name for name, status in recorded["before"].items() if status == "FAIL"}
    for check in (
        "s3_bucket_secure_transport_policy",
        "s3_bucket_object_versioning",
        "s3_bucket_object_lock",
        "s3_bucket_kms_encryption",
        "s3_bucket_server_access_logging_enabled",
        "s3_bucket_lifecycle_enabled",
        "s3_bucket_acl_prohibited",
    ):
        assert f"{check}@agency-backups" in failed
        assert recorded["after"][f"{check}@agency-backups"] == "PASS"
    for name in ("kms_cmk_rotation_enabled@the key",):
        assert (recorded["before"][name], recorded["after"][name]) == ("FAIL", "PASS")


def test_no_reason_is_left_over(recorded: dict[str, Any]) -> None:
    failing = {name.split("@")[0] for name, status in recorded["after"].items() if status != "PASS"}
    assert {check for check, _resource in prowler.ACCEPTED} == failing


def test_what_has_no_reason_is_told() -> None:
    found = {"s3_x@agency-backups": "FAIL", "s3_y@b": "PASS", "s3_bucket_no_mfa_delete@b": "FAIL"}
    assert prowler.unaccepted(found) == ["s3_x@agency-backups: FAIL"]
