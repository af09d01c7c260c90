# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of one setting a line (login.defs, pwquality.conf, default/useradd), edited in place."""

from __future__ import annotations

import re
from typing import NamedTuple


class Syntax(NamedTuple):
    """How a file spells a setting; `trailing_comments`: a # ends a line wherever it stands."""

    pattern: re.Pattern[str]
    trailing_comments: bool = False


# login.defs: blanks between key and value, an equals sign would belong to the key.
WORDS = Syntax(re.compile(r"^\s*(?P<key>[A-Za-z]\w*)(?:[ \t]+(?P<value>.*?))?\s*$"))
# pwquality.conf and its kin: blanks, an equals sign or both; a bare word is a flag.
LOOSE = Syntax(re.compile(r"^\s*(?P<key>[A-Za-z]\w*)(?:[\s=]+(?P<value>.*?))?\s*$"), True)
# /etc/default/useradd: nothing but KEY=value from the first column.
ASSIGNMENTS = Syntax(re.compile(r"^(?P<key>[A-Z]\w*)=(?P<value>.*?)\s*$"))


class Setting(NamedTuple):
    """An active line: its number from 1, its key, its value ("" for a bare word)."""

    number: int
    key: str
    value: str


def settings(text: str, syntax: Syntax) -> list[Setting]:
    """The active lines of `text`."""
    found = []
    for number, raw in enumerate(text.split("\n"), 1):
        match = syntax.pattern.match(raw.partition("#")[0] if syntax.trailing_comments else raw)
        if match is not None:
            found.append(Setting(number, match["key"], match["value"] or ""))
    return found


def last(found: list[Setting], key: str) -> Setting | None:
    """The line that decides `key` where the last one wins."""
    return next((setting for setting in reversed(found) if setting.key == key), None)


def with_line(text: str, syntax: Syntax, key: str, line: str) -> str:
    """`text` in which `line` is the last active line for `key`; all other lines are kept."""
    lines = text.split("\n")
    deciding = last(settings(text, syntax), key)
    if deciding is not None:
        lines[deciding.number - 1] = line
        return "\n".join(lines)
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{end}{line}\n"


def without(text: str, syntax: Syntax, key: str, note: str) -> str:
    """`text` with each active line for `key` commented out, `note` saying why."""
    lines = text.split("\n")
    for setting in settings(text, syntax):
        if setting.key == key:
            lines[setting.number - 1] = f"# {note}: {lines[setting.number - 1].strip()}"
    return "\n".join(lines)
