# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as one HTML page that asks nothing of any network.

A fleet's accesses are many: the page holds each once, as data that its script shows a screenful at
a time. Up to `_STATIC` of them are a table for readers without scripts, and for paper.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from markupsafe import Markup, escape

from ringfence.access.model import Row, kind_of, place_of, target_of
from ringfence.access.review import Report, kinds
from ringfence.report.html import csp_hash, embedded
from ringfence.report.pages import asset, environment, shown
from ringfence.report.text import visible

_PACKAGE = "ringfence.access"
_STATIC = 800
_FINDINGS = 150
_PEOPLE = 400
_SYSTEMS_NAMED = 12
_GRAPH_LEFT, _GRAPH_EDGES = 28, 120
NAMES = {
    "server": "Servers", "database": "Databases", "cms": "Sites", "web": "Password prompts",
    "bucket": "Buckets", "console": "Consoles", "dns": "DNS", "cdn": "CDN", "mail": "Mail",
}  # fmt: skip
_CREDENTIALS = {
    "ssh_key": "SSH key", "password": "password", "none": "no way in of its own",
    "application_password": "application password", "api_token": "API token",
    "unix_socket": "account of the host", "setuid_file": "setuid file",
    "ssh_certificate_authority": "certificate authority",
    "authorized_keys_command": "keys from a program",
}  # fmt: skip


def render(report: Report) -> str:
    """The page. Its script and style are allowed by their hash, everything else by nothing."""
    return _render(report, asset("access.js", _PACKAGE))


def render_for_paper(report: Report) -> str:
    """The same page without scripts, everything in it open."""
    return _render(report, "").replace("<details ", "<details open ")


def _render(report: Report, script: str) -> str:
    style = asset("report.css") + asset("access.css", _PACKAGE)
    style += "" if script else asset("paper.css")
    holders = _holders(report)
    page: str = _template().render(
        report=report,
        style=style,
        style_hash=csp_hash(style),
        script=script,
        script_hash=csp_hash(script),
        data=embedded(_data(report)),
        kinds=[(kind, NAMES.get(kind, kind)) for kind in kinds(report)],
        holders=holders[:_PEOPLE],
        holders_left=max(0, len(holders) - _PEOPLE),
        graph=_graph(report, holders) if script else "",
        static=list(report.rows.items()) if len(report.rows) <= _STATIC else [],
        gaps=_gaps(report),
        read=Counter(one.state for one in report.coverage),
        limit=_FINDINGS,
        severity={one.id: one.severity for one in report.controls},
    )
    return page


@cache
def _template() -> Any:
    made = environment(_PACKAGE, finalize=shown)
    made.filters.update(
        credential=credential,
        where=where,
        list=list,
    )
    return made.get_template("access.html.j2")


def mighty(row: Row) -> bool:
    """All rights, and a way to use them: what is blocked has none."""
    return bool(row["privileged"]) and not {"blocked", "locked"} & set(row["flags"])


def where(row: Row) -> str:
    """Where an access is, for people: `web1`, `shop.example on web1`, `MariaDB on web1`."""
    kind, place = kind_of(row), place_of(row)
    if kind == "database":
        return f"MariaDB on {target_of(row)}"
    if not place or kind not in ("cms", "web"):
        return target_of(row)
    return f"{'prompt of ' if kind == 'web' else ''}{place} on {target_of(row)}"


def credential(row: Row) -> str:
    """By what somebody gets in, in a few words."""
    return _CREDENTIALS.get(row["credential_type"], str(row["credential_type"]).replace("_", " "))


@dataclass(frozen=True)
class Line:
    """An account of a holder by one credential, and all the places where it is."""

    username: str
    kind: str
    credential: str
    fingerprint: str
    privileged: bool
    path: str
    places: tuple[str, ...]
    more: int
    findings: tuple[str, ...]


@dataclass(frozen=True)
class HolderView:
    """Somebody with all that is theirs. `cells`: kind -> (systems, privileged, without factor)."""

    id: str
    name: str
    note: str
    left: bool
    cells: Mapping[str, tuple[int, int, int]]
    lines: tuple[Line, ...]
    findings: int
    privileged: int


