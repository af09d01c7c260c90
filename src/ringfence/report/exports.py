# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of controls as SARIF, JUnit's XML and a Prometheus textfile.

What is demanded of a host is in them; what is outside its profile is not. An error is never a pass.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from ringfence.report import exchange
from ringfence.report.exchange import Case, Result, Rule
from ringfence.report.model import Control, Group, Report

_KINDS = {"fail": "fail", "waived": "fail", "error": "open", "manual": "review"}
_STATES = {"fail": "failure", "error": "error", "waived": "skipped", "manual": "skipped",
           "not_applicable": "skipped"}  # fmt: skip


def render_sarif(report: Report) -> str:
    """A rule for each control, a result for each host where it does not pass."""
    rules = {one.id: _rule(one) for one in report.controls}
    results = [
        Result(
            rules[control.id], _KINDS[group.status], said(group) or control.title, host, (),
            group.waiver.reason if group.waiver and group.status == "waived" else None,
        )
        for control, group, host in _everything(report)
        if group.status in _KINDS
    ]  # fmt: skip
    gaps = [(one.name, f"{one.name} is {one.state}: {one.message}") for one in report.not_checked]
    run = f"{report.run.mode}/{report.run.id}"
    return exchange.sarif(list(rules.values()), results, gaps, run, report.run.finished)


def render_junit(report: Report) -> str:
    """A suite for each host or other thing that was judged, a case for each control."""
    suites: dict[str, list[Case]] = defaultdict(list)
    for one in report.not_checked:
        suites[one.name].append(Case("the host was asked", "error", one.message or one.state,
                                     one.state))  # fmt: skip
    for control, group, host in _everything(report):
        state = _STATES.get(group.status, "")
        kind = control.severity if state == "failure" else group.status if state == "error" else ""
        words = f"{group.status.replace('_', ' ')}: {said(group)}" if state else ""
        suites[host].append(Case(control.id, state, words, kind, control.remedy))
    return exchange.junit(f"ringfence {report.run.mode}", report.run.finished, suites.items())


def render_prometheus(report: Report) -> str:
    """Figures by control and status, and of hosts by state; no names of hosts."""
    counted: list[tuple[Mapping[str, str], float]] = [
        ({"control": control.id, "severity": control.severity, "status": status}, number)
        for control in report.controls
        for status, number in sorted(_statuses(control).items())
    ]
    states = Counter(host.state for host in report.hosts)
    series: list[exchange.Series] = [
        ("results", "Hosts and other things that were judged, by control and status.", counted),
        ("hosts", "Hosts and other things that were judged, by state.",
         [({"state": state}, number) for state, number in sorted(states.items())]),
        ("hosts_not_checked", "Of them those that were not checked, or in part.",
         [({}, len(report.not_checked))]),
        ("run_finished_timestamp_seconds", "When the run was finished, in seconds since 1970.",
         [({}, exchange.seconds(report.run.finished))]),
    ]  # fmt: skip
    return exchange.prometheus("ringfence", {"mode": report.run.mode}, series)


def said(group: Group) -> str:
    """What was expected, and what was found."""
    words = [group.message] if group.message else []
    words += [f"expected {group.expected}"] if group.expected is not None else []
    words += [f"found {group.observed}"] if group.observed is not None else []
    return "; ".join(words)


def _rule(control: Control) -> Rule:
    return Rule(control.id, control.title, control.severity, control.rationale, control.remedy)


def _statuses(control: Control) -> Counter[str]:
    found: Counter[str] = Counter()
    for group in control.groups:
        found[group.status] += len(group.hosts)
    return found


def _everything(report: Report) -> Iterator[tuple[Control, Group, str]]:
    for control in report.controls:
        for group in control.groups:
            for number in group.hosts:
                yield control, group, report.hosts[number].name
