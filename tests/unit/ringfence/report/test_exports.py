# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of controls for other tools: what fails fails there too, and an error is no pass."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from ringfence.report import Report, exports

from .test_renderers import hostile_report, report

SCHEMA = Path(__file__).parents[1] / "access/schemas/sarif-2.1.0-essential.json"
CASES = pytest.mark.parametrize("make", [report, hostile_report])


def statuses(found: Report) -> Counter[str]:
    return Counter(
        group.status
        for control in found.controls
        for group in control.groups
        for _host in group.hosts
    )


@CASES
def test_sarif_holds_the_essential_schema(make: Any) -> None:
    found = make()
    (run,) = (made := json.loads(exports.render_sarif(found)))["runs"]
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(made)
    told = statuses(found)
    suppressed = [one for one in run["results"] if "suppressions" in one]
    kinds = Counter(one["kind"] for one in run["results"])
    assert kinds["fail"] == told["fail"] + told["waived"]
    assert kinds["open"] == told["error"]
    assert len(suppressed) == told["waived"]
    assert not run["invocations"][0]["executionSuccessful"]
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == len(found.not_checked)
    prints = [one["partialFingerprints"]["ringfence/v1"] for one in run["results"]]
    assert len(set(prints)) == len(prints)


@CASES
def test_junit_counts_what_the_report_counts(make: Any) -> None:
    found = make()
    root = ElementTree.fromstring(exports.render_junit(found))  # noqa: S314 # our own
    told = statuses(found)
    assert root.attrib["failures"] == str(told["fail"])
    assert root.attrib["errors"] == str(told["error"] + len(found.not_checked))
    assert root.attrib["tests"] == str(sum(told.values()) + len(found.not_checked))
    for suite in root:
        assert suite.attrib["tests"] == str(len(suite))
        assert suite.attrib["failures"] == str(len(suite.findall("testcase/failure")))
        assert suite.attrib["errors"] == str(len(suite.findall("testcase/error")))
        assert suite.attrib["skipped"] == str(len(suite.findall("testcase/skipped")))


def test_junit_says_what_fails_and_how_to_mend_it() -> None:
    root = ElementTree.fromstring(exports.render_junit(report()))  # noqa: S314 # our own
    (failure,) = root.findall("testsuite[@name='web1']/testcase/failure")
    assert failure.attrib["message"] == "fail: sshd -T; expected no; found yes"
    assert failure.text is not None
    assert "Set PermitRootLogin no." in failure.text
    (gone,) = root.findall("testsuite[@name='web3']/testcase/error")
    assert gone.attrib["message"] == "no route to host"


def test_the_textfile_has_figures_and_no_names() -> None:
    text = exports.render_prometheus(report())
    assert 'ringfence_results{mode="audit",control="ssh_root_login",severity="critical",' in text
    fails = re.findall(r'ringfence_results\{[^}]*status="fail"\} (\d+)', text)
    assert sum(map(int, fails)) == statuses(report())["fail"] == 1
    assert 'ringfence_hosts{mode="audit",state="unreachable"} 1' in text
    assert "web1" not in text


@pytest.mark.parametrize("form", ["sarif", "junit", "prometheus"])
def test_nothing_hidden(form: str) -> None:
    text = getattr(exports, f"render_{form}")(hostile_report())
    for sign in ("\u202e", "\\u202e", "\x1b", "\udcff"):
        assert sign not in text
    text.encode("utf-8")