def holder_of(row: Row) -> str:
    """Whose an access is: a person, a service account, a client's site; "" for nobody's."""
    return str(row["person"] or row["details"].get("service_account") or (
        f"site {row['details']['site']}" if row["details"].get("declared") else (
            "the host itself" if row["details"].get("built_in") else "")))  # fmt: skip


def _holders(report: Report) -> list[HolderView]:
    """Those with findings first, then the mightiest; nobody's accesses at the top."""
    grouped: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for name, row in report.rows.items():
        grouped[holder_of(row)].append((name, row))
    views = [_holder(report, holder, rows) for holder, rows in grouped.items()]
    return sorted(views, key=lambda one: (bool(one.id), -one.findings, -one.privileged, one.name))


def _holder(report: Report, holder: str, rows: list[tuple[str, Row]]) -> HolderView:
    person = report.people.get(holder)
    cells: dict[str, tuple[int, int, int]] = {}
    for kind in {kind_of(row) for _name, row in rows}:
        mine = [row for _name, row in rows if kind_of(row) == kind]
        cells[kind] = (
            len({row["system"] for row in mine}),
            len({row["system"] for row in mine if mighty(row)}),
            len(
                {
                    row["system"]
                    for row in mine
                    if row["privileged"]
                    and row["mfa"] == "no"
                    and row["account_type"] != "service"
                    and kind != "database"
                }
            ),
        )
    return HolderView(
        id=holder,
        name=person.name if person else holder or "Nobody",
        note=_note(person, holder),
        left=bool(person and person.status == "left"),
        cells=cells,
        lines=tuple(_lines(report, rows)),
        findings=sum(bool(report.by_row.get(name)) for name, _row in rows),
        privileged=len({row["system"] for _name, row in rows if mighty(row)}),
    )


def _note(person: Any, holder: str) -> str:
    if person is None:
        return "" if holder else "accesses that belong to no person, service or site"
    if person.kind != "person":
        return f"{person.kind} account: {person.purpose}"
    said = [person.id]
    said.append("left" if person.status == "left" else person.company or person.department)
    return ", ".join(part for part in said if part)


def _lines(report: Report, rows: list[tuple[str, Row]]) -> list[Line]:
    grouped: dict[tuple[Any, ...], list[tuple[str, Row]]] = defaultdict(list)
    for name, row in rows:
        key = (row["username"], kind_of(row), row["credential_type"], row["key_fingerprint"],
               mighty(row))  # fmt: skip
        grouped[key].append((name, row))
    lines = []
    for (username, kind, _type, print_, privileged), mine in grouped.items():
        places = sorted({where(row) for _name, row in mine})
        found = sorted({c for name, _row in mine for c in report.by_row.get(name, ())})
        path = "; ".join(mine[0][1]["grant_path"][:2])
        lines.append(
            Line(username, kind, credential(mine[0][1]), print_, privileged, path,
                 tuple(places[:_SYSTEMS_NAMED]), max(0, len(places) - _SYSTEMS_NAMED),
                 tuple(found))
        )  # fmt: skip
    return sorted(lines, key=lambda one: (not one.findings, not one.privileged, one.username))[:200]


def _gaps(report: Report) -> list[tuple[str, str, str, list[str]]]:
    """(source, state, message, targets) of what was not read, alike ones together."""
    grouped: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in report.gaps:
        grouped[one.source, one.state, one.message].append(one.target)
    return [(*key, targets) for key, targets in sorted(grouped.items())]


def _data(report: Report) -> dict[str, Any]:
    """Every access, in a list each; texts that come again and again are numbers."""
    words: dict[str, int] = {}

    def number(text: str) -> int:
        return words.setdefault(visible(text), len(words))

    rows = [
        [
            number(holder_of(row)), number(row["username"]), number(kind_of(row)),
            number(where(row)), number(credential(row)), number(row["key_fingerprint"]),
            {True: 1, False: 0}.get(row["privileged"], 2),
            {"yes": 1, "no": 0}.get(row["mfa"], 2), number(row["last_login"][:10]),
            number("; ".join(row["grant_path"][:3])), number(row["client"]),
            [number(c) for c in report.by_row.get(name, ())],
        ]
        for name, row in report.rows.items()
    ]  # fmt: skip
    return {
        "collection": report.collection,
        "words": list(words),
        "names": {one.id: one.name for one in report.people.values()},
        "titles": {one.id: one.title for one in report.controls},
        "rows": rows,
    }


