# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on a population: joined, judged, cut to one client, as plain data; and as results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ringfence import collection
from ringfence.access import judges, judges_facts
from ringfence.access.judges import REGISTER, Case
from ringfence.access.model import Coverage, Finding, Population, Row, kind_of, target_of
from ringfence.access.people import Directory, in_scope, joined, named_in
from ringfence.report.scope import Scope, refuse_leaks, withheld

SEVERITIES = ("critical", "high", "medium", "low")
# What a source that was not read leaves open; any other leaves everything open.
_LEAVES_OPEN = {
    "setuid files": ("access_setuid",),
    **dict.fromkeys(
        ("wtmp", "lastlog", "lastlog2", "wtmpdb", "journal"),
        ("access_dormant", "access_vendor_addresses"),
    ),
}
_OF_FACTS = {
    "domains": ("access_domain_lock", "access_domain_dnssec", "access_domain_expiry"),
    "origins": ("access_cdn_origin",),
    "cloud": ("access_cloud_root", "access_cloud_root_mfa"),
}
_OF_ATTESTATIONS = frozenset(
    ("access_attestation_missing", "access_attestation_expired", "access_attestation_contradicted")
)
_OF_REGISTER = (*sorted(_OF_ATTESTATIONS), "access_service_account")


@dataclass(frozen=True)
class Judged:
    """A control with its findings: what fails, and what could not be told."""

    id: str
    title: str
    severity: str
    rationale: str
    remedy: str
    failed: tuple[Finding, ...]
    unknown: tuple[Finding, ...]
    asked: bool = True

    @property
    def outcome(self) -> str:
        """fail, error, pass, or not_asked: there was nothing to judge."""
        if self.failed or self.unknown:
            return "fail" if self.failed else "error"
        return "pass" if self.asked else "not_asked"


@dataclass(frozen=True)
class Person:
    """Somebody of the register: a person, or a service account (`kind` is then its kind)."""

    id: str
    name: str
    kind: str
    status: str
    company: str
    department: str
    purpose: str = ""


