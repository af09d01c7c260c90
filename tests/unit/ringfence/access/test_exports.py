# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for other tools: valid by their rules, whole, and nothing unknown passes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from ringfence.access import exports, page, tables
from ringfence.access.model import shape
from ringfence.access.review import Report
from ringfence.report import exchange
from ringfence.report.text import visible
from tests.unit.ringfence.access.test_report import HOSTILE, SCOPE, hostile_rows, reported
from tests.unit.ringfence.report import oscal_checks

from .fleet import clean_rows, key

SCHEMA = Path(__file__).parent / "schemas/sarif-2.1.0-essential.json"
GAP = [shape.coverage(f"mariadb {HOSTILE}", "failed", "the server\x00 does not answer\uffff")]
FORMS = {
    "oscal": exports.render_oscal, "sarif": exports.render_sarif, "junit": exports.render_junit,
    "prometheus": exports.render_prometheus,
}  # fmt: skip


def clean() -> Report:
    return reported(clean_rows())[0]


def faulty() -> Report:
    rows = [*hostile_rows(), key("ben", "SHA256:strange", uid="s")]
    return reported(rows, covered=GAP)[0]


def client() -> Report:
    return reported([*clean_rows(), key("ben", "SHA256:strange", uid="s")], SCOPE)[0]


CASES = pytest.mark.parametrize("make", [clean, faulty, client])


# --- OSCAL


@CASES
def test_oscal_is_valid_and_every_reference_leads_to_something(make: Any, tmp_path: Path) -> None:
    text = exports.render_oscal(make())
    oscal_checks.is_valid(text, tmp_path)
    assert {one["title"] for one in oscal_checks.is_whole(text)} <= {"Not read"}


def test_oscal_has_each_finding_and_no_unknown_is_satisfied() -> None:
    report = faulty()
    result = json.loads(exports.render_oscal(report))["assessment-results"]["results"][0]
    kinds = Counter(kind for one in result["observations"] for kind in one["types"])
    assert kinds["finding"] == report.failed + report.unknown
    assert kinds["discovery"] == len(report.gaps) == 1
    states = {one["target"]["target-id"]: one["target"]["status"] for one in result["findings"]}
    for control in report.controls:
        if control.outcome == "not_asked":
            assert control.id not in states
        else:
            passed = states[control.id]["state"] == "satisfied"
            assert passed == (control.outcome == "pass")


def test_identifiers_stay_the_same_and_differ_between_clients() -> None:
    assert exports.render_oscal(clean()) == exports.render_oscal(clean())
    mine = json.loads(exports.render_oscal(client()))["assessment-results"]["uuid"]
    assert mine != json.loads(exports.render_oscal(clean()))["assessment-results"]["uuid"]


# --- SARIF


@CASES
def test_sarif_holds_the_essential_schema(make: Any) -> None:
    report = make()
    found = json.loads(exports.render_sarif(report))
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(found)
    (run,) = found["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    kinds = Counter(one["kind"] for one in run["results"])
    assert (kinds["fail"], kinds["open"]) == (report.failed, report.unknown)
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] == (not report.gaps)
    assert len(invocation["toolExecutionNotifications"]) == len(report.gaps)


def test_the_schema_refuses_what_is_no_sarif() -> None:
    found = json.loads(exports.render_sarif(faulty()))
    found["runs"][0]["results"][0]["kind"] = "open"
    assert not Draft202012Validator(json.loads(SCHEMA.read_text())).is_valid(found)


# --- JUnit


@CASES
def test_junit_is_of_the_usual_form(make: Any) -> None:
    """The essential part of Jenkins' junit-10.xsd, written down here."""
    report = make()
    root = ElementTree.fromstring(exports.render_junit(report))  # noqa: S314 # our own
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "timestamp"} <= set(suite.attrib)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        states = Counter(said.tag for case in suite for said in case)
        assert set(states) <= {"failure", "error", "skipped"}
        assert suite.attrib["tests"] == str(len(suite))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.attrib[name] == str(states[tag])
        for case in suite:
            assert case.tag == "testcase"
            assert case.attrib["name"]
            assert case.attrib["classname"]
            assert len(case) <= 1
    assert root.attrib["failures"] == str(report.failed)
    assert root.attrib["errors"] == str(report.unknown + len(report.gaps))
    asked = [one for one in report.controls if one.outcome == "not_asked"]
    assert root.attrib["skipped"] == str(len(asked))


# --- Prometheus

SAMPLE = re.compile(
    r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\} (-?[0-9.e+]+)'
)  # fmt: skip


@CASES
def test_a_textfile_that_prometheus_reads(make: Any) -> None:
    report = make()
    text = exports.render_prometheus(report)
    assert text.endswith("\n")
    typed: set[str] = set()
    series: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed
            typed.add(name)
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] in typed
            assert f"{match[1]}{match[2]}" not in series
            series[f"{match[1]}{match[2]}"] = float(match[3])
    total = sum(v for name, v in series.items() if name.startswith("ringfence_access_findings"))
    assert total == report.failed
    assert "SHA256" not in text


def test_labels_cannot_break_out() -> None:
    assert exchange.label('a"b\\c\nd') == 'a\\"b\\\\c d'


# --- all of them


@pytest.mark.parametrize("form", FORMS)
def test_nothing_hidden_and_nothing_of_another_client(form: str) -> None:
    text = FORMS[form](faulty())
    assert "\u202e" not in text
    assert "\\u202e" not in text
    assert "\x00" not in text
    mine = FORMS[form](client())
    assert not re.search(r"blog\.example|zoe|beta", mine, re.IGNORECASE)


@pytest.mark.skipif(not shutil.which("pdfdetach"), reason="needs poppler-utils")
def test_the_pdf_has_all_findings_and_the_json_in_it(tmp_path: Path) -> None:
    report = faulty()
    made = exports.render_pdf(report)
    assert made == exports.render_pdf(report)
    path = tmp_path / "access.pdf"
    path.write_bytes(made)
    said = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True, text=True)
    words = re.sub(r"\s+", "", said.stdout)
    for control in report.controls:
        assert re.sub(r"\s+", "", control.title) in words
        for one in control.failed:
            # a line breaks anywhere in what came from a host
            assert re.sub(r"\s+", "", visible(one.message))[:30] in words
    subprocess.run(["pdfdetach", "-saveall", "-o", tmp_path, path], check=True)
    assert (tmp_path / "findings.json").read_text() == tables.render_json(report)
    paper = page.render_for_paper(report)
    assert "<script" not in paper
    assert paper.count("<details") == paper.count("<details open")