def _graph(report: Report, holders: list[HolderView]) -> Markup:
    """People on the left, their accounts in the middle, what they open on the right; as lines.

    Empty where there is more than a picture can hold: the list below it always has everything.
    """
    edges: dict[tuple[str, str], list[bool]] = {}
    left: dict[str, str] = {}
    middle: dict[str, str] = {}
    right: dict[str, str] = {}
    for holder in holders:
        if holder.id.startswith("site ") or holder.id == "the host itself":
            continue
        left[holder.id] = holder.name
        for name, row in report.rows.items():
            if holder_of(row) != holder.id:
                continue
            account = f"{row['username']}\0{kind_of(row)}"
            system = row["system"].partition("\0")[0]
            middle[account], right[system] = row["username"], where(row)
            bad = bool(report.by_row.get(name))
            for edge in ((f"l{holder.id}", f"m{account}"), (f"m{account}", f"r{system}")):
                seen = edges.setdefault(edge, [False, False])
                seen[0], seen[1] = seen[0] or bad, seen[1] or mighty(row)
        if len(edges) > _GRAPH_EDGES or len(left) > _GRAPH_LEFT:
            return Markup("")
    return _drawn(left, middle, right, edges) if edges else Markup("")


def _drawn(
    left: Mapping[str, str],
    middle: Mapping[str, str],
    right: Mapping[str, str],
    edges: Mapping[tuple[str, str], list[bool]],
) -> Markup:
    columns = ((left, "l", 10, 226), (middle, "m", 420, 200), (right, "r", 818, 228))
    height = 26 * max(len(column) for column, *_rest in columns) + 44
    places: dict[str, tuple[int, int, float]] = {}
    marks = []
    titles = zip(("Who", "Account", "What it opens"), columns, strict=True)
    for title, (_column, _mark, x, _width) in titles:
        marks.append(f'<text class="gh" x="{x}" y="16">{title}</text>')
    for column, mark, x, width in columns:
        step = (height - 44) / max(1, len(column))
        for number, (key, label) in enumerate(column.items()):
            y = round(30 + step * (number + 0.5), 1)
            places[f"{mark}{key}"] = (x, x + width, y)
            marks.append(_node(mark, key, label, x, width, y))
    lines = []
    ids = {name: number for number, name in enumerate(places)}
    for (start, end), (bad, privileged) in edges.items():
        x1, y1 = places[start][1], places[start][2]
        x2, y2 = places[end][0], places[end][2]
        bend = (x2 - x1) / 2
        kind = " bad" if bad else " power" if privileged else ""
        lines.append(
            f'<path class="edge{kind}" data-a="{ids[start]}" data-b="{ids[end]}" '
            f'd="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'
        )
    label = f"{len(left)} people, {len(middle)} accounts, {len(right)} systems"
    return Markup(  # noqa: S704 # numbers, and texts that _node escaped
        f'<svg id="graph" viewBox="0 0 1056 {height}" role="img" aria-label="{label}">'
        f"{''.join(lines)}{''.join(marks)}</svg>"
    )


def _node(mark: str, key: str, label: str, x: int, width: int, y: float) -> str:
    text = visible(label)
    short = text if len(text) <= 30 else f"{text[:29]}…"
    nobody = " nobody" if mark == "l" and not key else ""
    return (
        f'<g class="node{nobody}" tabindex="0"><title>{escape(text)}</title>'
        f'<rect x="{x}" y="{y - 10}" width="{width}" height="20" rx="3"/>'
        f'<text x="{x + 8}" y="{y + 4}">{escape(short)}</text></g>'
    )
