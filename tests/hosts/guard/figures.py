# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the figures of the last run of the matrix into docs/safety.md.

Usage: python -m tests.hosts.guard.figures
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
FIGURES = ROOT / "build" / "guard_faults.json"
GUIDE = ROOT / "docs" / "safety.md"
_BEGIN, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"
_RELEASES = ("bookworm", "trixie")
_HEAD = """\
| Fault | Put back by | Answers after (Debian 12) | Shut | Answers after (Debian 13) | Shut |
|---|---|--:|--:|--:|--:|
"""


def table(rows: Iterable[dict[str, Any]]) -> str:
    """The figures as a table in Markdown, a line for each fault."""
    faults: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        faults.setdefault(row["fault"], {})[row["release"]] = row
    return _HEAD + "".join(_line(fault, found) for fault, found in faults.items())


def _line(fault: str, found: dict[str, dict[str, Any]]) -> str:
    ways = dict.fromkeys(_way(found[release]["put back"]) for release in _RELEASES)
    cells = [fault[:1].upper() + fault[1:], " or ".join(ways)]
    for release in _RELEASES:
        cells += [f"{found[release][key]:.1f} s" for key in ("answers", "shut")]
    return f"| {' | '.join(cells)} |\n"


def _way(why: str) -> str:
    if why.startswith("no confirmation"):
        return "the timer"
    if why.startswith("the host was rebooted"):
        return "the boot"
    return "the run, at once"


def main() -> None:
    rows = json.loads(FIGURES.read_text(encoding="utf-8"))
    guide = GUIDE.read_text(encoding="utf-8")
    before, _old, after = re.split(f"({_BEGIN}.*{_END})", guide, flags=re.DOTALL)
    guide = f"{before}{_BEGIN}{table(rows)}{_END}{after}"
    seconds = rows[0]["guard"]
    guide = re.sub(r"with a guard of \d+ s", f"with a guard of {seconds} s", guide)
    GUIDE.write_text(guide, encoding="utf-8")


if __name__ == "__main__":
    main()
