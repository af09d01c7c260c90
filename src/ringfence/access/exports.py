# SPDX-License-Identifier: GPL-3.0-or-later
"""A report for other tools: OSCAL assessment results, SARIF, JUnit, a Prometheus textfile, PDF.

What could not be told is never a pass: OSCAL has it as not satisfied (other), SARIF as open, JUnit
as an error, Prometheus in a series of its own. What nobody judged is left out, or skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ringfence.access import page, tables
from ringfence.access.model import kind_of
from ringfence.access.review import Judged, Report
from ringfence.report import exchange, oscal, pdf
from ringfence.report.exchange import Case, Result, Rule
from ringfence.report.oscal import Observation


def _place(target: str) -> str:
    return "the client register" if target == "register" else target


# --- OSCAL -----------------------------------------------------------------------------------


def render_oscal(report: Report) -> str:
    """OSCAL assessment results in JSON; the same identifiers for the same collection and client."""
    findings = [_finding(report, one) for one in report.controls if one.outcome != "not_asked"]
    gaps = [
        Observation(
            ("gap", number, gap.target, gap.source), "Not read",
            f"{gap.source} on {gap.target} was not read: {gap.message or gap.state}",
            "discovery", report.collected_at, (gap.target,),
        )
        for number, gap in enumerate(report.gaps)
    ]  # fmt: skip
    return oscal.render(
        oscal.Assessment(
            seed=f"{report.collection}\0{report.client}",
            title=report.title,
            version=report.collection,
            generated=report.generated,
            plan="The controls of Ringfence whose target is access, on all that was collected.",
            description=f"{len(report.rows)} accesses, {report.failed} findings, "
            f"{report.unknown} things not told, {len(report.gaps)} sources not read.",
            start=report.collected_at,
            end=report.collected_at,
            targets={name: _place(name) for name in _targets(report)},
            findings=tuple(findings),
            other=tuple(gaps),
        )
    )


def _targets(report: Report) -> set[str]:
    names = {*report.targets, *(gap.target for gap in report.gaps)}
    for control in report.controls:
        names |= {one.target for one in (*control.failed, *control.unknown)}
    return names


def _finding(report: Report, control: Judged) -> oscal.Finding:
    open_ = "It could not be told everywhere; nobody has shown that it holds."
    return oscal.Finding(
        control=control.id,
        title=control.title,
        rationale=control.rationale,
        remedy=control.remedy,
        reason={"pass": "pass", "fail": "fail"}.get(control.outcome, "other"),
        status_remarks=open_ if control.outcome == "error" else "",
        observations=tuple(_observations(report, control)),
        props=(("severity", control.severity),),
    )


def _observations(report: Report, control: Judged) -> Iterator[Observation]:
    told = [*control.failed, *control.unknown]
    for number, one in enumerate(told):
        yield Observation(
            ("observation", control.id, number, one.target, *one.rows), control.title,
            one.message, "finding", report.collected_at, (one.target,),
            (("status", one.status), *(("access", name) for name in one.rows[:100])),
        )  # fmt: skip
    if not told:
        yield Observation(
            ("observation", control.id), control.title, "Nothing was found in what was read.",
            "control-objective", report.collected_at,
        )  # fmt: skip


# --- SARIF, JUnit, Prometheus -----------------------------------------------------------------


def render_sarif(report: Report) -> str:
    """SARIF 2.1.0: a rule for each control, a result for each finding, gaps as notifications."""
    rules = {one.id: _rule(one) for one in report.controls}
    results = [
        Result(
            rules[control.id], "fail" if one.status == "fail" else "open", one.message,
            _place(one.target), (one.person, *one.rows),
        )
        for control in report.controls
        for one in (*control.failed, *control.unknown)
    ]  # fmt: skip
    gaps = [
        (one.target, f"{one.source} on {one.target} was not read: {one.message or one.state}")
        for one in report.gaps
    ]
    run = f"access/{report.client or 'all'}/{report.collection}"
    return exchange.sarif(list(rules.values()), results, gaps, run, report.collected_at)


def _rule(control: Judged) -> Rule:
    return Rule(control.id, control.title, control.severity, control.rationale, control.remedy)


def render_junit(report: Report) -> str:
    """JUnit's XML: a suite for each control, a case for each finding; what was not read is one."""
    suites = [(control.id, list(_cases(control))) for control in report.controls]
    gaps = [
        Case(one.target, "error", f"{one.source}: {one.message or one.state}", "not_read")
        for one in report.gaps
    ]
    suites += [("not_read", gaps)] if gaps else []
    return exchange.junit(report.title, report.collected_at, suites)


def _cases(control: Judged) -> Iterator[Case]:
    for one in control.failed:
        yield Case(one.target, "failure", one.message, control.severity, control.remedy)
    for one in control.unknown:
        yield Case(one.target, "error", one.message, "not_told", control.remedy)
    if control.outcome == "not_asked":
        yield Case(control.title, "skipped", "nothing of the kind was collected")
    elif control.outcome == "pass":
        yield Case(control.title)


def render_prometheus(report: Report) -> str:
    """A textfile for node_exporter's collector: figures, and no account or person."""
    judged = [one for one in report.controls if one.outcome != "not_asked"]
    mighty = sum(page.mighty(row) for row in report.rows.values())
    kinds = Counter(kind_of(row) for row in report.rows.values())
    series: list[exchange.Series] = [
        ("findings", "Findings of a control.",
         [({"control": one.id, "severity": one.severity}, len(one.failed)) for one in judged]),
        ("not_told", "What could not be told for a control.",
         [({"control": one.id, "severity": one.severity}, len(one.unknown)) for one in judged]),
        ("accesses", "Accesses by the kind of their system.",
         [({"kind": kind}, number) for kind, number in sorted(kinds.items())]),
        ("privileged_accesses", "Accesses with all rights.", [({}, mighty)]),
        ("accesses_with_findings", "Accesses with at least one finding.",
         [({}, len(report.by_row))]),
        ("sources_not_read", "Sources that could not be read.", [({}, len(report.gaps))]),
        ("collected_timestamp_seconds", "When the collection was finished, in seconds since 1970.",
         [({}, exchange.seconds(report.collected_at))]),
    ]  # fmt: skip
    return exchange.prometheus("ringfence_access", {"client": report.client}, series)


# --- PDF -------------------------------------------------------------------------------------


def render_pdf(report: Report) -> bytes:
    """PDF/A-3b with all of the report embedded as JSON. Raises pdf.PdfError."""
    return pdf.write(
        page.render_for_paper(report), tables.render_json(report), report.generated,
        f"{report.collection} {report.client}",
    )  # fmt: skip