@dataclass(frozen=True)
class Report:
    """All of a report. `rows`: identity -> row; `by_row`: identity -> the controls it fails."""

    title: str
    client: str
    generated: str
    collected_at: str
    collection: str
    operator: str
    rows: Mapping[str, Row]
    by_row: Mapping[str, tuple[str, ...]]
    controls: tuple[Judged, ...]
    coverage: tuple[Coverage, ...]
    people: Mapping[str, Person]
    targets: tuple[str, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many findings there are."""
        return sum(len(one.failed) for one in self.controls)

    @property
    def unknown(self) -> int:
        """How many things could not be told."""
        return sum(len(one.unknown) for one in self.controls)

    @property
    def gaps(self) -> tuple[Coverage, ...]:
        """What could not be read."""
        return tuple(one for one in self.coverage if one.unknown)

    def count(self, severity: str) -> int:
        """How many findings are of a severity."""
        return sum(len(one.failed) for one in self.controls if one.severity == severity)


def judged(population: Population, case: Case) -> tuple[Population, list[Finding]]:
    """The joined population and all findings."""
    whole = joined(population, case.directory)
    case = replace(case, population=whole)
    return whole, [*judges.judge(case), *judges_facts.judge(case)]


def build(
    population: Population,
    findings: Iterable[Finding],
    directory: Directory,
    controls: Mapping[str, Mapping[str, Any]],
    *,
    scope: Scope | None = None,
    evidence: Mapping[str, Any] | None = None,
    generated: datetime | None = None,
    reviewed: bool = False,
) -> Report:
    """The report, of everything or of one client. Raises ScopeError where it would say too much.

    `population`: joined. `controls`: those of the catalogue whose target is access. `reviewed`:
    whether there was a review whose revokes could be judged.
    """
    rows = dict(population.rows)
    found = list(findings)
    covered, targets = list(population.coverage), list(population.targets)
    if scope is not None:
        rows, found, covered, targets = _cut(population, found, directory, scope)
    by_row: dict[str, list[str]] = defaultdict(list)
    for finding in found:
        for name in finding.rows if finding.status == "fail" else ():
            if finding.control not in by_row[name]:
                by_row[name].append(finding.control)
    asked = _judged_at_all(rows.values(), population.facts.values())
    if directory.register.third_parties:
        asked |= _OF_ATTESTATIONS
    if not reviewed:
        asked.discard("access_revoke_overdue")
    report = Report(
        title=f"Access: {scope.name}" if scope else "Access: everybody, everywhere",
        client=scope.client if scope else "",
        generated=(generated or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        collected_at=population.collected_at,
        collection=population.id,
        operator=population.operator,
        rows=rows,
        by_row={name: tuple(ids) for name, ids in by_row.items()},
        controls=tuple(_by_control(found, controls, asked)),
        coverage=tuple(covered),
        people=_people(rows, found, directory),
        targets=tuple(targets),
        evidence=dict(evidence or {}),
    )
    refuse_leaks(report, scope)
    return report


def _by_control(
    found: list[Finding], controls: Mapping[str, Mapping[str, Any]], asked: set[str]
) -> Iterator[Judged]:
    order = {"fail": 0, "error": 1, "pass": 2, "not_asked": 3}
    made = []
    for name, said in controls.items():
        mine = [finding for finding in found if finding.control == name]
        made.append(
            Judged(
                name, said["title"], said["severity"], said["rationale"], said.get("remedy", ""),
                tuple(one for one in mine if one.status == "fail"),
                tuple(one for one in mine if one.status != "fail"),
                name in asked,
            )
        )  # fmt: skip
    yield from sorted(
        made, key=lambda one: (order[one.outcome], SEVERITIES.index(one.severity), -len(one.failed))
    )


def _judged_at_all(rows: Collection[Row], told: Iterable[Mapping[str, Any]]) -> set[str]:
    """The controls for which there was something to judge: of nothing there is no pass.

    `told`: facts of targets.
    """
    there = {kind_of(row) for row in rows}
    asked: set[str] = set()
    if rows:
        asked |= {c for c in judges.JUDGES if not c.startswith(("access_database", "access_cms"))}
    if "database" in there:
        asked |= {c for c in judges.JUDGES if c.startswith("access_database")}
    if "cms" in there:
        asked.add("access_cms_administrator")
    if not any(row["account_type"] == "vendor" for row in rows):
        asked -= {c for c in asked if c.startswith("access_vendor")}
    for facts in told:
        asked |= {c for key, names in _OF_FACTS.items() if facts.get(key) for c in names}
    return asked


def _judged_of(
    target: str, rows: Collection[Row], facts: Mapping[str, Any], directory: Directory
) -> set[str]:
    """The same of one target."""
    if target == REGISTER:
        register = directory.register
        found = set(_OF_ATTESTATIONS) if register.third_parties else set()
        return found | ({"access_service_account"} if register.service_accounts else set())
    return _judged_at_all(rows, [facts])


def _cut(
    population: Population, found: list[Finding], directory: Directory, scope: Scope
) -> tuple[dict[str, Row], list[Finding], list[Coverage], list[str]]:
    """What one client may see: rows first, then what can be said of them."""
    rows = {
        name: _withheld_row(row, scope)
        for name, row in population.rows.items()
        if target_of(row) in scope.hosts or row["client"] == scope.client
        if in_scope(row, scope.client, directory)
    }
    kept = []
    for finding in found:
        mine = tuple(name for name in finding.rows if name in rows)
        if not mine and (finding.client != scope.client or finding.rows):
            continue
        kept.append(replace(finding, rows=mine, message=withheld(finding.message, scope)))
    visible = {target_of(row) for row in rows.values()} | scope.hosts
    covered = [
        replace(one, source=withheld(one.source, scope), message=withheld(one.message, scope))
        for one in population.coverage
        if one.target in visible
    ]
    return rows, kept, covered, [name for name in population.targets if name in visible]


def _withheld_row(row: Row, scope: Scope) -> Row:
    return {key: withheld(value, scope) for key, value in row.items()}


def _people(
    rows: Mapping[str, Row], found: Iterable[Finding], directory: Directory
) -> dict[str, Person]:
    names = named_in(rows.values()) | {one.person for one in found if one.person}
    names |= {str(row["details"].get("service_account") or "") for row in rows.values()}
    known = {holder.id: holder for holder in directory.holders}
    people = {}
    for name in sorted(names & known.keys()):
        holder = known[name]
        said = holder.said
        people[name] = Person(
            name,
            str(said.get("name") or name),
            holder.kind,
            directory.status(name) if holder.is_person else "",
            str(said.get("third_party") or said.get("client") or ""),
            str(said.get("department") or ""),
            str(said.get("purpose") or ""),
        )
    return people


def results(
    population: Population,
    found: Iterable[Finding],
    case: Case,
) -> Iterator[dict[str, Any]]:
    """A row for each target in the shape of targets.row, for the evidence.

    What was not read makes an error of what would else have passed, and what a target has nothing
    of does not apply to it.
    """
    targets_api = collection.plugin_util("targets")
    by_target: dict[str, dict[str, list[Finding]]] = defaultdict(lambda: defaultdict(list))
    for finding in found:
        by_target[finding.target][finding.control].append(finding)
    rows_of: dict[str, list[Row]] = defaultdict(list)
    for row in population.rows.values():
        rows_of[target_of(row)].append(row)
    unread: dict[str, set[str]] = defaultdict(set)
    for gap in population.gaps:
        unread[gap.target].add(gap.source)
    register = case.directory.register
    for target in (*population.targets, REGISTER):
        asked = _asked(target, population)
        if case.revokes is None and target != REGISTER:
            asked.remove("access_revoke_overdue")
        wanted = {c: case.values(target)[c] for c in asked}
        facts = population.facts.get(target, {})
        there = _judged_of(target, rows_of[target], facts, case.directory)
        said = [
            _result(c, by_target[target].get(c, []), unread[target], wanted[c], there=c in there)
            for c in wanted
        ]
        clients = register.clients_of(register.on(target))
        client = clients[0]["id"] if len(clients) == 1 else None
        yield targets_api.row(f"access:{target}", "access", said, wanted, client=client)


def _asked(target: str, population: Population) -> list[str]:
    if target == REGISTER:
        return list(_OF_REGISTER)
    facts = population.facts.get(target, {})
    asked = [c for key, names in _OF_FACTS.items() if facts.get(key) is not None for c in names]
    return [*judges.JUDGES, *asked]


def _result(
    control: str, found: list[Finding], unread: set[str], value: Any, *, there: bool
) -> dict[str, Any]:
    failed = [one for one in found if one.status == "fail"]
    shown = failed or found
    message = shown[0].message if shown else ""
    if len(shown) > 1:
        message += f" (and {len(shown) - 1} more)"
    if failed:
        observed = f"{len(failed)} findings" if len(failed) > 1 else "1 finding"
        return {"id": control, "status": "fail", "expected": value, "observed": observed,
                "message": message}  # fmt: skip
    if found:
        return {"id": control, "status": "error", "expected": value, "message": message}
    missing = sorted(s for s in unread if control in _LEAVES_OPEN.get(s, (control,)))
    if missing:
        said = f"{', '.join(missing[:3])} could not be read"
        return {"id": control, "status": "error", "expected": value, "message": said}
    if not there:
        said = "nothing of what it is about was found here"
        return {"id": control, "status": "not_applicable", "expected": value, "message": said}
    return {"id": control, "status": "pass", "expected": value}


def run_document(
    population: Population,
    rows: Iterable[Mapping[str, Any]],
    known: Any,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """What was judged, as a run document for the evidence store."""
    import json

    api = collection.plugin_util("_run_document")
    recorder = api.Recorder()
    for row in rows:
        result = {**row, "catalogue_sha256": known.sha256}
        if row["state"] == "ok":
            recorder.add(row["name"], "judge", result)
        else:
            recorder.trouble(row["name"], row["state"], row["message"], row["host"])
    run = {
        "playbook": "access.yml", "operator": population.operator, "controller": "",
        "limit": None, **versions,
    }  # fmt: skip
    return dict(json.loads(recorder.encode(run)))


def kinds(report: Report) -> list[str]:
    """The kinds of systems that there are rows of, in their order."""
    there = {kind_of(row) for row in report.rows.values()}
    return [kind for kind in _ORDER if kind in there] + sorted(there - set(_ORDER))


_ORDER = ("server", "database", "cms", "web", "bucket", "console", "dns", "cdn", "mail")
