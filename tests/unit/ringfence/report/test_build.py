# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says of runs: counts, order, waivers, comparison."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from ringfence.report import Score, build
from ringfence.report.build import waiver_state
from ringfence.report.text import shown, visible

from .fleet import catalogue, control, host, result, run_document, waiver

NOW = datetime(2026, 1, 20, tzinfo=UTC)
CATALOGUE = catalogue(
    control("ssh_root_login", "critical"),
    control("ssh_banner", "low"),
    control("kernel_ptrace", "high", "kernel", remedy="Set kernel.yama.ptrace_scope."),
)


@pytest.mark.parametrize(
    ("statuses", "mode", "expected"),
    [
        (["pass"], "audit", "1 of 1 checked controls pass"),
        (["pass", "fail"], "audit", "1 of 2 checked controls pass"),
        (["pass", "waived"], "audit", "1 of 2 checked controls pass"),
        (["pass", "error"], "audit", "1 of 1 checked controls pass, 1 could not be checked"),
        (["error", "manual"], "audit", "0 of 0 checked controls pass, 2 could not be checked"),
        (["not_applicable"], "audit", "0 of 0 checked controls pass"),
        (["changed", "pass"], "apply", "2 of 2 checked controls pass"),
        (["changed", "pass"], "check", "1 of 2 checked controls pass"),
    ],
)
def test_the_score_counts_what_was_checked(statuses: list[str], mode: str, expected: str) -> None:
    results = [result(f"c_{number}", status) for number, status in enumerate(statuses)]
    report = build(run_document([host("web1", *results)], mode=mode), None, generated=NOW)
    assert str(report.score) == expected
    assert report.hosts[0].score == report.score


def test_a_host_out_of_reach_is_in_no_score_and_is_said_to_be_so() -> None:
    run = run_document(
        [
            host("web1", result("ssh_banner", "pass")),
            host("web2", state="unreachable", message="no route", host={}),
            host("web3", result("ssh_banner", "pass"), state="error", message="it stopped"),
        ]
    )
    report = build(run, CATALOGUE, generated=NOW)
    assert [(h.name, h.state, h.message) for h in report.not_checked] == [
        ("web2", "unreachable", "no route"),
        ("web3", "error", "it stopped"),
    ]
    assert report.score.checked == 2
    assert report.hosts[1].score == Score()
    assert report.controls[0].matrix == "p-p"


def test_failing_ones_come_first_the_more_severe_before_the_less() -> None:
    statuses = {
        "ssh_banner": "fail",
        "ssh_root_login": "fail",
        "kernel_ptrace": "pass",
        "a_unknown": "error",
        "b_manual": "manual",
        "c_waived": "waived",
        "d_na": "not_applicable",
    }
    results = [result(name, status) for name, status in statuses.items()]
    report = build(run_document([host("web1", *results)]), CATALOGUE, generated=NOW)
    assert [c.id for c in report.controls] == [
        "ssh_root_login",
        "ssh_banner",
        "a_unknown",
        "b_manual",
        "c_waived",
        "d_na",
        "kernel_ptrace",
    ]
    assert [s.name for s in report.severities] == ["critical", "high", "low", "unknown"]
    assert [s.name for s in report.areas] == ["kernel", "ssh", "unknown"]


def test_titles_and_reasons_come_from_the_catalogue() -> None:
    run = run_document([host("web1", result("kernel_ptrace", "fail"))])
    (found,) = build(run, CATALOGUE, generated=NOW).controls
    assert found.title == "Title of kernel_ptrace"
    assert found.rationale == "Why kernel_ptrace matters."
    assert found.remedy == "Set kernel.yama.ptrace_scope."
    assert found.variable == "kernel_ptrace_value"
    (unknown,) = build(run, None, generated=NOW).controls
    assert (unknown.title, unknown.severity) == ("kernel_ptrace", "unknown")


def test_hosts_that_show_the_same_are_one_group() -> None:
    seen = {"expected": "no", "observed": "yes"}
    run = run_document(
        [host(f"web{n}", result("ssh_banner", "fail", **seen)) for n in (10, 2, 1)]
        + [host("web3", result("ssh_banner", "fail", expected="no", observed="maybe"))]
    )
    report = build(run, CATALOGUE, generated=NOW)
    groups = report.controls[0].groups
    assert [h.name for h in report.hosts] == ["web1", "web2", "web3", "web10"]
    assert [(g.observed, g.hosts) for g in groups] == [("yes", (0, 1, 3)), ("maybe", (2,))]


