# SPDX-License-Identifier: GPL-3.0-or-later
"""What is new, fixed and unchanged between two runs."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.evidence import compare


def run(status: str | None, mode: str = "audit") -> dict[str, Any]:
    """A run in which a control on web1 ended in `status`; None: web1 was out of reach."""
    results = [] if status is None else [{"id": "a_control", "status": status}]
    return {"run": {"mode": mode}, "hosts": [{"name": "web1", "results": results}]}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("pass", "fail", "new"),
        ("waived", "fail", "new"),
        ("not_applicable", "fail", "new"),
        ("changed", "fail", "new"),
        ("fail", "pass", "fixed"),
        ("fail", "changed", "fixed"),
        ("fail", "fail", "unchanged"),
        ("fail", "waived", "closed"),
        ("fail", "not_applicable", "closed"),
        ("fail", "error", "lost"),
        ("fail", "manual", "lost"),
        ("fail", None, "lost"),
        (None, "fail", "first_seen"),
        ("error", "fail", "first_seen"),
        ("pass", "pass", None),
        ("pass", None, None),
        (None, None, None),
        ("waived", "pass", None),
    ],
)
def test_every_pair_of_statuses_has_one_meaning(
    before: str | None, after: str | None, kind: str | None
) -> None:
    found = vars(compare(run(before), run(after)))
    assert {name for name, changes in found.items() if changes} == ({kind} if kind else set())


def test_what_a_trial_would_change_is_not_fixed() -> None:
    found = compare(run("fail"), run("changed", mode="check"))
    assert not found.fixed
    assert len(found.unchanged) == 1


def test_a_host_that_is_gone_fixed_nothing() -> None:
    after = {"run": {"mode": "audit"}, "hosts": []}
    found = compare(run("fail"), after)
    assert [(c.host, c.control, c.before, c.after) for c in found.lost] == [
        ("web1", "a_control", "fail", "not_checked")
    ]
    assert not found.fixed


def _demanded(status: str, demanded: bool) -> dict[str, Any]:
    document = run(status)
    document["hosts"][0]["results"][0]["demanded"] = demanded
    return document


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (("pass", True), ("fail", False), None),
        (("fail", False), ("fail", False), None),
        (("fail", False), ("pass", True), None),
        (("fail", False), ("fail", True), "new"),
        (("pass", False), ("fail", True), "new"),
        (("fail", True), ("fail", False), "closed"),
        (("fail", True), ("pass", False), "closed"),
        (("fail", True), ("fail", True), "unchanged"),
    ],
)
def test_only_what_is_demanded_is_a_finding(
    before: tuple[str, bool], after: tuple[str, bool], kind: str | None
) -> None:
    found = vars(compare(_demanded(*before), _demanded(*after)))
    assert {name for name, changes in found.items() if changes} == ({kind} if kind else set())
