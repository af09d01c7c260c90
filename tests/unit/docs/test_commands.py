# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that the guides show are commands that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ringfence.cli import app

ROOT = Path(__file__).resolve().parents[3]
_FENCED = re.compile(r"^```(?:sh|console|shell)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def shown() -> Iterator[tuple[str, str]]:
    """Each line with `ringfence` in a fenced block, and where it stands."""
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        text = page.read_text(encoding="utf-8")
        for block in _FENCED.finditer(text):
            first = text.count("\n", 0, block.start(1)) + 1
            lines = re.sub(r"\\\n", "  ", block[1]).splitlines()
            for number, line in enumerate(lines, first):
                for part in re.split(r"&&|\|\|?|;|<|>", line.removeprefix("$ ")):
                    if part.strip().startswith("ringfence "):
                        yield part.strip(), f"{page.relative_to(ROOT)}:{number}"


def refused(line: str) -> str:
    """What the command line says against it; nothing where it would run it."""
    # Examples leave things out with an ellipsis.
    words = [word for word in shlex.split(line, comments=True) if word != "…"][1:]
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="ringfence")
    while hasattr(command, "get_command"):
        name = words.pop(0) if words else ""
        command = command.get_command(context, name)
        if command is None:
            return f"there is no command {name}"
    try:
        command.make_context("ringfence", words, parent=context)
    except Exception as said:  # which class it is belongs to typer
        return str(said) or repr(said)
    return ""


@pytest.mark.parametrize("line", [pytest.param(line, id=where) for line, where in shown()])
def test_a_guide_shows_commands_that_there_are(line: str) -> None:
    assert refused(line) == ""


@pytest.mark.parametrize("line", ["ringfence init --hosts h --out o", "ringfence harden -i inv"])
def test_others_are_seen(line: str) -> None:
    assert refused(line)


def test_there_are_some() -> None:
    assert len(list(shown())) >= 30
