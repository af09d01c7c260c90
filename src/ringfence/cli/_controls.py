# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence controls`: what is declared."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli._context import Context, unknown
from ringfence.cli._options import Target
from ringfence.errors import BadInputError
from ringfence.results import CLEAN, shown


def controls(control: str | None, families: list[str], as_json: bool) -> int:
    """List the controls, or show one."""
    context = Context(Target(families=families))
    context.check_controls()
    known = context.catalogue.controls
    if control is not None:
        if control not in known:
            raise BadInputError(unknown("control", control, known))
        if as_json:
            out.print_json({"exit_code": CLEAN, "control": known[control]})
        else:
            _page(known[control])
        return CLEAN
    chosen = [one for one in known.values() if not families or one["family"] in families]
    if as_json:
        out.print_json({"exit_code": CLEAN, "controls": chosen})
        return CLEAN
    _list(chosen)
    return CLEAN


def _list(chosen: list[dict[str, Any]]) -> None:
    target = out.console()
    width = max(len(one["id"]) for one in chosen)
    family = None
    for one in chosen:
        if one["family"] != family:
            family = one["family"]
            target.print(Text(family, style="bold"))
        severity = Text(f"{one['severity']:<8}", style=out.SEVERITY_STYLES[one["severity"]])
        line = Text.assemble("  ", severity, " ", (f"{one['id']:<{width}}", ""), "  ")
        line.append(one["title"], style="dim")
        target.print(line, overflow="ellipsis", no_wrap=True)
    target.print()
    target.print(Text(out.count(len(chosen), "control"), style="bold"))
    out.next_step(target, f"ringfence controls {chosen[0]['id']}", "shows one of them")


def _page(one: dict[str, Any]) -> None:
    target = out.console()
    apply = one.get("apply", {})
    out.paragraph(target, Text.assemble((one["id"], "bold"), "  ", one["title"]))
    severity = (one["severity"], out.SEVERITY_STYLES[one["severity"]])
    target.print(Text.assemble(severity, (f" · family {one['family']}", "dim")))
    target.print()
    out.paragraph(target, " ".join(one["rationale"].split()), 2)
    target.print()
    rows = [
        ("variable", one["value"]["name"]),
        ("default", shown(one["value"]["default"])),
        ("choices", shown(one["value"]["choices"]) if "choices" in one["value"] else ""),
        ("disruption", apply.get("disruption", "none")),
        ("may break", apply.get("breaks", "")),
        ("by hand", " ".join(one.get("remedy", "").split())),
    ]
    rows += [(name, shown(sections)) for name, sections in one.get("references", {}).items()]
    for name, value in rows:
        if value:
            out.paragraph(target, Text.assemble((f"{name}: ", "dim"), shown(value)), 2)
