# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was banned is in a report, as the newest entry of the evidence before it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ringfence.evidence import Store
from ringfence.report import Report, Scope
from ringfence.report.html import render_for_paper
from ringfence.report.source import render, report_on

from .fleet import catalogue, control, host, result, run_document, run_id

CATALOGUE = catalogue(control("ssh_banner"))
ACME = Scope("Acme", frozenset({"web1"}), frozenset({"beta", "web2", "web3"}), "acme")


def servers(number: int, *names: str) -> dict[str, Any]:
    rows = [host(name, result("ssh_banner", "pass")) for name in names or ("web1", "web2", "web3")]
    return run_document(rows, number)


def ban(subject: str, site: str = "acme/shop", **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "kind": "address", "subject": subject, "site": site, "reason": "scans for holes",
        "rule": "ringfence-exploits-1", "source": "web1", "failures": 3, "seconds": 7200,
        "since": "2026-01-01T12:00:00Z", "until": "2026-01-01T14:00:00Z", "state": "over",
        "lifted": "", "why": "",
    }  # fmt: skip
    return {**known, **more}


def look(number: int, *, days: int = 30, **hosts: Any) -> dict[str, Any]:
    """A look at the bans on a day: rows by host; a text is why it said nothing."""
    targets = []
    for name, rows in hosts.items():
        bad = isinstance(rows, str)
        documents = [] if bad else [{"days": days, "rows": list(rows), "set_up": bool(rows)}]
        targets.append(
            {"name": name, "state": "unreachable" if bad else "ok", "message": rows if bad else "",
             "documents": documents}
        )  # fmt: skip
    run = {
        "id": run_id(100 + number), "playbook": "bans_list.yml", "mode": "audit",
        "started": f"2026-01-{number:02d}T07:00:00Z", "finished": f"2026-01-{number:02d}T07:00:09Z",
        "operator": "alice", "controller": "ctl1.example", "interrupted": False,
        "ansible_core": "2.19.14", "ringfence": "0.1.0",
    }  # fmt: skip
    return {"schema": 1, "kind": "bans", "run": run, "targets": targets}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Store.url_in(tmp_path))


def _report(store: Store, *documents: dict[str, Any], **more: Any) -> Report:
    for document in documents:
        store.ingest(document, CATALOGUE)
    return report_on(store, **more)


FIRST = look(
    2,
    web1=[
        ban("198.51.100.9"),
        ban("198.51.100.9", since="2026-01-01T15:00:00Z", state="in force", seconds=5400),
        ban("dana", kind="user", state="lifted", lifted="2026-01-01T12:30:00Z", why="phoned"),
        ban("203.0.113.7", "", reason="bad sign-ins to SSH"),
        ban("203.0.113.8", "beta/blog"),
    ],
    web2="no route to host",
)


def test_without_such_an_entry_there_is_no_such_section(store: Store) -> None:
    report = _report(store, servers(1))
    assert report.bans is None
    assert b'id="bans"' not in render(report, "html")


def test_bans_are_told_by_host_and_client_the_newest_first(store: Store) -> None:
    report = _report(store, servers(1), FIRST)
    bans = report.bans
    assert bans is not None
    assert (bans.days, bans.collected) == (30, "2026-01-02T07:00:09Z")
    entry = store.collections("bans")[0]
    assert (bans.seq, bans.hash) == (entry["seq"], entry["hash"])
    counted = [(one.client, one.bans, one.addresses, one.users, one.in_force) for one in bans.hosts]
    assert counted == [("", 1, 1, 0, 0), ("acme", 3, 1, 1, 1), ("beta", 1, 1, 0, 0)]
    assert bans.rows[0].state == "in force"
    assert len(bans.rows) == 5
    text = render(report, "html").decode()
    for part in ("198.51.100.9", "90 min", "2 h", "phoned", "in the 30 days before", "1 host told"):
        assert part in text, part
    told = json.loads(render(report, "json"))["bans"]
    assert told["rows"][0] == {
        **ban("198.51.100.9", since="2026-01-01T15:00:00Z", state="in force", seconds=5400),
        "host": "web1", "client": "acme",
    }  # fmt: skip


