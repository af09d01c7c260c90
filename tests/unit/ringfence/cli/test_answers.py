# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that did not answer are told apart from those that had nothing to tell."""

from __future__ import annotations

import pytest

from ringfence.cli import _bans, _offboard, _runs
from ringfence.cli._playbook import Outcome
from ringfence.results import HostResult, Results


def outcome(*hosts: HostResult) -> Outcome:
    results = Results()
    results.hosts = {host.name: host for host in hosts}
    return Outcome(results, 1.0, None, None, "", 0)


@pytest.mark.parametrize(
    ("controller", "silent"),
    [
        (HostResult("localhost", begun=True), {}),
        (HostResult("localhost", "ok", answer={"taken": []}), {}),
        (HostResult("localhost", failed=True, message="no key"), {"localhost": "no key"}),
        (HostResult("localhost", "error", "no key"), {"localhost": "no key"}),
        (HostResult("localhost", "unreachable", "gone"), {"localhost": "gone"}),
    ],
)
def test_a_controller_that_had_nothing_to_take_is_no_gap(
    controller: HostResult, silent: dict[str, str]
) -> None:
    asked = HostResult("web1", "ok", answer={"taken": ["block cho"]})
    found = outcome(asked, controller)
    assert _offboard._answers(found, ["web1"]) == (["web1: block cho"], [], silent)


def test_a_host_that_was_not_reached_is_a_gap() -> None:
    found = outcome(HostResult("web1"), HostResult("web2", "unreachable", "no route"))
    silent = {"web1": "", "web2": "no route"}
    assert _offboard._answers(found, ["web1", "web2"]) == ([], [], silent)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (HostResult("web1", "ok", passes={"a"}), ""),
        (HostResult("web1", "unreachable"), "NOT CHECKED: web1"),
        (HostResult("web1", "ok", controls={"a": {"id": "a", "status": "error"}}),
         "1 control could not be checked"),
        (HostResult("web1", "ok", controls={"a": {"id": "a", "status": "manual"}}),
         "a person must look at 1 control"),
    ],
)  # fmt: skip
def test_what_no_machine_judged_is_in_the_last_line(host: HostResult, said: str) -> None:
    assert _runs.troubles(outcome(host)) == said


def test_hosts_without_bans_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = outcome(
        HostResult("web1", "ok", answer={"set_up": False, "bans": []}),
        HostResult("web2", "ok", answer={"set_up": True, "bans": []}),
    )
    _bans._page([], found, 0)
    said = capsys.readouterr().out
    assert said == "0 addresses and 0 users banned now; bans are not set up on web1\n"
