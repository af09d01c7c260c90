# SPDX-License-Identifier: GPL-3.0-or-later
"""A review as a CSV file to decide in, and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from ringfence.access.model import COLUMNS, Row
from ringfence.access.tables import cell
from ringfence.access_review.model import DECISIONS, PENDING, Decision, Review, plain
from ringfence.errors import BadInputError

MORE = ("key_type", "key_bits", "key_comment", "findings", "remedy", "id")
HEADER = (*COLUMNS, *MORE)
# What a reviewer fills in. Who decides, and when, the import says.
EDITABLE = ("decision", "reason", "ticket")
_OURS = ("reviewer", "decided_at")


def render(review: Review, decisions: Mapping[str, Decision]) -> str:
    """RFC 4180 text: every row of the review, with the decisions so far."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADER)
    for name, row in review.rows.items():
        writer.writerow(_cells(review, row, decisions.get(name)))
    return out.getvalue()


def _cells(review: Review, row: Row, decision: Decision | None) -> list[str]:
    said = vars(decision) if decision else {"decision": PENDING}
    more = (
        *(row["details"].get(key) for key in ("key_type", "key_bits", "key_comment")),
        row["findings"],
        " / ".join(f"{review.titles[c]}: {review.remedies[c]}" for c in row["findings"]),
        row["id"],
    )
    values = [said.get(column, row[column]) for column in COLUMNS]
    return [cell(value) for value in (*values, *more)]


def read(
    path: Path, review: Review, known: Mapping[str, Decision], reviewer: str, at: str
) -> dict[str, Decision]:
    """The decisions in a file that `render` wrote and somebody filled in: those that are new.

    Rows may be missing (a filtered list) and in any order; what is decided as it was stays whose it
    is. Raises BadInputError naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise BadInputError(f"{path}: cannot be read: {reason}") from None
    found: dict[str, Decision] = {}
    seen: dict[str, int] = {}
    for line, cells in _lines(path, text):
        where = f"{path}: line {line}"
        name = cells["id"].strip()
        if name not in review.rows:
            raise BadInputError(f"{where}: id: expected an access of this review, found {name!r}")
        if name in seen:
            raise BadInputError(f"{where}: id: {name} stands in line {seen[name]} already")
        seen[name] = line
        _unchanged(where, review, review.rows[name], cells)
        decision = _decision(cells, reviewer, at)
        if decision is None or _same(decision, known.get(name)):
            continue
        problem = review.problem(name, decision)
        if problem:
            raise BadInputError(f"{where}: decision: {problem}")
        found[name] = decision
    return found


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    first = text.partition("\n")[0]
    delimiter = (
        ";" if first.count(";") > first.count(",") else ","
    )  # spreadsheets of some countries
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        _require_columns(path, next(reader, []))
        line = reader.line_num + 1
        for cells in reader:
            if any(cells) and len(cells) != len(HEADER):
                said = f"expected {len(HEADER)} cells, found {len(cells)}"
                raise BadInputError(f"{path}: line {line}: {said}")
            if any(cells):
                yield line, dict(zip(HEADER, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInputError(f"{path}: line {reader.line_num}: is no CSV: {error}") from None


def _require_columns(path: Path, header: list[str]) -> None:
    if tuple(name.strip() for name in header) == HEADER:
        return
    missing = [name for name in HEADER if name not in header]
    strange = [name for name in header if name not in HEADER]
    what = f"{missing[0]} is missing" if missing else "their order is another"
    what = f"{strange[0]!r} is not one of them" if strange and not missing else what
    raise BadInputError(
        f"{path}: line 1: expected the columns of `ringfence review export`: {what}"
    )


def _unchanged(where: str, review: Review, row: Row, cells: Mapping[str, str]) -> None:
    due = dict(zip(HEADER, _cells(review, row, None), strict=True))
    for column in HEADER:
        if column in EDITABLE or column in _OURS:
            continue
        if _plain(cells[column]) != _plain(due[column]):
            raise BadInputError(
                f"{where}: {column}: was changed; expected {_short(due[column])}, "
                f"found {_short(cells[column])}"
            )


def _plain(text: str) -> str:
    """A cell as one means it: spreadsheets drop the quote that keeps a formula from running."""
    return text.replace("\r\n", "\n").strip().removeprefix("'")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def _decision(cells: Mapping[str, str], reviewer: str, at: str) -> Decision | None:
    said = cells["decision"].strip().lower()
    if said in ("", PENDING):
        return None
    reason, ticket = (plain(_plain(cells[key])) for key in ("reason", "ticket"))
    return Decision(said, reviewer, at, reason, ticket)


def _same(decision: Decision, known: Decision | None) -> bool:
    fields = ("decision", "reason", "ticket")
    return known is not None and all(
        getattr(decision, name) == _plain(getattr(known, name)) for name in fields
    )


__all__ = ["DECISIONS", "EDITABLE", "HEADER", "read", "render"]