@pytest.mark.parametrize(
    ("expires", "state"),
    [
        ("2026-01-19", "expired"),
        ("2026-01-20", "expiring"),
        ("2026-02-19", "expiring"),
        ("2026-02-20", "active"),
        ("soon", "expired"),
    ],
)
def test_a_waiver_counts_to_its_last_day(expires: str, state: str) -> None:
    assert waiver_state(expires, date(2026, 1, 20)) == state


def test_a_waiver_that_had_ended_by_the_run_is_a_failure() -> None:
    ended = result("ssh_banner", "waived", waiver=waiver("2026-01-04"))
    held = result("ssh_banner", "waived", waiver=waiver("2026-01-05"))
    run = run_document([host("web1", ended), host("web2", held)], number=5)
    report = build(run, CATALOGUE, generated=NOW)
    assert report.controls[0].matrix == "fw"
    assert (report.score.failed, report.score.waived) == (1, 1)
    assert [(w.expires, w.state, w.hosts) for w in report.waivers] == [
        ("2026-01-04", "expired", ("web1",)),
        ("2026-01-05", "expired", ("web2",)),
    ]


def test_two_runs_are_compared() -> None:
    before = run_document(
        [
            host("web1", result("ssh_banner", "fail"), result("ssh_root_login", "pass")),
            host("web2", result("ssh_banner", "fail"), result("ssh_root_login", "fail")),
            host("old", result("ssh_banner", "fail")),
        ]
    )
    after = run_document(
        [
            host("web1", result("ssh_banner", "pass"), result("ssh_root_login", "fail")),
            host("web2", state="unreachable", message="gone"),
            host("added", result("ssh_banner", "fail")),
        ],
        number=2,
    )
    found = build(after, CATALOGUE, before=before, generated=NOW).comparison
    assert found
    assert (found.score_before.passed, found.score_before.checked) == (1, 5)
    assert (found.score_after.passed, found.score_after.checked) == (1, 3)
    assert [(c.control, c.hosts) for c in found.fixed] == [("ssh_banner", ("web1",))]
    assert [(c.control, c.hosts) for c in found.new] == [("ssh_root_login", ("web1",))]
    assert [(c.control, c.hosts) for c in found.first_seen] == [("ssh_banner", ("added",))]
    assert [(c.control, c.hosts) for c in found.lost] == [
        ("ssh_root_login", ("web2",)),
        ("ssh_banner", ("old", "web2")),
    ]
    assert found.hosts_gone == ("old",)
    assert found.hosts_added == ("added",)


def test_a_trend_has_a_point_a_run() -> None:
    runs = [
        run_document(
            [host("web1", *(result(f"c_{i}", "pass" if i < n else "fail") for i in range(4)))], n
        )
        for n in (1, 2, 3)
    ]
    report = build(runs[2], None, history=runs[:2], generated=NOW)
    assert [point.score.passed for point in report.trend] == [1, 2, 3]


@pytest.mark.parametrize(
    ("controls", "statuses", "state"),
    [
        ([], {}, "manual"),
        (["ssh_banner"], {"ssh_banner": "pass"}, "pass"),
        (["ssh_banner"], {"ssh_banner": "not_applicable"}, "not_applicable"),
        (["ssh_banner"], {"ssh_banner": "fail"}, "fail"),
        (["ssh_banner"], {"ssh_banner": "waived"}, "fail"),
        (["ssh_banner"], {"ssh_banner": "error"}, "unknown"),
        (["ssh_banner"], {}, "unknown"),
        (["ssh_banner", "kernel_ptrace"], {"ssh_banner": "pass"}, "unknown"),
        (["ssh_banner", "kernel_ptrace"], {"ssh_banner": "fail"}, "fail"),
    ],
)
def test_a_section_of_a_benchmark_passes_only_where_all_of_it_was_checked(
    controls: list[str], statuses: dict[str, str], state: str
) -> None:
    known = catalogue(
        *CATALOGUE.controls.values(),
        benchmarks={"cis_debian12": [{"section": "5.1", "controls": controls}]},
    )
    results = [result(name, status) for name, status in statuses.items()]
    (benchmark,) = build(run_document([host("web1", *results)]), known, generated=NOW).benchmarks
    assert [section.state for section in benchmark.sections] == [state]


