# SPDX-License-Identifier: GPL-3.0-or-later
"""From a store of evidence to a report: which run, beside which, with which catalogue."""

from __future__ import annotations

from pathlib import Path

from ringfence.evidence import Document, EvidenceError, Rejected, Store, StoreError
from ringfence.evidence.document import HOST, kind_of
from ringfence.evidence.store import RunSummary
from ringfence.report import csv_, exports, html, json_, pdf
from ringfence.report.build import build
from ringfence.report.model import Evidence, Report
from ringfence.report.scope import Scope

FORMATS = ("html", "json", "csv", "pdf", "oscal", "sarif", "junit", "prometheus")
# What a file's name ends in, where it is not the format's.
ENDINGS = {"oscal": "oscal.json", "junit": "junit.xml", "prometheus": "prom"}
TREND_RUNS = 30


def open_store(
    evidence: Path, url: str | None = None, signing_key: Path | None = None
) -> tuple[Store, list[Rejected]]:
    """The store of a folder of evidence, with all that waited in it taken in.

    Also returns what was refused. Raises EvidenceError where there is no evidence.
    """
    if not evidence.is_dir():
        raise EvidenceError(
            f"{evidence}: no such folder: expected one that a run wrote evidence to"
        )
    store = Store(url or Store.url_in(evidence), signing_key)
    _taken, refused = store.ingest_incoming(evidence / "incoming")
    return store, refused


def report_on(
    store: Store,
    run: str | None = None,
    compare: str | None = None,
    scope: Scope | None = None,
) -> Report:
    """The report of a run (the latest by default).

    `compare`: the id of an earlier run, or "previous". Raises EvidenceError, ScopeError.
    """
    document = store.run(run) if run else store.latest()
    if document is None:
        raise EvidenceError("there is no run yet: expected evidence of an audit or an apply")
    before = _before(store, document, compare)
    return build(
        document,
        store.catalogue(document["run"]["catalogue_sha256"]),
        before=before,
        history=_history(store, document),
        companions=_companions(store, document),
        companions_before=_companions(store, before) if before else (),
        banned=_banned(store, document),
        scope=scope,
        evidence=_evidence(store, document["run"]["id"]),
    )


def render(report: Report, form: str) -> bytes:
    """The report in one of FORMATS. Raises PdfError."""
    if form == "pdf":
        return pdf.render(report)
    renderers = {
        "html": html.render, "json": json_.render, "csv": csv_.render,
        "oscal": exports.render_oscal, "sarif": exports.render_sarif, "junit": exports.render_junit,
        "prometheus": exports.render_prometheus,
    }  # fmt: skip
    return renderers[form](report).encode("utf-8")


def _before(store: Store, document: Document, compare: str | None) -> Document | None:
    if compare is None:
        return None
    if compare != "previous":
        return store.run(compare)
    return store.previous(document["run"]["id"])


def _history(store: Store, document: Document) -> list[Document]:
    """The last audits before the run; what an apply or a trial shows is no trend."""
    earlier = [
        run
        for run in store.runs()
        if run.mode == "audit" and not run.pruned and run.finished <= document["run"]["started"]
    ]
    if document["run"]["mode"] != "audit":
        return []
    return [store.run(run.id) for run in earlier[-TREND_RUNS:]]


def _companions(store: Store, document: Document) -> list[Document]:
    """The latest runs, up to the next one of servers, that judged something else; newest first.

    A trial proves nothing. What is no server may be judged by several playbooks, each with
    controls of its own, so of each playbook and kind the newest run is taken; and where that left
    out a part, those before it as well, back to one that did not.
    """
    if HOST not in {kind_of(host) for host in document["hosts"]}:
        return []  # a report on buckets alone is asked for as such
    found: list[Document] = []
    whole: set[tuple[str, str]] = set()
    runs = [run for run in store.runs() if not run.pruned and run.mode != "check"]
    later = [run.started for run in runs if HOST in run.kinds and _is_after(run, document)]
    for run in sorted(runs, key=lambda run: (run.started, run.id), reverse=True):
        asked = {(run.playbook, kind) for kind in run.kinds if kind != HOST}
        if (later and run.started >= min(later)) or not asked - whole:
            continue
        told = store.run(run.id)
        if not told["run"]["limit"] and not told["run"].get("interrupted"):
            whole |= asked
        if run.id != document["run"]["id"]:
            found.append(told)
    return found


def _banned(store: Store, document: Document) -> Document | None:
    """The newest look at the bans, up to the next run of servers, with its place in the chain."""
    if HOST not in {kind_of(host) for host in document["hosts"]}:
        return None
    later = [run.started for run in store.runs() if HOST in run.kinds and _is_after(run, document)]
    known = [
        one
        for one in store.collections("bans")
        if not one["pruned"] and (not later or one["finished"] <= min(later))
    ]
    if not known:
        return None
    newest = max(known, key=lambda one: (one["finished"], one["id"]))
    found = store.collection(newest["id"], "bans")
    return None if found is None else {**found, "seq": newest["seq"], "hash": newest["hash"]}


def _is_after(run: RunSummary, document: Document) -> bool:
    return (run.started, run.id) > (document["run"]["started"], document["run"]["id"])


def _evidence(store: Store, run_id: str) -> Evidence:
    head = store.head()
    run = next((run for run in store.runs() if run.id == run_id), None)
    if run is None:
        raise StoreError(f"run {run_id}: is not in the store")
    return Evidence(run.seq, run.hash, head.seq, head.hash, run.signed)
