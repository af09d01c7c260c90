# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence access`: collects who can get at what, joins it to people, judges and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.text import Text

from ringfence import collection
from ringfence.cli import _evidence as evidence
from ringfence.cli import _output as out
from ringfence.cli import _register as registers
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.cli._playbook import watched
from ringfence.cli._runs import command
from ringfence.errors import BadInputError, NotCheckedError
from ringfence.results import CLEAN, FINDINGS, NOT_CHECKED, printable

DEFAULT_FORMATS = ("html", "csv", "json")
# What is written after the report's name.
_ENDINGS = {
    "oscal": "oscal.json",
    "sarif": "sarif",
    "junit": "junit.xml",
    "prometheus": "prom",
    "pdf": "pdf",
}
FORMATS = (*DEFAULT_FORMATS, *_ENDINGS)
_LISTED = 12


@dataclass(frozen=True)
class Options:
    """What `access` alone takes. `last`: report on what was collected last, and ask no host."""

    formats: list[str]
    output: Path | None
    client: str | None
    last: bool


def access(
    target: Target, url: str | None, options: Options, as_json: bool, show_command: bool
) -> int:
    """Collect unless told not to; write the report, and what was judged into the evidence."""
    for form in options.formats:
        if form not in FORMATS:
            raise BadInputError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    context = Context(target)
    if show_command:
        return command(context.job("access"), as_json)
    register = registers.needed(context, "to join accounts to people")
    scope = evidence.client_scope(context, options.client) if options.client else None
    found_id = None if options.last else collect(context, as_json)
    store = evidence.open_store(context, url)
    report, _population = report_on(context, register, store, found_id, scope)
    paths = _write(context, report, options)
    code = CLEAN
    if report.failed:
        code = FINDINGS
    if report.gaps or report.unknown:
        code = NOT_CHECKED
    if as_json:
        out.print_json(_summary(report, paths, code))
        return code
    _page(report, paths, code)
    return code


def collect(context: Context, as_json: bool, variables: dict[str, Any] | None = None) -> str | None:
    """A new collection of all accesses; the id of its run."""
    names = context.selection.hosts
    job = context.job("access", variables, credentials=context.credentials)
    outcome = watched("Collect", job, names, as_json)
    if outcome.interrupted:
        raise KeyboardInterrupt
    if outcome.evidence:
        out.notes().print(Text(outcome.evidence, style="yellow"))
    return outcome.run_id


def report_on(
    context: Context, register: Any, store: Any, found_id: str | None, scope: Any
) -> tuple[Any, Any]:
    """(the report, the joined population) of a collection, the newest where `found_id` is None.

    What was judged of one that was just made goes into the evidence.
    """
    from ringfence.access import documents, people, review
    from ringfence.access.judges import Case
    from ringfence.access_review import follow_up

    known = store.collection(found_id)
    if known is None:
        raise BadInputError(
            f"{context.evidence_dir}: holds no collection of accesses yet; "
            "`ringfence access` without --last makes one"
        )
    population = documents.population(documents.check(known, "the evidence"))
    today = date.today()
    directory = people.Directory(register, today, context.selection.groups)
    revokes = follow_up.revokes(store, population)
    case = Case(population, directory, values_of(context, register), today, revokes)
    population, findings = review.judged(population, case)
    case.population = population
    entry = next(one for one in store.collections() if one["id"] == population.id)
    if found_id is not None:
        _keep(context, store, known, population, findings, case)
    report = review.build(
        population, findings, directory, context.catalogue.of_target("access"), scope=scope,
        evidence={key: entry[key] for key in ("seq", "hash", "signed")},
        reviewed=revokes is not None,
    )  # fmt: skip
    return report, population


def _keep(
    context: Context,
    store: Any,
    known: Mapping[str, Any],
    population: Any,
    findings: Any,
    case: Any,
) -> None:
    """What was judged is evidence too, beside what was collected."""
    from ringfence.access import review

    versions = {key: str(known["run"].get(key, "")) for key in ("ansible_core", "ringfence")}
    rows = review.results(population, findings, case)
    store.ingest(
        review.run_document(population, rows, context.catalogue, versions), context.catalogue
    )


