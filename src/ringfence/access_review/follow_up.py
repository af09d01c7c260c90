# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a signed review: a revoke is open until a later collection no longer sees it.

That an access was not seen proves something only where its source was read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ringfence.access import documents
from ringfence.access.judges import Revoke
from ringfence.access.model import Population, Row, target_of
from ringfence.access_review import model
from ringfence.access_review.model import (
    ABANDONED,
    CLOSED,
    MODIFY,
    OPENED,
    REVOKE,
    SIGNED_OFF,
    Decision,
    Review,
)
from ringfence.errors import BadInputError

SEEN, NOT_TOLD, GONE = "seen", "not_told", "gone"


@dataclass(frozen=True)
class Steps:
    """What the chain has of one review: its summaries by step."""

    id: str
    client: str
    steps: Mapping[str, Mapping[str, Any]]

    @property
    def state(self) -> str:
        """abandoned, closed, signed_off or opened."""
        return next(s for s in (ABANDONED, CLOSED, SIGNED_OFF, OPENED) if s in self.steps)


@dataclass(frozen=True)
class Item:
    """A revoke or modify and what became of it. `state`: seen, not_told, gone.

    Of a modify, gone means that its rights are others now.
    """

    name: str
    row: Row
    decision: Decision
    state: str

    @property
    def open(self) -> bool:
        """Not shown to be carried out."""
        return self.state != GONE


def known(store: Any) -> list[Steps]:
    """All reviews, oldest first."""
    found: dict[str, dict[str, Any]] = {}
    for one in store.reviews():
        found.setdefault(one["id"], {})[one["step"]] = one
    return [
        Steps(name, steps[OPENED]["client"], steps)
        for name, steps in found.items()
        if OPENED in steps
    ]


def find(store: Any, wanted: str | None, client: str, states: tuple[str, ...]) -> Steps:
    """A review by the beginning of its id, or the newest of a client in one of some states.

    Raises BadInputError.
    """
    mine = known(store)
    if wanted is not None:
        mine = [one for one in mine if one.id.startswith(wanted.upper())]
        if len(mine) != 1:
            what = "more than one review begins so" if mine else "there is no such review"
            raise BadInputError(f"--review {wanted}: {what}")
        if mine[0].state not in states:
            raise BadInputError(f"review {mine[0].id}: is {mine[0].state.replace('_', ' ')}")
        return mine[0]
    mine = [one for one in mine if one.client == client and one.state in states]
    if not mine:
        words = " or ".join(state.replace("_", " ") for state in states)
        of = f" of client {client}" if client else ""
        raise BadInputError(
            f"there is no review{of} that is {words}; `ringfence review open` opens one"
        )
    return mine[-1]


def opened(store: Any, steps: Steps) -> Review:
    """The review as it was opened."""
    return model.opened(store.review(steps.steps[OPENED]["seq"]))


def before(store: Any, client: str) -> Review | None:
    """The last signed review of the same scope."""
    signed = [
        one for one in known(store) if one.client == client and one.state in (SIGNED_OFF, CLOSED)
    ]
    return opened(store, signed[-1]) if signed else None


def decisions(store: Any, steps: Steps) -> dict[str, Decision]:
    """What was signed."""
    step = store.review(steps.steps[SIGNED_OFF]["seq"])
    return {
        one["id"]: Decision(**{key: one[key] for key in Decision.__dataclass_fields__})
        for one in step["decisions"]
    }


def latest(store: Any) -> Population | None:
    """The newest collection, whole and as it was collected."""
    found = store.collection()
    if found is None:
        return None
    return documents.population(documents.check(found, "the evidence"))


def items(store: Any, steps: Steps, now: Population | None) -> list[Item]:
    """The revokes and modifies of a signed review, as `now` sees them."""
    step = store.review(steps.steps[OPENED]["seq"])
    review = model.opened(step)
    later = now is not None and now.collected_at > steps.steps[SIGNED_OFF]["at"]
    unread = _unread(now, frozenset(step["unread"])) if now is not None and later else frozenset()
    found = []
    for name, decision in decisions(store, steps).items():
        if decision.decision not in (REVOKE, MODIFY):
            continue
        row = review.rows[name]
        if now is None or not later:
            state = NOT_TOLD
        elif name in now.rows:
            state = GONE if _is_carried_out(now.rows[name], row, decision.decision) else SEEN
        elif target_of(row) not in now.targets or target_of(row) in unread:
            state = NOT_TOLD
        else:
            state = GONE
        found.append(Item(name, row, decision, state))
    return found


def _is_carried_out(now: Row, before: Row, decision: str) -> bool:
    """Whether what is still there was blocked since, or gives something else now."""
    inert = {"blocked", "locked"}
    if inert & set(now["flags"]) and not inert & set(before["flags"]):
        return True
    return decision == MODIFY and model.rights(now) != before["rights"]


def _unread(now: Population, before: frozenset[str]) -> frozenset[str]:
    """The targets that say less than they said when the review was opened."""
    return frozenset(
        gap.target
        for gap in now.gaps
        if gap.source == "host" or model.gap_id(gap.target, gap.source) not in before
    )


def revokes(store: Any, now: Population) -> tuple[Revoke, ...] | None:
    """For the judges: what signed reviews took away. None where none was ever signed."""
    signed = [one for one in known(store) if one.state in (SIGNED_OFF, CLOSED)]
    if not signed:
        return None
    return tuple(_revokes(store, [one for one in signed if one.state == SIGNED_OFF], now))


def _revokes(store: Any, signed: list[Steps], now: Population) -> Iterator[Revoke]:
    for steps in signed:
        day = date.fromisoformat(steps.steps[SIGNED_OFF]["at"][:10])
        for one in items(store, steps, now):
            if one.decision.decision == REVOKE:
                yield Revoke(steps.id, day, one.name, one.row, one.state)
