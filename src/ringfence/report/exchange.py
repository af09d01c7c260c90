# SPDX-License-Identifier: GPL-3.0-or-later
"""SARIF, JUnit's XML and Prometheus' textfile, of whatever was judged."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from ringfence import __version__
from ringfence.report.text import visible

SPACE = uuid.UUID("6a1d0d5c-6f0b-5d0e-9a55-3f6c1f6f8a11")
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# As GitHub and others sort: 9 and more is critical, 7 high, 4 medium.
_SECURITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
# No text of XML 1.0 may hold these.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Series = tuple[str, str, list[tuple[Mapping[str, str], float]]]


@dataclass(frozen=True)
class Rule:
    """A control. `severity`: critical, high, medium or low."""

    id: str
    title: str
    severity: str
    rationale: str
    remedy: str


@dataclass(frozen=True)
class Result:
    """What came of a rule somewhere.

    `kind`: fail, open (could not be told), or review (a person has to look). `key`: what tells it
    from other results of its rule, from one run to the next. `waived`: why it was waived.
    """

    rule: Rule
    kind: str
    message: str
    place: str
    key: tuple[str, ...] = ()
    waived: str | None = None


@dataclass(frozen=True)
class Case:
    """A case of JUnit. `state`: failure, error, skipped, or empty where it passes."""

    name: str
    state: str = ""
    message: str = ""
    kind: str = ""
    more: str = ""


def line(text: str) -> str:
    """One visible line."""
    return " ".join(visible(text).split())


def sarif(
    rules: list[Rule],
    results: Iterable[Result],
    gaps: Iterable[tuple[str, str]],
    run: str,
    finished: str,
) -> str:
    """SARIF 2.1.0. `gaps`: (place, what was not looked at). `run`: tells this run from others."""
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    notes = [
        {"level": "warning", "message": {"text": line(text)}, "locations": [_location(place)]}
        for place, text in gaps
    ]
    driver = {"name": "ringfence", "version": __version__, "semanticVersion": __version__,
              "rules": [_rule(rule) for rule in rules]}  # fmt: skip
    invocation = {"executionSuccessful": not notes, "endTimeUtc": finished,
                  "toolExecutionNotifications": notes}  # fmt: skip
    made = {
        "tool": {"driver": driver},
        "automationDetails": {"id": run},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, numbers[one.rule.id]) for one in results],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    text = json.dumps({"$schema": schema, "version": "2.1.0", "runs": [made]}, indent=1)
    return text + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": line(rule.id),
        "shortDescription": {"text": line(rule.title)},
        "fullDescription": {"text": line(rule.rationale) or line(rule.title)},
        "help": {"text": line(rule.remedy) or line(rule.title)},
        "defaultConfiguration": {"level": _LEVELS.get(rule.severity, "warning")},
        "properties": {
            "severity": line(rule.severity),
            "security-severity": _SECURITY.get(rule.severity, _SECURITY["medium"]),
            "tags": ["security"],
        },
    }


def _result(one: Result, number: int) -> dict[str, Any]:
    print_ = uuid.uuid5(SPACE, "\0".join((one.rule.id, one.place, *one.key)))
    made: dict[str, Any] = {
        "ruleId": line(one.rule.id),
        "ruleIndex": number,
        # SARIF: whatever is no failure has the level none
        "kind": one.kind,
        "level": _LEVELS.get(one.rule.severity, "warning") if one.kind == "fail" else "none",
        "message": {"text": line(one.message) or line(one.rule.title)},
        "locations": [_location(one.place)],
        "partialFingerprints": {"ringfence/v1": str(print_)},
    }
    if one.waived is not None:
        made["suppressions"] = [{"kind": "external", "justification": line(one.waived)}]
    return made


def _location(place: str) -> dict[str, Any]:
    return {"logicalLocations": [{"fullyQualifiedName": line(place), "kind": "resource"}]}


def junit(title: str, finished: str, suites: Iterable[tuple[str, list[Case]]]) -> str:
    """JUnit's XML: (name, cases) a suite. `finished`: as 2026-01-31T12:00:00Z."""
    root = ElementTree.Element("testsuites", name=_xml(title))
    totals: Counter[str] = Counter()
    for name, cases in suites:
        states = Counter(case.state for case in cases)
        counts = {"tests": len(cases), "failures": states["failure"], "errors": states["error"],
                  "skipped": states["skipped"]}  # fmt: skip
        totals.update(counts)
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(name), hostname="localhost")
        suite.set("timestamp", finished.removesuffix("Z"))
        suite.set("time", "0")
        for key, value in counts.items():
            suite.set(key, str(value))
        for case in cases:
            _case(suite, name, case)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(totals[key]))
    root.set("time", "0")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, "unicode", xml_declaration=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(suite: ElementTree.Element, name: str, case: Case) -> None:
    made = ElementTree.SubElement(
        suite, "testcase", classname=_xml(name), name=_xml(case.name), time="0"
    )
    if not case.state:
        return
    said = ElementTree.SubElement(made, case.state, message=_xml(case.message))
    if case.kind:
        said.set("type", case.kind)
    said.text = _xml(f"{case.message} {case.more}") if case.more else None


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", line(text))


def prometheus(prefix: str, common: Mapping[str, str], series: Iterable[Series]) -> str:
    """A textfile for node_exporter's collector: gauges as (name, help, samples)."""
    lines = []
    for name, help_, samples in series:
        full = f"{prefix}_{name}"
        lines += [f"# HELP {full} {help_}", f"# TYPE {full} gauge"]
        for labels, value in samples:
            inner = ",".join(f'{k}="{label(v)}"' for k, v in {**common, **labels}.items())
            lines.append(f"{full}{{{inner}}} {value:.15g}")
    return "\n".join(lines) + "\n"


def label(text: str) -> str:
    """A label's value, as the text format escapes it."""
    return line(text).replace("\\", "\\\\").replace('"', '\\"')


def seconds(time: str) -> float:
    """A time of the evidence in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()
