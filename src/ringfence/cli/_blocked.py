# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence block`, `unblock` and `blocked`: the list of addresses that were blocked by hand."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ringfence import collection
from ringfence.cli import _output as out
from ringfence.cli import _register, _runs
from ringfence.cli import _summary as summary
from ringfence.cli._context import Context, unknown
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome, watched
from ringfence.errors import BadInputError, NotCheckedError
from ringfence.results import CLEAN, NOT_CHECKED

Row = dict[str, Any]
FILE = "blocked.yml"
_KEPT = "to keep the list in"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Scope:
    """Where an address is blocked: one of the three."""

    fleet: bool = False
    client: str | None = None
    site: str | None = None

    def row(self) -> Row:
        """As the file has it. Raises BadInputError where it is not exactly one."""
        found: Row = {"fleet": True} if self.fleet else {}
        found |= {"client": self.client} if self.client else {}
        found |= {"site": self.site} if self.site else {}
        if len(found) != 1:
            raise BadInputError("expected one of --site, --client and --fleet")
        return found


@dataclass(frozen=True)
class Push:
    """How the list gets to the hosts: by a playbook, later, or not shown but as a command."""

    later: bool = False
    show_command: bool = False
    as_json: bool = False


def block(
    target: Target, address: str, scope: Scope, lasting: str | None, why: str | None, push: Push
) -> int:
    """Write an entry, and put it on the hosts that it concerns."""
    context, where = Context(target), scope.row()
    network = _network(address)
    register = _register.needed(context, _KEPT)
    _require_known(register, where)
    now = datetime.now(UTC)
    row = {
        "network": network,
        **where,
        "reason": _reason(why),
        "by": getpass.getuser(),
        "since": _moment(now),
        **({"expires": _moment(now + _duration(lasting))} if lasting else {}),
    }
    with _edited(context) as rows:
        for other in rows:
            if _is_same(other, network, where) and _state(other, now) == "active":
                other |= {"ended": _moment(now), "ended_by": row["by"]}
        rows.append(row)
    until = f"until {row['expires']}" if lasting else "until it is unblocked"
    said = f"{network} is blocked on {_where(row)}, {until}"
    return _push(context, register, [row], said, push)


def unblock(target: Target, address: str, scope: Scope | None, push: Push) -> int:
    """End the entries of an address, everywhere or in one place."""
    context, where = Context(target), scope.row() if scope else None
    network, register = _network(address), _register.needed(context, _KEPT)
    now = datetime.now(UTC)
    ended: list[Row] = []
    with _edited(context) as rows:
        for row in rows:
            if _state(row, now) == "active" and _is_same(row, network, where):
                row |= {"ended": _moment(now), "ended_by": getpass.getuser()}
                ended.append(row)
        if not ended:
            place = f" on {_where(where)}" if where else ""
            raise BadInputError(f"{network} is not blocked{place}; see `ringfence blocked`")
    places = ", ".join(_where(row) for row in ended)
    return _push(context, register, ended, f"{network} is no longer blocked on {places}", push)


def blocked(target: Target, whole: bool, as_json: bool) -> int:
    """Show the list: what is in force, or all that ever was."""
    context, now = Context(target), datetime.now(UTC)
    register = _register.needed(context, _KEPT)
    rows = [{**row, "state": _state(row, now)} for row in register.blocked]
    rows = [row for row in rows if whole or row["state"] == "active"]
    if as_json:
        out.print_json({"blocked": rows, "exit_code": CLEAN})
        return CLEAN
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Address", "Where", "Until", "By", "Why"):
        table.add_column(title, overflow="fold")
    for row in rows:
        until = row.get("ended") or row.get("expires", "it is unblocked")
        note = until if row["state"] == "active" else f"{row['state']} {until}"
        table.add_row(*map(Text, (row["network"], _where(row), note, row["by"], row["reason"])))
    target_console = out.console()
    if rows:
        target_console.print(table)
    else:
        out.paragraph(target_console, Text("Nothing is blocked by hand."))
    return CLEAN


