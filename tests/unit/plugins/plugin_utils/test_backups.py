# SPDX-License-Identifier: GPL-3.0-or-later
"""From the register to a host's jobs; and what is judged of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups

_BACKUP = {
    "bucket": "acme-backups",
    "region": "eu-west-1",
    "password": "p",
    "writer": {"key": "AKIA", "secret": "s"},
    "every": "6h",
    "keep": {"daily": 2},
}
_SITE = {"client": "acme", "id": "shop", "root": "/srv/shop", "backup": _BACKUP}
_VALUES = {"backups_recent": "12h", "backups_drilled": "4w", "backups_pruned": "2w"}
_NOW = 1_800_000_000.0
_GOOD = {"error": "", "files": 3, "tables": 2, "rows": 9, "unsafe_tables": []}
_DRILL = {
    "snapshot": "a",
    "on": "web1",
    "at": _NOW - 3600,
    "matched": 3,
    "moved_on": 0,
    "tables": 2,
    "rows": 9,
    "recovery_time": 4.2,
    "recovery_point": 7200.0,
    "wrong": [],
}


def _made(*hours: float) -> list[datetime]:
    """When backups of so many hours ago were made."""
    return [datetime.fromtimestamp(_NOW - one * 3600, UTC) for one in hours]


def _judged(**given: Any) -> dict[str, dict[str, Any]]:
    asked = {
        "site": _SITE,
        "values": _VALUES,
        "made": _made(1),
        "state": _GOOD,
        "drill": _DRILL,
        "now": _NOW,
        "troubles": {},
        **given,
    }
    return {row["id"]: row for row in backups.judge(**asked)}


def test_all_is_well() -> None:
    found = _judged()
    assert {row["status"] for row in found.values()} == {"pass"}
    assert "recovery time 4.2 s, recovery point 2.0 h" in found["backups_drilled"]["observed"]


@pytest.mark.parametrize(
    ("given", "control", "status", "words"),
    [
        ({"made": []}, "backups_recent", "fail", "no backup"),
        ({"made": _made(13)}, "backups_recent", "fail", "late"),
        ({"made": _made(-1)}, "backups_recent", "fail", "future"),
        ({"troubles": {"repository": "S3 is down"}}, "backups_recent", "error", "S3 is down"),
        ({"troubles": {"repository": "S3 is down"}}, "backups_pruned", "error", "S3 is down"),
        ({"made": []}, "backups_pruned", "not_applicable", "no backup"),
        (
            {"made": _made(*(24 * day for day in (18, 17, 16, 15, 14, 13, 0)))},
            "backups_pruned",
            "fail",
            "3 of 7 backups were no longer to be kept at 2027-01-01 08:00:00 UTC and are still "
            "there, the oldest of 2026-12-28 08:00:00 UTC",
        ),
        (
            {"site": {**_SITE, "backup": {**_BACKUP, "keep": {"daily": 0}}}},
            "backups_pruned",
            "fail",
            "keeps nothing",
        ),
        ({"troubles": {"host": "unreachable"}}, "backups_succeeded", "error", "unreachable"),
        ({"state": None}, "backups_succeeded", "fail", "no backup has been tried"),
        (
            {"state": {"error": "disk full", "last_good": _NOW}},
            "backups_succeeded",
            "fail",
            "disk full",
        ),
        ({"state": {"error": "x"}}, "backups_consistent", "fail", "no good backup"),
        ({"state": {**_GOOD, "unsafe_tables": ["a"]}}, "backups_consistent", "fail", "not InnoDB"),
        ({"drill": None}, "backups_drilled", "fail", "never tried"),
        ({"drill": {**_DRILL, "wrong": ["missing: /x"]}}, "backups_drilled", "fail", "missing: /x"),
        ({"drill": {**_DRILL, "at": _NOW - 5 * 7 * 86400}}, "backups_drilled", "fail", "too old"),
        ({"drill": {**_DRILL, "at": _NOW + 3600}}, "backups_drilled", "fail", "future"),
        (
            {"drill": {**_DRILL, "repository": "s3:https://old.example/bucket/acme"}},
            "backups_drilled",
            "fail",
            "of another repository, s3:https://old.example/bucket/acme",
        ),
        (
            {"drill": {**backups.drill_failed(_SITE, "cannot be restored: x", "web1"), "at": _NOW}},
            "backups_drilled",
            "fail",
            "restore failed, on web1 at 2027-01-15 08:00:00 UTC: cannot be restored: x",
        ),
        ({"site": {**_SITE, "backup": {}}}, "backups_configured", "fail", "backup.bucket"),
        (
            {"site": {**_SITE, "backup": {"enabled": False}}},
            "backups_configured",
            "fail",
            "switched off",
        ),
    ],
)
def test_what_is_wrong_is_a_finding(
    given: dict[str, Any], control: str, status: str, words: str
) -> None:
    row = _judged(**given)[control]
    assert row["status"] == status
    assert words in row["message"]


@pytest.mark.parametrize(
    ("days", "status"),
    [
        ((16, 15, 13, 12, 11, 0), "pass"),  # two of the time before the limit: kept then
        ((13, 12, 11, 0), "pass"),  # too many, but not for so long
        ((16, 15, 14, 0), "fail"),
    ],
)
def test_what_may_still_be_there_is_no_finding(days: tuple[int, ...], status: str) -> None:
    found = _judged(made=_made(*(24 * day for day in days)))["backups_pruned"]
    assert found["status"] == status


def test_a_repository_that_is_pruned_in_time_never_fails() -> None:
    """Whatever is kept: hourly backups for a year, pruned each week, looked at before each time."""
    for keep in (
        {"hourly": 24, "daily": 7},
        {"daily": 14, "weekly": 4, "monthly": 3},
        {"yearly": 1},
    ):
        there: list[datetime] = []
        for number in range(0, 365 * 24, 5):
            now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
            there.append(now)
            if number % (7 * 24) < 5:
                old = [one for one in there if one <= now - timedelta(weeks=2)]
                assert backups.unkept(old, keep) == []
                gone = set(backups.unkept(there, keep))
                there = [one for one in there if one not in gone]
        assert len(there) < 50


def test_a_restore_that_compared_nothing_is_no_proof() -> None:
    proof = {
        "files": {"matched": 0, "missing": [], "different": [], "moved_on": []},
        "database": None,
    }
    found = backups.drill_result(_SITE, proof, {"id": "a", "time": 0.0}, 1.0, "web1")
    assert found["wrong"] == ["no file at all was compared"]


def test_a_restore_without_the_database_of_the_register_is_no_proof() -> None:
    files = {"matched": 3, "missing": [], "different": [], "moved_on": []}
    snapshot, proof = {"id": "a", "time": 0.0}, {"files": files, "database": None}
    with_one = {**_SITE, "database": {"name": "shop"}}
    without = {**with_one, "backup": {**_BACKUP, "database": False}}
    wrong = [
        backups.drill_result(site, proof, snapshot, 1.0, "web1")["wrong"]
        for site in (with_one, without, _SITE)
    ]
    assert wrong == [["no database came back, and the register names one"], [], []]


def test_a_client_has_one_job_and_one_repository() -> None:
    other = {**_SITE, "id": "blog", "root": "/srv/blog", "backup": {**_BACKUP, "every": "2h"}}
    (job,) = backups.jobs([_SITE, other], "web1")
    assert job["repository"] == "s3:https://s3.eu-west-1.amazonaws.com/acme-backups/acme"
    assert (job["every"], [site["site"] for site in job["sites"]]) == (7200, ["shop", "blog"])
    strange = {**other, "backup": {**_BACKUP, "bucket": "another"}}
    with pytest.raises(backups.SettingsError, match="a client has one repository"):
        backups.jobs([_SITE, strange], "web1")


def test_sites_without_a_bucket_have_no_job() -> None:
    assert backups.jobs([{**_SITE, "backup": {"every": "6h"}}], "web1") == []


@pytest.mark.parametrize(
    ("database", "backed_up"),
    [
        ({"name": "shop", "user": "u", "password": "x"}, {"name": "shop"}),
        (
            {"name": "shop", "host": "db1", "user": "u", "password": "x"},
            {"name": "shop", "host": "db1", "user": "u", "password": "x"},
        ),
        ({}, None),
    ],
)
def test_a_local_database_needs_no_password(
    database: dict[str, str], backed_up: dict[str, str] | None
) -> None:
    (job,) = backups.jobs([{**_SITE, "database": database}], "web1")
    assert job["sites"][0]["database"] == backed_up


def test_a_moment_is_read_or_refused() -> None:
    assert backups.moment("1970-01-01T00:01:00Z") == 60.0
    with pytest.raises(backups.SettingsError, match="expected a time such as"):
        backups.moment("yesterday")


_AGENCY = {"bucket": "agency", "password": "p", "writer": {"key": "A", "secret": "s"}}


def test_a_server_is_backed_up_into_a_repository_of_its_own() -> None:
    one, two = (backups.server(_AGENCY, host)[0] for host in ("web1", "web2"))
    (job,) = backups.jobs([_SITE, one], "web1")[1:]
    assert job["repository"].endswith("/agency/_servers/web1")
    assert (job["client"], job["every"], job["sites"][0]["paths"]) == ("_server", 86400, ["/etc"])
    # From: printf web1 | openssl dgst -sha256 -hmac p
    assert job["password"] == "649eb7f1456fdaadca6bf42961765a117f35a1e3384e29da186d0ed6ea1fe86a"
    assert two["backup"]["password"] != job["password"]
    assert [backups.owner(site) for site in (one, _SITE)] == [None, "acme"]
    assert [backups.holder(site) for site in (one, _SITE)] == ["_server/web1", "acme"]


def test_a_server_does_not_hand_the_passwords_of_clients_to_the_agency() -> None:
    (site,) = backups.server({**_AGENCY, "exclude": ["*.bak"]}, "web1")
    assert site["backup"]["exclude"] == ["/etc/ringfence/backup", "*.bak"]


def test_the_next_password_of_a_server_is_its_own_too() -> None:
    (site,) = backups.server({**_AGENCY, "next": {"password": "p"}}, "web1")
    assert site["backup"]["next"]["password"] == site["backup"]["password"] != "p"


def test_a_server_without_settings_has_no_backup_and_one_without_a_bucket_fails() -> None:
    assert backups.server({}, "web1") == []
    (site,) = backups.server({"every": "6h"}, "web1")
    assert _judged(site=site)["backups_configured"]["status"] == "fail"


@pytest.mark.parametrize(
    ("settings", "host", "words"),
    [
        ({**_AGENCY, "buket": "x"}, "web1", "there is no buket"),
        (_AGENCY, "../web1", "cannot be the name of a folder"),
    ],
)
def test_settings_of_a_server_that_cannot_be_meant_are_refused(
    settings: dict[str, Any], host: str, words: str
) -> None:
    with pytest.raises(backups.SettingsError, match=words):
        backups.server(settings, host)


def test_sites_are_pruned_by_repository_and_only_where_there_is_one() -> None:
    sites = [
        _SITE,
        {**_SITE, "id": "blog"},
        {**_SITE, "client": "zoo", "backup": {}},
        {**_SITE, "client": "off", "backup": {**_BACKUP, "enabled": False}},
        *backups.server(_AGENCY, "web1"),
    ]
    found = backups.by_repository(sites)
    assert {name: [site["id"] for site in own] for name, own in found.items()} == {
        "acme": ["shop", "blog"],
        "_server/web1": ["web1"],
    }
