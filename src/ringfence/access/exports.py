# SPDX-License-Identifier: GPL-3.0-or-later
"""A report for other tools: OSCAL assessment results, SARIF, JUnit, a Prometheus textfile, PDF.

What could not be told is never a pass: OSCAL has it as not satisfied (other), SARIF as open, JUnit
as an error, Prometheus in a series of its own. What nobody judged is left out, or skipped.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ringfence import __version__
from ringfence.access import page, tables
from ringfence.access.model import kind_of
from ringfence.access.review import Judged, Report
from ringfence.report import exchange, pdf
from ringfence.report.exchange import Case, Result, Rule, line

OSCAL_VERSION = "1.1.3"
_NAMESPACE = "urn:ringfence:oscal"


def _place(target: str) -> str:
    return "the client register" if target == "register" else target


# --- OSCAL -----------------------------------------------------------------------------------


def render_oscal(report: Report) -> str:
    """OSCAL assessment results in JSON; the same identifiers for the same collection and client."""
    return _json({"assessment-results": _Oscal(report).document()})


class _Oscal:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.seed = f"{report.collection}\0{report.client}"

    def id(self, *parts: object) -> str:
        return str(uuid.uuid5(exchange.SPACE, "\0".join((self.seed, *map(str, parts)))))

    def document(self) -> dict[str, Any]:
        report = self.report
        plan = {
            "uuid": self.id("plan"),
            "title": "Plan of the assessment",
            "description": "The controls of Ringfence whose target is access, on all that was "
            "collected. There is no plan in OSCAL.",
        }
        return {
            "uuid": self.id("results"),
            "metadata": {
                "title": line(report.title),
                "last-modified": report.generated,
                "version": report.collection,
                "oscal-version": OSCAL_VERSION,
                "props": [self.prop("tool", f"ringfence {__version__}")],
            },
            "import-ap": {"href": f"#{plan['uuid']}"},
            "results": [self.result()],
            "back-matter": {"resources": [plan]},
        }

    def result(self) -> dict[str, Any]:
        report = self.report
        judged = [one for one in report.controls if one.outcome != "not_asked"]
        observations: list[dict[str, Any]] = []
        findings: list[dict[str, Any]] = []
        for control in judged:
            seen = list(self.observations(control))
            observations += seen
            findings.append(self.finding(control, seen))
        observations += self.gaps()
        chosen = [{"control-id": one.id} for one in judged]
        selection = {"include-controls": chosen} if chosen else {"description": "nothing to judge"}
        items = list(self.items())
        told: dict[str, Any] = {
            "uuid": self.id("result"),
            "title": line(report.title),
            "description": f"{len(report.rows)} accesses, {report.failed} findings, "
            f"{report.unknown} things not told, {len(report.gaps)} sources not read.",
            "start": report.collected_at,
            "end": report.collected_at,
            "local-definitions": {"inventory-items": items},
            "reviewed-controls": {"control-selections": [selection]},
            "observations": observations,
            "findings": findings,
        }
        if not items:
            del told["local-definitions"]
        return {key: value for key, value in told.items() if value != []}

    def items(self) -> Iterator[dict[str, Any]]:
        for target in self.targets():
            yield {
                "uuid": self.id("item", target),
                "description": line(_place(target)),
                "props": [self.prop("target", target)],
            }

    def targets(self) -> list[str]:
        names = {*self.report.targets, *(gap.target for gap in self.report.gaps)}
        for control in self.report.controls:
            names |= {one.target for one in (*control.failed, *control.unknown)}
        return sorted(names)

    def observations(self, control: Judged) -> Iterator[dict[str, Any]]:
        told = [*control.failed, *control.unknown]
        for number, one in enumerate(told):
            yield {
                "uuid": self.id("observation", control.id, number, one.target, *one.rows),
                "title": control.title,
                "description": line(one.message),
                "props": [self.prop("status", one.status),
                          *(self.prop("access", name) for name in one.rows[:100])],
                "methods": ["EXAMINE"],
                "types": ["finding"],
                "subjects": [self.subject(one.target)],
                "collected": self.report.collected_at,
            }  # fmt: skip
        if not told:
            yield {
                "uuid": self.id("observation", control.id),
                "title": control.title,
                "description": "Nothing was found in what was read.",
                "methods": ["EXAMINE"],
                "types": ["control-objective"],
                "collected": self.report.collected_at,
            }

    def gaps(self) -> list[dict[str, Any]]:
        return [
            {
                "uuid": self.id("gap", number, gap.target, gap.source),
                "title": "Not read",
                "description": line(
                    f"{gap.source} on {gap.target} was not read: {gap.message or gap.state}"
                ),
                "methods": ["EXAMINE"],
                "types": ["discovery"],
                "subjects": [self.subject(gap.target)],
                "collected": self.report.collected_at,
            }
            for number, gap in enumerate(self.report.gaps)
        ]

    def subject(self, target: str) -> dict[str, Any]:
        return {"subject-uuid": self.id("item", target), "type": "inventory-item"}

    def finding(self, control: Judged, seen: list[dict[str, Any]]) -> dict[str, Any]:
        passed = control.outcome == "pass"
        reason = {"pass": "pass", "fail": "fail"}.get(control.outcome, "other")
        status = {"state": "satisfied" if passed else "not-satisfied", "reason": reason}
        if control.outcome == "error":
            status["remarks"] = "It could not be told everywhere; nobody has shown that it holds."
        return {
            "uuid": self.id("finding", control.id),
            "title": control.title,
            "description": line(control.rationale),
            "props": [self.prop("severity", control.severity)],
            "target": {"type": "objective-id", "target-id": control.id, "status": status},
            "related-observations": [{"observation-uuid": one["uuid"]} for one in seen],
            "remarks": line(control.remedy) or control.title,
        }

    def prop(self, name: str, value: str) -> dict[str, str]:
        return {"name": name, "ns": _NAMESPACE, "value": line(value) or "none"}


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


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"
