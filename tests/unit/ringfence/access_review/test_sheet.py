# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSV file goes out and comes back; what was changed beside the decisions is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringfence.access_review import sheet
from ringfence.access_review.model import Decision, Review
from ringfence.errors import BadInputError
from tests.unit.ringfence.access.fleet import clean_rows
from tests.unit.ringfence.access.test_report import HOSTILE, hostile_rows

from .desk import AT, a_review, keeps, named

Lines = list[dict[str, str]]
REASON = "=cmd, \"said\" 'so'"


def filled(
    path: Path, review: Review, act: Callable[[Lines], Any], known: Any = None, **form: Any
) -> Path:
    """The exported file, after somebody worked on it."""
    lines = list(csv.DictReader(io.StringIO(sheet.render(review, known or {}))))
    act(lines)
    with path.open("w", newline="", encoding=form.pop("encoding", "utf-8")) as file:
        writer = csv.DictWriter(file, form.pop("header", sheet.HEADER), **form)
        writer.writeheader()
        writer.writerows(lines)
    return path


def of(lines: Lines, username: str) -> dict[str, str]:
    (found,) = [line for line in lines if line["username"] == username]
    return found


def set_(username: str, /, **cells: str) -> Callable[[Lines], Any]:
    return lambda lines: of(lines, username).update(cells)


@pytest.mark.parametrize("form", [{}, {"encoding": "utf-8-sig"}, {"delimiter": ";"}])
def test_it_goes_out_and_comes_back(tmp_path: Path, form: dict[str, Any]) -> None:
    review = a_review(hostile_rows())
    act = set_("care_sam", decision=" Revoke ", reason=REASON, ticket="OPS-1")
    path = filled(tmp_path / "r.csv", review, act, **form)
    found = sheet.read(path, review, {}, "ben", AT)
    name = named(review, "care_sam")
    assert found == {name: Decision("revoke", "ben", AT, REASON, "OPS-1")}
    # out again, with the decision in it: it stays whose it is, and no cell is a formula
    text = sheet.render(review, found)
    cells = [cell for line in csv.reader(io.StringIO(text)) for cell in line]
    assert not [one for one in cells if one.lstrip(" ").startswith(("=", "+", "-", "@", "\t"))]
    path.write_text(text)
    assert sheet.read(path, review, found, "ada", AT) == {}


def test_a_part_in_another_order_is_enough(tmp_path: Path) -> None:
    review = a_review(clean_rows())

    def act(lines: Lines) -> None:
        lines.reverse()
        del lines[:5]
        for line in lines:
            line["decision"] = "keep"

    found = sheet.read(filled(tmp_path / "r.csv", review, act), review, {}, "zoe", AT)
    assert len(found) == 3


def test_a_spreadsheet_may_drop_the_quote_that_kept_a_formula_text(tmp_path: Path) -> None:
    review = a_review(hostile_rows())
    act = set_("'=1+1", username="=1+1", decision="revoke", reason="who is that")
    assert len(sheet.read(filled(tmp_path / "r.csv", review, act), review, {}, "ben", AT)) == 1


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (set_("care_sam", id="0123456789abcdef"), "line 4: id: expected an access of this review"),
        (set_("care_sam", username="root"), "line 4: username: was changed; expected 'care_sam'"),
        (set_("care_sam", privileged="yes"), "line 4: privileged: was changed; expected 'no'"),
        (set_("care_sam", findings="none"), "line 4: findings: was changed"),
        (set_("care_sam", decision="perhaps"), "line 4: decision: expected one of keep, modify"),
        (set_("care_sam", decision="revoke"), "line 4: decision: revoke needs a reason"),
        (set_("ben", decision="keep"), "decision: ben would review their own access"),
        (set_("ada", decision="keep"), "decision: ben granted this access"),
        (lambda lines: lines.append(lines[2]), "line 10: id: .* stands in line 4 already"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, act: Callable[[Lines], Any], problem: str) -> None:
    rows = [one for one in clean_rows() if one["username"] != "ben" or one["system"] != "cms"]
    review = a_review([*rows, clean_rows()[4] | {"username": "other", "account_id": "9"}])
    path = filled(tmp_path / "r.csv", review, act)
    with pytest.raises(BadInputError, match=problem) as refused:
        sheet.read(path, review, {}, "ben", AT)
    assert str(refused.value).startswith(f"{path}: line ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "line 1: expected the columns .*: 'system'|system is missing"),
        (b"system,client\r\n", "line 1: expected the columns .*account_id is missing"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b'"', "is no CSV"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: bytes, problem: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(text)
    with pytest.raises(BadInputError, match=problem):
        sheet.read(path, a_review(clean_rows()), {}, "ben", AT)
    with pytest.raises(BadInputError, match="No such file"):
        sheet.read(tmp_path / "none.csv", a_review(clean_rows()), {}, "ben", AT)


def test_columns_in_another_order_and_short_lines(tmp_path: Path) -> None:
    review = a_review(clean_rows())
    other = (*sheet.HEADER[1:], sheet.HEADER[0])
    path = filled(tmp_path / "r.csv", review, lambda _lines: None, header=other)
    with pytest.raises(BadInputError, match="their order is another"):
        sheet.read(path, review, {}, "ben", AT)
    path.write_text(f"{','.join(sheet.HEADER)}\r\na,b\r\n")
    with pytest.raises(BadInputError, match="line 2: expected 40 cells, found 2"):
        sheet.read(path, review, {}, "ben", AT)


def test_a_row_that_another_has_decided_stays_theirs(tmp_path: Path) -> None:
    review = a_review(clean_rows())
    known = keeps(review)
    path = filled(tmp_path / "r.csv", review, set_("root", decision="defer"), known)
    found = sheet.read(path, review, known, "zoe", AT)
    assert found == {named(review, "root"): Decision("defer", "zoe", AT, "needed")}
    assert HOSTILE
