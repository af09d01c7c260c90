# SPDX-License-Identifier: GPL-3.0-or-later
"""Which waivers hold where, and that none gives a neighbour's words or protection away."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_waivers import (
    for_host,
    for_site,
    state,
    without_force,
)


def row(control: str, expires: str = "2027-01-01", **more: Any) -> dict[str, Any]:
    words = {"reason": f"A reason for {control}", "owner": "ada"}
    return {"control": control, **words, "expires": expires, **more}


def client(name: str, *waivers: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "waivers": list(waivers)}


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("2026-05-31", "expired"),
        ("2026-06-01", "expiring"),
        ("2026-07-01", "expiring"),
        ("2026-07-02", "valid"),
    ],
)
def test_the_last_day_still_counts_and_the_last_thirty_are_announced(
    expires: str, expected: str
) -> None:
    assert state(row("a", expires), date(2026, 6, 1)) == expected


@pytest.mark.parametrize(
    ("clients", "agency", "expected"),
    [
        pytest.param([client("acme", row("a"))], [], ["a"], id="a client alone"),
        pytest.param([client("acme", row("a")), client("zoo")], [], [], id="a neighbour objects"),
        pytest.param(
            [client("acme", row("a"), row("b")), client("zoo", row("a"))], [], ["a"], id="both ask"
        ),
        pytest.param(
            [client("acme", row("a", scope={"hosts": ["web2"]}))], [], [], id="another host"
        ),
        pytest.param(
            [client("acme", row("a", scope={"hosts": ["web1"]}))], [], ["a"], id="this host"
        ),
        pytest.param(
            [client("acme", row("a", scope={"sites": ["shop"]}))], [], [], id="a site is no host"
        ),
        pytest.param([], [row("a", scope={"hosts": ["web1"]})], ["a"], id="the agency, by host"),
        pytest.param([], [row("a", scope={"groups": ["web"]})], ["a"], id="the agency, by group"),
        pytest.param([], [row("a", scope={"groups": ["db"]})], [], id="the agency, elsewhere"),
        pytest.param(
            [client("acme"), client("zoo")],
            [row("a", scope={"hosts": ["web1"]})],
            ["a"],
            id="the agency decides on a shared host",
        ),
    ],
)
def test_what_holds_on_a_host(
    clients: list[dict[str, Any]], agency: list[dict[str, Any]], expected: list[str]
) -> None:
    assert [one["control"] for one in for_host("web1", ["all", "web"], clients, agency)] == expected


def test_of_one_owner_the_last_to_end_counts_of_several_the_first() -> None:
    one = for_host("web1", [], [client("acme", row("a", "2026-01-01"), row("a", "2027-01-01"))], [])
    assert [entry["expires"] for entry in one] == ["2027-01-01"]
    both = [client("acme", row("a", "2027-01-01")), client("zoo", row("a", "2026-03-01"))]
    assert [entry["expires"] for entry in for_host("web1", [], both, [])] == ["2026-03-01"]
    assert for_host("web1", [], both, []) == for_host("web1", [], both[::-1], [])


def test_no_clients_words_are_shown_on_a_shared_host() -> None:
    clients = [
        client("acme", row("a", reason="Acme's secret scanner")),
        client("zoo", row("a", owner="kim")),
    ]
    told = json.dumps(for_host("web1", [], clients, []))
    assert "scanner" not in told
    assert "reason for a" not in told
    assert "kim" not in told
    assert "acme" not in told


def test_a_site_has_the_waivers_that_name_it() -> None:
    owner = client("acme", row("a", scope={"sites": ["shop"]}), row("b"))
    assert for_site(owner, {"id": "shop"}) == [row("a")]
    assert for_site(owner, {"id": "blog"}) == []


def test_a_waiver_that_a_neighbour_keeps_from_holding_is_named() -> None:
    acme, zoo = client("acme", row("b"), row("a")), client("zoo", row("b"))
    assert without_force("web1", [acme, zoo]) == [(acme, 1, ["zoo"])]
