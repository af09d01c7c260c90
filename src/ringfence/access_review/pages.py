# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page of a review shows: filtered, a screenful at a time, and what a form means."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlencode

from ringfence.access.model import Row, kind_of, target_of
from ringfence.access.page import NAMES, credential, where
from ringfence.access_review.draft import Draft, RefusedError
from ringfence.access_review.model import DECISIONS, PENDING, Decision, Review, counts, plain
from ringfence.report.pages import asset, environment, shown

PAGE = 40
_PACKAGE = "ringfence.access_review"
SHOWN = ("undecided", "decided", *DECISIONS, "all")


@dataclass(frozen=True)
class Filter:
    """Which rows are looked at."""

    words: str = ""
    show: str = "undecided"
    kind: str = ""
    control: str = ""
    alike: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        """From a query; what makes no sense is left out."""
        page = query.get("page", "1")
        show = query.get("show", "undecided")
        return cls(
            words=query.get("q", "")[:200],
            show=show if show in SHOWN else "undecided",
            kind=query.get("kind", ""),
            control=query.get("control", ""),
            alike=query.get("alike", ""),
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
        )

    def query(self, **changes: Any) -> str:
        """As a query again, with changes."""
        said = {"q": self.words, "show": self.show, "kind": self.kind, "control": self.control,
                "alike": self.alike, "page": self.page, **changes}  # fmt: skip
        plainly = {"show": "undecided", "page": 1}
        return urlencode({k: v for k, v in said.items() if v and v != plainly.get(k)})


@dataclass(frozen=True)
class Line:
    """A row on the page. `given`: what the form holds; `was`: what tells whether it was touched."""

    id: str
    row: Row
    person: str
    where: str
    credential: str
    refused: str
    alike: int
    given: tuple[str, str, str]
    was: str
    by: str
    problem: str = ""


class Book:
    """A review's rows in the order that they are decided in: those with findings first."""

    def __init__(self, draft: Draft, reviewer: str) -> None:
        self.draft, self.reviewer = draft, reviewer
        review = draft.review
        self.order = sorted(review.rows, key=lambda name: _rank(review.rows[name]))
        self._alike = {name: _alike(row) for name, row in review.rows.items()}
        self._number = Counter(self._alike.values())

    @property
    def review(self) -> Review:
        """The review."""
        return self.draft.review

    @cached_property
    def _text(self) -> dict[str, str]:
        return {
            name: "\n".join((
                *(row["username"], row["person"], row["system"], row["client"], row["owner"]),
                *(row["key_fingerprint"], self.review.people.get(row["person"], "")),
                *(str(row["details"].get(k, "")) for k in ("key_comment", "email", "name")),
                *row["findings"], *row["grant_path"], *row["roles"],
            )).casefold()
            for name, row in self.review.rows.items()
        }  # fmt: skip

    def names(self, chosen: Filter) -> list[str]:
        """The rows that a filter shows."""
        decisions = self.draft.decisions
        words = chosen.words.casefold().split()
        alike = self._alike.get(chosen.alike)
        rows = self.review.rows
        return [
            name
            for name in self.order
            if _shown(chosen.show, decisions.get(name))
            and (not chosen.kind or kind_of(rows[name]) == chosen.kind)
            and (not chosen.control or chosen.control in rows[name]["findings"])
            and (not chosen.alike or self._alike[name] == alike)
            and all(word in self._text[name] for word in words)
        ]

    def open_to_me(self, names: list[str]) -> list[str]:
        """Those of some rows that are undecided and that this reviewer may decide."""
        decisions = self.draft.decisions
        return [
            name
            for name in names
            if name not in decisions and not self.review.why_not(name, self.reviewer)
        ]

    def line(self, name: str, form: Mapping[str, str], problem: str) -> Line:
        """A row for the page, with what a refused form held."""
        row = self.review.rows[name]
        known = self.draft.decisions.get(name)
        now = _three(known)
        given = tuple(form.get(f"{key}.{name}", now[n]) for n, key in enumerate("drt"))
        return Line(
            name, row, self.review.people.get(row["person"], row["person"]), where(row),
            credential(row), self.review.why_not(name, self.reviewer),
            self._number[self._alike[name]], (given[0], given[1], given[2]), _print(*now),
            known.reviewer if known else "", problem,
        )  # fmt: skip

    def decide(self, form: Mapping[str, str], at: str) -> int:
        """Take what a form says of single rows; all or nothing. Returns how many were decided."""
        problems: dict[str, str] = {}
        found: dict[str, Decision] = {}
        for key in form:
            mark, _dot, name = key.partition(".")
            if mark != "was":
                continue
            if name not in self.review.rows:
                problems[name] = "is not in this review"
                continue
            decision = form.get(f"d.{name}", "")
            reason, ticket = (plain(form.get(f"{k}.{name}", "")) for k in "rt")
            if _print(decision, reason, ticket) == form[key]:
                continue
            if _print(*_three(self.draft.decisions.get(name))) != form[key]:
                problems[name] = "somebody else decided it meanwhile; load the page anew"
            elif not decision:
                problems[name] = "choose keep, modify, revoke or defer"
            else:
                found[name] = Decision(decision, self.reviewer, at, reason, ticket)
        problems |= {
            name: problem
            for name, one in found.items()
            if (problem := self.review.problem(name, one))
        }
        if problems:
            raise RefusedError(problems)
        self.draft.decide(found)
        return len(found)

    def decide_alike(self, chosen: Filter, form: Mapping[str, str], at: str) -> int:
        """One decision for all that a filter shows and this reviewer may decide.

        Raises RefusedError: also where it would not be as many as the page had said.
        """
        names = self.open_to_me(self.names(chosen))
        if str(len(names)) != form.get("many"):
            raise RefusedError({"": f"they are {len(names)} now; look at them again"})
        if not names:
            raise RefusedError({"": "there is none to decide"})
        said = form.get("d", "")
        if said not in DECISIONS:
            raise RefusedError({"": "choose keep, modify, revoke or defer"})
        one = Decision(said, self.reviewer, at, plain(form.get("r", "")), plain(form.get("t", "")))
        problems = {name: self.review.problem(name, one) for name in names}
        wrong = [problem for problem in problems.values() if problem]
        if wrong:
            raise RefusedError({"": wrong[0]})
        self.draft.decide(dict.fromkeys(names, one))
        return len(names)


