# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence store: append-only, hash-chained, in SQLite or PostgreSQL."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from ringfence.evidence import chain, document, signing, tables
from ringfence.evidence.catalogue import CatalogueCopy, encode
from ringfence.evidence.chain import (
    CATALOGUE,
    COLLECTION,
    PRUNE,
    REVIEW,
    RUN,
    Entry,
    Finding,
    Head,
    Verification,
)
from ringfence.evidence.comparison import Comparison, compare
from ringfence.evidence.database import Database
from ringfence.evidence.document import Catalogue, Document
from ringfence.evidence.errors import DocumentError, EvidenceError, StoreError

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Ingested:
    """A run in the store. `new` is False where it had been there before."""

    run_id: str
    seq: int
    hash: str
    signed: bool
    new: bool


@dataclass(frozen=True)
class Rejected:
    """A file that is no run document; it stays where it is."""

    path: Path
    reason: str


@dataclass(frozen=True)
class RunSummary:
    """A run as the list of runs has it. `counts`: results by status; `hosts`: hosts by state.

    `kinds`: what it judged: host, or bucket, backup, ….
    """

    id: str
    seq: int
    started: str
    finished: str
    mode: str
    playbook: str
    interrupted: bool
    hosts: Mapping[str, int]
    counts: Mapping[str, int]
    catalogue_sha256: str | None
    recorded_at: str
    hash: str
    signed: bool
    pruned: bool
    kinds: tuple[str, ...] = (document.HOST,)


@dataclass(frozen=True)
class Pruned:
    """What retention removed, and the entry that says so (None where nothing was due)."""

    runs: tuple[str, ...]
    seq: int | None


