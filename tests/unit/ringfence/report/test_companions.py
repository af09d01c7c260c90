# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets, backups and the like stand beside the servers, each with the date of its own run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.evidence import Store
from ringfence.report import Scope
from ringfence.report.source import render, report_on

from .fleet import catalogue, control, host, result, run_document, run_id

CATALOGUE = catalogue(
    control("ssh_banner"), control("aws_lock", family="aws_s3", target="bucket", remedy="Lock it.")
)


def servers(number: int) -> dict[str, Any]:
    return run_document([host("web1", result("ssh_banner", "pass"))], number)


def buckets(number: int, status: str = "fail", **more: Any) -> dict[str, Any]:
    rows = [
        host(
            f"s3://{client}", result("aws_lock", status), host={"kind": "bucket", "client": client}
        )
        for client in ("acme", "beta")
    ]
    return run_document(rows, number, playbook="backups.yml", **more)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Store.url_in(tmp_path))


def _told(store: Store, *documents: dict[str, Any], **more: Any) -> dict[str, str]:
    for document in documents:
        store.ingest(document, CATALOGUE)
    return {one.name: one.collected for one in report_on(store, **more).hosts}


def test_a_report_on_servers_shows_the_newest_buckets(store: Store) -> None:
    told = _told(store, buckets(1), servers(2), buckets(3))
    assert told == {
        "web1": "",
        "s3://acme": "2026-01-03T06:01:00Z",
        "s3://beta": "2026-01-03T06:01:00Z",
    }


def test_the_page_says_when_each_kind_was_judged(store: Store) -> None:
    _told(store, servers(1))
    alone = render(report_on(store), "html").decode()
    assert "as seen" not in alone
    assert "It speaks of the time of the run, of no other." in alone
    _told(store, buckets(2), servers(3))
    page = render(report_on(store), "html").decode()
    time = '<time datetime="2026-01-02T06:01:00Z">2 January 2026, 06:01 UTC</time>'
    assert f"2 S3 buckets as seen at {time}." in page
    assert "It speaks of the times named here, of no other." in page


def test_an_older_report_shows_what_was_known_then(store: Store) -> None:
    told = _told(store, buckets(1), servers(2), servers(3), buckets(4), run=run_id(2))
    assert told["s3://acme"] == "2026-01-01T06:01:00Z"


def _site(number: int, playbook: str, control_id: str, status: str = "pass", **more: Any) -> Any:
    facts = {"kind": "site", "client": "acme"}
    row = host("site:acme/shop", result(control_id, status), host=facts, **more)
    return run_document([row], number, playbook=playbook)


def test_what_several_playbooks_judge_of_one_thing_is_told_together(store: Store) -> None:
    _told(
        store,
        servers(1),
        _site(2, "site_audit.yml", "site_addresses", "fail"),
        _site(3, "site_audit.yml", "site_addresses"),
        _site(4, "site_second_factor_audit.yml", "site_factor", "fail"),
    )
    report = report_on(store)
    (site,) = [one for one in report.hosts if one.kind == "site"]
    assert site.collected == "2026-01-03T06:01:00Z"
    assert {one.id: one.outcome for one in report.controls} == {
        "site_factor": "fail",
        "site_addresses": "pass",
        "ssh_banner": "pass",
    }


def test_one_of_them_that_could_not_look_is_not_hidden_by_the_other(store: Store) -> None:
    broken = _site(2, "site_audit.yml", "site_addresses")
    broken["hosts"][0] |= {"state": "error", "message": "no answer", "results": []}
    _told(store, servers(1), broken, _site(3, "site_second_factor_audit.yml", "site_factor"))
    (site,) = [one for one in report_on(store).hosts if one.kind == "site"]
    assert (site.state, site.message) == ("error", "no answer")


def test_a_trial_of_buckets_proves_nothing(store: Store) -> None:
    assert set(_told(store, servers(1), buckets(2, mode="check"))) == {"web1"}


