# SPDX-License-Identifier: GPL-3.0-or-later
"""Reviews of made-up populations, in stores of their own."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ringfence.access import documents, judges, judges_facts, review
from ringfence.access_review import follow_up, model, web
from ringfence.access_review.draft import Draft
from ringfence.access_review.model import Decision, Review
from ringfence.evidence import Store
from ringfence.report.scope import Scope
from tests.unit.ringfence.access.fleet import a_case, a_collection, a_register, catalogue

AT = "2026-06-02T09:00:00Z"
LATER = "2026-06-20T09:00:00Z"
ACME = Scope(
    "Acme Bikes", frozenset({"web1"}), frozenset({"beta", "Beta Choir", "blog.example"}), "acme"
)


def collected(
    rows: list[dict[str, Any]], number: int = 1, finished: str = "2026-06-01T10:00:00Z", **more: Any
) -> dict[str, Any]:
    found = a_collection(copy.deepcopy(rows), **more)
    found["run"] |= {"id": f"01KH{number:022d}", "finished": finished}
    return found


def opening(
    rows: list[dict[str, Any]],
    scope: Scope | None = None,
    before: Review | None = None,
    name: str = "01KR0000000000000000000001",
    **more: Any,
) -> dict[str, Any]:
    case = a_case(documents.population(collected(rows, **more)), a_register())
    found = [*judges.judge(case), *judges_facts.judge(case)]
    report = review.build(
        case.population, found, case.directory, catalogue().of_target("access"), scope=scope,
        evidence={"seq": 1, "hash": "0" * 64, "signed": False},
    )  # fmt: skip
    return model.freeze(
        report, case.population, id=name, opened=AT, operator="ada",
        entry=report.evidence, before=before,
    )  # fmt: skip


def a_review(rows: list[dict[str, Any]], **more: Any) -> Review:
    return model.opened(opening(rows, **more))


def named(review: Review, username: str) -> str:
    """The identity of the one row of an account."""
    (name,) = [key for key, row in review.rows.items() if row["username"] == username]
    return name


def keeps(
    review: Review, reviewers: tuple[str, ...] = ("ada", "ben", "zoe")
) -> dict[str, Decision]:
    """Keep for every row, each by somebody who may."""
    return {
        name: Decision(
            "keep", next(one for one in reviewers if not review.why_not(name, one)), AT, "needed"
        )
        for name in review.rows
    }


def signed(store: Store, rows: list[dict[str, Any]], **decided: str) -> follow_up.Steps:
    """A review on which all is kept but what is named: username -> decision."""
    step = opening(rows)
    store.append_review(step)
    review = model.opened(step)
    decisions = keeps(review)
    for username, decision in decided.items():
        name = named(review, username)
        decisions[name] = Decision(decision, decisions[name].reviewer, AT, "no longer needed")
    store.append_review(model.sign_off(review, decisions, "ada", AT, "ada"))
    return follow_up.known(store)[-1]


def a_draft(folder: Path, rows: list[dict[str, Any]]) -> Draft:
    return Draft(folder, a_review(rows))


def serving(folder: Path, rows: list[dict[str, Any]]) -> Iterator[web.Server]:
    """The pages of a review of these rows, as ben decides it, while they are asked for."""
    found = web.Server(a_draft(folder, rows), "ben")
    thread = threading.Thread(target=found.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        thread.join()
        found.server_close()
