# SPDX-License-Identifier: GPL-3.0-or-later
"""Who agrees with whom; and that the answers are of controls and findings that there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.hosts.judges import ledger
from tests.hosts.judges.verdicts import JUDGES, LYNIS, Verdict

ROOT = Path(__file__).resolve().parents[3]
ANSWERS = """
both: {about: a thing, controls: [ours]}
two: {about: a thing, controls: [ours, theirs]}
explained: {about: a thing, controls: [ours], judge_alone: It is so., ours_alone: And so.}
left: {about: a thing, unanswered: Nobody needs it.}
"""
CONTROLS = {
    row["id"]
    for path in (ROOT / "controls").glob("*.yml")
    for row in yaml.safe_load(path.read_text(encoding="utf-8"))
}
RESULTS = json.loads((ledger.FOLDER / "results.json").read_text(encoding="utf-8"))["hosts"]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "lynis.yml").write_text(ANSWERS, encoding="utf-8")
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    ledger.load.cache_clear()
    yield
    ledger.load.cache_clear()


def row(finding: str, judged: str, **statuses: str) -> ledger.Row:
    lists = {"found": ((finding,), ()), "passed": ((), (finding,))}
    verdict = Verdict(LYNIS, "3", {}, *lists[judged])
    return next(
        found
        for found in ledger.compare(verdict, {"ours": "pass", "theirs": "pass", **statuses})
        if found.finding == finding
    )


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize(
    ("judged", "status", "ours", "agreed"),
    [
        ("passed", "pass", "pass", True),
        ("passed", "not_applicable", "not applicable", True),
        ("passed", "fail", "fail", False),
        ("passed", "error", "fail", False),
        ("found", "fail", "fail", True),
        ("found", "manual", "fail", True),
        ("found", "waived", "fail", True),
        ("found", "error", "fail", True),
        ("found", "pass", "pass", False),
        ("found", "not_applicable", "not applicable", False),
    ],
)
def test_a_disagreement_without_a_reason_is_silent(
    judged: str, status: str, ours: str, agreed: bool
) -> None:
    plain, explained = row("both", judged, ours=status), row("explained", judged, ours=status)

    assert (plain.ours, plain.agreed, plain.silent) == (ours, agreed, not agreed)
    assert not explained.silent
    assert bool(explained.reason) == (not agreed)


@pytest.mark.usefixtures("answers")
def test_one_control_that_fails_is_enough() -> None:
    assert row("two", "found", ours="pass", theirs="fail").agreed


@pytest.mark.usefixtures("answers")
def test_a_finding_that_nobody_of_ours_asks_has_its_reason() -> None:
    assert row("left", "found").reason == "Nobody needs it."
    assert not row("left", "found").silent


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("finding", ["new", "both/detail", "lefty", "left_behind", "*"])
def test_a_finding_of_an_id_that_is_not_listed_is_silent(finding: str) -> None:
    assert row(finding, "found").silent


@pytest.mark.usefixtures("answers")
def test_what_the_judge_did_not_ask_is_no_row() -> None:
    statuses = {"ours": "pass", "theirs": "pass"}
    assert ledger.compare(Verdict(LYNIS, "3", {}, (), ()), statuses) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x: {controls: [ours]}", "expected about"),
        ("x: {about: a, control: [ours]}", "expected about"),
        ("x: {about: a, controls: ours}", "expected a list"),
        ("x: {about: a}", "either controls or unanswered"),
        ("x: {about: a, controls: [ours], unanswered: b}", "either controls or unanswered"),
    ],
)
def test_an_entry_that_is_none_is_refused(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lynis.yml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    ledger.load.cache_clear()
    with pytest.raises(ValueError, match=f"lynis.yml: x: .*{words}"):
        ledger.load(LYNIS)
    ledger.load.cache_clear()


# -- the answers themselves -----------------------------------------------------------


def test_answers_name_controls_that_there_are() -> None:
    named = {name for _judge, _id, entry in ledger.every_entry() for name in entry.controls}
    assert named <= CONTROLS


@pytest.mark.parametrize("judge", JUDGES)
def test_no_answer_speaks_for_more_than_one_id(judge: str) -> None:
    assert [name for name in ledger.load(judge) if "*" in name] == []


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("host", RESULTS)
def test_every_finding_that_was_measured_is_listed(host: str, judge: str) -> None:
    found = {name for state in RESULTS[host].values() for name in state[judge]["findings"]}
    assert found - set(ledger.load(judge)) == set()


def test_nothing_is_left_unanswered_that_nobody_found() -> None:
    # What depends on the machine that runs the hosts: its name servers, files that are in use.
    elsewhere = {(LYNIS, "NETW-2705"), (LYNIS, "LOGG-2190")}
    found = {
        (judge, name)
        for host in RESULTS.values()
        for state in host.values()
        for judge in JUDGES
        for name in state[judge]["findings"]
    }
    kept = {(judge, name) for judge, name, entry in ledger.every_entry() if entry.unanswered}
    assert kept - found - elsewhere == set()
