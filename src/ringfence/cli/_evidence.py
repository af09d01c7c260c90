# SPDX-License-Identifier: GPL-3.0-or-later
"""What the evidence says: `status`, `diff`, `verify` and `report`. No host is asked anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ringfence import collection
from ringfence.cli import _output as out
from ringfence.cli import _register as registers
from ringfence.cli._context import Context, unknown
from ringfence.cli._options import Target
from ringfence.errors import BadInputError, NotCheckedError
from ringfence.results import CLEAN, FINDINGS, NOT_CHECKED, printable, reason

_HEAD = re.compile(r"(\d+):([0-9a-f]{64})")
_LISTED = 20
_KINDS = (
    ("new", "New findings", "red"),
    ("first_seen", "Findings where nobody looked before", "red"),
    ("lost", "Failed before, not checked now", "magenta"),
    ("unchanged", "Still failing", "yellow"),
    ("fixed", "Fixed", "green"),
    ("closed", "Waived, or no longer applies", "cyan"),
)


def open_store(context: Context, url: str | None, signing_key: Path | None = None) -> Any:
    """The store, with all that waited beside it taken in. Raises BadInputError where none is."""
    from ringfence.report.source import open_store as opened

    url = url or collection.default_store()
    if url is None and not _has_evidence(context.evidence_dir):
        raise BadInputError(
            f"{context.evidence_dir}: holds no evidence yet; "
            "`ringfence audit` writes some, --evidence-dir names another folder"
        )
    store, refused = opened(context.evidence_dir, url, signing_key)
    for rejected in refused:
        out.notes().print(
            Text(f"left out of the store: {printable(rejected.reason)}", style="yellow")
        )
    return store


def _has_evidence(folder: Path) -> bool:
    return (folder / "ringfence.sqlite").exists() or any(folder.glob("incoming/*.json"))


def verify(
    evidence: Target, url: str | None, signers: Path | None, head: str | None, as_json: bool
) -> int:
    """Walk the chain of evidence."""
    from ringfence.evidence import Head

    known = None
    if head is not None:
        match = _HEAD.fullmatch(head.strip())
        if not match:
            raise BadInputError(
                f"--head {head}: expected NUMBER:HASH, as `ringfence verify` prints"
            )
        known = Head(int(match[1]), match[2])
    found = open_store(Context(evidence), url).verify(signers, known)
    code = CLEAN if found.ok else FINDINGS
    now = f"{found.head.seq}:{found.head.hash}"
    if as_json:
        out.print_json(
            {
                "exit_code": code,
                "entries": found.entries,
                "pruned": found.pruned,
                "head": now,
                "signed": dict(found.signed),
                "findings": [{"entry": one.seq, "problem": one.problem} for one in found.findings],
            }
        )
        return code
    target = out.console()
    for one in found.findings:
        out.paragraph(target, Text.assemble(("tampering: ", "bold red"), printable(str(one))))
    words = [out.count(found.entries, "entry", "entries")]
    words += [f"{found.pruned} pruned"] if found.pruned else []
    words += [f"{number} signed by {printable(who)}" for who, number in found.signed.items()]
    verdict = "The chain is whole" if found.ok else f"{len(found.findings)} things are wrong"
    style = "bold green" if found.ok else "bold red"
    out.paragraph(target, Text(f"{verdict}: {', '.join(words)}", style=style))
    target.print(Text(f"head {now}"), soft_wrap=True)
    if found.ok:
        out.next_step(target, "ringfence verify --head …", "later, with this head noted elsewhere")
    return code


def diff(
    evidence: Target, url: str | None, before: str | None, after: str | None, as_json: bool
) -> int:
    """Two runs side by side."""
    store = open_store(Context(evidence), url)
    if after is None:
        earlier, later = _last_two(store, before)
    else:
        earlier, later = _run(store, str(before)), _run(store, after)
    from ringfence.evidence import compare

    found = compare(earlier, later)
    silent = [host["name"] for host in later["hosts"] if host["state"] != "ok"]
    code = FINDINGS if found.new or found.first_seen else CLEAN
    code = NOT_CHECKED if found.lost or silent else code
    if as_json:
        rows = {
            kind: [
                {"host": c.host, "control": c.control, "before": c.before, "after": c.after}
                for c in getattr(found, kind)
            ]
            for kind, _title, _style in _KINDS
        }
        runs = {"before": earlier["run"]["id"], "after": later["run"]["id"]}
        out.print_json({"exit_code": code, **runs, "not_checked": silent, **rows})
        return code
    _diff_page(store, found, earlier["run"], later["run"])
    if silent:
        line = f"NOT CHECKED by the later run: {out.names(silent)}"
        out.paragraph(out.console(), Text(line, style="bold magenta"))
    return code


def _run(store: Any, name: str) -> Any:
    """A run by its id or the beginning of it. Raises BadInputError."""
    from ringfence.evidence import EvidenceError

    try:
        return store.run(name)
    except EvidenceError as error:
        raise BadInputError(str(error)) from error


def _last_two(store: Any, before: str | None) -> tuple[Any, Any]:
    """The last audit, and the run named or else the audit before it."""
    later = store.latest("audit")
    if later is None:
        raise BadInputError("there is no audit in the store yet")
    earlier = _run(store, before) if before else store.previous(later["run"]["id"], "audit")
    if earlier is None:
        raise BadInputError("there is only one audit in the store: nothing to compare it with")
    return earlier, later


def _diff_page(
    store: Any, found: Any, earlier: Mapping[str, Any], later: Mapping[str, Any]
) -> None:
    target = out.console()
    copy = store.catalogue(later["catalogue_sha256"])
    titles = copy.controls if copy else {}
    for label, run in (("from", earlier), ("to", later)):
        line = f"{label:<5}{run['id']}  {run['mode']} of {run['started']}"
        target.print(Text(line, style="dim"), soft_wrap=True)
    target.print()
    for kind, title, style in _KINDS:
        changes = getattr(found, kind)
        if not changes:
            continue
        target.print(Text(f"{title} ({len(changes)})", style=f"bold {style}"))
        by_control: dict[str, list[str]] = {}
        for change in changes:
            by_control.setdefault(change.control, []).append(change.host)
        for control, names in by_control.items():
            name = printable(str(titles.get(control, {}).get("title", "")))
            out.paragraph(target, Text.assemble((control, "bold"), "  ", name), 2)
            out.paragraph(target, Text(out.names(names), style="dim"), 4)
        target.print()
    counts = [f"{len(getattr(found, kind))} {kind.replace('_', ' ')}" for kind, _t, _s in _KINDS]
    out.paragraph(target, Text(", ".join(counts), style="bold"))


@dataclass
class _HostStatus:
    """What the evidence last said of a host. `drift`: controls that fail and did not before."""

    name: str
    run: Mapping[str, Any] | None = None
    host: Mapping[str, Any] | None = None
    drift: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        from ringfence.evidence.document import is_demanded

        found: dict[str, int] = {}
        for result in filter(is_demanded, self.host["results"] if self.host else ()):
            found[result["status"]] = found.get(result["status"], 0) + 1
        return found

    def age(self, now: datetime) -> timedelta | None:
        if self.run is None:
            return None
        finished = datetime.strptime(self.run["finished"], "%Y-%m-%dT%H:%M:%SZ")
        return now - finished.replace(tzinfo=UTC)


def status(target: Target, url: str | None, max_age: int, as_json: bool) -> int:
    """The last that is known of every host."""
    context = Context(target)
    names = context.selection.hosts
    found = _statuses(open_store(context, url), names)
    now, limit = datetime.now(UTC), timedelta(days=max_age)
    code = max((_status_code(one, now, limit) for one in found), default=CLEAN)
    if as_json:
        rows = [_status_row(one, now) for one in found]
        out.print_json({"exit_code": code, "max_age_days": max_age, "hosts": rows})
        return code
    _status_page(context, found, now, limit, code)
    return code


def _statuses(store: Any, names: list[str]) -> list[_HostStatus]:
    """From the newest run back, until every host has been seen twice."""
    found = {name: _HostStatus(name) for name in names}
    open_names, last = set(names), dict.fromkeys(names, 0)
    runs = [run for run in store.runs() if not run.pruned and run.mode != "check"]
    for run in sorted(runs, key=lambda one: (one.started, one.id), reverse=True):
        if not open_names:
            break
        document = store.run(run.id)
        for host in document["hosts"]:
            name = host["name"]
            if name not in open_names or host["state"] == "not_run":
                continue
            one = found[name]
            if one.host is None:
                one.run, one.host = document["run"], host
            elif host["state"] == "ok" and one.host["state"] == "ok":
                one.drift = _drift(host, one.host)
                last[name] = 1
            if last[name] or (one.host is not None and one.host["state"] != "ok"):
                open_names.discard(name)
    return list(found.values())


def _drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    from ringfence.evidence.document import is_demanded

    fine = {row["id"] for row in before["results"] if row["status"] in ("pass", "changed")}
    now = filter(is_demanded, after["results"])
    return [row["id"] for row in now if row["status"] == "fail" and row["id"] in fine]


def _status_code(one: _HostStatus, now: datetime, limit: timedelta) -> int:
    age = one.age(now)
    if one.host is None or one.host["state"] != "ok" or age is None or age > limit:
        return NOT_CHECKED
    if one.counts.get("error"):
        return NOT_CHECKED
    return FINDINGS if one.counts.get("fail") else CLEAN


def _status_row(one: _HostStatus, now: datetime) -> dict[str, Any]:
    age = one.age(now)
    return {
        "name": one.name,
        "state": one.host["state"] if one.host else "never asked",
        "message": one.host["message"] if one.host else "",
        "run": one.run["id"] if one.run else None,
        "mode": one.run["mode"] if one.run else None,
        "finished": one.run["finished"] if one.run else None,
        "age_seconds": int(age.total_seconds()) if age is not None else None,
        "counts": one.counts,
        "drift": one.drift,
    }


def _status_page(
    context: Context, found: list[_HostStatus], now: datetime, limit: timedelta, code: int
) -> None:
    target = out.console()
    ordered = sorted(found, key=lambda one: (-_status_code(one, now, limit), one.name))
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("", width=3)
    for title in ("host", "asked", "by"):
        table.add_column(title, no_wrap=title != "host", overflow="fold")
    for title in ("pass", "fail", "error"):
        table.add_column(title, justify="right")
    table.add_column("", overflow="fold")
    for one in ordered:
        table.add_row(*_status_cells(one, now, limit, target))
    target.print(table)
    target.print()
    numbers = [sum(_status_code(one, now, limit) == wanted for one in found) for wanted in range(3)]
    text = out.joined(
        (
            f"{numbers[CLEAN]} of {out.count(len(found), 'host')} clean",
            f"{out.count(numbers[FINDINGS], 'host')} with findings" if numbers[FINDINGS] else "",
            f"{out.count(numbers[NOT_CHECKED], 'host')} not known well enough"
            if numbers[NOT_CHECKED]
            else "",
        )
    )
    out.paragraph(target, Text(text, style="bold green" if code == CLEAN else "bold"))
    where = "".join(f" -i {source}" for source in context.target.inventory)
    if code == NOT_CHECKED:
        out.next_step(target, f"ringfence audit{where}", "asks them now")
    elif code == FINDINGS:
        out.next_step(target, f"ringfence plan{where}", "shows what mends them")


def _status_cells(
    one: _HostStatus, now: datetime, limit: timedelta, target: Any
) -> tuple[Text | str, ...]:
    kind = {CLEAN: "pass", FINDINGS: "fail", NOT_CHECKED: "error"}[_status_code(one, now, limit)]
    sign = Text(" ") + out.mark(kind, target)
    if one.host is None or one.run is None:
        return sign, printable(one.name), "never", "", "", "", "", "no evidence of this host"
    age = one.age(now) or timedelta()
    counts = one.counts
    note = reason(one.host["message"]) if one.host["state"] != "ok" else ""
    if one.host["state"] != "ok":
        note = f"{one.host['state']}: {note}" if note else one.host["state"]
    elif one.drift:
        note = f"drift: {out.names(one.drift, 3)}"
    when = Text(ago(age), style="magenta" if age > limit else "")
    numbers = [str(counts.get(name, 0) or "·") for name in ("pass", "fail", "error")]
    return sign, printable(one.name), when, one.run["mode"], *numbers, printable(note)


def ago(age: timedelta) -> str:
    """`3 h ago`."""
    seconds = max(0, int(age.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (size == 60 and seconds >= size):
            return f"{seconds // size} {unit} ago"
    return "just now"


@dataclass(frozen=True)
class ReportOptions:
    """What `report` alone takes."""

    formats: list[str]
    output: Path | None
    run: str | None
    compare: str | None
    client: str | None


def report(target: Target, url: str | None, options: ReportOptions, as_json: bool) -> int:
    """Write the report of a run, for everybody or for one client."""
    from ringfence.report.__main__ import write
    from ringfence.report.pdf import PdfError
    from ringfence.report.source import ENDINGS, FORMATS, render, report_on

    for form in options.formats:
        if form not in FORMATS:
            raise BadInputError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    context = Context(target)
    store = open_store(context, url)
    scope = client_scope(context, options.client) if options.client else None
    found = report_on(store, options.run, options.compare or _previous(store, options.run), scope)
    name = f"report-{options.client}" if options.client else "report"
    folder = options.output or context.evidence_dir / "reports"
    paths = [folder / f"{name}.{ENDINGS.get(form, form)}" for form in options.formats]
    for form, path in zip(options.formats, paths, strict=True):
        try:
            write(path, render(found, form))
        except PdfError as error:
            raise NotCheckedError(str(error)) from error
        except OSError as error:
            raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error
    code = CLEAN
    if found.score.failed:
        code = FINDINGS
    if found.not_checked or found.score.errors:
        code = NOT_CHECKED
    if as_json:
        out.print_json({"exit_code": code, "files": paths, "run": found.run.id})
        return code
    page = out.console()
    for path in paths:
        page.print(Text(str(path)), soft_wrap=True)
    gap = len(found.not_checked)
    missing = f"; {gap} of {out.count(len(found.hosts), 'host')} not checked" if gap else ""
    out.paragraph(page, Text(f"{found.title}: {found.score}{missing}", style="bold"))
    return code


def _previous(store: Any, run: str | None) -> str | None:
    """Compare with the run before, where there is one."""
    document = _run(store, run) if run else store.latest()
    earlier = store.previous(document["run"]["id"], "audit") if document else None
    return str(earlier["run"]["id"]) if earlier else None


def client_scope(context: Context, client: str) -> Any:
    """All that a report for one client may show, and what it must not."""
    from ringfence.report.scope import Scope

    register = registers.needed(context, f"to look up --client {client} in")
    if client not in register.clients:
        raise BadInputError(unknown("client", client, register.clients))
    own = register.clients[client]
    hosts = frozenset(
        place.site["host"] for place in register.placements if place.client["id"] == client
    )
    foreign = {
        word
        for other in register.clients.values()
        if other["id"] != client
        for word in _words_of(other)
    }
    everybody = {name for name in context.selection.hosts if name not in hosts}
    return Scope(own["name"], hosts, frozenset((foreign | everybody) - set(_words_of(own))), client)


def _words_of(client: Mapping[str, Any]) -> list[str]:
    words = [client["id"], client["name"], client["controller"]["name"]]
    for site in client["sites"]:
        words += [*site["domains"], site["root"], site.get("user", "")]
        words.append(str(site.get("database", {}).get("name", "")))
    return [word for word in words if len(word) > 2]
