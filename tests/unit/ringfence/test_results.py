# SPDX-License-Identifier: GPL-3.0-or-later
"""From events to states, findings and exit codes."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.results import (
    Finding,
    HostResult,
    Results,
    by_severity,
    findings,
    printable,
    shown,
)


def event(kind: str, host: str, answer: Any, **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": {"host": host, "res": answer, "task": "T", **data}}


def control(status: str, name: str = "a_control", **more: Any) -> dict[str, Any]:
    return {"id": name, "status": status, "expected": 1, "observed": "2", "message": "", **more}


def answer(*controls: dict[str, Any], passes: tuple[str, ...] = ("fine",)) -> dict[str, Any]:
    return {"controls": list(controls), "ok_ids": list(passes), "catalogue_sha256": "ab"}


def taken(*events: dict[str, Any], names: tuple[str, ...] = ("web1",)) -> Results:
    results = Results(names)
    for one in events:
        results.take(one)
    return results


OK = event("runner_on_ok", "web1", answer())
CASES = [
    ([OK], "ok", 0),
    ([event("runner_on_ok", "web1", answer(control("fail")))], "ok", 1),
    ([event("runner_on_ok", "web1", answer(control("waived")))], "ok", 0),
    ([event("runner_on_ok", "web1", answer(control("manual")))], "ok", 0),
    ([event("runner_on_ok", "web1", answer(control("not_applicable")))], "ok", 0),
    ([event("runner_on_ok", "web1", answer(control("changed")))], "ok", 0),
    ([event("runner_on_failed", "web1", answer(control("error")))], "ok", 2),
    ([event("runner_on_ok", "web1", answer(control("error"), control("fail", "b")))], "ok", 2),
    ([event("runner_on_failed", "web1", {**answer(), "msg": "put back"})], "ok", 2),
    ([event("runner_on_failed", "web1", {"msg": "no python"})], "error", 2),
    ([event("runner_on_failed", "web1", {"msg": "x"}, ignore_errors=True)], "not_run", 2),
    ([event("runner_on_unreachable", "web1", {"msg": "refused"})], "unreachable", 2),
    ([event("runner_on_start", "web1", None)], "not_run", 2),
    ([OK, event("runner_on_failed", "web1", {"msg": "later task"})], "error", 2),
    ([OK, event("runner_on_unreachable", "web1", {"msg": "gone"})], "unreachable", 2),
    ([event("runner_on_unreachable", "web1", {"msg": "gone"}), OK], "unreachable", 2),
    ([], "not_run", 2),
    ([{"event": "verbose", "stdout": "x"}], "not_run", 2),
]


@pytest.mark.parametrize(("events", "state", "code"), CASES)
def test_the_state_of_a_host_and_the_exit_code(
    events: list[dict[str, Any]], state: str, code: int
) -> None:
    results = taken(*events)
    assert results.hosts["web1"].state == state
    assert results.exit_code() == code


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (OK, True),
        (
            event("runner_on_ok", "web1", {"bans": []}, task_action="ringfence.hosting.ban_info"),
            True,
        ),
        (event("runner_on_failed", "web1", {"msg": "x"}), True),
        (event("runner_on_unreachable", "web1", {"msg": "x"}), True),
        (event("runner_on_ok", "web1", {"msg": "x"}, task_action="ansible.builtin.debug"), False),
        (event("runner_on_failed", "web1", {"msg": "x"}, ignore_errors=True), False),
        (event("runner_on_start", "web1", None), False),
    ],
)
def test_only_a_task_that_says_how_a_host_is_gives_the_host(
    one: dict[str, Any], told: bool
) -> None:
    results = Results(["web1"])
    assert (results.take(one) is results.hosts["web1"]) is told


def test_what_would_change_is_a_finding_of_a_plan_alone() -> None:
    results = taken(event("runner_on_ok", "web1", answer(control("changed"))))
    assert results.exit_code(would_change_is_finding=True) == 1
    assert results.exit_code() == 0


def test_what_was_not_checked_outweighs_findings() -> None:
    results = taken(event("runner_on_ok", "web1", answer(control("fail"))), names=("web1", "web2"))
    assert results.exit_code() == 2


def test_what_is_not_demanded_is_no_finding_and_no_pass() -> None:
    said = answer(control("fail", "b"), control("error", "c")) | {
        "not_demanded": ["fine", "b", "c"]
    }
    results = taken(event("runner_on_ok", "web1", said))
    assert results.exit_code() == 0
    assert results.totals() == {"pass": 0}
    assert results.hosts["web1"].outside == {"fine": "pass", "b": "fail", "c": "error"}


def test_a_later_task_may_demand_what_an_earlier_one_did_not() -> None:
    first = event("runner_on_ok", "web1", answer(control("fail")) | {"not_demanded": ["a_control"]})
    results = taken(first, event("runner_on_ok", "web1", answer(control("fail"))))
    assert (results.exit_code(), results.hosts["web1"].outside) == (1, {})


def test_a_later_task_has_the_last_word_on_a_control() -> None:
    first = event("runner_on_ok", "web1", answer(control("fail", "a"), passes=("b",)))
    second = event("runner_on_ok", "web1", answer(control("fail", "b"), passes=("a",)))
    host = taken(first, second).hosts["web1"]
    assert (set(host.controls), host.passes) == ({"b"}, {"a"})


def test_a_control_that_is_listed_is_no_pass_whatever_ok_ids_say() -> None:
    host = taken(event("runner_on_ok", "web1", answer(control("fail", "a"), passes=("a",))))
    assert host.hosts["web1"].passes == set()
    assert host.exit_code() == 1


@pytest.mark.parametrize(
    "broken",
    [None, "text", [], {"controls": None}, {"controls": ["x", {}, {"id": "a"}], "ok_ids": None}],
)
def test_an_answer_of_another_shape_is_no_pass(broken: Any) -> None:
    results = taken(event("runner_on_ok", "web1", broken))
    assert results.totals()["pass"] == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Failed to connect to the host via ssh: boom", "boom"),
        ("Task failed: Failed to connect to the host via ssh: boom", "boom"),
        ('Task failed: Data could not be sent to remote host "w". Make sure this host can be '
         "reached over ssh: boom", "boom"),
        ("Task failed: Failed to connect to the host via ssh: Private property.\n\nKeep out.\n"
         "ops@w: Permission denied (publickey).\n", "ops@w: Permission denied (publickey)."),
        ("line\none", "line one"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
    ],
)  # fmt: skip
def test_the_message_of_a_host(said: str, expected: str) -> None:
    results = taken(event("runner_on_unreachable", "web1", {"msg": said}))
    assert results.hosts["web1"].message == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ([1, "b"], "1, b"),
        ([], "none"),
        ({"a": 1}, "a=1"),
        ("two\nlines", "two lines"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\u202egnp", "\\u202egnp"),
    ],
)
def test_values_as_one_line(value: object, expected: str) -> None:
    assert shown(value) == expected
    assert printable(shown(value)).isprintable()


def test_findings_are_put_together_over_hosts() -> None:
    hosts = [HostResult(n, "ok", controls={"a": control("fail", "a")}) for n in ("w1", "w2")]
    hosts.append(HostResult("w3", "ok", controls={"a": control("fail", "a", observed="3")}))
    (found,) = findings(hosts, "fail")
    assert found.hosts == {("1", "2", ""): ["w1", "w2"], ("1", "3", ""): ["w3"]}


def test_the_worst_comes_first_and_the_unknown_before_it() -> None:
    items = [Finding(name, "fail", "none") for name in ("l", "h", "c", "?", "m")]
    severities = {"l": "low", "h": "high", "c": "critical", "m": "medium"}
    catalogue = {name: {"severity": severity} for name, severity in severities.items()}
    assert [item.control for item in by_severity(items, catalogue)] == ["?", "c", "h", "m", "l"]


def test_a_host_that_gives_several_answers_keeps_what_was_taken_and_named() -> None:
    aws = {"taken": ["key"], "named": []}
    mailer = {"taken": [], "named": ["member"]}
    found = taken(
        event("runner_on_ok", "localhost", aws, task_action="ringfence.hosting.aws_offboard"),
        event("runner_on_ok", "localhost", mailer, task_action="third_party_offboard"),
    )
    assert found.hosts["localhost"].answer == {"taken": ["key"], "named": ["member"]}


def test_of_a_loop_each_item_that_failed_is_told() -> None:
    rows = [{"msg": "one"}, {"failed": True, "msg": "two"}, {"failed": True, "msg": "three"}]
    failed = {"msg": "One or more items failed", "results": rows}
    (host,) = taken(event("runner_on_failed", "web1", failed)).hosts.values()
    assert host.message == "T: two; three"
