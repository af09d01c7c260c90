# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/command-line.md says what `--help` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringfence.cli import _reference
from tests.unit.ringfence.cli.conftest import Call

DOCUMENT = Path(__file__).parents[4] / "docs/command-line.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
COMMANDS = sorted(_reference.commands())


def test_the_blocks_are_up_to_date() -> None:
    assert _reference.updated(TEXT) == TEXT, (
        "python -m ringfence.cli._reference docs/command-line.md"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_block(command: str) -> None:
    assert f"<!-- options: {command} -->" in TEXT


@pytest.mark.parametrize("command", COMMANDS)
def test_what_help_shows_is_written_down(
    call: Call, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = call(*command.split(), "--help").stdout
    named = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help"}
    assert named
    assert named - {"--limit"} <= set(re.findall(r"--[a-z][a-z-]+", TEXT))
    sentences = [
        re.split(r" {2,}", line.strip("│ "))[-1].removesuffix(" [required]")
        for line in shown.splitlines()
        if re.match(r"│ [* ] *--|│ --", line)
    ]
    assert len(sentences) >= len(named)
    for sentence in sentences:
        assert sentence in TEXT or sentence == "Show this message and exit."


def test_the_exit_codes_are_those_of_the_code() -> None:
    from ringfence.cli import _group
    from ringfence.results import BAD_INPUT, CLEAN, FINDINGS, NOT_CHECKED

    names = {CLEAN: "clean", FINDINGS: "findings", NOT_CHECKED: "could not check",
             BAD_INPUT: "bad input"}  # fmt: skip
    table = dict(re.findall(r"^\| (\d) \| ([a-z ]+) \|", TEXT, re.MULTILINE))
    assert {int(code): name for code, name in table.items()} == names
    assert (_group.CLEAN, _group.FINDINGS, _group.NOT_CHECKED, _group.BAD_INPUT) == (0, 1, 2, 3)


def test_without_a_command_the_commands_are_listed(call: Call) -> None:
    result = call()
    assert result.exit_code == 0
    assert all(command.split()[0] in result.stdout for command in COMMANDS)
    assert "Exit codes: 0 clean" in result.stdout


def test_version(call: Call) -> None:
    assert re.fullmatch(r"ringfence \d+\.\d+\.\d+\n", call("--version").stdout)
