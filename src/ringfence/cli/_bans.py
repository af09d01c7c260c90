# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence bans` and `ringfence unban`."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome, watched
from ringfence.cli._runs import command, troubles
from ringfence.results import CLEAN, NOT_CHECKED, printable

_COLUMNS = {
    "host": "host",
    "subject": "banned",
    "site": "site",
    "reason": "why",
    "since": "since",
    "until": "until",
    "source": "seen by",
}


def bans(target: Target, days: int, as_json: bool, show_command: bool) -> int:
    """Ask every host who is banned; a ban that hosts told each other is one row a host."""
    context = Context(target)
    variables = {"ringfence_days": days} if days else {}
    if show_command:
        return command(context.job("bans_list", variables), as_json)
    result = _asked(context, "bans_list", variables, "Bans", as_json)
    rows = [
        {"host": name, **row}
        for name, host in sorted(result.results.hosts.items())
        for row in host.answer.get("bans", [])
        if not context.target.clients or _is_of(row, context.target.clients)
    ]
    code = _code(result)
    if as_json:
        silent = {h.name: h.message for h in result.results.hosts.values() if h.state != "ok"}
        out.print_json(
            {
                "exit_code": code,
                "bans": rows,
                "not_asked": silent,
                "not_set_up": _without(result),
            }
        )
        return code
    _page(rows, result, days)
    return code


def unban(target: Target, subject: str, site: str, why: str, as_json: bool, show: bool) -> int:
    """Lift every ban of an address or a user."""
    context = Context(target)
    variables = {"ringfence_subject": subject}
    variables |= {"ringfence_site": site} if site else {}
    variables |= {"ringfence_why": why} if why else {}
    if show:
        return command(context.job("unban", variables), as_json)
    result = _asked(context, "unban", variables, "Unban", as_json)
    lifted = {
        name: list(host.answer["lifted"])
        for name, host in sorted(result.results.hosts.items())
        if host.answer.get("lifted")
    }
    code = _code(result)
    if as_json:
        silent = {h.name: h.message for h in result.results.hosts.values() if h.state != "ok"}
        out.print_json({"exit_code": code, "lifted": lifted, "not_asked": silent})
        return code
    where = out.names(list(lifted)) if lifted else ""
    named = printable(subject)
    said = f"{named} is banned no more on {where}" if lifted else f"{named} was not banned"
    text = out.joined((said, troubles(result)))
    out.paragraph(out.console(), Text(text, style="bold"))
    return code


def _asked(
    context: Context, playbook: str, variables: dict[str, Any], title: str, quiet: bool
) -> Outcome:
    names = context.selection.hosts
    job = context.job(playbook, variables, credentials=context.credentials)
    return watched(title, job, names, quiet)


def _without(result: Outcome) -> list[str]:
    """Hosts that ban nobody: "0 banned" says nothing of those."""
    hosts = sorted(result.results.hosts.items())
    return [name for name, host in hosts if host.answer.get("set_up") is False]


def _is_of(row: dict[str, Any], clients: list[str]) -> bool:
    return str(row["site"]).partition("/")[0] in clients


def _code(result: Outcome) -> int:
    good = all(host.state == "ok" for host in result.results.hosts.values())
    return CLEAN if good and not result.interrupted else NOT_CHECKED


def _page(rows: list[dict[str, Any]], result: Outcome, days: int) -> None:
    target = out.console()
    if rows:
        target.print(_table(rows, with_state=bool(days)))
    live = [row for row in rows if row["state"] == "in force"]
    addresses = {row["subject"] for row in live if row["kind"] == "address"}
    accounts = {(row["site"], row["subject"]) for row in live if row["kind"] == "user"}
    without = _without(result)
    said = out.joined(
        (
            f"{out.count(len(addresses), 'address', 'addresses')} and "
            f"{out.count(len(accounts), 'user')} banned now",
            f"bans are not set up on {out.names(without)}" if without else "",
            troubles(result),
        )
    )
    out.paragraph(target, Text(said, style="bold"))
    if live:
        out.next_step(target, f"ringfence unban {printable(live[0]['subject'])}", "lifts a ban")


def _table(rows: list[dict[str, Any]], *, with_state: bool) -> Table:
    columns = {**_COLUMNS, **({"state": "state"} if with_state else {})}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns.values():
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(key, row) for key in columns))
    return table


def _cell(key: str, row: dict[str, Any]) -> str:
    text = printable(str(row.get(key, "")))
    # To the minute, in UTC as everywhere.
    return text[:16].replace("T", " ") if key in ("since", "until") else text
