# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed: failed first, in the width there is, and nothing that a host could play with."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ringfence.cli import _output as out
from ringfence.cli import _summary as summary
from ringfence.cli._playbook import Outcome
from ringfence.cli._progress import Progress, outcome, tally
from ringfence.results import HostResult, Results, findings

CONTROLS = {
    "ssh_root_login": {"severity": "critical", "title": "SSH refuses direct root login",
                       "apply": {"disruption": "access", "breaks": "Root scripts break."}},
    "kernel_log": {"severity": "low", "title": "Only root reads the kernel log"},
}  # fmt: skip


def screen(width: int = 80, encoding: str = "utf-8") -> Console:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="")
    return Console(file=stream, width=width, highlight=False, emoji=False, force_terminal=False)


def text_of(console: Console) -> str:
    stream = console.file
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


def row(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "status": status,
        "expected": "no",
        "observed": "yes",
        "message": "",
        **more,
    }


def fleet() -> Results:
    results = Results()
    for host in (
        HostResult("web1", "ok", passes={"kernel_log"}),
        HostResult("web2", "ok", controls={"ssh_root_login": row("ssh_root_login", "fail")}),
        HostResult("web3", "unreachable", "Connection refused"),
        HostResult("web4", "ok", controls={"kernel_log": row("kernel_log", "error", message="x")}),
        HostResult("web5", begun=True),
        HostResult("web6"),
    ):
        results.hosts[host.name] = host
    return results


def test_hosts_in_trouble_come_first() -> None:
    console = screen()
    summary.host_table(console, fleet())
    lines = [line for line in text_of(console).splitlines() if "web" in line]
    table = [line.split()[1] for line in lines if "·" in line]
    assert table == ["web4", "web2", "web1"]
    assert any("! web3 could not be reached: Connection refused" in line for line in lines)
    assert any("web5 was cut off" in line for line in lines)
    assert any("web6 was not asked" in line for line in lines)


def test_many_clean_hosts_are_one_line() -> None:
    results = Results()
    for number in range(40):
        name = f"web{number:02}"
        results.hosts[name] = HostResult(name, "ok", passes={"kernel_log"})
    results.hosts["web07"].controls = {"ssh_root_login": row("ssh_root_login", "fail")}
    console = screen()
    summary.host_table(console, results)
    text = text_of(console)
    assert "39 hosts without findings" in text
    assert len(text.splitlines()) < 8


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    console = screen(width)
    results = fleet()
    long = row("kernel_log", "fail", message="word " * 40, observed="x" * 300)
    results.hosts["web2"].controls["kernel_log"] = long
    outcome_ = Outcome(results, 1.0, "01M8531H5DWA4090ZPR2DSJ361", None, "", 0)
    summary.headline(console, "Audit of 6 hosts", outcome_)
    summary.host_table(console, results)
    summary.finding_list(console, findings(results.hosts.values(), "fail"), CONTROLS, 6)
    waiver = {"expires": "2099-01-31", "reason": "words " * 20}
    results.hosts["web2"].controls["kernel_log"] = row("kernel_log", "waived", waiver=waiver)
    summary.waiver_lines(console, results)
    lines = text_of(console).splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.startswith("    words") for line in lines if "words" in line)
    assert [line for line in lines if line.endswith(" ") and "·" not in line] == []


def test_the_next_command_is_in_one_line() -> None:
    console = screen(40)
    out.next_step(console, f"ringfence plan -i {'x' * 90}", "shows what mends them")
    assert text_of(console).splitlines() == [
        f"Next: ringfence plan -i {'x' * 90}  shows what mends them"
    ]


def test_findings_are_worst_first_with_id_and_title() -> None:
    hosts = [
        HostResult("web1", "ok", controls={
            "kernel_log": row("kernel_log", "fail"),
            "ssh_root_login": row("ssh_root_login", "fail", message="sshd -T says yes"),
        }),
    ]  # fmt: skip
    console = screen()
    summary.finding_list(console, findings(hosts, "fail"), CONTROLS, 1)
    lines = text_of(console).splitlines()
    assert lines[0] == "CRITICAL"
    assert lines[1] == "  ✗ ssh_root_login  SSH refuses direct root login"
    assert lines[2].rstrip() == "    web1: sshd -T says yes (expected no)"
    assert lines[3] == "LOW"


def test_a_plan_says_what_may_break() -> None:
    change = row("ssh_root_login", "changed", disruption="access")
    hosts = [HostResult("web1", "ok", controls={"ssh_root_login": change})]
    console = screen()
    summary.change_list(console, hosts, CONTROLS, heading="Client acme")
    text = text_of(console)
    assert "access ssh_root_login" in text
    assert "web1: yes → no" in text
    assert "may break: Root scripts break." in text