def values_of(context: Context, register: Any) -> Any:
    """target -> control id -> value, as tiers, clients and sites on the target ask for it."""
    targets = collection.plugin_util("targets")
    api = collection.plugin_util("register")
    merge = collection.plugin_util("register_merge")
    controls = context.catalogue.of_target("access")
    default = targets.values(context.catalogue, "access", {})
    cached: dict[str, dict[str, Any]] = {}

    def values(target: str) -> Mapping[str, Any]:
        if target not in cached:
            placements = register.on(target)
            spoken = merge.spoken_of(register.tiers, placements) if placements else ()
            mine = dict(default)
            for name, said in controls.items():
                if said["value"]["name"] in spoken:
                    layers = api.explain(register, context.catalogue, target, name)
                    mine[name] = layers[-1].value
            cached[target] = mine
        return cached[target]

    return values


def _write(context: Context, report: Any, options: Options) -> list[Path]:
    from ringfence.access import exports, page, tables
    from ringfence.report.__main__ import write
    from ringfence.report.pdf import PdfError

    renderers: dict[str, Any] = {
        "html": page.render, "csv": tables.render_csv, "json": tables.render_json,
        "oscal": exports.render_oscal, "sarif": exports.render_sarif,
        "junit": exports.render_junit, "prometheus": exports.render_prometheus,
        "pdf": exports.render_pdf,
    }  # fmt: skip
    name = f"access-{options.client}" if options.client else "access"
    folder = options.output or context.evidence_dir / "reports"
    paths = []
    for form in options.formats:
        path = folder / f"{name}.{_ENDINGS.get(form, form)}"
        try:
            made = renderers[form](report)
            write(path, made if form == "pdf" else made.encode("utf-8", "backslashreplace"))
        except PdfError as error:
            raise NotCheckedError(f"{path}: {error}") from error
        except OSError as error:
            raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error
        paths.append(path)
    return paths


def _summary(report: Any, paths: list[Path], code: int) -> dict[str, Any]:
    return {
        "exit_code": code,
        "collection": report.collection,
        "files": paths,
        "accesses": len(report.rows),
        "findings": {one.id: len(one.failed) for one in report.controls if one.failed},
        "could_not_be_told": {one.id: len(one.unknown) for one in report.controls if one.unknown},
        "not_read": [
            {"target": one.target, "source": one.source, "message": one.message}
            for one in report.gaps
        ],
    }


def _page(report: Any, paths: list[Path], code: int) -> None:
    target = out.console()
    for one in report.controls:
        if not one.failed:
            continue
        style = out.SEVERITY_STYLES[one.severity]
        target.print(Text.assemble((f"{one.severity:8} ", style), one.title), soft_wrap=True)
        for finding in one.failed[:_LISTED]:
            out.paragraph(target, printable(finding.message), 9)
        if len(one.failed) > _LISTED:
            out.paragraph(target, f"and {len(one.failed) - _LISTED} more", 9)
    unknown = [one for one in report.controls if one.unknown]
    for one in unknown:
        text = f"not told: {one.title} ({out.count(len(one.unknown), 'time')})"
        target.print(Text(text, style="magenta"), soft_wrap=True)
    gaps = Counter((gap.source, gap.message) for gap in report.gaps)
    for (source, message), count in gaps.most_common(_LISTED):
        text = f"not read: {source} on {out.count(count, 'host')}: {printable(message)}"
        target.print(Text(text, style="magenta"), soft_wrap=True)
    for path in paths:
        target.print(Text(str(path)), soft_wrap=True)
    said = out.joined((
        f"{out.count(len(report.rows), 'access', 'accesses')} of "
        f"{out.count(len(report.targets), 'system')}",
        out.count(report.failed, "finding"),
        f"{out.count(len(report.gaps), 'source')} not read" if report.gaps else "",
    ))  # fmt: skip
    out.paragraph(target, Text(said, style="bold green" if code == CLEAN else "bold"))
