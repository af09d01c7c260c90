# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash chain: what an entry states, and what betrays that somebody touched it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence.evidence.document import canonical, collection_summary, sha256, summary

GENESIS = "0" * 64
RUN, CATALOGUE, PRUNE, COLLECTION = "run", "catalogue", "prune", "collection"
REVIEW = "review"


@dataclass(frozen=True)
class Entry:
    """One link: `body` is deflated canonical JSON, None where there is none (any more)."""

    seq: int
    kind: str
    ref: str
    recorded_at: str
    body_sha256: str
    summary: str
    previous: str
    hash: str
    signature: str | None
    body: bytes | None = None

    def statement(self) -> bytes:
        """What is hashed and signed: all of the entry but its hash and signature."""
        return canonical(
            {
                "version": 1,
                "seq": self.seq,
                "kind": self.kind,
                "ref": self.ref,
                "recorded_at": self.recorded_at,
                "body_sha256": self.body_sha256,
                "summary": self.summary,
                "previous": self.previous,
            }
        )


@dataclass(frozen=True)
class Head:
    """The newest entry of a chain. Noted elsewhere, it proves later that nothing was cut off."""

    seq: int
    hash: str


@dataclass(frozen=True)
class Finding:
    """Something wrong at entry `seq` (0: with the chain as a whole), in one line."""

    seq: int
    problem: str

    def __str__(self) -> str:
        return f"entry {self.seq}: {self.problem}" if self.seq else self.problem


@dataclass(frozen=True)
class Verification:
    """What `Store.verify` found. `signed` maps principals to the number of their entries."""

    head: Head
    entries: int
    pruned: int
    signed: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.findings


def seal(body: bytes) -> bytes:
    """How a body is stored."""
    return zlib.compress(body, 6)


def unseal(body: bytes) -> bytes:
    """The canonical JSON of a stored body. Raises zlib.error."""
    return zlib.decompress(body)


def check(
    entries: Iterable[Entry],
    head: Head | None,
    pruned: Mapping[int, int],
    known_head: Head | None = None,
) -> tuple[list[Finding], Head, int]:
    """Walk the chain. `pruned`: seq of an entry without body -> seq of the entry that says so.

    Returns the findings, the last entry seen and the number of entries.
    """
    findings: list[Finding] = []
    due, previous, count = 1, GENESIS, 0
    witnessed = known_head is None or known_head.seq == 0
    declared: set[int] = set()
    bare: list[int] = []
    for entry in entries:
        count += 1
        if entry.seq != due:
            findings.append(Finding(due, f"is missing: the next one there is {entry.seq}"))
        if entry.previous != previous:
            findings.append(Finding(entry.seq, "does not follow from the entry before it"))
        if sha256(entry.statement()) != entry.hash:
            findings.append(Finding(entry.seq, "was changed: it no longer has its own hash"))
        if entry.body is None:
            bare.append(entry.seq)
        else:
            findings += _check_body(entry, entry.body, declared)
        if known_head and entry.seq == known_head.seq:
            witnessed = entry.hash == known_head.hash
        due, previous = entry.seq + 1, entry.hash
    last = Head(due - 1, previous)
    findings += [
        Finding(seq, "its body is gone, and no pruning is on record")
        for seq in bare
        if seq not in pruned or seq not in declared
    ]
    if head != (last if count else None):
        noted = f"{head.seq}, {head.hash[:12]}" if head else "nothing"
        findings.append(
            Finding(0, f"the end was cut off or added to: ends at {last.seq}, head says {noted}")
        )
    if known_head and not witnessed:
        findings.append(
            Finding(0, f"the head noted elsewhere, entry {known_head.seq}, is not in it")
        )
    return findings, last, count


def _check_body(entry: Entry, stored: bytes, declared: set[int]) -> list[Finding]:
    try:
        body = unseal(stored)
    except zlib.error:
        return [Finding(entry.seq, "its body was changed: it cannot be read")]
    if sha256(body) != entry.body_sha256:
        return [Finding(entry.seq, "its body was changed: it no longer has its hash")]
    try:
        value = json.loads(body)
        stated, ref = describe(entry.kind, value)
    except (ValueError, KeyError, TypeError, AttributeError):
        return [Finding(entry.seq, f"its body is not that of a {entry.kind}")]
    if entry.kind == PRUNE:
        declared.update(value["entries"])
    if (stated, ref) != (entry.summary, entry.ref):
        return [Finding(entry.seq, "what it says of its body is not so")]
    return []


def describe(kind: str, value: Any) -> tuple[str, str]:
    """(the summary, the reference) that an entry of `kind` must have for its body."""
    if kind == RUN:
        return canonical(summary(value)).decode(), str(value["run"]["id"])
    if kind == COLLECTION:
        return canonical(collection_summary(value)).decode(), str(value["run"]["id"])
    if kind == CATALOGUE:
        return canonical({"controls": len(value["controls"])}).decode(), str(value["sha256"])
    if kind == REVIEW:
        kept = {key: value[key] for key in ("id", "step", "at", "client", "counts")}
        return canonical(kept).decode(), f"{value['id']} {value['step']}"
    if kind == PRUNE:
        kept = {key: value[key] for key in ("before", "reason", "runs")}
        return canonical(kept).decode(), str(value["id"])
    raise ValueError(kind)


def check_signatures(
    entries: Iterable[Entry], principal_of: Callable[[bytes, str], str], error: type[Exception]
) -> tuple[list[Finding], dict[str, int]]:
    """Who signed what. `principal_of(statement, signature)` raises `error` with the reason.

    A signature vouches for all entries before it, for its statement holds their hashes; entries
    after the last good one have nobody to vouch for them.
    """
    findings: list[Finding] = []
    signed: dict[str, int] = {}
    unvouched: list[int] = []
    for entry in entries:
        if entry.signature is None:
            unvouched.append(entry.seq)
            continue
        try:
            principal = principal_of(entry.statement(), entry.signature)
        except error as reason:
            findings.append(Finding(entry.seq, str(reason)))
            unvouched.append(entry.seq)
            continue
        signed[principal] = signed.get(principal, 0) + 1
        unvouched = []
    if unvouched:
        first, last = unvouched[0], unvouched[-1]
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        findings.append(Finding(0, f"{which} not vouched for by any accepted signature"))
    return findings, signed
