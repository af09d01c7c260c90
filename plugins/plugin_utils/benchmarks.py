# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Benchmarks as mappings: which controls answer which section, and how that is counted.

A benchmark is `benchmarks/<name>.yml`: title, version, levels, and its sections in order. Each
section is `automated` (its controls judge all that it asks), `manual` (with `how` a person checks
it, and `evidence`: controls that tell part of it) or `not_applicable` (with `why`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils.profiles import LEVELS
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import (
    located,
    nearest,
)

STATUSES = ("automated", "manual", "not_applicable")
_NEEDS = {"automated": "controls", "manual": "how", "not_applicable": "why"}
_ALLOWED = {"automated": {"controls"}, "manual": {"how", "evidence"}, "not_applicable": {"why"}}

Benchmark = dict[str, Any]


def problems(path: Path, document: Benchmark, controls: Mapping[str, Any]) -> Iterator[str]:
    """What the schema cannot say of a benchmark file, a line each: file, line, path, expected."""
    levels = document.get("levels", {})
    seen: dict[str, int] = {}
    previous: tuple[Any, ...] = ()
    for number, row in enumerate(document["sections"]):
        section, found = row["section"], list(_row_problems(row, levels, controls))
        if section in seen:
            found.append(f"is there already, as sections[{seen[section]}]")
        elif order(section) < previous:
            found.append("comes too late: expected sections in the order of their numbers")
        seen[section], previous = number, max(previous, order(section))
        for said in found:  # located only where there is something: it reads the file again
            yield f"{located(path, ['sections', number])} ({section}): {said}"


def _row_problems(
    row: Mapping[str, Any], levels: Mapping[str, str], controls: Mapping[str, Any]
) -> Iterator[str]:
    status = row["status"]
    if _NEEDS[status] not in row:
        yield f"{_NEEDS[status]} is missing: every section that is {status} has it"
    for key in ("controls", "evidence", "how", "why"):
        if key in row and key not in _ALLOWED[status]:
            yield f"{key}: belongs to no section that is {status}"
    for level in row.get("levels", []):
        if level not in levels:
            expected = f"expected one of {', '.join(levels)}" if levels else "there are no levels"
            yield f"levels: found {level}, {expected}"
    if levels and not row.get("levels"):
        yield f"levels is missing: expected one of {', '.join(levels)}"
    for key in ("controls", "evidence"):
        for control_id in row.get(key, []):
            if control_id not in controls:
                yield f"{key}: there is no control {control_id}{nearest(control_id, controls)}"


def order(section: str) -> tuple[Any, ...]:
    """By which sections are in order: 1.2 before 1.10, R2 before R10."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.findall(r"\d+|[A-Za-z]+", section)
    )


def mark(controls: Mapping[str, dict[str, Any]], benchmarks: Mapping[str, Benchmark]) -> None:
    """Write into each control where benchmarks name it (`references`), and its `level`.

    The level is the lowest at which a benchmark with our levels has it automated; else what the
    control says itself; else 1.
    """
    levels: dict[str, int] = {}
    for name, row, control_id in _named(benchmarks):
        references = controls[control_id].setdefault("references", {})
        references.setdefault(name, []).append(row["section"])
        for level in set(row.get("levels", [])) & set(LEVELS):
            levels[control_id] = min(LEVELS[level], levels.get(control_id, LEVELS[level]))
    for control_id, control in controls.items():
        control["level"] = levels.get(control_id, control.get("level", 1))


def level_problems(
    controls: Mapping[str, Any], benchmarks: Mapping[str, Benchmark]
) -> Iterator[tuple[str, str]]:
    """(control, what is wrong) where a control says itself what a benchmark says of it."""
    for name, row, control_id in _named(benchmarks):
        control = controls.get(control_id, {})
        if "level" in control and set(row.get("levels", [])) & set(LEVELS):
            yield control_id, f"level: benchmarks/{name}.yml says it in {row['section']}"
        if name in control.get("references", {}):
            yield control_id, f"references.{name}: belongs into benchmarks/{name}.yml"


def _named(
    benchmarks: Mapping[str, Benchmark],
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Benchmark, section and control, for each control that a section names."""
    for name, benchmark in sorted(benchmarks.items()):
        for row in benchmark["sections"]:
            for control_id in row.get("controls", []):
                yield name, row, control_id


def count(sections: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many sections are automated, manual, not_applicable."""
    counted = Counter(row["status"] for row in sections)
    return {status: counted[status] for status in STATUSES}


def by_level(benchmark: Benchmark) -> dict[str, dict[str, int]]:
    """`count` for each level, in the benchmark's own order of levels."""
    return {
        level: count(row for row in benchmark["sections"] if level in row["levels"])
        for level in benchmark.get("levels", {})
    }
