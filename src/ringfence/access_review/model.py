# SPDX-License-Identifier: GPL-3.0-or-later
"""A review as plain data, and the rules on who may decide what."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence import collection
from ringfence.access.model import COLUMNS, Population, Row, shape
from ringfence.access.people import ACTIVE, Directory
from ringfence.access.review import Report
from ringfence.errors import BadInputError
from ringfence.report.text import visible

SCHEMA_VERSION = 1
KEEP, MODIFY, REVOKE, DEFER = "keep", "modify", "revoke", "defer"
DECISIONS = (KEEP, MODIFY, REVOKE, DEFER)
PENDING = "pending"
OPENED, SIGNED_OFF, CLOSED, ABANDONED = "opened", "signed_off", "closed", "abandoned"
TEXT_LIMIT = 500
# What of a row's details is frozen beside its columns: what a reviewer looks at.
_DETAILS = (
    *("place", "key_type", "key_bits", "key_comment", "sources", "person_name", "email", "name"),
    *("account_holders", "grantors", "granted", "granted_privileged", "grant_ended"),
    *("third_party", "service_account", "site", "gecos"),
)
# What of an access a "modify" has to change.
_RIGHTS = ("roles", "privileged", "grant_path", "flags", "mfa")


@dataclass(frozen=True)
class Decision:
    """What somebody decided of a row. `reviewer`: an id of people.yml; `decided_at`: UTC."""

    decision: str
    reviewer: str
    decided_at: str
    reason: str = ""
    ticket: str = ""


@dataclass(frozen=True)
class Review:
    """An opened review. `rows`: identity -> frozen row, with `findings` and `barred` in it.

    `barred`: the people who may not decide a row. `removed`: what the review before had, and this
    population has not. `gaps`: what the collection did not read.
    """

    id: str
    client: str
    title: str
    opened: str
    collection: Mapping[str, Any]
    rows: Mapping[str, Row]
    people: Mapping[str, str]
    removed: tuple[Mapping[str, Any], ...]
    gaps: tuple[Mapping[str, str], ...]
    sha256: str
    titles: Mapping[str, str] = field(default_factory=dict)
    remedies: Mapping[str, str] = field(default_factory=dict)

    def why_not(self, name: str, reviewer: str) -> str:
        """Why somebody may not decide a row; empty where they may."""
        row = self.rows[name]
        if reviewer in row["barred"]["self"]:
            return f"{reviewer} would review their own access"
        if reviewer in row["barred"]["grantor"]:
            return f"{reviewer} granted this access"
        return ""

    def problem(self, name: str, decision: Decision) -> str:
        """What is wrong with a decision on a row; empty where nothing is."""
        if decision.decision not in DECISIONS:
            return f"expected one of {', '.join(DECISIONS)}, found {decision.decision!r}"
        refused = self.why_not(name, decision.reviewer)
        if refused:
            return f"{refused}: somebody else has to decide it"
        for label, text in (("reason", decision.reason), ("ticket", decision.ticket)):
            if len(text) > TEXT_LIMIT:
                return f"{label}: expected at most {TEXT_LIMIT} characters"
        if decision.reason:
            return ""
        if decision.decision != KEEP:
            return f"{decision.decision} needs a reason"
        if self.rows[name]["findings"]:
            return "keep needs a reason where there is a finding"
        return ""


def freeze(
    report: Report,
    population: Population,
    *,
    id: str,
    opened: str,
    operator: str,
    entry: Mapping[str, Any],
    before: Review | None = None,
) -> dict[str, Any]:
    """The step that opens a review: the rows of a report, as they are now.

    `population`: the whole one. `entry`: seq and hash of the collection in the chain. `before`: the
    last signed review of the same scope, which tells what is new.
    """
    rows = [
        _frozen(name, row, report, rights(population.rows[name]), before)
        for name, row in report.rows.items()
    ]
    gaps = [
        {"target": one.target, "source": one.source, "state": one.state, "message": one.message}
        for one in report.gaps
    ]
    failed = {control for ids in report.by_row.values() for control in ids}
    gone = [row for name, row in before.rows.items() if name not in report.rows] if before else []
    return {
        "schema": SCHEMA_VERSION,
        "id": id,
        "step": OPENED,
        "at": opened,
        "client": report.client,
        "title": report.title,
        "operator": operator,
        "collection": {
            "id": report.collection, "finished": report.collected_at,
            "seq": entry["seq"], "hash": entry["hash"],
        },
        "counts": {"rows": len(rows)},
        "population_sha256": _digest(rows),
        "rows": rows,
        "people": {one.id: one.name for one in report.people.values()},
        "removed": [{"id": row["id"], "system": row["system"], "username": row["username"]}
                    for row in gone],
        "gaps": gaps,
        "unread": sorted(gap_id(one.target, one.source) for one in population.gaps),
        "titles": {one.id: one.title for one in report.controls if one.id in failed},
        "remedies": {one.id: one.remedy for one in report.controls if one.id in failed},
    }  # fmt: skip


def opened(step: Mapping[str, Any]) -> Review:
    """The review of an opening step. Raises BadInputError where its rows are not those frozen."""
    if _digest(step["rows"]) != step["population_sha256"]:
        raise BadInputError(f"review {step['id']}: its population is not the one that was frozen")
    return Review(
        id=step["id"],
        client=step["client"],
        title=step["title"],
        opened=step["at"],
        collection=step["collection"],
        rows={row["id"]: _thawed(row) for row in step["rows"]},
        people=step["people"],
        removed=tuple(step["removed"]),
        gaps=tuple(step["gaps"]),
        sha256=step["population_sha256"],
        titles=step["titles"],
        remedies=step["remedies"],
    )


def _frozen(name: str, row: Row, report: Report, given: str, before: Review | None) -> Row:
    details = {key: row["details"][key] for key in _DETAILS if row["details"].get(key)}
    kept = {c: row[c] for c in COLUMNS if row[c] not in ("", [], None) and c != "decision"}
    if row["ticket"]:
        details["grant_ticket"] = kept.pop("ticket")  # the column is for the decision's
    mine = {row["person"], *details.get("account_holders", [])}
    frozen = {
        **kept,
        "id": name,
        "details": details,
        "findings": list(report.by_row.get(name, ())),
        "barred": {"self": sorted(mine - {""}), "grantor": details.get("grantors", [])},
        "rights": given,
    }
    if before is not None:
        known = before.rows.get(name)
        change = (
            "new" if known is None else "" if known["rights"] == frozen["rights"] else "changed"
        )
        frozen |= {"change": change} if change else {}
    return frozen


def _thawed(row: Row) -> Row:
    return {**shape.full(row), **row, "decision": PENDING}


def _digest(rows: Iterable[Mapping[str, Any]]) -> str:
    text = json.dumps(list(rows), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def rights(row: Mapping[str, Any]) -> str:
    """What an access gives by its collector, as 16 digits that change with it."""
    said = [row[key] for key in _RIGHTS] + [(row.get("details") or {}).get("from")]
    return hashlib.sha256(shape.canonical(said)).hexdigest()[:16]


def gap_id(target: str, source: str) -> str:
    """What tells one source of one target from others, without a name in it."""
    return hashlib.sha256(f"{target}\0{source}".encode("utf-8", "replace")).hexdigest()[:16]


def check_reviewer(directory: Directory, reviewer: str) -> str:
    """The id, as it is. Raises BadInputError where it is nobody who may review."""
    said = directory.register.people.get(reviewer)
    if said is None:
        raise BadInputError(f"--reviewer {reviewer}: expected the id of a person in people.yml")
    if directory.status(reviewer) != ACTIVE:
        raise BadInputError(f"--reviewer {reviewer}: is not active by people.yml")
    if said.get("third_party"):
        raise BadInputError(
            f"--reviewer {reviewer}: works for {said['third_party']}; "
            "a third party's people do not review who has access"
        )
    return reviewer


def may_review(directory: Directory, reviewer: str, client: str) -> str:
    """The id, of somebody who may review for a client, or for all (then `client` is empty)."""
    check_reviewer(directory, reviewer)
    theirs = directory.register.people[reviewer].get("client")
    if theirs and theirs != client:
        whole = f"the review of {client}" if client else "a review of everybody"
        raise BadInputError(f"--reviewer {reviewer}: is of client {theirs}; this is {whole}")
    return reviewer


def counts(review: Review, decisions: Mapping[str, Decision]) -> dict[str, int]:
    """rows, each decision, pending. They always reconcile: rows is the sum of the rest."""
    found = Counter(one.decision for name, one in decisions.items() if name in review.rows)
    told = {decision: found[decision] for decision in DECISIONS}
    return {"rows": len(review.rows), **told, PENDING: len(review.rows) - sum(told.values())}


def sign_off(
    review: Review, decisions: Mapping[str, Decision], reviewer: str, at: str, operator: str
) -> dict[str, Any]:
    """The step that ends deciding. Raises BadInputError unless every row has a valid decision."""
    told = counts(review, decisions)
    if told[PENDING]:
        raise BadInputError(
            f"review {review.id}: {told[PENDING]} of {told['rows']} accesses are undecided"
        )
    for name, one in decisions.items():
        problem = review.problem(name, one)
        if problem:
            raise BadInputError(f"review {review.id}: access {name}: {problem}")
    del told[PENDING]
    if sum(told[decision] for decision in DECISIONS) != told["rows"]:
        raise BadInputError(f"review {review.id}: its counts do not reconcile")
    return {
        "schema": SCHEMA_VERSION,
        "id": review.id,
        "step": SIGNED_OFF,
        "at": at,
        "client": review.client,
        "operator": operator,
        "reviewer": reviewer,
        "reviewers": sorted({one.reviewer for one in decisions.values()}),
        "counts": told,
        "population_sha256": review.sha256,
        "decisions": [{"id": name, **vars(one)} for name, one in sorted(decisions.items())],
    }


def plain(text: str) -> str:
    """A reason or ticket as it is kept: one line, nothing hidden in it."""
    return visible(" ".join(text.split()))


def new_id() -> str:
    """An id for a review; ids sort by time."""
    return str(collection.plugin_util("_run_document").ulid())
