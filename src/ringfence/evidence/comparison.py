# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs side by side: what is new, what is fixed, what stays, and what nobody can say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence.evidence.document import is_demanded

NOT_CHECKED = "not_checked"
NOT_DEMANDED = "not_demanded"


@dataclass(frozen=True)
class Change:
    """A control on a host. `before` and `after`: a status, not_checked or not_demanded."""

    host: str
    control: str
    before: str
    after: str


@dataclass(frozen=True)
class Comparison:
    """A finding is a control that fails and is demanded. What was not checked is neither new nor
    fixed.

    new: fails now, passed (or did not apply, or was not demanded) before. fixed: failed before,
    passes now. unchanged: fails in both. closed: failed before, is waived, does not apply or is
    not demanded now.
    lost: failed before, not checked now. first_seen: fails now, was not checked before.
    """

    new: tuple[Change, ...]
    fixed: tuple[Change, ...]
    unchanged: tuple[Change, ...]
    closed: tuple[Change, ...]
    lost: tuple[Change, ...]
    first_seen: tuple[Change, ...]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """What changed from one run document to the next; each list by control, then host."""
    kinds: dict[str, list[Change]] = {name: [] for name in Comparison.__dataclass_fields__}
    for change in _changes(_states(before), _states(after)):
        kind = _kind(change.before, change.after)
        if kind:
            kinds[kind].append(change)
    return Comparison(**{name: tuple(changes) for name, changes in kinds.items()})


def _states(document: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """(control, host) -> fail, pass, or the status as it is, for all that could be told."""
    trial = document["run"]["mode"] == "check"
    # in check mode `changed` says that the host is not yet as it should be
    alias = {"changed": "fail" if trial else "pass", "error": NOT_CHECKED, "manual": NOT_CHECKED}
    return {
        (result["id"], host["name"]): (
            alias.get(result["status"], result["status"]) if is_demanded(result) else NOT_DEMANDED
        )
        for host in document["hosts"]
        for result in host["results"]
    }


def _changes(
    before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]
) -> Iterator[Change]:
    for control, host in sorted({*before, *after}):
        key = (control, host)
        yield Change(host, control, before.get(key, NOT_CHECKED), after.get(key, NOT_CHECKED))


def _kind(before: str, after: str) -> str | None:
    if after == "fail":
        return {"fail": "unchanged", NOT_CHECKED: "first_seen"}.get(before, "new")
    if before == "fail":
        return {"pass": "fixed", NOT_CHECKED: "lost"}.get(after, "closed")
    return None
