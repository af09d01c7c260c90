# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What people.yml grants the people of third parties on a host."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_model import Register

Grant = tuple[dict[str, Any], dict[str, Any]]


def grants(found: Register) -> list[Grant]:
    """(person, grant) of each grant of a server to somebody who works for a third party."""
    return [
        (person, grant)
        for person in found.people.values()
        if person.get("third_party")
        for grant in person.get("access", [])
        if grant["system"] == "server"
    ]


def for_host(
    found: Register,
    given: Collection[Grant],
    host: str,
    groups: Collection[str],
    today: date,
) -> list[dict[str, Any]]:
    """The grants of a host whose end is not over, in plain data, as the module vendor_access takes
    them. The contract's dates and addresses bound those of a grant, and so does the day on which
    the person leaves. `in_force`: whether it holds on `today`."""
    rows = []
    for person, grant in given:
        if not _covers(found, grant["scope"], host, groups):
            continue
        row = _row(found, person, grant)
        if row is None or (row.get("end") and row["end"] < str(today)):
            continue
        row["in_force"] = not row.get("start") or row["start"] <= str(today)
        rows.append(row)
    return sorted(rows, key=lambda row: (row["account"], row["person"], row.get("start", "")))


def _row(found: Register, person: dict[str, Any], grant: dict[str, Any]) -> dict[str, Any] | None:
    own = person.get("accounts", {}).get("server", [])
    account = grant.get("account") or (own[0] if len(own) == 1 else "")
    if not account:
        return None
    party = found.third_parties.get(person["third_party"], {})
    ends = [str(day) for day in (grant.get("end"), person.get("left"), party.get("end")) if day]
    starts = [
        str(day) for day in (grant.get("start"), person.get("started"), party.get("start")) if day
    ]
    keys = [
        {name: str(key[name]) for name in ("public_key", "expires") if name in key}
        for key in person.get("keys", [])
        if "public_key" in key
    ]
    row = {
        "account": str(account),
        "person": person["id"],
        "name": person["name"],
        "third_party": person["third_party"],
        "keys": keys,
        "sudo": [str(command) for command in grant.get("sudo", [])],
        "from": [str(net) for net in grant.get("from") or party.get("from") or []],
        "second_factor": bool(grant.get("second_factor")),
    }
    row |= {"start": max(starts)} if starts else {}
    row |= {"end": min(ends)} if ends else {}
    return row


def _covers(found: Register, scope: dict[str, Any], host: str, groups: Collection[str]) -> bool:
    if scope.get("everything") or host in scope.get("hosts", []):
        return True
    if set(scope.get("groups", [])) & set(groups):
        return True
    return any(
        place.client["id"] in scope.get("clients", []) or place.reference in scope.get("sites", [])
        for place in found.on(host)
    )