def _push(context: Context, register: Any, rows: Iterable[Row], said: str, push: Push) -> int:
    names = sorted({host for row in rows for host in _hosts(context, register, row)})
    job = context.job("sites", credentials=context.credentials)
    job = type(job)(**{**job.__dict__, "limit": ",".join(names)})
    if push.show_command:
        return _runs.command(job, push.as_json)
    if push.later or not names:
        if push.as_json:
            out.print_json({"said": said, "hosts": names, "pushed": False, "exit_code": CLEAN})
            return CLEAN
        note = "recorded; not yet on any host" if names else "recorded; it concerns no host"
        out.paragraph(out.console(), Text(f"{said}: {note}"))
        if names:
            out.next_step(out.console(), job.command_line(), "puts it there")
        return CLEAN
    result = watched("Push", job, names, push.as_json)
    code = _code(result)
    if push.as_json:
        out.print_json({"said": said, "hosts": names, "pushed": code == CLEAN, "exit_code": code})
        return code
    trouble = [host for host in result.results.hosts.values() if host.state != "ok" or host.failed]
    note = f"in force on {out.count(len(names) - len(trouble), 'host')}"
    out.paragraph(out.console(), Text(f"{said}: {note}", style="bold"))
    if trouble:
        summary.trouble_list(out.console(), trouble)
    if result.interrupted:
        _runs.closing(result)
    return code


def _code(result: Outcome) -> int:
    return CLEAN if result.return_code == 0 and not result.interrupted else NOT_CHECKED


def _hosts(context: Context, register: Any, row: Row) -> Iterable[str]:
    if row.get("fleet"):
        return list(context.selection.hosts)
    if "site" in row:
        return [register.by_site[row["site"]].site["host"]]
    return [
        place.site["host"] for place in register.placements if place.client["id"] == row["client"]
    ]


def _require_known(register: Any, where: Row) -> None:
    for kind, known in (("client", register.clients), ("site", register.by_site)):
        if kind in where and where[kind] not in known:
            raise BadInputError(unknown(kind, where[kind], known))


def _network(text: str) -> str:
    nftables = collection.module_util("_nftables")
    try:
        found = nftables.network(text)
    except ValueError as error:
        raise BadInputError(str(error)) from None
    if not found.prefixlen:
        raise BadInputError(f"found {text}, expected less than everybody")
    whole = found.prefixlen == found.max_prefixlen
    return str(found.network_address if whole else found)


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", text)
    if match is None:
        raise BadInputError(f"--for: found {text}, expected a duration such as 30m, 12h, 2d or 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _reason(why: str | None) -> str:
    text = " ".join((why or "").split())
    if not text:
        raise BadInputError("--why: expected a reason")
    return text


def _is_same(row: Row, network: str, where: Row | None) -> bool:
    mine = {key: row[key] for key in ("fleet", "client", "site") if key in row}
    return row["network"] == network and (where is None or mine == where)


def _where(row: Row) -> str:
    if row.get("fleet"):
        return "the fleet"
    return f"site {row['site']}" if "site" in row else f"client {row['client']}"


def _moment(when: datetime) -> str:
    found: str = collection.plugin_util("register_blocked").moment(when)
    return found


def _state(row: Row, now: datetime) -> str:
    found: str = collection.plugin_util("register_blocked").state(row, now)
    return found


@contextmanager
def _edited(context: Context) -> Any:
    """The rows of the file, which is written when the block is left in order."""
    import fcntl

    import yaml

    folder = context.register
    path = Path(folder or ".") / FILE
    lock = path.with_name(f".{FILE}.lock")
    try:
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            text = path.read_text("utf-8") if path.exists() else ""
            document = yaml.load(text, Loader=yaml.BaseLoader) or {"blocked": []}  # noqa: S506
            rows: list[Row] = document["blocked"]
            for row in rows:
                row |= {"fleet": True} if "fleet" in row else {}
            yield rows
            header = collection.plugin_util("register_blocked").HEADER
            body = yaml.safe_dump({"blocked": rows}, sort_keys=False, allow_unicode=True)
            staged = path.with_name(f".{FILE}.new")
            staged.write_text(header + body, "utf-8")
            staged.replace(path)
    except OSError as error:
        raise NotCheckedError(f"{path} cannot be written: {error.strerror}") from error
