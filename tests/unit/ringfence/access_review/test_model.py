# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may decide what, what is frozen, and when a review may be signed."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pytest

from ringfence.access.people import Directory
from ringfence.access_review import model
from ringfence.access_review.model import Decision
from ringfence.errors import BadInputError
from tests.unit.ringfence.access.fleet import TODAY, a_register, clean_rows, key, row

from .desk import ACME, AT, a_review, keeps, named, opening

STRANGE = [*clean_rows(), key("ben", "SHA256:strange", uid="strange-id")]


@pytest.mark.parametrize(
    ("username", "decision", "problem"),
    [
        ("care_sam", Decision("keep", "ben", AT), ""),
        ("care_sam", Decision("revoke", "ben", AT, "contract ends", "OPS-1"), ""),
        ("care_sam", Decision("revoke", "ben", AT), "revoke needs a reason"),
        ("care_sam", Decision("modify", "ben", AT), "modify needs a reason"),
        ("care_sam", Decision("defer", "ben", AT), "defer needs a reason"),
        ("care_sam", Decision("maybe", "ben", AT), "expected one of keep, modify"),
        ("care_sam", Decision("pending", "ben", AT), "expected one of keep, modify"),
        ("care_sam", Decision("keep", "ben", AT, "x" * 501), "reason: expected at most 500"),
        ("care_sam", Decision("keep", "ben", AT, "", "x" * 501), "ticket: expected at most 500"),
        ("ada", Decision("keep", "ada", AT), "ada would review their own access"),
        ("care_sam", Decision("keep", "ada", AT), "ada granted this access"),
        ("ada", Decision("keep", "ben", AT), "ben granted this access"),
        ("ada", Decision("keep", "zoe", AT), ""),
    ],
)  # fmt: skip
def test_a_decision_is_taken_or_refused(username: str, decision: Decision, problem: str) -> None:
    review = a_review(clean_rows())
    found = review.problem(named(review, username), decision)
    assert found.startswith(problem) if problem else found == ""


def test_keeping_what_has_a_finding_needs_a_reason() -> None:
    review = a_review(STRANGE)
    (name,) = [n for n, one in review.rows.items() if one["key_fingerprint"] == "SHA256:strange"]
    assert review.rows[name]["findings"] == ["access_key_owner"]
    assert "keep needs a reason" in review.problem(name, Decision("keep", "zoe", AT))
    assert review.problem(name, Decision("keep", "zoe", AT, "her new laptop")) == ""


def test_a_key_of_mine_on_somebody_elses_account_is_mine() -> None:
    review = a_review([*clean_rows(), key("deploy", "SHA256:ben", uid="d")])
    assert review.why_not(named(review, "deploy"), "ben") == "ben would review their own access"


@pytest.mark.parametrize(
    ("change", "reviewer", "client", "problem"),
    [
        ({}, "ada", "", ""),
        ({}, "nobody", "", "expected the id of a person"),
        ({}, "deploy", "", "expected the id of a person"),
        ({"left": "2026-05-01"}, "ada", "", "is not active"),
        ({"started": "2027-01-01"}, "ada", "", "is not active"),
        ({}, "sam", "", "works for care"),
        ({}, "zoe", "beta", ""),
        ({}, "zoe", "acme", "is of client beta"),
        ({}, "zoe", "", "is of client beta"),
    ],
)  # fmt: skip
def test_who_may_review(change: dict[str, Any], reviewer: str, client: str, problem: str) -> None:
    register = a_register()
    register.people.get(reviewer, {}).update(change)
    directory = Directory(register, TODAY)
    assert date(2026, 6, 1) == TODAY
    if not problem:
        assert model.may_review(directory, reviewer, client) == reviewer
        return
    with pytest.raises(BadInputError, match=problem):
        model.may_review(directory, reviewer, client)


def test_the_population_is_the_one_that_was_frozen() -> None:
    step = opening(clean_rows())
    assert len(model.opened(step).rows) == step["counts"]["rows"] == 8
    step["rows"][0]["username"] = "somebody"
    with pytest.raises(BadInputError, match="not the one that was frozen"):
        model.opened(step)


def test_new_removed_and_changed_since_the_review_before() -> None:
    before = a_review(clean_rows())
    rows = clean_rows()
    rows[1]["privileged"] = True
    del rows[2]
    review = a_review([*rows, row("server", 9, "fresh")], before=before)
    assert {one["username"]: one["change"] for one in review.rows.values() if one["change"]} == {
        "ben": "changed", "fresh": "new",
    }  # fmt: skip
    assert [one["username"] for one in review.removed] == ["care_sam"]


def test_a_client_reviews_its_own_rows_and_hears_of_no_other() -> None:
    step = opening(clean_rows(), scope=ACME)
    assert {one["username"] for one in step["rows"]} == {
        "ada", "ben", "care_sam", "ops", "db_shop", "root",
    }  # fmt: skip
    assert not re.search(r"blog|zoe|beta", json.dumps(step), re.IGNORECASE)


def test_a_sign_off_needs_every_row_and_its_counts_reconcile() -> None:
    review = a_review(clean_rows())
    decisions = keeps(review)
    name = named(review, "care_sam")
    left = decisions.pop(name)
    with pytest.raises(BadInputError, match="1 of 8 accesses are undecided"):
        model.sign_off(review, decisions, "ada", AT, "ada")
    decisions[name] = Decision("revoke", left.reviewer, AT, "contract ends")
    step = model.sign_off(review, decisions, "ada", AT, "ada")
    assert step["counts"] == {"rows": 8, "keep": 7, "modify": 0, "revoke": 1, "defer": 0}
    assert len(step["decisions"]) == 8
    assert step["population_sha256"] == review.sha256


def test_a_sign_off_looks_at_the_rules_again() -> None:
    review = a_review(clean_rows())
    decisions = keeps(review)
    decisions[named(review, "ada")] = Decision("keep", "ada", AT)
    with pytest.raises(BadInputError, match="ada would review their own access"):
        model.sign_off(review, decisions, "ada", AT, "ada")
