# SPDX-License-Identifier: GPL-3.0-or-later
"""A revoke closes by a later collection that read the source and no longer sees the access."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ringfence.access import documents, judges
from ringfence.access.model import shape
from ringfence.access_review import follow_up
from ringfence.evidence import Store, StoreError
from tests.unit.ringfence.access.fleet import a_case, a_register, clean_rows

from .desk import ACME, AT, LATER, collected, opening, signed

ROWS = clean_rows()
GONE = [row for row in ROWS if row["username"] != "care_sam"]
BLOCKED = [{**row, "flags": ["locked"]} if row["username"] == "care_sam" else row for row in ROWS]
LESS = [{**row, "roles": ["few"]} if row["username"] == "care_sam" else row for row in ROWS]
FAILED = [shape.coverage("authorized_keys", "failed", "unreadable")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Store.url_in(tmp_path))


@pytest.mark.parametrize(
    ("decision", "rows", "more", "state"),
    [
        ("revoke", ROWS, {}, "seen"),
        ("revoke", GONE, {}, "gone"),
        ("revoke", BLOCKED, {}, "gone"),
        ("revoke", LESS, {}, "seen"),
        ("revoke", GONE, {"covered": FAILED}, "not_told"),
        ("revoke", ROWS, {"covered": FAILED}, "seen"),
        ("revoke", GONE, {"finished": "2026-06-02T08:00:00Z"}, "not_told"),
        ("modify", ROWS, {}, "seen"),
        ("modify", LESS, {}, "gone"),
        ("modify", GONE, {}, "gone"),
    ],
)  # fmt: skip
def test_what_became_of_it(
    store: Store, decision: str, rows: list[dict[str, Any]], more: dict[str, Any], state: str
) -> None:
    steps = signed(store, ROWS, care_sam=decision)
    store.ingest(collected(rows, 2, **{"finished": LATER, **more}))
    (item,) = follow_up.items(store, steps, follow_up.latest(store))
    assert (item.row["username"], item.state) == ("care_sam", state)


def test_a_host_that_was_not_reached_proves_nothing(store: Store) -> None:
    steps = signed(store, ROWS, care_sam="revoke")
    found = collected([], 2, LATER)
    found["targets"][0] |= {"state": "unreachable", "documents": []}
    store.ingest(found)
    (item,) = follow_up.items(store, steps, follow_up.latest(store))
    assert item.state == "not_told"
    found = collected([], 3, "2026-06-21T09:00:00Z")
    found["targets"] = []
    store.ingest(found)
    (item,) = follow_up.items(store, steps, follow_up.latest(store))
    assert item.state == "not_told"


@pytest.mark.parametrize(
    ("rows", "today", "statuses"),
    [
        (ROWS, date(2026, 6, 9), []),
        (ROWS, date(2026, 6, 10), ["fail"]),
        (GONE, date(2026, 6, 30), []),
    ],
)
def test_overdue_revokes_are_findings(
    store: Store, rows: list[dict[str, Any]], today: date, statuses: list[str]
) -> None:
    signed(store, ROWS, care_sam="revoke")
    store.ingest(collected(rows, 2, LATER))
    now = follow_up.latest(store)
    assert now is not None
    case = a_case(now, a_register())
    case.revokes, case.today = follow_up.revokes(store, now), today
    found = [one for one in judges.judge(case) if one.control == "access_revoke_overdue"]
    assert [one.status for one in found] == statuses
    assert all("care_sam on web1 was revoked 8 days ago" in one.message for one in found)


def test_a_revoke_that_nobody_looked_for_is_no_pass(store: Store) -> None:
    signed(store, ROWS, care_sam="revoke")
    now = documents.population(collected(ROWS))
    case = a_case(now, a_register())
    case.revokes, case.today = follow_up.revokes(store, now), date(2026, 6, 30)
    found = [one for one in judges.judge(case) if one.control == "access_revoke_overdue"]
    assert [one.status for one in found] == ["error"]


def test_without_a_signed_review_nothing_was_judged(store: Store) -> None:
    now = documents.population(collected(ROWS))
    assert follow_up.revokes(store, now) is None
    store.append_review(opening(ROWS))
    assert follow_up.revokes(store, now) is None
    signed_store = follow_up.known(store)
    assert [one.state for one in signed_store] == ["opened"]


def test_each_client_has_its_own_review(store: Store) -> None:
    store.append_review(opening(ROWS, scope=ACME, name="01KR0000000000000000000002"))
    store.append_review(opening(ROWS))
    assert follow_up.find(store, None, "acme", ("opened",)).id.endswith("2")
    assert follow_up.find(store, None, "", ("opened",)).id.endswith("1")
    assert follow_up.before(store, "acme") is None


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs OpenSSH")
def test_steps_are_signed_links_of_the_chain_and_there_once(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    store = Store(Store.url_in(tmp_path), key)
    signed(store, ROWS, care_sam="revoke")
    with pytest.raises(StoreError, match="is on record already"):
        store.append_review(opening(ROWS))
    signers = tmp_path / "signers"
    signers.write_text(f"ada@agency.example {key.with_suffix('.pub').read_text()}")
    found = store.verify(signers)
    assert found.ok
    assert found.signed == {"ada@agency.example": 2}
    assert all(one["signed"] for one in store.reviews())


def _edit(statement: str) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        import sqlite3

        with sqlite3.connect(path) as connection:
            connection.execute("DROP TRIGGER entries_no_update")
            connection.execute("DROP TRIGGER bodies_no_update")
            connection.execute(statement)

    return act


@pytest.mark.parametrize(
    "act",
    [
        _edit("UPDATE entries SET summary = replace(summary, '\"revoke\":1', '\"revoke\":0')"),
        _edit("UPDATE bodies SET body = (SELECT body FROM bodies WHERE seq = 1) WHERE seq = 2"),
    ],
)
def test_a_changed_sign_off_betrays_itself(tmp_path: Path, act: Callable[[Path], None]) -> None:
    store = Store(Store.url_in(tmp_path))
    signed(store, ROWS, care_sam="revoke")
    assert store.verify().ok
    act(tmp_path / "ringfence.sqlite")
    assert not Store(Store.url_in(tmp_path)).verify().ok
    assert AT
