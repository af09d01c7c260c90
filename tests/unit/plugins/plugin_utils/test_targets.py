# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of what is judged beside servers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import targets
from ansible_collections.ringfence.hosting.plugins.plugin_utils.catalogue import Catalogue

_WAIVER = {"reason": "old", "owner": "ada", "expires": "2027-01-31", "expired": False}


def _control(name: str, target: str = "bucket") -> dict[str, Any]:
    value = {"name": f"{name}_value", "type": "int", "default": 30, "min": 1}
    return {"id": name, "target": target, "value": value}


KNOWN = Catalogue(
    {name: _control(name, kind) for name, kind in (("a_lock", "bucket"), ("ssh_x", "host"))},
    "c" * 64,
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"a_lock": 30}),
        ({"a_lock_value": 60}, {"a_lock": 60}),
        ({"ssh_x_value": "not ours"}, {"a_lock": 30}),
    ],
)
def test_values_are_those_asked_for_or_the_default(
    asked: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert targets.values(KNOWN, "bucket", asked) == expected


def test_a_value_that_does_not_fit_names_its_variable() -> None:
    with pytest.raises(ValueError, match="variable a_lock_value: found 0, expected at least 1"):
        targets.values(KNOWN, "bucket", {"a_lock_value": 0})


@pytest.mark.parametrize(
    ("finding", "waivers", "expected"),
    [
        ({"id": "a_lock", "status": "fail"}, {}, {"status": "fail"}),
        ({"id": "a_lock", "status": "fail"}, {"a_lock": _WAIVER}, {"status": "waived"}),
        (
            {"id": "a_lock", "status": "fail", "message": "7 days"},
            {"a_lock": {**_WAIVER, "expired": True}},
            {"status": "fail", "message": "7 days; the waiver ended on 2027-01-31"},
        ),
        ({"id": "a_lock", "status": "error"}, {"a_lock": _WAIVER}, {"status": "error"}),
    ],
    ids=["fail", "waived", "waiver ended", "an error is not waived"],
)
def test_findings_under_a_waiver(
    finding: dict[str, Any], waivers: dict[str, Any], expected: dict[str, Any]
) -> None:
    row = targets.row("s3://a", "bucket", [finding], {"a_lock": 30}, waivers=waivers)
    (only,) = row["controls"]
    assert {key: only[key] for key in expected} == expected


def test_a_control_that_nobody_looked_at_is_an_error() -> None:
    row = targets.row("s3://a", "bucket", [], {"a_lock": 30}, client="acme")
    assert row["controls"] == [{"id": "a_lock", "status": "error", "message": "was not looked at"}]
    assert row["ok_ids"] == []
    assert row["host"] == {"kind": "bucket", "client": "acme"}


def test_what_the_callback_takes_names_the_catalogue() -> None:
    rows = targets.returned([targets.unread("s3://a", "bucket", "denied")], KNOWN)
    assert [row["catalogue_sha256"] for row in rows["ringfence_targets"]] == [KNOWN.sha256]
