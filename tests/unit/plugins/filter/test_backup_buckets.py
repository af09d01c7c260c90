# SPDX-License-Identifier: GPL-3.0-or-later
"""From the register's sites to the buckets that they are backed up to."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.ringfence.hosting.plugins.filter import backup_buckets as filters


def site(client: str, **backup: Any) -> dict[str, Any]:
    return {"id": "shop", "client": client, "backup": backup}


@pytest.mark.parametrize(
    ("keep", "oldest"),
    [
        ({}, 0),
        ({"hourly": 24}, 1),
        ({"hourly": 25}, 2),
        ({"daily": 14, "weekly": 4, "monthly": 3}, 93),
        ({"daily": 30, "weekly": 12, "monthly": 12}, 372),
        ({"yearly": 2}, 732),
    ],
)
def test_how_old_the_oldest_snapshot_becomes(keep: dict[str, int], oldest: int) -> None:
    assert filters.oldest_days(keep) == oldest


@pytest.mark.parametrize(("text", "count"), [("30d", 30), ("4w", 28), ("25h", 2), ("0d", 0)])
def test_durations(text: str, count: int) -> None:
    assert filters.days(text) == count


@pytest.mark.parametrize("text", ["", "d", "30", "1y", "-3d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="expected a duration"):
        filters.days(text)


def test_a_bucket_holds_to_the_longest_of_its_sites() -> None:
    found = filters.backup_buckets(
        [],
        [
            site("acme", bucket="b", keep={"daily": 14}, lock="30d"),
            site("beta", bucket="b", keep={"monthly": 3}, lock="60d"),
            site("beta", bucket="own", keep={"daily": 3}, lock="4w"),
            site("beta", bucket="off", enabled=False),
            site("none"),
            {"id": "bare"},
        ],
    )
    assert found == [
        {"name": "b", "lock_days": 94, "oldest_snapshot_days": 93},
        {"name": "own", "lock_days": 28, "oldest_snapshot_days": 3, "client": "beta"},
    ]


def test_what_is_declared_by_hand_stands() -> None:
    declared = [{"name": "logs", "purpose": "logs"}, {"name": "b", "lock_days": 400}]
    found = filters.backup_buckets(declared, [site("acme", bucket="b", keep={"daily": 3})])
    assert found == [
        declared[0],
        {"name": "b", "lock_days": 400, "oldest_snapshot_days": 3, "client": "acme"},
    ]


def test_a_bucket_of_the_agency_is_in_no_clients_report() -> None:
    found = filters.backup_buckets(
        [], [site("_server", bucket="a"), site("_server", bucket="b"), site("acme", bucket="b")]
    )
    assert [one.get("client") for one in found] == [None, None]
