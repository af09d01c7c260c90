# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of decisions: the last word counts, all or nothing, and a torn line is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ringfence.access_review.draft import Draft, RefusedError
from ringfence.access_review.model import Decision, counts
from ringfence.errors import BadInputError
from tests.unit.ringfence.access.fleet import clean_rows

from .desk import AT, a_draft, named

KEEP = Decision("keep", "ben", AT)
REVOKE = Decision("revoke", "ben", AT, "contract ends")


def test_two_processes_see_each_others_decisions(tmp_path: Path) -> None:
    mine = a_draft(tmp_path, clean_rows())
    name = named(mine.review, "care_sam")
    theirs = Draft(tmp_path, mine.review)
    mine.decide({name: KEEP})
    assert theirs.decisions == {name: KEEP}
    theirs.decide({name: REVOKE})
    assert mine.decisions == {name: REVOKE}
    assert counts(mine.review, mine.decisions) == {
        "rows": 8, "keep": 0, "modify": 0, "revoke": 1, "defer": 0, "pending": 7,
    }  # fmt: skip
    theirs.take_back([name], "ben", AT)
    assert mine.decisions == {}
    assert (mine.path.stat().st_mode & 0o777) == 0o600


@pytest.mark.parametrize("bad", ["0" * 16, "ben", "ada"])
def test_nothing_is_written_where_one_is_refused(tmp_path: Path, bad: str) -> None:
    mine = a_draft(tmp_path, clean_rows())
    first = named(mine.review, "care_sam")
    names = [one for one in mine.review.rows if mine.review.rows[one]["username"] == bad] or [bad]
    with pytest.raises(RefusedError) as refused:
        mine.decide({first: KEEP, names[0]: KEEP})
    assert set(refused.value.problems) == {names[0]}
    assert not mine.path.exists()


def test_a_line_that_was_cut_short_is_none(tmp_path: Path) -> None:
    mine = a_draft(tmp_path, clean_rows())
    name = named(mine.review, "care_sam")
    mine.decide({name: KEEP})
    with mine.path.open("ab") as file:
        file.write(b'[{"decision":"revoke","rows":["')
    again = Draft(tmp_path, mine.review)
    assert again.decisions == {name: KEEP}
    again.decide({name: REVOKE})
    assert Draft(tmp_path, mine.review).decisions == {name: REVOKE}


@pytest.mark.parametrize("text", ["{}\n", "nonsense\n", '[{"rows":["a"],"decision":"keep"}]\n'])
def test_a_journal_of_somebody_else_is_refused(tmp_path: Path, text: str) -> None:
    mine = a_draft(tmp_path, clean_rows())
    mine.path.write_text(text)
    with pytest.raises(BadInputError, match="is not as it was written"):
        _ = mine.decisions


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    mine = a_draft(tmp_path / "reviews", clean_rows())
    mine.path.parent.mkdir()
    os.symlink(tmp_path / "elsewhere", mine.path)
    with pytest.raises(BadInputError, match="cannot be written"):
        mine.decide({named(mine.review, "care_sam"): KEEP})
    assert not (tmp_path / "elsewhere").exists()
