# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/judges.md is what the figures and the answers say, and explains what it shows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import judges  # noqa: E402


def test_the_page_has_not_drifted() -> None:
    assert judges.PAGE.read_text(encoding="utf-8") == judges.page(), "run tools/judges.py docs"


@pytest.mark.parametrize("table", ["scores", "agreement", *judges.JUDGES])
def test_the_page_has_a_place_for_each_table(table: str) -> None:
    page = judges.PAGE.read_text(encoding="utf-8")
    assert 0 < page.find(f"<!-- begin {table} -->") < page.find(f"<!-- end {table} -->")


def test_nothing_on_the_page_is_unexplained() -> None:
    assert "UNEXPLAINED" not in judges.page()


def test_check_tells_of_a_stale_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "docs" / "judges.md"
    stale.parent.mkdir()
    stale.write_text("<!-- begin scores -->\nold\n<!-- end scores -->\n", encoding="utf-8")
    monkeypatch.setattr(judges, "ROOT", tmp_path)
    monkeypatch.setattr(judges, "PAGE", stale)

    assert judges.main(["docs", "--check"]) == 1
    assert "docs/judges.md: stale" in capsys.readouterr().out
    assert judges.main(["docs"]) == 0
    assert judges.main(["docs", "--check"]) == 0


def test_a_state_that_was_not_measured_says_so() -> None:
    before = {
        judge: {
            "judge": judge,
            "version": "1",
            "score": {"findings": 7},
            "findings": [],
            "passed": [],
        }
        for judge in judges.JUDGES
    }
    rows = list(judges._scores({"machine": {"before": before}}))

    row = "| Lynis | Debian 12, virtual machine | 1 | findings | 7 | not measured | not measured |"
    assert row in rows
    assert len(list(judges._agreement({"machine": {"before": before}}))) == 2  # the heading alone