class Store:
    """Evidence at a SQLAlchemy URL. Every method raises EvidenceError with one clear line."""

    def __init__(self, url: str, signing_key: Path | None = None) -> None:
        self._database = Database(url)
        self._key = signing_key

    @staticmethod
    def url_in(directory: Path) -> str:
        """The URL of the store in a folder of evidence."""
        return f"sqlite:///{directory.absolute() / 'ringfence.sqlite'}"

    def ingest(
        self, source: Path | Mapping[str, Any], catalogue: Catalogue | None = None
    ) -> Ingested:
        """Append a run document, given as a file or decoded. The same run twice is one entry.

        A collection of accesses is an entry of its own kind. A run's catalogue is kept too: the
        one given, or the copy that lies beside the file, where it is the one that the run asked.
        """
        if isinstance(source, Path):
            run_document = document.read(source)
        else:
            run_document = dict(source)
            if document.is_collection(run_document):
                document.check_collection(run_document, "the collection")
            else:
                document.check(run_document, "the run document")
        if document.is_collection(run_document):
            with self._database.writing() as connection:
                return self._append_run(connection, run_document, COLLECTION)
        wanted = run_document["run"]["catalogue_sha256"]
        if catalogue is None or catalogue.sha256 != wanted:
            catalogue = _beside(source, wanted) if isinstance(source, Path) else None
        with self._database.writing() as connection:
            if catalogue is not None and not _find(connection, CATALOGUE, catalogue.sha256):
                self._append(connection, CATALOGUE, encode(catalogue))
            return self._append_run(connection, run_document)

    def ingest_incoming(
        self, directory: Path, catalogue: Catalogue | None = None
    ) -> tuple[list[Ingested], list[Rejected]]:
        """Take in every document in `directory` (DIR/incoming), oldest first, and delete it there.

        A file goes only once it is safely in the store; one that is refused stays.
        """
        taken: list[Ingested] = []
        refused: list[Rejected] = []
        for path in sorted(directory.glob("[!.]*.json")):
            try:
                taken.append(self.ingest(path, catalogue))
            except DocumentError as error:
                if path.exists():  # otherwise another process has just taken it in
                    refused.append(Rejected(path, str(error)))
                continue
            path.unlink(missing_ok=True)
        return taken, refused

    def runs(self) -> list[RunSummary]:
        """All runs, oldest first, pruned ones too."""
        query = (
            select(tables.entries, tables.bodies.c.seq.label("body_seq"))
            .outerjoin(tables.bodies, tables.bodies.c.seq == tables.entries.c.seq)
            .where(tables.entries.c.kind == RUN)
            .order_by(tables.entries.c.seq)
        )
        with self._database.reading() as connection:
            return [_run_summary(row) for row in connection.execute(query)]

    def run(self, run_id: str) -> Document:
        """The document of a run, by its id or an unambiguous beginning of it."""
        with self._database.reading() as connection:
            row = _find_run(connection, run_id)
            body = _body(connection, row.seq)
        if body is None:
            raise StoreError(f"run {row.ref}: its details were pruned; only its counts are kept")
        return dict(json.loads(chain.unseal(body)))

    def collections(self, kind: str = "access") -> list[dict[str, Any]]:
        """The summaries of all collections of a kind (access, bans), oldest first, each with `seq`,
        `hash` and `pruned`."""
        query = (
            select(tables.entries, tables.bodies.c.seq.label("body_seq"))
            .outerjoin(tables.bodies, tables.bodies.c.seq == tables.entries.c.seq)
            .where(tables.entries.c.kind == COLLECTION)
            .order_by(tables.entries.c.seq)
        )
        with self._database.reading() as connection:
            found = [
                {**json.loads(row.summary), "seq": row.seq, "hash": row.hash,
                 "signed": row.signature is not None, "pruned": row.body_seq is None}
                for row in connection.execute(query)
            ]  # fmt: skip
        return [one for one in found if one["kind"] == kind]

    def collection(self, run_id: str | None = None, kind: str = "access") -> Document | None:
        """A collection by its id, or the one that was finished last; None where there is none."""
        known = [one for one in self.collections(kind) if not one["pruned"]]
        if run_id is not None:
            known = [one for one in known if one["id"].startswith(run_id.upper())]
        if not known:
            return None
        newest = max(known, key=lambda one: (one["finished"], one["id"]))
        with self._database.reading() as connection:
            body = _body(connection, newest["seq"])
        return None if body is None else dict(json.loads(chain.unseal(body)))

    def append_review(self, step: Mapping[str, Any]) -> Entry:
        """Append a step of an access review: `{id, step, at, client, counts, …}`.

        Each step of a review is there once: a second one is refused. Steps are never pruned.
        """
        reference = f"{step['id']} {step['step']}"
        with self._database.writing() as connection:
            if _find(connection, REVIEW, reference):
                raise StoreError(f"review {reference}: is on record already")
            return self._append(connection, REVIEW, document.canonical(dict(step)))

    def reviews(self) -> list[dict[str, Any]]:
        """The summaries of all steps of access reviews, oldest first, each with `seq`, `hash` and
        `signed`."""
        query = (
            select(tables.entries)
            .where(tables.entries.c.kind == REVIEW)
            .order_by(tables.entries.c.seq)
        )
        with self._database.reading() as connection:
            return [
                {**json.loads(row.summary), "seq": row.seq, "hash": row.hash,
                 "signed": row.signature is not None}
                for row in connection.execute(query)
            ]  # fmt: skip

    def review(self, seq: int) -> Document:
        """A step of an access review as it was appended, by its number in the chain."""
        with self._database.reading() as connection:
            body = _body(connection, seq)
        if body is None:
            raise StoreError(f"entry {seq}: is no step of a review")
        return dict(json.loads(chain.unseal(body)))

    def latest(self, mode: str | None = None) -> Document | None:
        """The document of the run that started last, of `mode` (audit, apply, check) or of any.

        One that judged servers, where there is such a run.
        """
        runs = [run for run in self.runs() if not run.pruned and mode in (None, run.mode)]
        runs = [run for run in runs if document.HOST in run.kinds] or runs
        return self.run(max(runs, key=lambda run: (run.started, run.id)).id) if runs else None

    def previous(self, run_id: str, mode: str | None = None) -> Document | None:
        """The run before `run_id` that still has its details, of `mode` or of any.

        It judged something of the same kind.
        """
        runs = sorted(self.runs(), key=lambda run: (run.started, run.id))
        kinds = {kind for run in runs if run.id == run_id for kind in run.kinds}
        earlier: list[RunSummary] = []
        for run in runs:
            if run.id == run_id:
                break
            if not run.pruned and mode in (None, run.mode) and kinds & set(run.kinds):
                earlier.append(run)
        return self.run(earlier[-1].id) if earlier else None

    def catalogue(self, sha256: str | None) -> CatalogueCopy | None:
        """The copy of a catalogue, None where the store has none of that hash."""
        with self._database.reading() as connection:
            row = _find(connection, CATALOGUE, sha256) if sha256 else None
            body = _body(connection, row.seq) if row else None
        if body is None:
            return None
        return CatalogueCopy.parse(json.loads(chain.unseal(body)), f"catalogue {sha256}")

    def compare(self, before: str, after: str) -> Comparison:
        """What changed from run `before` to run `after`."""
        return compare(self.run(before), self.run(after))

    def head(self) -> Head:
        """The newest entry. Note it elsewhere: `verify(known_head=…)` then finds a cut-off end."""
        with self._database.reading() as connection:
            return _head(connection) or Head(0, chain.GENESIS)

    def verify(
        self, allowed_signers: Path | None = None, known_head: Head | None = None
    ) -> Verification:
        """Walk the whole chain and, given a file of allowed signers, every signature."""
        if allowed_signers and not allowed_signers.is_file():
            raise StoreError(f"{allowed_signers}: no such file: expected one of allowed signers")
        with self._database.reading() as connection:
            pruned = {row.seq: row.by_seq for row in connection.execute(select(tables.prunings))}
            head = _head(connection)
            findings, last, count = chain.check(_walk(connection), head, pruned, known_head)
            findings += _strays(connection)
            signed: dict[str, int] = {}
            if allowed_signers:
                unsigned, signed = chain.check_signatures(
                    _walk(connection, bodies=False),
                    partial(signing.verify, allowed_signers=allowed_signers),
                    StoreError,
                )
                findings += unsigned
        return Verification(last, count, len(pruned), signed, tuple(findings))

    def prune(self, before: datetime | str, reason: str = "retention") -> Pruned:
        """Remove the details of runs that finished before a time (UTC).

        Their entries and counts stay, and an entry says which runs went, when, why and by whom.
        """
        limit = before if isinstance(before, str) else before.astimezone(UTC).strftime(_TIME)
        with self._database.writing() as connection:
            due = _prunable(connection, limit)
            if not due:
                return Pruned((), None)
            now = _now()
            record = {
                "id": f"{now} after {_required_head(connection).seq}",
                "before": limit,
                "reason": reason,
                "operator": getpass.getuser(),
                "runs": list(due.values()),
                "entries": list(due),
            }
            entry = self._append(connection, PRUNE, document.canonical(record))
            rows = [{"seq": seq, "by_seq": entry.seq} for seq in due]
            connection.execute(insert(tables.prunings), rows)
            connection.execute(delete(tables.bodies).where(tables.bodies.c.seq.in_(due)))
        return Pruned(tuple(due.values()), entry.seq)

    def _append_run(
        self, connection: Connection, run_document: Document, kind: str = RUN
    ) -> Ingested:
        body = document.canonical(run_document)
        run_id = run_document["run"]["id"]
        row = _find(connection, kind, run_id)
        if row is None:
            entry = self._append(connection, kind, body)
            return Ingested(run_id, entry.seq, entry.hash, entry.signature is not None, new=True)
        if row.body_sha256 != document.sha256(body):
            raise StoreError(
                f"run {run_id}: is in the store with other contents, and stays as it is"
            )
        return Ingested(run_id, row.seq, row.hash, row.signature is not None, new=False)

    def _append(self, connection: Connection, kind: str, body: bytes) -> Entry:
        head = _head(connection) or Head(0, chain.GENESIS)
        summary, ref = chain.describe(kind, json.loads(body))
        draft = Entry(
            seq=head.seq + 1,
            kind=kind,
            ref=ref,
            recorded_at=_now(),
            body_sha256=document.sha256(body),
            summary=summary,
            previous=head.hash,
            hash="",
            signature=None,
        )
        statement = draft.statement()
        values = {**vars(draft), "hash": document.sha256(statement)}
        values["signature"] = signing.sign(statement, self._key) if self._key else None
        del values["body"]
        connection.execute(insert(tables.entries), [values])
        connection.execute(insert(tables.bodies), [{"seq": draft.seq, "body": chain.seal(body)}])
        new_head = {"seq": draft.seq, "hash": values["hash"]}
        if head.seq:
            connection.execute(update(tables.head).values(new_head))
        else:
            connection.execute(insert(tables.head), [{"id": 1, **new_head}])
        return Entry(**values)