_TWO = {
    "cis_debian12": {
        "title": "A benchmark",
        "version": "1.1.0",
        "levels": {"l1_server": "Level 1", "l2_server": "Level 2"},
        "sections": [
            {
                "section": "1",
                "levels": ["l1_server"],
                "status": "automated",
                "controls": ["ssh_banner", "kernel_ptrace"],
            },
            {"section": "2", "levels": ["l2_server"], "status": "manual", "how": "Look.",
             "evidence": ["ssh_banner"]},
            {"section": "3", "levels": ["l1_server"], "status": "not_applicable", "why": "None."},
        ],
    }
}  # fmt: skip


def _two(*hosts: dict[str, Any]) -> Any:
    known = catalogue(*CATALOGUE.controls.values(), benchmarks=_TWO)
    (benchmark,) = build(run_document([*hosts]), known, generated=NOW).benchmarks
    return benchmark


def test_a_section_says_on_which_hosts_it_fails_and_where_it_is_unknown() -> None:
    benchmark = _two(
        host("web1", result("ssh_banner", "pass"), result("kernel_ptrace", "pass")),
        host("web2", result("ssh_banner", "pass"), result("kernel_ptrace", "fail")),
        host("web3", result("ssh_banner", "pass"), result("kernel_ptrace", "error")),
        host("web4", result("ssh_banner", "not_applicable"), result("kernel_ptrace", "pass")),
        host("web5", result("ssh_banner", "pass")),
        host("web6", state="unreachable", message="no route to host", host={}),
    )
    section = benchmark.sections[0]
    assert (section.state, section.failing, section.unknown) == ("fail", (1,), (2, 4, 5))
    assert section.open == ("ssh_banner", "kernel_ptrace")  # neither was asked of web6
    rows = [(row.holds, row.fails, row.unknown, row.nothing) for row in benchmark.hosts]
    assert rows == [
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (1, 0, 0, 0),
        (0, 0, 1, 0),
        (0, 0, 1, 0),
    ]


def test_nothing_holds_while_a_host_is_out_of_reach() -> None:
    good = host("web1", result("ssh_banner", "pass"), result("kernel_ptrace", "pass"))
    assert _two(good).sections[0].state == "pass"
    assert _two(good, host("web2", state="unreachable", host={})).sections[0].state == "unknown"


def test_what_is_no_host_is_not_asked_for_controls_of_hosts() -> None:
    good = host("web1", result("ssh_banner", "pass"), result("kernel_ptrace", "pass"))
    bucket = host("s3://backups", host={"kind": "bucket"})
    assert _two(good, bucket).sections[0].state == "pass"


def test_a_section_about_what_no_run_looked_at_is_unknown() -> None:
    known = catalogue(
        control("bucket_locked", target="bucket"),
        benchmarks={"asked": {"sections": [{"section": "1", "controls": ["bucket_locked"]}]}},
    )

    def state(*hosts: dict[str, Any]) -> str:
        (benchmark,) = build(run_document([*hosts]), known, generated=NOW).benchmarks
        return benchmark.sections[0].state

    assert state(host("web1")) == "unknown"
    bucket = host("s3://backups", result("bucket_locked", "pass"), host={"kind": "bucket"})
    assert state(host("web1"), bucket) == "pass"


def test_sections_that_no_control_judges_are_counted_apart() -> None:
    benchmark = _two(host("web1", result("ssh_banner", "pass")))
    states = [section.state for section in benchmark.sections]
    assert states == ["unknown", "manual", "excluded"]
    assert benchmark.automated() == 1
    assert (benchmark.automated("l2_server"), benchmark.count("manual", level="l2_server")) == (
        0,
        1,
    )
    manual = benchmark.sections[1]
    assert (manual.evidence, manual.score.passed, manual.words) == (("ssh_banner",), 1, "Look.")


