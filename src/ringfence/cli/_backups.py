# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence backups`, `drill`, `restore`, `recover` and `prune`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import typer
from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome, watched
from ringfence.cli._runs import closing, command, troubles
from ringfence.errors import BadInputError, NotCheckedError
from ringfence.results import CLEAN, FINDINGS, NOT_CHECKED, HostResult, printable
from ringfence.runner import Job

_ROWS = "ringfence_targets"
_TROUBLE = ("unreachable", "error")


@dataclass(frozen=True)
class Wish:
    """What is to be restored: `site` is CLIENT/SITE or CLIENT, `at` a time, `to` a host, `into` a
    folder."""

    site: str
    at: str = ""
    to: str = ""
    into: str = ""
    over_live: bool = False
    yes: bool = False


def judged(
    target: Target, playbook: str, title: str, as_json: bool, show: bool, on: str = ""
) -> int:
    """Run a playbook that judges the backups of sites, and show what it found.

    Only the sites of the target's clients, though their hosts may be shared with others.
    """
    context = Context(target)
    variables: dict[str, Any] = {"backup_clients": target.clients} if target.clients else {}
    variables |= {"backup_drill_on": on} if on else {}
    if show:
        return command(context.job(playbook, variables), as_json)
    result = _asked(context, playbook, variables, title, as_json, only=on)
    rows = [row for host in result.results.hosts.values() for row in host.answer.get(_ROWS, [])]
    rows.sort(key=lambda row: str(row["name"]))
    code = _code(rows, result)
    drills = [
        one for host in result.results.hosts.values() for one in host.answer.get("drills", [])
    ]
    recoveries = recovery(rows, drills)
    if as_json:
        more = {"clients": recoveries} if recoveries else {}
        out.print_json({"exit_code": code, "backups": rows, **more})
        return code
    for row in rows:
        _show(row)
    for client, one in recoveries.items():
        out.console().print(Text(_recovery_told(client, one)))
    bad = [row for row in rows if row["state"] != "ok" or _wrong(row)]
    said = f"{len(rows) - len(bad)} of {out.count(len(rows), 'site')} as agreed"
    style = "bold green" if code == CLEAN else "bold"
    out.paragraph(out.console(), Text(out.joined((said, troubles(result))), style=style))
    closing(result)
    return code


def recovery(
    rows: list[dict[str, Any]], drills: list[dict[str, Any]]
) -> dict[str, dict[str, float]]:
    """Client -> what drills measured of all its sites: `recovery_time`, of one after the other, and
    `recovery_point`, the worst, in seconds; `sites`. Without clients of whom one was not proven.
    """
    found: dict[str, dict[str, float]] = {}
    unproven = {str(row["name"]) for row in rows if row["state"] != "ok"}
    unproven |= {f"backup:{one['site']}" for one in drills if one["wrong"]}
    left_out = {_holder(name.removeprefix("backup:")) for name in unproven}
    for one in drills:
        client = _holder(str(one["site"]))
        if client in left_out:
            continue
        row = found.setdefault(client, {"sites": 0, "recovery_time": 0.0, "recovery_point": 0.0})
        row["sites"] += 1
        row["recovery_time"] = round(row["recovery_time"] + one["recovery_time"], 2)
        row["recovery_point"] = max(row["recovery_point"], one["recovery_point"])
    return dict(sorted(found.items()))


def _holder(site: str) -> str:
    """A site's client; each server is one of its own."""
    client = site.partition("/")[0]
    return site if client == "_server" else client


def _recovery_told(client: str, one: Mapping[str, float]) -> str:
    return (
        f"{printable(client)}: {out.count(int(one['sites']), 'site')} back in "
        f"{one['recovery_time']:.1f} s, one after the other, with the changes of the last "
        f"{one['recovery_point'] / 3600:.1f} h lost"
    )


