# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as CSV: one row for each control on each host, passing ones too.

What is outside of a host's profile stands last, `demanded` no, with its true status.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ringfence.report.model import Control, Group, Report

COLUMNS = (
    *("run", "finished", "mode", "host", "host_state", "area", "control", "title", "severity"),
    *("status", "expected", "observed", "message", "rationale", "remedy", "variable"),
    *("waiver_reason", "waiver_owner", "waiver_approver", "waiver_expires", "waiver_state"),
    "demanded",
)
# with these a spreadsheet would take a cell for a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def render(report: Report) -> str:
    """RFC 4180 text. A host that was not asked has a row of its own, status not_checked."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    run = (report.run.id, report.run.finished, report.run.mode)
    for row in _rows(report):
        writer.writerow([neutral(cell) for cell in (*run, *row)])
    return out.getvalue()


def neutral(cell: str) -> str:
    """`cell`, made text where a spreadsheet would run it."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    for host in report.hosts:
        if host.state != "ok":
            blank = ("",) * 4
            yield (host.name, host.state, *blank, "not_checked", "", "", host.message, *("",) * 9)
    for controls, demanded in ((report.controls, "yes"), (report.outside, "no")):
        for control, group in ((one, group) for one in controls for group in one.groups):
            for number in group.hosts:
                host = report.hosts[number]
                yield (host.name, host.state, *_finding(control, group), demanded)


def _finding(control: Control, group: Group) -> tuple[str, ...]:
    waiver = group.waiver
    fields = ("reason", "owner", "approver", "expires", "state")
    return (
        *(control.area, control.id, control.title, control.severity, group.status),
        *(group.expected or "", group.observed or "", group.message),
        *(control.rationale, control.remedy, control.variable),
        *(getattr(waiver, field) if waiver else "" for field in fields),
    )
