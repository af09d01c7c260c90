# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as CSV (a row an access) and as JSON (all of it)."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from ringfence.access.model import COLUMNS
from ringfence.access.review import Report
from ringfence.report.csv_ import neutral
from ringfence.report.text import visible

SCHEMA_VERSION = 1
# After the columns of every access review: what tells a row apart, what is wrong, how to mend it.
MORE = (
    "key_type",
    "key_bits",
    "key_comment",
    "host_or_site",
    "addresses",
    "findings",
    "remedy",
    "id",
)


def render_csv(report: Report) -> str:
    """RFC 4180 text. What could not be read has rows of its own, `credential_type` not_read."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *MORE])
    remedies = {one.id: f"{one.title}: {one.remedy}" for one in report.controls}
    for name, row in report.rows.items():
        details = row["details"]
        failed = report.by_row.get(name, ())
        more = (
            *(details.get(key) for key in ("key_type", "key_bits", "key_comment")),
            details.get("place") or "",
            details.get("sources") or [],
            list(failed),
            " / ".join(remedies[control] for control in failed),
            name,
        )
        writer.writerow([cell(value) for value in (*(row[c] for c in COLUMNS), *more)])
    for gap in report.gaps:
        blank: dict[str, Any] = dict.fromkeys(COLUMNS, "")
        blank |= {"system": f"not read:{gap.target}", "credential_type": "not_read",
                  "source": gap.source, "reason": gap.message or gap.state}  # fmt: skip
        writer.writerow([cell(value) for value in (*blank.values(), *[""] * len(MORE))])
    return out.getvalue()


def cell(value: Any) -> str:
    """A value as a cell that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return neutral(visible("; ".join(map(str, value))))
    return neutral(visible(str(value)))


def render_json(report: Report) -> str:
    """The report as JSON, in UTF-8 text."""
    found = asdict(report)
    for name, row in found["rows"].items():
        row["findings"] = list(report.by_row.get(name, ()))
    del found["by_row"]
    found["counts"] = {
        "rows": len(report.rows), "findings": report.failed, "could_not_be_told": report.unknown,
        "not_read": len(report.gaps),
    }  # fmt: skip
    text = json.dumps({"schema": SCHEMA_VERSION, **found}, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"
