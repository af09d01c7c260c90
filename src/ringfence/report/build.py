# SPDX-License-Identifier: GPL-3.0-or-later
"""From run documents to a report: join, count, compare. Nothing here knows a format."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ringfence.evidence.comparison import Change, compare
from ringfence.evidence.document import HOST, Catalogue, is_demanded, kind_of
from ringfence.report import bans, benchmarks, model
from ringfence.report.model import CODES, SEVERITIES, STATUSES, Control, Group, Host, Score, Waiver
from ringfence.report.scope import Scope, cut, refuse_leaks
from ringfence.report.text import shown, visible

EXPIRING_WITHIN = timedelta(days=30)
# What was seen of a backup or a bucket longer ago says nothing of it at the time of a run.
GOOD_FOR = timedelta(days=31)
# What is judged beside servers, in the words of a report: one, several.
KINDS = {
    "host": ("host", "hosts"),
    "site": ("site", "sites"),
    "bucket": ("S3 bucket", "S3 buckets"),
    "backup": ("backup", "backups"),
    "access": ("access list", "access lists"),
    "register": ("register", "registers"),
}


def build(
    run: Mapping[str, Any],
    catalogue: Catalogue | None,
    *,
    before: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    companions: Sequence[Mapping[str, Any]] = (),
    companions_before: Sequence[Mapping[str, Any]] = (),
    banned: Mapping[str, Any] | None = None,
    scope: Scope | None = None,
    evidence: model.Evidence | None = None,
    generated: datetime | None = None,
) -> model.Report:
    """The report of a run document.

    `catalogue`: the one that the run asked (None: titles and reasons are not known). `before`:
    an earlier run to compare with. `history`: earlier runs, oldest first, for the trend.
    `companions`: runs that judged what this one did not (buckets, backups, …); their rows are shown
    beside its own, with their date; `companions_before`: the same at the time of `before`.
    `banned`: a collection of bans. `scope`: all that may be seen. Raises ScopeError where the scope
    does not hold.
    """
    now = generated or datetime.now(UTC)
    alone = cut(run, scope)
    run = cut(accompanied(run, companions), scope)
    before = accompanied(before, companions_before) if before else None
    joined = _Joined(run, catalogue)
    outside = _Joined(run, catalogue, demanded=False)
    report = model.Report(
        title=_title(run, scope),
        scope=scope.name if scope else "",
        generated=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        run=_run_info(run["run"]),
        score=joined.total(),
        hosts=tuple(joined.hosts()),
        controls=tuple(joined.controls(now.date())),
        outside=tuple(outside.controls(now.date())),
        areas=tuple(joined.slices("family")),
        severities=tuple(joined.slices("severity")),
        waivers=tuple(joined.waivers(now.date())),
        benchmarks=tuple(joined.benchmarks(outside)),
        comparison=_comparison(cut(before, scope), run, joined) if before else None,
        trend=tuple(_trend_point(cut(point, scope)) for point in [*history, alone]),
        evidence=evidence,
        catalogue_known=catalogue is not None,
        bans=bans.told(banned, {h["name"] for h in run["hosts"] if kind_of(h) == HOST}, scope),
    )
    refuse_leaks(report, scope)
    return report


class _Joined:
    """A run's results by control, with what the catalogue says of each.

    `demanded`: those that the hosts' profiles ask for, or else all others.
    """

    def __init__(
        self, run: Mapping[str, Any], catalogue: Catalogue | None, *, demanded: bool = True
    ) -> None:
        self.run = run
        self.trial = run["run"]["mode"] == "check"
        self.known: Mapping[str, Any] = catalogue.controls if catalogue else {}
        self.marks: Any = catalogue.benchmarks if catalogue else {}
        self.host_list = sorted(run["hosts"], key=lambda host: _natural(host["name"]))
        self.day = date.fromisoformat(run["run"]["finished"][:10])
        self.by_control: dict[str, list[tuple[int, Mapping[str, Any], str]]] = defaultdict(list)
        self._counts: list[Counter[str]] = []
        for number, host in enumerate(self.host_list):
            self._counts.append(Counter())
            for result in host["results"]:
                if is_demanded(result) != demanded:
                    continue
                status = status_of(result, self.day)
                self.by_control[result["id"]].append((number, result, status))
                self._counts[number][status] += 1
        self.scores = {
            control: self._score(Counter(status for _h, _r, status in rows))
            for control, rows in self.by_control.items()
        }

    def total(self) -> Score:
        return total(self.scores.values())

    def hosts(self) -> Iterable[Host]:
        failing: dict[int, list[str]] = defaultdict(list)
        for control in self._ordered():
            for number, _result, status in self.by_control[control]:
                if status == "fail" or (self.trial and status == "changed"):
                    failing[number].append(control)
        for number, host in enumerate(self.host_list):
            facts = host["host"]
            system = f"{facts.get('distribution', '')} {facts.get('release', '')}".strip()
            if kind_of(host) != HOST:
                system = KINDS.get(kind_of(host), (kind_of(host),))[0]
            yield Host(
                name=visible(host["name"]),
                state=host["state"],
                message=visible(host["message"]),
                system=visible(system[:1].upper() + system[1:]),
                kernel=visible(str(facts.get("kernel", ""))),
                score=self._score(self._counts[number]),
                failing=tuple(failing[number]),
                kind=kind_of(host),
                collected=visible(str(host.get("collected", ""))),
            )

    def controls(self, today: date) -> Iterable[Control]:
        """Failing ones first, the more severe before the less."""
        for control in self._ordered():
            known = self.known.get(control, {})
            rows = self.by_control[control]
            matrix = ["-"] * len(self.host_list)
            for number, _result, status in rows:
                matrix[number] = CODES[status]
            yield Control(
                id=control,
                title=self.title(control),
                severity=self.severity(control),
                area=visible(str(known.get("family", "unknown"))),
                rationale=_prose(known.get("rationale")),
                remedy=_prose(known.get("remedy")),
                variable=str(known.get("value", {}).get("name", "")),
                references={
                    visible(str(name)): tuple(visible(str(section)) for section in _list(sections))
                    for name, sections in (known.get("references") or {}).items()
                },
                outcome=self.outcome(control),
                score=self.scores[control],
                groups=tuple(self._groups(control, today)),
                matrix="".join(matrix),
                target=visible(str(known.get("target", "host"))),
                automatic=(known.get("apply") or {}).get("automatic") is not False,
            )

    def title(self, control: str) -> str:
        return visible(str(self.known.get(control, {}).get("title", control)))

    def severity(self, control: str) -> str:
        return str(self.known.get(control, {}).get("severity", "unknown"))

    def outcome(self, control: str) -> str:
        """The worst status of a control; of a trial, what would change is a failure."""
        found = {status for _number, _result, status in self.by_control[control]}
        if self.trial and "changed" in found:
            return "fail"
        return next(status for status in STATUSES if status in found)

    def slices(self, key: str) -> Iterable[model.Slice]:
        by_name: dict[str, list[Score]] = defaultdict(list)
        for control, score in self.scores.items():
            by_name[str(self.known.get(control, {}).get(key, "unknown"))].append(score)
        order = [*SEVERITIES, "unknown"] if key == "severity" else sorted(by_name)
        for name in order:
            if name in by_name:
                yield model.Slice(visible(name), total(by_name[name]))

    def waivers(self, today: date) -> Iterable[Waiver]:
        """Ended ones first, then by the day they end."""
        found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for control in self._ordered():
            for number, result, _status in self.by_control[control]:
                if result.get("waiver"):
                    found[(control, *_waiver_key(result["waiver"]))].append(number)
        waivers = [self._waiver(key[0], key[1:], numbers, today) for key, numbers in found.items()]
        return sorted(waivers, key=lambda waiver: (waiver.expires, waiver.control))

    def benchmarks(self, outside: _Joined) -> Iterable[model.Benchmark]:
        """By what is known of them, demanded or not."""
        rows: dict[str, list[tuple[int, str]]] = defaultdict(list)
        scores: dict[str, list[Score]] = defaultdict(list)
        for part in (self, outside):
            for control, found in part.by_control.items():
                rows[control] += [(number, status) for number, _result, status in found]
                scores[control].append(part.scores[control])
        results = benchmarks.Results(
            controls=self.known,
            targets=[kind_of(host) for host in self.host_list],
            rows=rows,
            scores=scores,
            outside=frozenset(outside.scores),
            trial=self.trial,
        )
        return benchmarks.judge(self.marks or {}, results)

    def _ordered(self) -> list[str]:
        rank = {severity: number for number, severity in enumerate(SEVERITIES)}
        return sorted(
            self.by_control,
            key=lambda control: (
                STATUSES.index(self.outcome(control)),
                rank.get(self.severity(control), len(rank)),
                -self.scores[control].failed,
                self.title(control).casefold(),
                control,
            ),
        )

    def _groups(self, control: str, today: date) -> Iterable[Group]:
        found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        samples: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for number, result, status in self.by_control[control]:
            waiver = _waiver_key(result["waiver"]) if result.get("waiver") else ()
            key = (
                STATUSES.index(status),
                shown(result.get("expected")) or "",
                shown(result.get("observed")) or "",
                result.get("message") or "",
                waiver,
            )
            found[key].append(number)
            samples.setdefault(key, result)
        for key in sorted(found, key=lambda key: (key[0], -len(found[key]), key[1:])):
            sample, numbers = samples[key], found[key]
            yield Group(
                status=STATUSES[key[0]],
                expected=shown(sample.get("expected")),
                observed=shown(sample.get("observed")),
                message=visible(key[3]),
                waiver=self._waiver(control, key[4], numbers, today) if key[4] else None,
                hosts=tuple(numbers),
            )

    def _waiver(
        self, control: str, key: tuple[str, ...], numbers: list[int], today: date
    ) -> Waiver:
        reason, owner, approver, expires = key
        return Waiver(
            control=control,
            title=self.title(control),
            hosts=tuple(visible(self.host_list[number]["name"]) for number in numbers),
            reason=visible(reason),
            owner=visible(owner),
            approver=visible(approver),
            expires=expires,
            state=waiver_state(expires, today),
        )

    def _score(self, counts: Mapping[str, int]) -> Score:
        return score_of(counts, self.trial)


def accompanied(
    run: Mapping[str, Any], companions: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The run with what `companions`, newest first, say of what is no server, each row dated.

    Of one thing that several runs judged, each control is told as it was last seen; of several runs
    of one playbook the newest counts. What held longer ago than GOOD_FOR is not known to hold at
    the time of the run.
    """
    rows = {host["name"]: host for host in run["hosts"]}
    told = {(name, run["run"]["playbook"]) for name in rows}
    moment = _moment(run)
    for companion in companions:
        late = moment - _moment(companion) > GOOD_FOR
        for host in companion["hosts"]:
            key = (host["name"], companion["run"]["playbook"])
            if kind_of(host) == HOST or key in told:
                continue
            told.add(key)
            dated = {**host, "collected": companion["run"]["finished"]}
            if late:
                dated["results"] = [_faded(one, dated["collected"]) for one in host["results"]]
            known = rows.get(host["name"])
            rows[host["name"]] = dated if known is None else _united(known, dated)
    return {**run, "hosts": list(rows.values())}


