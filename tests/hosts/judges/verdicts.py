# SPDX-License-Identifier: GPL-3.0-or-later
"""What Lynis, OpenSCAP and ssh-audit wrote, read into one shape."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from typing import Any

LYNIS, OPENSCAP, SSH_AUDIT = "lynis", "openscap", "ssh_audit"
JUDGES = (LYNIS, OPENSCAP, SSH_AUDIT)

_XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
_RULE = "xccdf_org.ssgproject.content_rule_"
# What the rule did not answer: the tool could not, or this host has nothing of the kind.
_UNANSWERED = {"notapplicable", "notselected", "notchecked", "informational"}
_SSH_KINDS = {"kex": "kex", "key": "key", "enc": "cipher", "mac": "mac"}


@dataclass(frozen=True)
class Verdict:
    """One judge's word on one host.

    `findings` and `passed` are ids; an id in neither was not asked. A test that the judge splits
    is TEST/DETAIL, and `passed` then holds TEST alone. `score` is the judge's own figure.
    """

    judge: str
    version: str
    score: dict[str, int]
    findings: tuple[str, ...]
    passed: tuple[str, ...]
    details: dict[str, str] = field(default_factory=dict)

    def says(self, finding: str) -> str:
        """What the judge says of an id: "found", "passed" or "not asked"."""
        if finding in self.findings:
            return "found"
        whole = finding.partition("/")[0]
        return "passed" if finding in self.passed or whole in self.passed else "not asked"


def lynis(report: str, log: str) -> Verdict:
    """From lynis-report.dat and lynis.log.

    A finding is a suggestion, a warning, or a test that gave less than all of its points without
    saying a word. Raises ValueError for a report that has no end.
    """
    rows = [line.partition("=") for line in report.splitlines() if "=" in line]
    single = {name: value for name, _sign, value in rows}
    if "hardening_index" not in single:
        raise ValueError("the report of Lynis has no hardening_index: it did not reach its end")
    found: dict[str, str] = {}
    for name, _sign, value in rows:
        if name in ("suggestion[]", "warning[]"):
            test, text, detail = value.split("|")[:3]
            found.setdefault(_lynis_id(test, text, detail), text)
        elif name == "details[]":
            test, _service, text = value.split("|")[:3]
            known = dict(part.partition(":")[::2] for part in text.split(";") if ":" in part)
            words = f"{known['value']}, wanted {known['prefval'] or 'another'}"
            found[f"{test}/{known['field']}"] = words
    found |= _loose_files(log)
    # Where a test names its details, the line for all of them says nothing more.
    split = {name.partition("/")[0] for name in found if "/" in name}
    found = {name: text for name, text in found.items() if name not in split}
    for test, points in _lost_points(log).items():
        if test not in split and test not in found:
            found[test] = f"{points} points given"
    passed = set(single["tests_executed"].split("|")) - set(found) - {""}
    index = int(single["hardening_index"])
    return Verdict(
        LYNIS,
        single["lynis_version"],
        {"hardening index": index, "findings": len(found)},
        tuple(sorted(found)),
        tuple(sorted(passed)),
        found,
    )


def _lynis_id(test: str, text: str, detail: str) -> str:
    option = re.match(r"(\w+) \(set ", detail)
    if option:
        return f"{test}/{option[1]}"
    quoted = re.search(r"protocol '(\w+)'", text)
    if quoted:
        return f"{test}/{quoted[1]}"
    folder = re.search(r"place (/\S+) on a separate", text)
    if folder:
        return f"{test}/{folder[1]}"
    age = re.search(r"(minimum|maximum) password age", text)
    return f"{test}/{age[1]}" if age else test


def _loose_files(log: str) -> dict[str, str]:
    """FILE-7524 names each file in the log alone; the report has one line for all of them."""
    rows = re.findall(
        r"permissions of file (\S+) are not matching expected value \((\d+) != (\d+)\)", log
    )
    return {f"FILE-7524/{path}": f"{mode}, wanted {wanted}" for path, mode, wanted in rows}


def _lost_points(log: str) -> dict[str, str]:
    lost: dict[str, list[int]] = {}
    test = ""
    for line in log.splitlines():
        began = re.search(r"Performing test ID (\S+)", line)
        if began:
            test = began[1]
        given = re.search(r"partial number of hardening points \((\d+) of (\d+)\)", line)
        if given and int(given[1]) < int(given[2]):
            sums = lost.setdefault(test, [0, 0])
            sums[0] += int(given[1])
            sums[1] += int(given[2])
    return {name: f"{given} of {possible}" for name, (given, possible) in lost.items()}


def openscap(results: str, version: str) -> Verdict:
    """From the XCCDF results. Raises ValueError where there are none of any rule."""
    tree = ElementTree.fromstring(results)  # noqa: S314 - written by our own run a moment ago
    answers = {
        row.attrib["idref"].removeprefix(_RULE): row.findtext(f"{_XCCDF}result", "unknown")
        for row in tree.iter(f"{_XCCDF}rule-result")
    }
    answered = {name: said for name, said in answers.items() if said not in _UNANSWERED}
    if not answered:
        raise ValueError("OpenSCAP answered no rule: its content does not fit this host")
    passed = sorted(name for name, said in answered.items() if said in ("pass", "fixed"))
    found = sorted(set(answered) - set(passed))
    return Verdict(
        OPENSCAP,
        version,
        {"passed": len(passed), "answered": len(answered)},
        tuple(found),
        tuple(passed),
        {name: answered[name] for name in found},
    )


def ssh_audit(answer: str, version: str) -> Verdict:
    """From `ssh-audit --json`. Raises ValueError where it did not reach the server."""
    document: dict[str, Any] = json.loads(answer)
    if not document.get("kex"):
        raise ValueError("ssh-audit saw no key exchange: it did not reach the server")
    found: dict[str, str] = {}
    passed, fails = [], 0
    for kind, word in _SSH_KINDS.items():
        for row in document[kind]:
            name = f"{word}:{row['algorithm']}"
            notes = row["notes"]
            fails += len(notes.get("fail", []))
            words = notes.get("fail", []) + notes.get("warn", [])
            if words:
                found[name] = "; ".join(words)
            else:
                passed.append(name)
    for row in document.get("cves", []):
        found[row["name"]] = row["description"]
    return Verdict(
        SSH_AUDIT,
        version,
        {"failed algorithms": fails, "findings": len(found)},
        tuple(sorted(found)),
        tuple(sorted(passed)),
        found,
    )