def test_hosts_that_did_not_tell_are_named_and_those_without_bans(store: Store) -> None:
    report = _report(store, servers(1), look(2, web1=[], web2="no route to host"))
    assert report.bans is not None
    assert report.bans.without == ("web1",)
    assert report.bans.not_asked == (
        ("web2", "unreachable", "no route to host"), ("web3", "not_asked", ""),
    )  # fmt: skip
    text = render(report, "html").decode()
    assert "Nothing is known of the bans of 2 hosts" in text
    assert "No ban is on record there." in text
    assert "Bans are not set up on web1." in text


def test_where_nobody_told_nothing_is_said_to_be_without_bans(store: Store) -> None:
    text = render(_report(store, servers(1), look(2, web1="no route")), "html").decode()
    assert "No ban is on record" not in text
    assert "Nothing is known of the bans of 3 hosts" in text


def test_the_newest_look_counts_and_an_older_report_shows_what_was_known_then(store: Store) -> None:
    documents = (servers(1), FIRST, servers(3), look(4, web1=[ban("192.0.2.1")]))
    assert [row.subject for row in _report(store, *documents).bans.rows] == ["192.0.2.1"]  # type: ignore[union-attr]
    older = report_on(store, run_id(1)).bans
    assert older is not None
    assert len(older.rows) == 5


def test_a_client_sees_the_bans_of_its_own_sites_and_no_other_host(store: Store) -> None:
    report = _report(store, servers(1), FIRST, scope=ACME)
    assert report.bans is not None
    assert {row.site for row in report.bans.rows} == {"acme/shop"}
    assert {row.host for row in report.bans.hosts} == {"web1"}
    assert report.bans.not_asked == ()
    for form in ("html", "json"):
        text = render(report, form).decode()
        for foreign in ("203.0.113.7", "203.0.113.8", "beta", "web2", "web3"):
            assert foreign not in text, (form, foreign)


def test_what_names_another_client_is_withheld(store: Store) -> None:
    rows = [ban("dana", kind="user", state="lifted", why="asked by beta", source="web2")]
    report = _report(store, servers(1), look(2, web1=rows), scope=ACME)
    assert report.bans is not None
    assert report.bans.rows[0].why == report.bans.rows[0].source
    assert "withheld" in report.bans.rows[0].why


def test_a_scope_without_a_client_sees_none(store: Store) -> None:
    scope = Scope("Some hosts", frozenset({"web1"}))
    assert _report(store, servers(1), FIRST, scope=scope).bans is None


@pytest.mark.parametrize("key", ["subject", "reason", "why", "source", "state", "since", "lifted"])
def test_what_attackers_wrote_is_text(store: Store, key: str) -> None:
    attack = "<script>window.pwned=1</script>\u202e\x1b"
    row = ban("x", lifted="2026-01-01T12:30:00Z", why="y") | {key: attack}
    report = _report(store, servers(1), look(2, web1=[row]))
    for text in (render(report, "html").decode(), render_for_paper(report)):
        assert "<script>window" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "&lt;script&gt;window" in text


def test_a_page_shows_the_newest_and_says_how_many_there_are(store: Store) -> None:
    rows = [ban(f"192.0.2.{n % 250}", since=f"2026-01-01T12:{n // 60:02d}:{n % 60:02d}Z")
            for n in range(700)]  # fmt: skip
    report = _report(store, servers(1), look(2, web1=rows))
    text = render(report, "html").decode()
    assert "The newest 500 of 700; the JSON report has all" in text
    assert text.count("scans for holes") == 500
    assert len(json.loads(render(report, "json"))["bans"]["rows"]) == 700