def _moment(run: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(run["run"]["finished"])


def _faded(result: Mapping[str, Any], collected: str) -> dict[str, Any]:
    """A result of long ago: what failed then still stands, all else is unknown."""
    if result["status"] in ("fail", "error", "manual"):
        return dict(result)
    said = f"last looked at on {collected[:10]}, when it was: {result['status'].replace('_', ' ')}"
    return {**result, "status": "error", "message": said}


def _united(newer: Mapping[str, Any], older: Mapping[str, Any]) -> dict[str, Any]:
    """One row of two: the newer word on each control, the worse state, the older date."""
    told = {result["id"] for result in newer["results"]}
    more = [result for result in older["results"] if result["id"] not in told]
    if not more and older["state"] == "ok":
        return dict(newer)
    bad = next((one for one in (newer, older) if one["state"] != "ok"), newer)
    dates = [one["collected"] for one in (newer, older) if one.get("collected")]
    return {
        **newer,
        "state": bad["state"],
        "message": bad["message"],
        "results": [*newer["results"], *more],
        "collected": min(dates, default=""),
    }


def status_of(result: Mapping[str, Any], day: date) -> str:
    """The status that counts: a waiver that had ended by the day of the run is a failure."""
    status = str(result["status"])
    waiver = result.get("waiver")
    if status == "waived" and waiver and waiver_state(waiver["expires"], day) == "expired":
        return "fail"
    return status


def waiver_state(expires: str, today: date) -> str:
    """active, expiring or expired; the last day still counts."""
    try:
        ends = date.fromisoformat(expires)
    except ValueError:
        return "expired"
    if ends < today:
        return "expired"
    return "expiring" if ends - today <= EXPIRING_WITHIN else "active"


def score_of(counts: Mapping[str, int], trial: bool) -> Score:
    """The score of results counted by status; in a trial nothing has been changed yet."""
    changed = counts.get("changed", 0)
    return Score(
        passed=counts.get("pass", 0) + (0 if trial else changed),
        failed=counts.get("fail", 0) + (changed if trial else 0),
        waived=counts.get("waived", 0),
        errors=counts.get("error", 0),
        manual=counts.get("manual", 0),
        not_applicable=counts.get("not_applicable", 0),
        changed=changed,
    )


def total(scores: Iterable[Score]) -> Score:
    """All of them together."""
    sums: Counter[str] = Counter()
    for score in scores:
        sums.update(vars(score))
    return Score(**{name: sums[name] for name in Score.__dataclass_fields__})


def _comparison(
    before: Mapping[str, Any], after: Mapping[str, Any], joined: _Joined
) -> model.Comparison:
    earlier = _Joined(before, None)
    earlier.known = joined.known
    found = compare(before, after)
    names = {host["name"] for host in after["hosts"]}
    names_before = {host["name"] for host in before["hosts"]}
    after_by = {entry.name: entry.score for entry in joined.slices("severity")}
    before_by = {entry.name: entry.score for entry in earlier.slices("severity")}
    severities = [name for name in (*SEVERITIES, "unknown") if {name} & {*after_by, *before_by}]
    return model.Comparison(
        before=_run_info(before["run"]),
        score_before=earlier.total(),
        score_after=joined.total(),
        severities=tuple(
            (name, before_by.get(name, Score()), after_by.get(name, Score())) for name in severities
        ),
        hosts_gone=tuple(visible(name) for name in sorted(names_before - names, key=_natural)),
        hosts_added=tuple(visible(name) for name in sorted(names - names_before, key=_natural)),
        **{
            kind: tuple(_changed_controls(changes, joined)) for kind, changes in vars(found).items()
        },
    )


def _changed_controls(changes: Sequence[Change], joined: _Joined) -> list[model.ChangedControl]:
    hosts: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for change in changes:
        hosts[(change.control, change.before, change.after)].append(change.host)
    found = [
        model.ChangedControl(
            control=control,
            title=joined.title(control),
            severity=joined.severity(control),
            before=before,
            after=after,
            hosts=tuple(visible(name) for name in sorted(names, key=_natural)),
        )
        for (control, before, after), names in hosts.items()
    ]
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    return sorted(found, key=lambda c: (rank.get(c.severity, len(rank)), c.title.casefold()))


def _trend_point(run: Mapping[str, Any]) -> model.TrendPoint:
    day = date.fromisoformat(run["run"]["finished"][:10])
    counts = Counter(
        status_of(result, day)
        for host in run["hosts"]
        for result in host["results"]
        if is_demanded(result)
    )
    return model.TrendPoint(
        finished=run["run"]["finished"],
        mode=run["run"]["mode"],
        score=score_of(counts, run["run"]["mode"] == "check"),
        hosts_not_checked=sum(host["state"] != "ok" for host in run["hosts"]),
    )


def _run_info(run: Mapping[str, Any]) -> model.RunInfo:
    texts = ("playbook", "operator", "controller", "limit", "ansible_core", "ringfence")
    return model.RunInfo(
        id=run["id"],
        started=run["started"],
        finished=run["finished"],
        mode=run["mode"],
        interrupted=bool(run.get("interrupted")),
        catalogue_sha256=run["catalogue_sha256"] or "",
        **{key: visible(run[key] or "") for key in texts},
    )


def _title(run: Mapping[str, Any], scope: Scope | None) -> str:
    what = counted(kind_of(host) for host in run["hosts"])
    return f"{visible(scope.name)}: security of {what}" if scope else f"Security of {what}"


def counted(kinds: Iterable[str]) -> str:
    """How many of each kind: `3 hosts, 5 backups and 1 S3 bucket`."""
    found = Counter(kinds)
    parts = [
        f"{count:,} {KINDS.get(kind, (kind, kind))[count != 1]}"
        for kind, count in sorted(found.items(), key=lambda item: item[0] != HOST)
    ] or ["0 hosts"]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if parts[1:] else parts[0]


def _waiver_key(waiver: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(waiver.get(key) or "") for key in ("reason", "owner", "approver", "expires"))


def _prose(value: object) -> str:
    return " ".join(visible(str(value)).split()) if value else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _natural(name: str) -> list[tuple[int, str]]:
    """web2 before web10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", name.casefold())
    ]
