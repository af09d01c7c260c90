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

from ringfence.report import Report, build, exports

from . import oscal_checks
from .fleet import catalogue, control, host, result, run_document, waiver
from .test_renderers import NOW, benchmark_report, hostile_report, report

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


@pytest.mark.parametrize("make", [report, hostile_report, benchmark_report])
def test_oscal_is_valid_and_every_reference_leads_to_something(make: Any, tmp_path: Path) -> None:
    text = exports.render_oscal(make())
    oscal_checks.is_valid(text, tmp_path)
    assert {one["title"] for one in oscal_checks.is_whole(text)} <= {"Not checked"}
    assert text == exports.render_oscal(make())


def one_control(*hosts: tuple[str, str], mode: str = "audit", kind: str = "host") -> str:
    """OSCAL of one control: name -> status, or the state of a host that was not asked."""
    told = [
        host(name, result("ssh_root_login", status, **more(status)), kind=kind)
        if status not in ("unreachable", "not_run")
        else host(name, state=status, message="gone", host={})
        for name, status in hosts
    ]
    known = catalogue(control("ssh_root_login", references={"cis": ["5.1"]}, target=kind))
    return exports.render_oscal(build(run_document(told, mode=mode), known, generated=NOW))


def more(status: str) -> dict[str, Any]:
    return {"waiver": waiver("2027-01-01")} if status == "waived" else {}


@pytest.mark.parametrize(
    ("hosts", "state", "reason", "remarks"),
    [
        ([("web1", "pass"), ("web2", "pass")], "satisfied", "pass", ""),
        ([("web1", "pass"), ("web2", "changed")], "satisfied", "pass", ""),
        ([("web1", "pass"), ("web2", "not_applicable")], "satisfied", "pass", ""),
        ([("web1", "pass"), ("web2", "fail")], "not-satisfied", "fail", ""),
        ([("web1", "waived"), ("web2", "fail")], "not-satisfied", "fail", ""),
        ([("web1", "pass"), ("web2", "error")], "not-satisfied", "other", "1 could not be checked"),
        ([("web1", "pass"), ("web2", "manual")], "not-satisfied", "other", "a person has to look"),
        ([("web1", "pass"), ("web2", "waived")], "not-satisfied", "other", "1 deviate and are"),
        ([("web1", "pass"), ("web2", "unreachable")], "not-satisfied", "other", "1 were not reac"),
        ([("web1", "pass"), ("web2", "not_run")], "not-satisfied", "other", "1 were not reached"),
    ],
)  # fmt: skip
def test_oscal_has_only_what_holds_everywhere_as_satisfied(
    hosts: list[tuple[str, str]], state: str, reason: str, remarks: str
) -> None:
    (finding,) = oscal_checks.result_of(one_control(*hosts))["findings"]
    status = finding["target"]["status"]
    assert (status["state"], status["reason"]) == (state, reason)
    assert remarks in status.get("remarks", "")
    assert bool(remarks) == ("remarks" in status)
    props = {(one["name"], one["value"]) for one in finding["props"]}
    assert {("severity", "high"), ("reference", "cis 5.1")} <= props


def test_oscal_of_a_trial_has_what_would_change_as_failed() -> None:
    told = oscal_checks.result_of(one_control(("web1", "pass"), ("web2", "changed"), mode="check"))
    assert told["findings"][0]["target"]["status"]["reason"] == "fail"
    assert sorted(kind for one in told["observations"] for kind in one["types"]) == [
        "control-objective", "finding",
    ]  # fmt: skip


def test_oscal_of_a_bucket_does_not_hang_on_a_host_out_of_reach() -> None:
    known = catalogue(control("s3_lock", target="bucket"))
    told = [host("logs", result("s3_lock", "pass"), kind="bucket"),
            host("web1", state="unreachable", host={})]  # fmt: skip
    text = exports.render_oscal(build(run_document(told), known, generated=NOW))
    found = oscal_checks.result_of(text)
    assert found["findings"][0]["target"]["status"] == {"state": "satisfied", "reason": "pass"}
    assert [one["types"] for one in found["observations"]] == [["control-objective"], ["discovery"]]


def test_oscal_has_no_finding_of_what_applies_nowhere() -> None:
    text = one_control(("web1", "not_applicable"))
    found = oscal_checks.result_of(text)
    assert "findings" not in found
    assert [one["props"][0]["value"] for one in found["observations"]] == ["not_applicable"]


def test_oscal_names_the_hosts_the_values_and_the_waivers() -> None:
    made = report()
    found = oscal_checks.result_of(exports.render_oscal(made))
    items = {
        one["uuid"]: one["props"][0]["value"]
        for one in found["local-definitions"]["inventory-items"]
    }
    assert set(items.values()) == {one.name for one in made.hosts}
    told = {
        (
            one["title"], one["description"],
            tuple(items[subject["subject-uuid"]] for subject in one["subjects"]),
        )
        for one in found["observations"]
    }  # fmt: skip
    title = "Title of ssh_root_login"
    assert (title, "fail: sshd -T; expected no; found yes", ("web1",)) in told
    assert (title, "error: no sshd", ("web2",)) in told
    assert ("Not checked", "web3 is unreachable: no route to host", ("web3",)) in told
    (risk,) = found["risks"]
    assert (risk["status"], risk["deadline"]) == ("deviation-approved", "2027-01-01T23:59:59Z")
    assert risk["statement"] == "old shop"
    (waived,) = [one for one in found["findings"] if "related-risks" in one]
    assert waived["target"]["target-id"] == "ssh_banner"


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


@pytest.mark.parametrize("form", ["oscal", "sarif", "junit", "prometheus"])
def test_nothing_hidden(form: str) -> None:
    text = getattr(exports, f"render_{form}")(hostile_report())
    for sign in ("\u202e", "\\u202e", "\x1b", "\udcff"):
        assert sign not in text
    text.encode("utf-8")
