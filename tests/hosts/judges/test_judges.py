# SPDX-License-Identifier: GPL-3.0-or-later
"""Lynis, OpenSCAP and ssh-audit judge hosts before and after `apply.yml`; nothing goes unsaid.

Each finding that remains has its answer in lynis.yml, openscap.yml or ssh_audit.yml, and where a
judge and our own audit differ about one host in one state, in either direction, the reason is
there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.fleet import Fleet
from tests.hosts.judges import ledger
from tests.hosts.judges.session import Session, judge_fleet
from tests.hosts.judges.verdicts import JUDGES, LYNIS, OPENSCAP, SSH_AUDIT

pytestmark = pytest.mark.hosts

HOSTS = {"bookworm": "bookworm", "trixie": "trixie"}
STATES = ("before", "after")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Fleet(f"judges-{os.getpid()}", HOSTS) as fleet:
        yield judge_fleet(fleet, tmp_path_factory.mktemp("judges"))


def test_the_baseline_was_applied(session: Session) -> None:
    done = session.applied["after"]
    assert done.returncode == 0, done.output[-3000:]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("host", HOSTS)
def test_no_finding_and_no_disagreement_goes_unsaid(
    session: Session, host: str, judge: str, state: str
) -> None:
    rows = ledger.compare(session.verdict(state, host, judge), session.statuses(state, host))

    silent = [f"{row.finding}: judge {row.judged}, ours {row.ours}" for row in rows if row.silent]
    assert not silent


@pytest.mark.parametrize("host", HOSTS)
def test_an_unhardened_host_fails_by_both(session: Session, host: str) -> None:
    for judge in JUDGES:
        rows = ledger.compare(
            session.verdict("before", host, judge), session.statuses("before", host)
        )
        assert [row for row in rows if row.agreed and row.judged == "found"], judge


@pytest.mark.parametrize("host", HOSTS)
def test_every_judge_is_better_pleased_after(session: Session, host: str) -> None:
    def score(judge: str, name: str) -> tuple[int, int]:
        before, after = (session.verdict(state, host, judge).score[name] for state in STATES)
        return before, after

    before, after = score(LYNIS, "hardening index")
    assert after > before
    before, after = score(OPENSCAP, "passed")
    assert after > before
    before, after = score(SSH_AUDIT, "findings")
    assert after < before


@pytest.mark.parametrize("host", HOSTS)
def test_no_host_is_worse_than_the_committed_figures_say(session: Session, host: str) -> None:
    known = json.loads((ledger.FOLDER / "results.json").read_text(encoding="utf-8"))
    row = known["hosts"][host]["after"]

    assert (
        session.verdict("after", host, LYNIS).score["hardening index"]
        >= row[LYNIS]["score"]["hardening index"]
    )
    assert set(session.verdict("after", host, SSH_AUDIT).findings) <= set(
        row[SSH_AUDIT]["findings"]
    )
