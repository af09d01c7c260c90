# SPDX-License-Identifier: GPL-3.0-or-later
"""Which grants of third parties' people are a host's."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import register_vendors

TODAY = date(2026, 11, 26)
ACME = SimpleNamespace(client={"id": "acme"}, reference="acme/shop")
KEYS = [{"public_key": "ssh-ed25519 AAAA"}, {"fingerprint": "SHA256:x"}]


def found(
    grant: dict[str, Any], person: dict[str, Any] | None = None, party: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    said = {"system": "server", "scope": {"everything": True}, "account": "sc_sam", **grant}
    sam = {"id": "sam", "name": "Sam", "third_party": "care", "keys": KEYS, "access": [said]}
    register: Any = SimpleNamespace(
        people={"sam": {**sam, **(person or {})}},
        third_parties={"care": party or {}},
        on=lambda host: [ACME] if host == "web1" else [],
    )
    given = register_vendors.grants(register)
    return register_vendors.for_host(register, given, "web1", {"web"}, TODAY)


SCOPES = [
    ({"everything": True}, True),
    ({"hosts": ["web1"]}, True),
    ({"hosts": ["web2"]}, False),
    ({"groups": ["web"]}, True),
    ({"groups": ["database"]}, False),
    ({"clients": ["acme"]}, True),
    ({"clients": ["other"]}, False),
    ({"sites": ["acme/shop"]}, True),
    ({"sites": ["acme/blog"]}, False),
]


@pytest.mark.parametrize(("scope", "covers"), SCOPES)
def test_a_scope_holds_a_host(scope: dict[str, Any], covers: bool) -> None:
    assert bool(found({"scope": scope})) is covers


def test_a_row_is_plain_data() -> None:
    [row] = found({"end": date(2027, 1, 1), "sudo": ["ALL"]})
    assert row == {
        "account": "sc_sam", "person": "sam", "name": "Sam", "third_party": "care",
        "keys": [{"public_key": "ssh-ed25519 AAAA"}], "sudo": ["ALL"], "from": [],
        "second_factor": False, "end": "2027-01-01", "in_force": True,
    }  # fmt: skip


DATES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"end": "2027-03-01"}, {"left": "2027-02-01"}, {"end": "2027-01-01"}, "2027-01-01"),
    ({"end": "2027-03-01"}, {"left": "2027-02-01"}, {}, "2027-02-01"),
    ({}, {}, {"end": "2027-01-01"}, "2027-01-01"),
    ({"end": "2026-11-26"}, {}, {}, "2026-11-26"),
]


@pytest.mark.parametrize(("grant", "person", "party", "end"), DATES)
def test_the_earliest_end_counts(
    grant: dict[str, Any], person: dict[str, Any], party: dict[str, Any], end: str
) -> None:
    assert found(grant, person, party)[0]["end"] == end


OVER: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"end": "2026-11-25"}, {}, {}),
    ({}, {"left": "2026-11-25"}, {}),
    ({}, {}, {"end": "2026-11-25"}),
    ({"system": "sftp"}, {}, {}),
    ({}, {"third_party": ""}, {}),
    ({"account": ""}, {}, {}),
]


@pytest.mark.parametrize(("grant", "person", "party"), OVER)
def test_what_is_over_or_no_grant_of_a_server_is_not_there(
    grant: dict[str, Any], person: dict[str, Any], party: dict[str, Any]
) -> None:
    assert found(grant, person, party) == []


def test_what_begins_later_is_there_and_not_in_force() -> None:
    [row] = found({"start": "2026-12-01"}, None, {"start": "2027-01-01"})
    assert (row["start"], row["in_force"]) == ("2027-01-01", False)


def test_the_contracts_addresses_stand_in_and_the_persons_one_account() -> None:
    person = {"accounts": {"server": ["sam_own"]}}
    [row] = found({"account": ""}, person, {"from": ["203.0.113.0/24"]})
    assert (row["account"], row["from"]) == ("sam_own", ["203.0.113.0/24"])
    [row] = found({"from": ["192.0.2.1/32"]}, None, {"from": ["203.0.113.0/24"]})
    assert row["from"] == ["192.0.2.1/32"]
