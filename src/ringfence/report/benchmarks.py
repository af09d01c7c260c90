# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says of benchmarks: each section on each host, then over all of them.

A host that was out of reach, or that was not asked for a control of a section, leaves that section
unknown, and so does a kind of thing (a bucket, a backup) that no run looked at: nothing is said to
hold that was not seen to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringfence.evidence.document import HOST
from ringfence.report import model
from ringfence.report.model import Score
from ringfence.report.text import visible

# What a section is on one host, in the order in which one outweighs another.
_NOTHING, _HOLDS, _UNKNOWN, _FAILS = range(4)
_STATES = ("not_applicable", "pass", "unknown", "fail")
_OF_STATUS = {
    "not_applicable": _NOTHING,
    "pass": _HOLDS,
    "changed": _HOLDS,
    "error": _UNKNOWN,
    "manual": _UNKNOWN,
    "waived": _FAILS,
    "fail": _FAILS,
}
_BY_PERSON = {"manual": "manual", "not_applicable": "excluded"}


@dataclass(frozen=True)
class Results:
    """What a run saw, demanded or not.

    `rows`: of each control, (number of the host, status). `targets`: what each host is (host,
    bucket, …). `scores`: of each control, over all hosts. `outside`: controls with a result that no
    profile demands.
    """

    controls: Mapping[str, Mapping[str, Any]]
    targets: Sequence[str]
    rows: Mapping[str, Sequence[tuple[int, str]]]
    scores: Mapping[str, Sequence[Score]]
    outside: frozenset[str]
    trial: bool


def judge(marks: Mapping[str, Any], results: Results) -> Iterator[model.Benchmark]:
    """Every benchmark of the catalogue that the run was of."""
    by_host = {name: _by_host(name, results) for name in _named(marks)}
    for name, benchmark in sorted(marks.items()):
        whole = benchmark if isinstance(benchmark, dict) else {"sections": benchmark}
        rows = [row for row in whole.get("sections") or () if isinstance(row, dict)]
        seen = [_on_hosts(row, by_host, len(results.targets)) for row in rows]
        sections = tuple(
            _section(row, on, by_host, results) for row, on in zip(rows, seen, strict=True)
        )
        if sections:
            yield model.Benchmark(
                name=visible(str(name)),
                title=visible(str(whole.get("title", ""))),
                version=visible(str(whole.get("version", ""))),
                about=_prose(whole.get("about")),
                levels={
                    visible(str(level)): visible(str(label))
                    for level, label in (whole.get("levels") or {}).items()
                },
                sections=sections,
                hosts=tuple(_hosts([on for on in seen if on is not None])),
            )


def _named(marks: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for benchmark in marks.values():
        rows = benchmark.get("sections") if isinstance(benchmark, dict) else benchmark
        for row in rows or ():
            if isinstance(row, dict):
                found.update(map(str, row.get("controls") or ()))
    return found


def _by_host(control: str, results: Results) -> bytes:
    """What a control is on each host; unknown where it should have been asked and was not."""
    target = _target(control, results)
    found = bytearray(_UNKNOWN if one == target else _NOTHING for one in results.targets)
    for number, status in results.rows.get(control, ()):
        would_change = results.trial and status == "changed"
        found[number] = _FAILS if would_change else _OF_STATUS[status]
    return bytes(found)


def _target(control: str, results: Results) -> str:
    return str(results.controls.get(control, {}).get("target", HOST))


def _on_hosts(row: Mapping[str, Any], by_host: Mapping[str, bytes], hosts: int) -> bytes | None:
    """What an automated section is on each host; None for one that a person looks at."""
    controls = [by_host[str(name)] for name in row.get("controls") or ()]
    if not controls:
        return None
    return bytes(map(max, *controls)) if len(controls) > 1 else controls[0].ljust(hosts, b"\0")


def _section(
    row: Mapping[str, Any], on: bytes | None, by_host: Mapping[str, bytes], results: Results
) -> model.Section:
    controls = tuple(visible(str(name)) for name in row.get("controls") or ())
    evidence = tuple(visible(str(name)) for name in row.get("evidence") or ())
    told = [score for name in controls or evidence for score in results.scores.get(name, ())]
    return model.Section(
        number=visible(str(row.get("section", ""))),
        title=visible(str(row.get("title", ""))),
        levels=tuple(visible(str(level)) for level in row.get("levels") or ()),
        state=_state(row, on, results),
        controls=controls,
        open=tuple(name for name in controls if max(by_host.get(name, b""), default=0) > _HOLDS),
        evidence=evidence,
        words=_prose(row.get("how") or row.get("why")),
        score=_total(told),
        failing=_where(on, _FAILS),
        unknown=_where(on, _UNKNOWN),
        outside=any(name in results.outside for name in controls),
    )


def _state(row: Mapping[str, Any], on: bytes | None, results: Results) -> str:
    if on is None:
        return _BY_PERSON.get(str(row.get("status")), "manual")
    worst = max(on, default=_UNKNOWN)
    targets = {_target(str(name), results) for name in row["controls"]}
    if not targets <= set(results.targets):
        worst = max(worst, _UNKNOWN)  # backups, say, of which this run saw none
    return _STATES[worst]


def _where(on: bytes | None, what: int) -> tuple[int, ...]:
    return tuple(number for number, one in enumerate(on or b"") if one == what)


def _hosts(automated: Sequence[bytes]) -> Iterator[model.BenchmarkHost]:
    """The automated sections of each host, counted."""
    for on in zip(*automated, strict=True):
        yield model.BenchmarkHost(
            holds=on.count(_HOLDS),
            fails=on.count(_FAILS),
            unknown=on.count(_UNKNOWN),
            nothing=on.count(_NOTHING),
        )


def _total(scores: Iterable[Score]) -> Score:
    sums: dict[str, int] = dict.fromkeys(Score.__dataclass_fields__, 0)
    for score in scores:
        for name, count in vars(score).items():
            sums[name] += count
    return Score(**sums)


def _prose(value: object) -> str:
    return " ".join(visible(str(value)).split()) if value else ""
