# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waivers: which hold for a host, which for a site, and since when one is no use any more.

A client's waiver holds for its hosts. On a host that it shares it holds only where every other
client there waives the control as well: nobody loses a protection by what a neighbour decided.
A waiver of the agency itself (waivers.yml) holds for the hosts and groups it names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any

VALID = "valid"
EXPIRING = "expiring"
EXPIRED = "expired"
NOTICE = timedelta(days=30)

_SHARED_REASON = "Waived by every client of this shared host"


def state(waiver: dict[str, Any], today: date) -> str:
    """valid, expiring (ends within 30 days) or expired. Its last day still counts."""
    ends = date.fromisoformat(waiver["expires"])
    if ends < today:
        return EXPIRED
    return EXPIRING if ends - today <= NOTICE else VALID


def for_host(
    host: str,
    groups: Collection[str],
    clients: Sequence[dict[str, Any]],
    agency: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The waivers in force on a host, one a control, expired ones included (they are a fail).

    `clients` are those with sites on it. Where several rows waive one control of one owner the
    last to end counts; of several clients the first to end, and no client's words are shown.
    """
    rows = {row["control"]: row for row in _by_end(_agency_rows(host, groups, agency))}
    asked = [_client_rows(host, client) for client in clients]
    for control in set.intersection(*(set(rows_) for rows_ in asked)) if asked else ():
        row = _together([rows_[control] for rows_ in asked])
        if control not in rows or rows[control]["expires"] < row["expires"]:
            rows[control] = row
    return [rows[control] for control in sorted(rows)]


def for_site(client: dict[str, Any], site: dict[str, Any]) -> list[dict[str, Any]]:
    """The waivers of a client that name one of its sites."""
    named = [
        row
        for row in client.get("waivers", [])
        if site["id"] in row.get("scope", {}).get("sites", [])
    ]
    return [_bare(row) for row in sorted(named, key=lambda row: (row["control"], row["expires"]))]


def without_force(
    host: str, clients: Sequence[dict[str, Any]]
) -> list[tuple[dict[str, Any], int, list[str]]]:
    """Waivers that a shared host keeps from holding: (client, its index there, who objects)."""
    asked = {client["id"]: _client_rows(host, client) for client in clients}
    found = []
    for client in clients:
        for number, row in enumerate(client.get("waivers", [])):
            others = [name for name, rows in asked.items() if row["control"] not in rows]
            if others and row["control"] in asked[client["id"]] and _covers(row, host):
                found.append((client, number, others))
    return found


def _agency_rows(
    host: str, groups: Collection[str], agency: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    chosen = []
    for row in agency:
        scope = row["scope"]
        if host in scope.get("hosts", []) or not set(scope.get("groups", [])).isdisjoint(groups):
            chosen.append(_bare(row))
    return chosen


def _client_rows(host: str, client: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = [row for row in client.get("waivers", []) if _covers(row, host)]
    return {row["control"]: {**_bare(row), "client": client["id"]} for row in _by_end(rows)}


def _covers(row: dict[str, Any], host: str) -> bool:
    scope = row.get("scope", {})
    return "sites" not in scope and host in scope.get("hosts", [host])


def _together(rows: list[dict[str, Any]]) -> dict[str, Any]:
    if len(rows) == 1:
        return rows[0]
    first = _by_end(rows)[0]
    owners = {row["owner"] for row in rows}
    return {
        "control": first["control"],
        "reason": _SHARED_REASON,
        "owner": owners.pop() if len(owners) == 1 else "several",
        "expires": first["expires"],
    }


def _by_end(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["expires"]))


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "scope"}