def test_an_empty_run_is_a_report_too() -> None:
    report = build(run_document([]), None, generated=NOW)
    assert str(report.score) == "0 of 0 checked controls pass"
    assert report.title == "Security of 0 hosts"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, é, 漢字", "plain, é, 漢字"),
        ("\x1b[31mred", "␛[31mred"),
        ("a\x00b\x7f", "a␀b␡"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\ud800"),
        ("a\u202eb", "a[right-to-left override]b"),
        ("a\u200bb", "a[zero width space]b"),
        ("one\ntwo\tthree", "one\ntwo\tthree"),
        ("\x9b", "\\u009b"),
    ],
)
def test_what_is_hidden_is_shown(text: str, expected: str) -> None:
    assert visible(text) == expected
    visible(text).encode("utf-8")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", ""),
        (True, "yes"),
        (0, "0"),
        (["a", 1], "a, 1"),
        ({"b": 1, "a": "é"}, '{"a": "é", "b": 1}'),
    ],
)
def test_values_read_as_one_would_write_them(value: Any, expected: str | None) -> None:
    assert shown(value) == expected


def _outside(control_id: str, status: str, **more: Any) -> dict[str, Any]:
    return result(control_id, status, demanded=False, **more)


@pytest.mark.parametrize(
    "status", ["fail", "pass", "error", "manual", "waived", "not_applicable", "changed"]
)
def test_what_is_outside_the_profile_is_in_no_score_and_keeps_its_status(status: str) -> None:
    asked = result("ssh_root_login", "fail"), result("kernel_ptrace", "pass")
    run = run_document([host("web1", *asked, _outside("ssh_banner", status))])
    report = build(run, CATALOGUE, history=[run], generated=NOW)
    assert str(report.score) == "1 of 2 checked controls pass"
    assert report.score == report.hosts[0].score == report.trend[0].score
    assert report.score.not_applicable + report.score.changed == 0
    assert report.hosts[0].failing == ("ssh_root_login",)
    assert [one.name for one in report.severities] == ["critical", "high"]
    assert [one.id for one in report.controls] == ["ssh_root_login", "kernel_ptrace"]
    assert [(one.id, one.outcome) for one in report.outside] == [("ssh_banner", status)]
    assert report.outside_count == 1


def test_a_control_can_be_demanded_of_one_host_and_not_of_another() -> None:
    run = run_document(
        [host("web1", result("ssh_banner", "pass")), host("web2", _outside("ssh_banner", "fail"))]
    )
    report = build(run, CATALOGUE, generated=NOW)
    assert [(c.outcome, c.matrix) for c in report.controls] == [("pass", "p-")]
    assert [(c.outcome, c.matrix) for c in report.outside] == [("fail", "-f")]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (result("ssh_banner", "pass"), _outside("ssh_banner", "fail"), None),
        (_outside("ssh_banner", "fail"), _outside("ssh_banner", "fail"), None),
        (_outside("ssh_banner", "fail"), result("ssh_banner", "fail"), "new"),
        (result("ssh_banner", "fail"), _outside("ssh_banner", "fail"), "closed"),
        (result("ssh_banner", "fail"), _outside("ssh_banner", "pass"), "closed"),
    ],
)
def test_a_comparison_finds_only_what_is_demanded(
    before: dict[str, Any], after: dict[str, Any], kind: str | None
) -> None:
    runs = [run_document([host("web1", one)], n) for n, one in enumerate((before, after), 1)]
    found = build(runs[1], CATALOGUE, before=runs[0], generated=NOW).comparison
    kinds = ("new", "fixed", "unchanged", "closed", "lost", "first_seen")
    assert [name for name in kinds if getattr(found, name)] == ([kind] if kind else [])


def test_a_section_of_a_benchmark_is_known_where_it_is_not_demanded() -> None:
    known = catalogue(
        *CATALOGUE.controls.values(),
        benchmarks={"cis_debian12": [{"section": "5.1", "controls": ["ssh_banner"]}]},
    )
    run = run_document([host("web1", _outside("ssh_banner", "fail"))])
    ((section,),) = (one.sections for one in build(run, known, generated=NOW).benchmarks)
    assert (section.state, section.outside, section.score.failed) == ("fail", True, 1)
