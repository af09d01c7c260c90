# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever locks the operator out, the host answers again by itself, as it was before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hosts.guard.conftest import CASES, Outcomes
from tests.hosts.guard.matrix import Outcome

pytestmark = pytest.mark.hosts

FIGURES = Path(__file__).resolve().parents[3] / "build" / "guard_faults.json"


def test_the_fault_locks_us_out_and_the_host_answers_again(outcome: Outcome) -> None:
    assert outcome.happened, "the fault did not come into force, so nothing was shown"
    assert outcome.answered is not None, outcome.run.output
    assert outcome.answered <= outcome.guard_seconds + outcome.slack


def test_all_is_as_before(outcome: Outcome) -> None:
    assert outcome.after == outcome.before
    assert outcome.left_over == ""
    assert outcome.record["outcome"] == "restored"
    assert outcome.record["errors"] == []


def test_one_line_says_what_was_put_back(outcome: Outcome) -> None:
    assert outcome.run.returncode != 0
    told = outcome.run if outcome.fault.tells else outcome.next_run
    lines = [line for line in told.output.splitlines() if outcome.record["summary"] in line]
    lines = [line for line in lines if line.startswith(("[ERROR]", "[WARNING]"))]
    assert len(lines) == 1, told.output
    assert outcome.fault.says in lines[0]


def test_the_next_run_works_and_hears_it_once(outcome: Outcome) -> None:
    assert outcome.next_run.returncode == 0, outcome.next_run.output
    assert ("was put back at" in outcome.next_run.output) == (not outcome.fault.tells)


def test_the_figures_are_written(outcomes: Outcomes) -> None:
    rows = [
        {
            "fault": found.fault.title,
            "release": found.release,
            "put back": found.record.get("why", "").split(" (")[0],
            "answers": found.answered,
            "shut": found.outage,
            "guard": found.guard_seconds,
        }
        for case in CASES
        if isinstance(found := outcomes.get(case), Outcome)
    ]
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    assert len(rows) == len(outcomes)
