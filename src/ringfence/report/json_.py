# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as JSON: the whole model, hosts of a group by name."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ringfence.report.model import BENCHMARK_STATES, Benchmark, Report

SCHEMA_VERSION = 1


def render(report: Report) -> str:
    """The report as indented JSON, in UTF-8 text."""
    value = asdict(report)
    names = [host.name for host in report.hosts]
    for control in (*value["controls"], *value["outside"]):
        del control["matrix"]
        for group in control["groups"]:
            group["hosts"] = [names[number] for number in group["hosts"]]
    for benchmark, known in zip(value["benchmarks"], report.benchmarks, strict=True):
        _name_hosts(benchmark, names, known)
    value["not_checked"] = [host.name for host in report.not_checked]
    text = json.dumps(_with_totals(value), indent=1, ensure_ascii=False)
    return f'{{\n "schema": {SCHEMA_VERSION},{text[1:]}\n'


def _name_hosts(benchmark: dict[str, Any], names: list[str], known: Benchmark) -> None:
    """Hosts by name, and the sections counted: readers should not have to know how."""
    for section in benchmark["sections"]:
        for key in ("failing", "unknown"):
            section[key] = [names[number] for number in section[key]]
    benchmark["hosts"] = [
        {"name": name, **row} for name, row in zip(names, benchmark["hosts"], strict=False)
    ]
    benchmark["counts"] = {
        "sections": len(known.sections),
        "automated": known.automated(),
        **{state: known.count(state) for state in BENCHMARK_STATES},
    }


def _with_totals(value: Any) -> Any:
    """Every score with what is derived from it: readers should not have to know how."""
    if isinstance(value, dict):
        value = {key: _with_totals(item) for key, item in value.items()}
        if "passed" in value and "not_applicable" in value:
            value["checked"] = value["passed"] + value["failed"] + value["waived"]
            value["unknown"] = value["errors"] + value["manual"]
        return value
    if isinstance(value, list | tuple):
        return [_with_totals(item) for item in value]
    return value