def _beside(path: Path, sha256: str | None) -> CatalogueCopy | None:
    """The catalogue that the callback wrote to DIR/catalogues for DIR/incoming/RUN.json."""
    if sha256 is None:
        return None
    copy = path.parent.parent / "catalogues" / f"{sha256}.json"
    if not copy.is_file():
        return None
    catalogue = CatalogueCopy.read(copy)
    return catalogue if catalogue.sha256 == sha256 else None


def _find(connection: Connection, kind: str, ref: str) -> Row[Any] | None:
    query = select(tables.entries).where(tables.entries.c.kind == kind, tables.entries.c.ref == ref)
    return connection.execute(query).first()


def _find_run(connection: Connection, run_id: str) -> Row[Any]:
    query = select(tables.entries).where(
        tables.entries.c.kind == RUN,
        tables.entries.c.ref.startswith(run_id.upper(), autoescape=True),
    )
    rows = connection.execute(query.limit(2)).all()
    if not rows:
        raise StoreError(f"run {run_id}: is not in the store")
    if len(rows) > 1:
        raise StoreError(f"run {run_id}: more than one run begins so")
    return rows[0]


def _body(connection: Connection, seq: int) -> bytes | None:
    query = select(tables.bodies.c.body).where(tables.bodies.c.seq == seq)
    return connection.execute(query).scalar()