def restore(target: Target, wish: Wish, as_json: bool, show: bool) -> int:
    """Say what would be restored to where, ask, and do it."""
    context = Context(target)
    variables = _variables(wish)
    if show:
        return command(context.job("restore", variables), as_json)
    planned = _asked(context, "restore", variables, "Plan", as_json, only=wish.to, check=True)
    rows = _restored(planned, wish.site)
    if not as_json:
        _tell(wish, rows, "Would restore")
    if not wish.yes and not _agreed(wish):
        raise BadInputError("nothing was restored")
    done = _asked(context, "restore", variables, "Restore", as_json, only=wish.to)
    rows = _restored(done, wish.site)
    if as_json:
        kept = ("site", "host", "into", "snapshot", "seconds")
        restored = [{key: row[key] for key in kept if row.get(key)} for row in rows]
        out.print_json({"exit_code": CLEAN, "restored": restored})
    else:
        _tell(wish, rows, "Restored")
    return CLEAN


def recover(target: Target, client: str, check: bool, as_json: bool, show: bool) -> int:
    """Bring the objects of a client's repository back."""
    context = Context(target)
    variables = {"recover_client": client}
    if show:
        return command(for_controller(context, "backup_recover", variables, check), as_json)
    host = asked_controller(context, "backup_recover", variables, "Recover", as_json, check=check)
    if host.state != "ok":
        raise BadInputError(printable(host.message))
    answer = host.answer
    code = FINDINGS if answer.get("lost") else CLEAN
    if as_json:
        keys = ("undeleted", "put_back", "hidden", "lost", "sound", "snapshots")
        out.print_json({"exit_code": code, **{key: answer.get(key) for key in keys}})
        return code
    verb = "would be put back" if check else "put back"
    text = out.joined(
        (
            f"{answer['undeleted']} deleted and {answer['put_back']} overwritten objects {verb}",
            f"{len(answer['hidden'])} strange ones hidden" if answer["hidden"] else "",
            f"{len(answer['lost'])} lost" if answer["lost"] else "",
            f"{answer['snapshots']} backups, all data sound" if "snapshots" in answer else "",
        )
    )
    out.paragraph(out.console(), Text(text, style="bold"))
    return code


def prune(target: Target, check: bool, as_json: bool, show: bool) -> int:
    """Remove the backups that are no longer kept, of the target's clients or of all."""
    context = Context(target)
    for name, given in (("--limit", target.limit), ("--host", target.hosts)):
        if given:
            raise BadInputError(f"{name}: pruning is by client, expected --client or nothing")
    variables: dict[str, Any] = {"backup_clients": target.clients} if target.clients else {}
    if show:
        return command(for_controller(context, "backup_prune", variables, check), as_json)
    host = asked_controller(context, "backup_prune", variables, "Prune", as_json, check=check)
    if host.failed or host.state != "ok":
        raise NotCheckedError(printable(host.message))
    gone: dict[str, int] = host.answer.get("pruned", {})
    if not gone:
        raise NotCheckedError("there is no repository to prune: the register names no bucket")
    if as_json:
        out.print_json({"exit_code": CLEAN, "changed": not check, "pruned": gone})
        return CLEAN
    for name, number in sorted(gone.items()):
        out.console().print(Text(f"{printable(name)}  {out.count(number, 'backup')}"))
    verb = "would go" if check else "gone"
    said = f"{out.count(sum(gone.values()), 'backup')} of {out.count(len(gone), 'site')} {verb}"
    out.paragraph(out.console(), Text(said, style="bold green"))
    return CLEAN


def for_controller(
    context: Context, playbook: str, variables: dict[str, Any], check: bool, **more: Any
) -> Job:
    """A job that no choice of hosts keeps from the controller."""
    return replace(context.job(playbook, variables, check=check, **more), limit=None)


def asked_controller(
    context: Context,
    playbook: str,
    variables: dict[str, Any],
    title: str,
    quiet: bool,
    *,
    check: bool,
) -> HostResult:
    """What the controller itself answered."""
    job = for_controller(context, playbook, variables, check, credentials=context.credentials)
    return watched(title, job, ["localhost"], quiet).results.hosts["localhost"]


