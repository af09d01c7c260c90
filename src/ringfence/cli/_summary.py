# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to, on a page: hosts in trouble first, then findings, worst first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli._playbook import Outcome
from ringfence.cli._progress import outcome as worst
from ringfence.results import (
    SEVERITIES,
    Finding,
    HostResult,
    Results,
    by_severity,
    findings,
    printable,
    shown,
)

_COLUMNS = (
    ("pass", "pass"),
    ("fail", "fail"),
    ("error", "error"),
    ("changed", "changed"),
    ("waived", "waived"),
    ("manual", "manual"),
    ("not_applicable", "n/a"),
)
_ORDER = ("unreachable", "error", "not_run", "fail", "changed", "pass")
_CLEAN_HOSTS_LISTED = 5
_FULL_TABLE = 12
_VALUE_LIMIT = 60
_TEXT_LIMIT = 300
_SIDES = ("before", "after")

Controls = Mapping[str, Any]


def headline(target: Console, text: str, result: Outcome) -> None:
    """What was done, how long it took, and the id of the record."""
    parts = [text, f"{result.seconds:.1f} s"]
    if result.run_id:
        parts.append(f"run {result.run_id}")
    out.paragraph(target, Text(" · ".join(parts), style="bold"))
    target.print()


def host_table(target: Console, results: Results) -> None:
    """A row a host, those in trouble first; hosts without any are counted when there are many."""
    ordered = sorted(results.hosts.values(), key=lambda h: (_ORDER.index(worst(h)), h.name))
    many = len(ordered) > _FULL_TABLE
    rows = [host for host in ordered if not (many and worst(host) == "pass")]
    if rows:
        _print_rows(target, rows)
    clean = [host.name for host in ordered if host not in rows]
    if clean:
        line = Text("  ")
        line.append_text(out.mark("pass", target))
        line.append(f"  {out.count(len(clean), 'host')} without findings: ")
        line.append(out.names(clean, _CLEAN_HOSTS_LISTED), style="dim")
        out.paragraph(target, line)
    target.print()


def _print_rows(target: Console, rows: list[HostResult]) -> None:
    trouble_list(target, rows)
    asked = [host for host in rows if host.state == "ok"]
    columns = [
        (status, title)
        for status, title in _COLUMNS
        if status in ("pass", "fail") or any(host.counts[status] for host in asked)
    ]
    if asked:
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        table.add_column("", width=3)
        table.add_column("host", overflow="fold")
        for _status, title in columns:
            table.add_column(title, justify="right", no_wrap=True)
        for host in asked:
            cells = [_number(host.counts[status], status) for status, _title in columns]
            sign = Text(" ") + out.mark(worst(host), target)
            table.add_row(sign, printable(host.name), *cells)
        target.print(table)


def _number(number: int, status: str) -> Text:
    if not number:
        return Text("·", style="dim")
    return Text(str(number), style="" if status in ("pass", "not_applicable") else _style(status))


def _style(status: str) -> str:
    return out.MARKS[status][2]


def trouble_list(target: Console, rows: list[HostResult]) -> None:
    """A line for each host that was not asked, or that failed."""
    for host in rows:
        if host.state == "ok" and not host.message:
            continue
        line = Text(" ")
        line.append_text(out.mark(worst(host), target))
        said = {"not_run": "was not asked", "unreachable": "could not be reached"}
        words = (
            "was cut off"
            if host.state == "not_run" and host.begun
            else said.get(host.state, "failed")
        )
        line.append(f" {printable(host.name)} {words}")
        line.append(f": {host.message}" if host.message else "", style="default")
        out.paragraph(target, line)


def finding_list(target: Console, items: list[Finding], controls: Controls, total: int) -> None:
    """Each finding once, with the hosts it was seen on; worst first."""
    severity = None
    for item in by_severity(items, controls):
        declared = controls.get(item.control, {})
        if declared.get("severity") != severity:
            severity = declared.get("severity")
            target.print(Text(str(severity or "unknown").upper(), style=_severity_style(severity)))
        _print_title(target, out.mark(item.status, target), item.control, declared)
        for what, names in _by_text(item).items():
            where = "all hosts" if len(names) == total > 1 else out.names(names)
            out.paragraph(target, Text.assemble((f"{where}: ", "dim"), what), 4)
    if items:
        target.print()


def _print_title(target: Console, sign: Text, control: str, declared: Mapping[str, Any]) -> None:
    title = str(declared.get("title") or "not in this catalogue")
    head = Text.assemble("  ", sign, " ", (control, "bold"), "  ", title)
    if target.width >= len(head.plain):
        target.print(head)
        return
    target.print(head[: len(head.plain) - len(title) - 2])
    out.paragraph(target, title, 4 if len(sign.plain) == 1 else 9)


def _by_text(item: Finding) -> dict[str, list[str]]:
    """What there is to say of a finding, with the hosts of which it is to be said."""
    found: dict[str, list[str]] = {}
    for (expected, observed, message), names in item.hosts.items():
        found.setdefault(_said(item.status, expected, observed, message), []).extend(names)
    return found


