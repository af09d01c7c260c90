# SPDX-License-Identifier: GPL-3.0-or-later
"""Where words go: results to standard output, progress and complaints to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from ringfence.results import printable

MARKS = {
    "pass": ("✓", "ok", "green"),
    "fail": ("✗", "FAIL", "red"),
    "changed": ("~", "CHG", "yellow"),
    "error": ("?", "ERR", "magenta"),
    "unreachable": ("!", "!", "magenta"),
    "not_run": ("-", "-", "dim"),
    "waived": ("w", "w", "cyan"),
    "manual": ("m", "m", "cyan"),
}
SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}
DISRUPTION_STYLES = {"access": "bold red", "low": "yellow", "none": "dim"}
_PLAIN_WIDTH = 100


def console() -> Console:
    """For results. Not as narrow as a missing terminal's default when it goes to a file."""
    return _console(sys.stdout)


def notes() -> Console:
    """For progress."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    interactive = stream.isatty()
    width = None if interactive or "COLUMNS" in os.environ else _PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False, emoji=False)


def mark(kind: str, target: Console) -> Text:
    """A sign for a state, in letters where the terminal has no such signs."""
    sign, letters, style = MARKS.get(kind, ("?", "?", "magenta"))
    able = target.encoding.lower().replace("-", "").startswith("utf")
    return Text(sign if able else letters, style=style)


def paragraph(target: Console, text: Text | str, indent: int = 0) -> None:
    """Print a paragraph, all of its lines `indent` columns in and none filled up with blanks."""
    body = text if isinstance(text, Text) else Text(text)
    for line in body.wrap(target, max(target.width - indent, 1)):
        line.rstrip()
        target.print(Text(" " * indent).append_text(line), soft_wrap=True)


def print_json(document: Any) -> None:
    """The answer of `--json`."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=True, default=str)
    sys.stdout.write("\n")


def names(items: Sequence[str], limit: int = 6) -> str:
    """`web1, web2 and 7 more`."""
    clean = [printable(item) for item in items]
    if len(clean) <= limit + 1:
        return ", ".join(clean)
    return f"{', '.join(clean[:limit])} and {len(clean) - limit} more"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def next_step(target: Console, command: str, why: str = "") -> None:
    """The last line: what to do now. Never broken, so that it can be copied."""
    line = Text("Next: ", style="bold")
    line.append(command, style="bold cyan")
    if why:
        line.append(f"  {why}", style="dim")
    target.print(line, soft_wrap=True)


def joined(parts: Iterable[str]) -> str:
    """Sentence parts, those that are there, with semicolons."""
    return "; ".join(part for part in parts if part)