def _asked(
    context: Context,
    playbook: str,
    variables: dict[str, Any],
    title: str,
    quiet: bool,
    *,
    only: str = "",
    **more: Any,
) -> Outcome:
    """`only`: a host that does it for all, whether or not it was selected itself."""
    names = [only] if only else context.selection.hosts
    job = context.job(playbook, variables, credentials=context.credentials, **more)
    if only:
        job = replace(job, limit=only)
    return watched(title, job, names, quiet)


def _variables(wish: Wish) -> dict[str, Any]:
    client, slash, site = wish.site.partition("/")
    if not client or "/" in site or bool(slash) != bool(site):
        raise BadInputError(f"SITE: found {wish.site!r}, expected CLIENT/SITE or CLIENT")
    if wish.over_live and not site:
        raise BadInputError("--over-live: one site at a time, expected CLIENT/SITE")
    if wish.over_live == bool(wish.into):
        raise BadInputError("expected one of --into FOLDER and --over-live")
    if wish.over_live and wish.to:
        raise BadInputError("--over-live restores where the site is, expected no --to")
    found = {"restore_site": wish.site}
    found |= {"restore_at": wish.at} if wish.at else {}
    found |= {"restore_to": wish.to} if wish.to else {}
    return found | (
        {"restore_over_live": wish.site} if wish.over_live else {"restore_into": wish.into}
    )


def _restored(result: Outcome, site: str) -> list[dict[str, Any]]:
    """What the hosts said of each site, with `host` and `site`. Raises BadInputError."""
    found = []
    for name, host in result.results.hosts.items():
        if host.failed or host.state == "unreachable":
            raise BadInputError(f"{name}: {printable(host.message)}")
        for row in host.answer.get("results", []):
            found.append({**row, "host": name, "site": str(row["name"])})
    if not found:
        raise BadInputError(f"there is no site {site} on the hosts that were asked")
    return sorted(found, key=lambda row: row["site"])


def _tell(wish: Wish, rows: list[dict[str, Any]], verb: str) -> None:
    """One line for each site."""
    page = out.console()
    for row in rows:
        snapshot = row["snapshot"]
        when = datetime.fromtimestamp(float(snapshot["time"]), UTC)
        where = "over the live site" if wish.over_live else f"into {printable(str(row['into']))}"
        took = f", in {float(row['seconds']):.1f} s" if verb == "Restored" else ""
        said = (
            f"{verb} {printable(row['site'])} as it was at {when:%Y-%m-%d %H:%M:%S UTC} "
            f"(backup {printable(str(snapshot['id']))[:8]}) on {row['host']}, {where}{took}"
        )
        out.paragraph(page, Text(said, style="bold green" if took else ""))


def _agreed(wish: Wish) -> bool:
    """Over a live site the site's name must be typed; --yes stands for it where nobody is there."""
    if not sys.stdin.isatty():
        raise BadInputError("nobody is there to be asked: give --yes")
    if wish.over_live:
        said = f"Files and database of {wish.site} will be replaced. Type its name to go on"
        return str(typer.prompt(said)).strip() == wish.site
    return typer.confirm("Go on?")


def _wrong(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in row["controls"] if one["status"] in ("fail", "error")]


def _code(rows: list[dict[str, Any]], result: Outcome) -> int:
    hosts = result.results.hosts.values()
    unread = any(row["state"] != "ok" for row in rows)
    errors = any(
        one["status"] == "error" for row in rows if row["state"] == "ok" for one in _wrong(row)
    )
    silent = not rows or any(host.failed or host.state in _TROUBLE for host in hosts)
    if unread or errors or silent or result.interrupted:
        return NOT_CHECKED
    return FINDINGS if any(_wrong(row) for row in rows) else CLEAN


def _show(row: dict[str, Any]) -> None:
    target, name = out.console(), printable(str(row["name"]))
    if row["state"] != "ok":
        target.print(Text(f"{name}  NOT CHECKED  {printable(row['message'])}", style="magenta"))
        return
    for one in _wrong(row):
        word = "NOT CHECKED" if one["status"] == "error" else "FAILED"
        text = f"{name}  {word}  {one['id']}: {printable(str(one.get('message', '')))}"
        target.print(Text(text, style="red"))
    if not _wrong(row):
        target.print(Text(f"{name}  ok"))