@pytest.mark.parametrize(
    "evil", ["\x1b[2J", "\x1b]0;x\x07", "\r", "\x9b31m", "[bold red]", "\u202e"]
)
def test_a_host_cannot_play_with_the_terminal(evil: str) -> None:
    host = HostResult(f"web{evil}", "ok")
    answer = {
        "controls": [row("ssh_root_login", "fail", message=f"m{evil}", observed=f"o{evil}")],
        "ok_ids": [],
        "diff": [{"before": "", "after": f"{evil}\n", "after_header": evil}],
    }
    results = Results()
    event = {"event": "runner_on_ok", "event_data": {"host": host.name, "res": answer}}
    results.take(event)
    console = screen()
    summary.host_table(console, results)
    summary.finding_list(console, findings(results.hosts.values(), "fail"), CONTROLS, 1)
    summary.file_diffs(console, list(results.hosts.values()))
    text = text_of(console)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert evil not in text or evil == "[bold red]"


def test_signs_are_letters_where_the_terminal_has_none() -> None:
    console = screen(encoding="ascii")
    assert out.mark("fail", console).plain == "FAIL"
    assert out.mark("fail", screen()).plain == "✗"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HostResult("w", "ok", passes={"a", "b"}), "2 pass"),
        (HostResult("w", "ok", passes={"a"}, controls={"b": row("b", "fail")}), "1 fail, 1 pass"),
        (HostResult("w", "ok"), "nothing applies"),
        (HostResult("w", "ok", answer={"sites": [1]}), "1 site"),
        (HostResult("w", "ok", answer={"ringfence_targets": [{}, {}]}), "2 judged"),
        (HostResult("w", "ok", answer={"accesses": 2}), "2 accesses"),
        (HostResult("w", "ok", answer={"bans": []}), "0 bans"),
        (HostResult("w", "ok", answer={"lifted": [{}], "changed": True}), "1 lifted"),
        (HostResult("w", "ok", answer={"open": {"v_ann": {}}, "removed": {}}), "1 account open"),
        (HostResult("w", "ok", answer={"taken": ["a", "b"], "named": []}), "2 taken"),
        (HostResult("w", "ok", answer={"pruned": {"acme/shop": 3}, "changed": True}), ""),
    ],
)
def test_a_tally(host: HostResult, expected: str) -> None:
    assert tally(host) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HostResult("w", "ok", controls={"b": row("b", "changed")}), "1 to change"),
        (HostResult("w", "ok", answer={"taken": ["a", "b"], "named": []}), "2 to take"),
    ],
)
def test_a_tally_of_a_plan(host: HostResult, expected: str) -> None:
    assert tally(host, planned=True) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HostResult("w", "ok"), "pass"),
        (HostResult("w", "ok", controls={"b": row("b", "changed")}), "changed"),
        (HostResult("w", "ok", controls={"b": row("b", "fail")}), "fail"),
        (HostResult("w", "ok", failed=True), "error"),
        (HostResult("w", "unreachable", failed=True), "unreachable"),
        (HostResult("w"), "not_run"),
    ],
)
def test_an_outcome(host: HostResult, expected: str) -> None:
    assert outcome(host) == expected


def test_without_a_terminal_there_is_a_plain_line_a_host() -> None:
    console = screen()
    with Progress("Audit", 2, console) as progress:
        for name in ("web1", "web2"):
            progress.take({"event": "runner_on_ok"}, HostResult(name, "ok", passes={"a"}))
    assert text_of(console) == "✓ web1: 1 pass\n✓ web2: 1 pass\n"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HostResult("localhost", "ok", answer={"copied": 2, "changed": True}), ""),
        (HostResult("localhost", "error", "no key", failed=True), "? localhost: error: no key\n"),
        (HostResult("web1", "unreachable", "refused"), "! web1: unreachable: refused\n"),
        (HostResult("web1", "ok"), "✓ web1: nothing applies\n"),
    ],
)
def test_a_line_says_something_or_is_not_there(host: HostResult, expected: str) -> None:
    console = screen()
    with Progress("Backup keys", 1, console) as progress:
        progress.take({"event": "runner_on_ok"}, host)
    assert text_of(console) == expected


def test_quiet_is_quiet() -> None:
    console = screen()
    with Progress("Audit", 1, console, quiet=True) as progress:
        progress.begin_stage("canary")
        progress.take({"event": "runner_on_ok"}, HostResult("web1", "ok", passes={"a"}))
        progress.say("now")
    assert text_of(console) == ""


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (list("abcdefg"), "a, b, c, d, e, f, g"),
        (list("abcdefgh"), "a, b, c, d, e, f and 2 more"),
        (["\x1b[1m"], "\\x1b[1m"),
    ],
)
def test_names(items: list[str], expected: str) -> None:
    assert out.names(items) == expected