def _shown(show: str, decision: Decision | None) -> bool:
    if show == "all":
        return True
    if show in ("undecided", "decided"):
        return (decision is None) == (show == "undecided")
    return decision is not None and decision.decision == show


def _rank(row: Row) -> tuple[Any, ...]:
    return (
        not row["findings"], row["privileged"] is not True, row["person"] or "\uffff",
        row["username"], kind_of(row), target_of(row), row["id"],
    )  # fmt: skip


def _alike(row: Row) -> str:
    parts = [row["person"], row["owner"], row["username"], kind_of(row), row["credential_type"]]
    parts += [row["key_fingerprint"], str(row["privileged"]), *row["findings"], "", *row["roles"]]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _three(decision: Decision | None) -> tuple[str, str, str]:
    if decision is None:
        return "", "", ""
    return decision.decision, plain(decision.reason), plain(decision.ticket)


def _print(decision: str, reason: str, ticket: str) -> str:
    said = "\0".join((decision, reason, ticket)).encode("utf-8", "replace")
    return hashlib.sha256(said).hexdigest()[:16]


def render(
    book: Book,
    chosen: Filter,
    csrf: str,
    *,
    said: str = "",
    form: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> str:
    """The page. `said`: what was just done. `form`, `problems`: what was refused, and why."""
    form, problems = form or {}, problems or {}
    names = book.names(chosen)
    pages = max(1, -(-len(names) // PAGE))
    page = min(max(1, chosen.page), pages)
    mine = names[(page - 1) * PAGE : page * PAGE]
    review = book.review
    found = Counter(control for row in review.rows.values() for control in row["findings"])
    text: str = _template().render(
        review=review,
        reviewer=book.reviewer,
        chosen=chosen,
        csrf=csrf,
        said=said,
        form=form,
        refused=bool(problems),
        problems={key: text for key, text in problems.items() if key not in mine},
        counts=counts(review, book.draft.decisions),
        lines=[book.line(name, form, problems.get(name, "")) for name in mine],
        found=len(names),
        many=len(book.open_to_me(names)),
        page=page,
        pages=pages,
        first=(page - 1) * PAGE + 1,
        kinds=[(k, NAMES.get(k, k)) for k in sorted({kind_of(r) for r in review.rows.values()})],
        controls=[(name, review.titles[name], number) for name, number in found.most_common()],
        decisions=DECISIONS,
        shown=SHOWN,
        pending=PENDING,
    )
    return text


@cache
def style() -> str:
    """The page's style sheet."""
    return asset("report.css") + asset("review.css", _PACKAGE)


def script() -> str:
    """The page's script: keys that spare some tabbing. The page works without it."""
    return asset("review.js", _PACKAGE)


@cache
def _template() -> Any:
    return environment(_PACKAGE, lstrip_blocks=True, finalize=shown).get_template("review.html.j2")