def _said(status: str, expected: str, observed: str, message: str) -> str:
    if status in ("error", "manual"):
        return _short(message or "no reason given", _TEXT_LIMIT)
    wanted = _short(expected, _VALUE_LIMIT)
    if status == "changed":
        before = message.removeprefix("was ") if message.startswith("was ") else observed
        return f"{_short(before, _VALUE_LIMIT) or 'not set'} → {wanted}"
    if not message:
        return f"expected {wanted}, saw {_short(observed, _VALUE_LIMIT) or 'nothing'}"
    hint = "" if "expected" in message else f" (expected {wanted})"
    return f"{_short(message, _TEXT_LIMIT)}{hint}"


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _severity_style(severity: str | None) -> str:
    return out.SEVERITY_STYLES.get(severity or "", "bold red")


def waiver_lines(target: Console, results: Results) -> None:
    """What is waived, until when: never out of sight."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for host in results.hosts.values():
        for control in host.with_status("waived"):
            waiver = control.get("waiver") or {}
            key = (str(control["id"]), shown(waiver.get("expires")), shown(waiver.get("reason")))
            found.setdefault(key, []).append(host.name)
    for (control_id, expires, reason), names in sorted(found.items()):
        until = f" waived until {expires} on {out.names(names)}"
        line = Text.assemble(out.mark("waived", target), " ", (control_id, "bold"), until)
        out.paragraph(target, line, 2)
        out.paragraph(target, reason, 4)
    if found:
        target.print()


def change_list(
    target: Console, hosts: list[HostResult], controls: Controls, *, heading: str
) -> None:
    """What changed, or would: most disruptive first, with what that may break."""
    items = findings(hosts, "changed")
    order = ("access", "low", "none")
    ranked = sorted(by_severity(items, controls), key=lambda item: order.index(_disruption(item)))
    if not ranked:
        return
    target.print(Text(heading, style="bold"))
    everybody = {host.name for host in hosts}
    for item in ranked:
        declared = controls.get(item.control, {})
        kind = _disruption(item)
        label = Text(f"{kind if kind != 'none' else '-':<6}", style=out.DISRUPTION_STYLES[kind])
        _print_title(target, label, item.control, declared)
        for what, names in _by_text(item).items():
            whole = len(everybody) > 1 and everybody == set(names)
            where = "all of them" if whole else out.names(names)
            out.paragraph(target, Text.assemble((f"{where}: ", "dim"), what), 9)
        breaks = (declared.get("apply") or {}).get("breaks")
        if breaks:
            text = Text.assemble(("may break: ", "yellow"), str(breaks))
            out.paragraph(target, text, 9)
    target.print()


def _disruption(item: Finding) -> str:
    return item.disruption if item.disruption in out.DISRUPTION_STYLES else "none"


def file_diffs(target: Console, hosts: list[HostResult]) -> None:
    """The difference of each file, once for all hosts where it is the same."""
    from difflib import unified_diff

    found: dict[tuple[str, ...], list[str]] = {}
    for host in hosts:
        for part in host.diffs:
            before, after = (str(part.get(side) or "") for side in _SIDES)
            heads = [printable(str(part.get(f"{side}_header") or "")) for side in _SIDES]
            lines = tuple(
                unified_diff(
                    before.splitlines(), after.splitlines(), heads[0], heads[1], lineterm=""
                )
            )
            if lines and host.name not in found.setdefault(lines, []):
                found[lines].append(host.name)
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for lines, names in found.items():
        target.print(Text(f"On {out.names(names)}:", style="bold"))
        for line in lines:
            text = Text(printable(line.replace("\t", "    ")), style=styles.get(line[:1], ""))
            target.print(Padding(text, (0, 0, 0, 2)))
        target.print()


def document(command: str, result: Outcome, code: int, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `--json`."""
    return {
        "command": command,
        "exit_code": code,
        "run": result.run_id,
        "seconds": round(result.seconds, 2),
        "interrupted": result.interrupted,
        "evidence_problem": result.evidence or None,
        "catalogue_sha256": result.results.catalogue_sha256,
        "totals": {k: v for k, v in sorted(result.results.totals().items()) if v},
        **extra,
        "hosts": [_host_document(host) for host in result.results.hosts.values()],
    }


def _host_document(host: HostResult) -> dict[str, Any]:
    return {
        "name": host.name,
        "state": host.state,
        "failed": host.failed,
        "message": host.message,
        "counts": {k: v for k, v in sorted(host.counts.items()) if v},
        "controls": list(host.controls.values()),
        "not_demanded": host.outside,
        "diff": host.diffs,
    }


def severity_counts(items: list[Finding], controls: Controls) -> str:
    """`2 critical, 1 high`: findings by severity, each host's counted."""
    total = dict.fromkeys(SEVERITIES, 0)
    for item in items:
        severity = controls.get(item.control, {}).get("severity", "critical")
        total[severity] += len(item.names())
    return ", ".join(f"{number} {name}" for name, number in total.items() if number)