def _head(connection: Connection) -> Head | None:
    row = connection.execute(select(tables.head.c.seq, tables.head.c.hash)).first()
    return Head(row.seq, row.hash) if row else None


def _required_head(connection: Connection) -> Head:
    return _head(connection) or Head(0, chain.GENESIS)


def _walk(connection: Connection, bodies: bool = True) -> Iterator[Entry]:
    """Every entry in order, one body in memory at a time."""
    query = select(tables.entries).order_by(tables.entries.c.seq)
    for row in connection.execute(query).all():
        yield Entry(**row._mapping, body=_body(connection, row.seq) if bodies else None)


def _strays(connection: Connection) -> list[Finding]:
    """Bodies that no entry speaks of."""
    known = select(tables.entries.c.seq)
    query = select(tables.bodies.c.seq).where(tables.bodies.c.seq.not_in(known))
    return [
        Finding(seq, "a body was inserted without an entry")
        for seq in connection.execute(query).scalars()
    ]


def _prunable(connection: Connection, limit: str) -> dict[int, str]:
    """seq -> id of the runs and collections with details that finished before `limit`."""
    query = (
        select(tables.entries)
        .join(tables.bodies, tables.bodies.c.seq == tables.entries.c.seq)
        .where(tables.entries.c.kind.in_((RUN, COLLECTION)))
        .order_by(tables.entries.c.seq)
    )
    rows = connection.execute(query).all()
    return {row.seq: row.ref for row in rows if json.loads(row.summary)["finished"] < limit}


def _run_summary(row: Row[Any]) -> RunSummary:
    kept = json.loads(row.summary)
    return RunSummary(
        **{**kept, "kinds": tuple(kept.get("kinds", (document.HOST,)))},
        seq=row.seq,
        recorded_at=row.recorded_at,
        hash=row.hash,
        signed=row.signature is not None,
        pruned=row.body_seq is None,
    )


def _now() -> str:
    return datetime.now(UTC).strftime(_TIME)


__all__ = ["EvidenceError", "Ingested", "Pruned", "Rejected", "RunSummary", "Store"]
