# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was banned, from the evidence: one look of `ringfence bans --days N` at the hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ringfence.report.model import Ban, Bans, BansOfHost
from ringfence.report.scope import Scope, withheld
from ringfence.report.text import visible

_TEXTS = ("kind", "subject", "site", "reason", "rule", "source", "since", "until", "state", "why")


def told(
    collection: Mapping[str, Any] | None, hosts: set[str], scope: Scope | None = None
) -> Bans | None:
    """What a collection of bans says, the newest first; None where there is none to speak of.

    `hosts`: those of the report; each that was not asked for bans is named. A client sees the bans
    of its own sites on its own hosts, and no other. The collection has `seq` and `hash` of its
    entry in the chain.
    """
    if collection is None or (scope is not None and not scope.client):
        return None
    seen = hosts if scope is None else hosts & scope.hosts
    targets = {
        str(target["name"]): target
        for target in collection["targets"]
        if scope is None or target["name"] in scope.hosts
    }
    asked = {name: one for name, one in targets.items() if one["state"] == "ok"}
    looks = {name: _widest(target) for name, target in asked.items()}
    rows = [row for name, look in looks.items() for row in _rows(name, look, scope)]
    rows.sort(key=lambda row: (row.since, row.host, row.subject), reverse=True)
    return Bans(
        run=str(collection["run"]["id"]),
        collected=str(collection["run"]["finished"]),
        seq=int(collection.get("seq", 0)),
        hash=str(collection.get("hash", "")),
        days=min((int(look.get("days", 0)) for look in looks.values()), default=0),
        hosts=tuple(_counted(rows)),
        rows=tuple(rows),
        asked=tuple(visible(name) for name in sorted(asked)),
        without=tuple(visible(n) for n in sorted(looks) if looks[n].get("set_up") is False),
        not_asked=tuple(
            (visible(name), *_reason(targets.get(name), scope))
            for name in sorted(seen | set(targets))
            if name not in asked
        ),
    )


def _widest(target: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document that looked back the furthest."""
    documents: list[Mapping[str, Any]] = target["documents"]
    return max(documents, key=lambda one: int(one.get("days", 0)), default={"rows": []})


def _rows(host: str, look: Mapping[str, Any], scope: Scope | None) -> Iterator[Ban]:
    for row in look["rows"]:
        if not isinstance(row, dict):
            continue
        client = str(row.get("site", "")).partition("/")[0]
        if scope is not None and client != scope.client:
            continue
        kept = row if scope is None else withheld(row, scope)
        failures, seconds = kept.get("failures"), kept.get("seconds")
        yield Ban(
            host=visible(host),
            client=visible(client),
            failures=failures if isinstance(failures, int) else None,
            seconds=seconds if isinstance(seconds, int) else 0,
            lifted=visible(str(kept.get("lifted", ""))),
            **{key: visible(str(kept.get(key, ""))) for key in _TEXTS},
        )


def _counted(rows: list[Ban]) -> Iterator[BansOfHost]:
    """By host and client; what concerns the host as such has no client."""
    for host, client in sorted({(row.host, row.client) for row in rows}):
        own = [row for row in rows if (row.host, row.client) == (host, client)]
        yield BansOfHost(
            host=host,
            client=client,
            bans=len(own),
            addresses=len({row.subject for row in own if row.kind == "address"}),
            users=len({(row.site, row.subject) for row in own if row.kind == "user"}),
            in_force=sum(row.state == "in force" for row in own),
        )


def _reason(target: Mapping[str, Any] | None, scope: Scope | None) -> tuple[str, str]:
    """State and message of a host that said nothing."""
    if target is None:
        return "not_asked", ""
    message = str(target.get("message", ""))
    return str(target["state"]), visible(message if scope is None else withheld(message, scope))
