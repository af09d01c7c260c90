# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of controls as OSCAL, SARIF, JUnit's XML and a Prometheus textfile.

What is demanded of a host is in them; what is outside its profile is not. An error is never a pass.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from ringfence.report import exchange, oscal
from ringfence.report.exchange import Case, Result, Rule
from ringfence.report.model import Control, Group, Report
from ringfence.report.oscal import Accepted, Observation

_KINDS = {"fail": "fail", "waived": "fail", "error": "open", "manual": "review"}
_STATES = {"fail": "failure", "error": "error", "waived": "skipped", "manual": "skipped",
           "not_applicable": "skipped"}  # fmt: skip


def render_oscal(report: Report) -> str:
    """OSCAL assessment results in JSON; the same identifiers for the same run and client.

    A control that applies nowhere has an observation and no finding: it is neither held nor broken.
    """
    seen = {one.id: tuple(_observations(report, one)) for one in report.controls}
    findings = [_finding(report, one, seen[one.id]) for one in report.controls if _judged(one)]
    nowhere = [seen[one.id] for one in report.controls if not _judged(one)]
    gaps = [
        Observation(
            ("gap", host.name), "Not checked", f"{host.name} is {host.state}: {host.message}",
            "discovery", host.collected or report.run.finished, (host.name,),
        )
        for host in report.not_checked
    ]  # fmt: skip
    return oscal.render(
        oscal.Assessment(
            # a run and a collection of accesses may have one number
            seed=f"report\0{report.run.id}\0{report.scope}",
            title=report.title,
            version=report.run.id,
            generated=report.generated,
            plan=f"The controls that the profiles demand, run as {report.run.mode}.",
            description=f"{report.score}; {len(report.not_checked)} of {len(report.hosts)} "
            "hosts and other things were not checked, or in part.",
            start=report.run.started,
            end=report.run.finished,
            targets={
                host.name: f"{host.name}: {host.system or host.kind}" for host in report.hosts
            },
            findings=tuple(findings),
            other=(*(one for told in nowhere for one in told), *gaps),
        )
    )


def _judged(control: Control) -> bool:
    """Whether it applies anywhere."""
    return bool(control.score.checked or control.score.unknown)


def _finding(report: Report, control: Control, seen: tuple[Observation, ...]) -> oscal.Finding:
    reason, remarks = _state(report, control)
    counts = [(name, str(value)) for name, value in vars(control.score).items() if value]
    marks = [
        ("reference", f"{name} {section}")
        for name, sections in control.references.items()
        for section in sections
    ]
    return oscal.Finding(
        control=control.id,
        title=control.title,
        rationale=control.rationale,
        remedy=control.remedy,
        reason=reason,
        status_remarks=remarks,
        observations=seen,
        accepted=tuple(_accepted(control)),
        props=(("severity", control.severity), *counts, *marks),
    )


def _state(report: Report, control: Control) -> tuple[str, str]:
    """pass, fail or other, and why it is other. A host that was not asked may be asked for it."""
    score = control.score
    unasked = sum(
        host.state != "ok" and host.kind == control.target and code == "-"
        for host, code in zip(report.hosts, control.matrix, strict=True)
    )
    if score.failed:
        return "fail", ""
    told = [
        f"{number} {words}"
        for number, words in (
            (score.errors, "could not be checked"),
            (score.manual, "a person has to look at"),
            (score.waived, "deviate and are waived"),
            (unasked, "were not reached or not asked"),
        )
        if number
    ]
    return ("other", f"Of what is judged: {', '.join(told)}.") if told else ("pass", "")


def _observations(report: Report, control: Control) -> Iterator[Observation]:
    for number, group in enumerate(control.groups):
        hosts = [report.hosts[index] for index in group.hosts]
        wrong = group.status not in {"pass", "changed", "not_applicable"}
        yield Observation(
            ("observation", control.id, number), control.title,
            f"{group.status.replace('_', ' ')}: {said(group) or control.title}",
            "finding" if wrong or (report.trial and group.status == "changed")
            else "control-objective",
            min(host.collected or report.run.finished for host in hosts),
            tuple(host.name for host in hosts), (("status", group.status),),
        )  # fmt: skip


def _accepted(control: Control) -> Iterator[Accepted]:
    for number, group in enumerate(control.groups):
        waiver = group.waiver
        if waiver is not None and group.status == "waived":
            who = (("owner", waiver.owner), ("approver", waiver.approver))
            yield Accepted(
                ("waiver", control.id, number), f"Waived: {control.title}",
                waiver.reason, waiver.expires, who,
            )  # fmt: skip


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
