# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of an access: what is left out, what is refused, what stays the same access."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row as shape

NOW = "2026-01-31T12:00:00Z"


def a_row(**known: Any) -> dict[str, Any]:
    return shape.row("server", 1000, "ada", **known)


def a_document(*rows: Any) -> dict[str, Any]:
    return shape.document("access_info", NOW, rows, [shape.coverage("accounts", "read", count=3)])


def test_a_row_holds_what_is_known_and_nothing_else() -> None:
    assert a_row(roles=[], created="", mfa="no", details={"shell": "", "uid": 0}) == {
        "system": "server",
        "account_id": "1000",
        "username": "ada",
        "mfa": "no",
        "details": {"uid": 0},
    }


def test_what_is_not_known_is_never_a_no() -> None:
    whole = shape.full(a_row())
    assert set(whole) == {*shape.COLUMNS, "details"}
    assert (whole["mfa"], whole["privileged"], whole["key_age"]) == ("unknown", None, None)
    assert shape.full(a_row(privileged=False))["privileged"] is False


def test_a_column_that_is_none_is_refused() -> None:
    with pytest.raises(shape.RowError, match="no column person"):
        a_row(person="ada")


def test_one_access_stays_the_same_while_it_is_used() -> None:
    before = a_row(credential_type="ssh_key", key_fingerprint="SHA256:a", roles=["sudo"])
    after = a_row(credential_type="ssh_key", key_fingerprint="SHA256:a", last_login=NOW)
    other = a_row(credential_type="ssh_key", key_fingerprint="SHA256:b")
    assert shape.identity(before) == shape.identity(after) != shape.identity(other)


def test_a_host_has_no_say_in_where_it_is() -> None:
    assert shape.located(a_row(), "web1") == "server:web1"
    site = shape.row("cms", 1, "boss", details={"place": "shop.example"})
    assert shape.located(site, "web1") == "cms:web1/shop.example"


def test_the_canonical_form_does_not_depend_on_order() -> None:
    assert shape.sha256({"a": 1, "b": "ü"}) == shape.sha256({"b": "ü", "a": 1})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 1"),
        ({"rows": {}}, "rows is no list"),
        ({"rows": ["x"]}, r"rows\[0\]"),
        ({"rows": [{"system": "host", "username": "a"}]}, r"rows\[0\].system"),
        ({"rows": [{"system": "server", "decision": "keep"}]}, "no column decision"),
        ({"rows": [{"system": "server", "mfa": "perhaps"}]}, "mfa"),
        ({"rows": [{"system": "server", "roles": "root"}]}, "roles of the collection is no list"),
        ({"rows": [{"system": "server", "username": 7}]}, "username of the collection is no text"),
        ({"rows": [{"system": "server", "key_age": "old"}]}, "number of days"),
        ({"rows": [{"system": "server", "privileged": "yes"}]}, "neither true nor false"),
        ({"coverage": [{"source": "x", "state": "fine"}]}, r"coverage\[0\]"),
        ({"facts": {"x": float("nan")}}, "not JSON"),
        ({"collected_at": None}, "collected_at"),
    ],
)
def test_what_a_hostile_host_says_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(shape.RowError, match=said):
        shape.check({**a_document(a_row()), **change})


def test_a_good_document_is_taken_as_it_is() -> None:
    good = a_document(a_row(credential_type="password"))
    assert shape.check(good) is good


def test_coverage_has_four_states_only() -> None:
    with pytest.raises(shape.RowError, match="expected one of read"):
        shape.coverage("journal", "ok")