def test_the_latest_run_is_one_of_servers_and_is_compared_with_one(store: Store) -> None:
    for document in (servers(1), servers(2), buckets(3)):
        store.ingest(document, CATALOGUE)
    report = report_on(store, compare="previous")
    assert report.run.id == run_id(2)
    assert report.comparison is not None
    assert report.comparison.before.id == run_id(1)


def test_a_run_of_buckets_is_reported_alone_where_it_is_named(store: Store) -> None:
    assert set(_told(store, servers(1), buckets(2), run=run_id(2))) == {"s3://acme", "s3://beta"}


def test_a_client_sees_its_own_bucket_only(store: Store) -> None:
    scope = Scope("Acme", frozenset({"web1"}), frozenset({"s3://beta"}), "acme")
    assert set(_told(store, servers(1), buckets(2), scope=scope)) == {"web1", "s3://acme"}


def test_what_is_no_server_is_called_by_its_name(store: Store) -> None:
    for document in (servers(1), buckets(2)):
        store.ingest(document, CATALOGUE)
    report = report_on(store)
    assert report.title == "Security of 1 host and 2 S3 buckets"
    page = render(report, "html").decode()
    assert "checked controls pass, over 1 host and 2 S3 buckets" in page
    assert "Lock it." in page
    assert '"aws_lock"]' not in page  # no apply mends a bucket's control


def test_what_a_run_judged_is_kept_with_it_and_older_runs_are_of_servers(store: Store) -> None:
    for document in (servers(1), buckets(2)):
        store.ingest(document, CATALOGUE)
    assert [run.kinds for run in store.runs()] == [("host",), ("bucket",)]
    assert not store.verify().findings


def test_a_look_at_a_part_does_not_hide_the_rest(store: Store) -> None:
    part = buckets(3, "pass", limit="backup_clients=acme")
    part["hosts"] = [one for one in part["hosts"] if one["name"] == "s3://acme"]
    told = _told(store, servers(1), buckets(2), part)
    assert told == {
        "web1": "",
        "s3://acme": "2026-01-03T06:01:00Z",
        "s3://beta": "2026-01-02T06:01:00Z",
    }
    assert [one.failing for one in report_on(store).hosts if one.name == "s3://beta"] == [
        ("aws_lock",)
    ]


def test_what_is_looked_at_no_more_goes_with_the_next_whole_look(store: Store) -> None:
    rest = buckets(3)
    rest["hosts"] = [one for one in rest["hosts"] if one["name"] == "s3://acme"]
    assert set(_told(store, servers(1), buckets(2), rest)) == {"web1", "s3://acme"}


def test_the_newest_word_of_a_playbook_outweighs_its_trouble_of_before(store: Store) -> None:
    broken = buckets(2)
    for one in broken["hosts"]:
        one |= {"state": "error", "message": "no answer", "results": []}
    part = buckets(3, "pass", limit="web*")
    part["hosts"] = [one for one in part["hosts"] if one["name"] == "s3://acme"]
    _told(store, servers(1), broken, part)
    states = {one.name: one.state for one in report_on(store).hosts}
    assert states == {"web1": "ok", "s3://acme": "ok", "s3://beta": "error"}


@pytest.mark.parametrize(
    ("finished", "seen", "now"),
    [
        ("2026-02-01T06:01:00Z", "pass", "pass"),
        ("2026-02-02T06:01:00Z", "pass", "error"),
        ("2026-02-02T06:01:00Z", "not_applicable", "error"),
        ("2026-02-02T06:01:00Z", "fail", "fail"),
    ],
)
def test_what_held_long_ago_is_not_known_to_hold(
    store: Store, finished: str, seen: str, now: str
) -> None:
    late = servers(2)
    late["run"] |= {"started": finished.replace("06:01", "06:00"), "finished": finished}
    _told(store, buckets(1, seen), late)
    (lock,) = [one for one in report_on(store).controls if one.id == "aws_lock"]
    assert lock.outcome == now
    assert lock.score.passed == (2 if now == "pass" else 0)
    if now == "error":
        assert lock.groups[0].message.startswith("last looked at on 2026-01-01, when it was:")
