# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of every command as Markdown, from the same declarations that `--help` shows.

`python -m ringfence.cli._reference docs/command-line.md` brings the blocks in a file up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer

from ringfence.cli import app

SHARED = ("Which hosts", "Which controls", "Ansible", "Output")
_BLOCK = re.compile(r"(<!-- options: ([\w -]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> dict[str, Any]:
    """The commands by name (`review open`), in the order of `--help`."""
    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {n}": c for n, c in inner.items()} if inner else {name: command}
    return found


def shared_table() -> str:
    """Each option that more than one command has, once."""
    seen: dict[tuple[str, str], Any] = {}
    for panel in SHARED:
        for command in commands().values():
            for option in _options(command, panel):
                seen.setdefault((panel, option.name), option)
    return _table(list(seen.values()))


def command_table(name: str) -> str:
    """Usage, own options, and the names of the shared ones."""
    command = commands()[name]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(["ringfence", name, "[OPTIONS]", *(_spelt(one) for one in arguments)])
    own = [option for panel in _panels(command) for option in _options(command, panel)]
    shared = [f"`{_longest(o)}`" for panel in SHARED for o in _options(command, panel)]
    also = f"\n\nAlso: {', '.join(shared)}." if shared else ""
    return f"`{usage}`\n\n{command.help}\n\n{_table([*arguments, *own])}{also}".rstrip()


def updated(text: str) -> str:
    """`text` with each block between `<!-- options: NAME -->` and `<!-- end -->` as it must be."""

    def block(match: re.Match[str]) -> str:
        body = shared_table() if match[2] == "shared" else command_table(match[2])
        return f"{match[1]}{body}\n{match[3]}"

    return _BLOCK.sub(block, text)


def _panels(command: Any) -> list[str | None]:
    found = [getattr(param, "rich_help_panel", None) for param in command.params]
    return [panel for panel in dict.fromkeys(found) if panel not in SHARED]


def _options(command: Any, panel: str | None) -> list[Any]:
    return [
        param
        for param in command.params
        if param.param_type_name == "option"
        and getattr(param, "rich_help_panel", None) == panel
        and param.name != "help"
    ]


def _table(params: list[Any]) -> str:
    if not params:
        return ""
    rows = [f"| {_cell(param)} | {param.help} |" for param in params]
    return "\n".join(["| | |", "|---|---|", *rows])


def _cell(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{_spelt(param)}`"
    names = ", ".join(sorted(param.opts, key=len))
    flag = param.is_flag
    return f"`{names}`" if flag else f"`{names} {param.metavar}`"


def _spelt(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _longest(option: Any) -> str:
    return str(max(option.opts, key=len))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(updated(target.read_text(encoding="utf-8")), encoding="utf-8")
