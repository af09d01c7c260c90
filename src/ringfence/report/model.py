# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says, as plain data; the renderers only set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SEVERITIES = ("critical", "high", "medium", "low")
STATUSES = ("fail", "error", "manual", "waived", "changed", "not_applicable", "pass")
# Of a section of a benchmark: four of an automated one, and two that no control judges.
BENCHMARK_STATES = ("pass", "fail", "unknown", "not_applicable", "manual", "excluded")
# one character a status in `Control.matrix`; "-": the host was not asked
CODES = {
    "fail": "f",
    "error": "e",
    "manual": "m",
    "waived": "w",
    "changed": "c",
    "not_applicable": "n",
    "pass": "p",
}


@dataclass(frozen=True)
class Score:
    """Results by what they mean. A waiver makes no pass; unknown is in no score.

    `changed` are counted among `passed` after an apply, among `failed` in a trial run.
    """

    passed: int = 0
    failed: int = 0
    waived: int = 0
    errors: int = 0
    manual: int = 0
    not_applicable: int = 0
    changed: int = 0

    @property
    def checked(self) -> int:
        """Results that say yes or no."""
        return self.passed + self.failed + self.waived

    @property
    def unknown(self) -> int:
        """Results that could not be had: errors, and what a person must look at."""
        return self.errors + self.manual

    def __str__(self) -> str:
        text = f"{self.passed:,} of {self.checked:,} checked controls pass"
        return text + (f", {self.unknown:,} could not be checked" if self.unknown else "")


@dataclass(frozen=True)
class Waiver:
    """An accepted deviation. `state`: active, expiring (within 30 days) or expired."""

    control: str
    title: str
    hosts: tuple[str, ...]
    reason: str
    owner: str
    approver: str
    expires: str
    state: str


@dataclass(frozen=True)
class Group:
    """The hosts on which a control ended in the very same way."""

    status: str
    expected: str | None
    observed: str | None
    message: str
    waiver: Waiver | None
    hosts: tuple[int, ...]


@dataclass(frozen=True)
class Control:
    """A control over the hosts of which it is demanded, or over those of which it is not.

    `outcome`: its worst status. `matrix`: a character a host, "-" for every other host. `target`:
    what it is judged of, a host or something else. `automatic`: whether apply can write any of it.
    """

    id: str
    title: str
    severity: str
    area: str
    rationale: str
    remedy: str
    variable: str
    references: Mapping[str, tuple[str, ...]]
    outcome: str
    score: Score
    groups: tuple[Group, ...]
    matrix: str
    target: str = "host"
    automatic: bool = True


@dataclass(frozen=True)
class Host:
    """A server, or another thing that is judged: `kind` is host, bucket, backup, access, ….

    `state`: ok, unreachable, error or not_run; where it is not ok the score is partial.
    `collected`: when, where that was not in the run that the report speaks of.
    """

    name: str
    state: str
    message: str
    system: str
    kernel: str
    score: Score
    failing: tuple[str, ...]
    kind: str = "host"
    collected: str = ""


@dataclass(frozen=True)
class Slice:
    """The score of one area, severity or benchmark section."""

    name: str
    score: Score


@dataclass(frozen=True)
class Section:
    """A section of a benchmark.

    `state`: of an automated section pass, fail, unknown or not_applicable, the worst of all hosts;
    manual where a person looks, excluded where it asks nothing of such hosts. `controls` judge all
    of it (`open`: those that fail or are unknown on some host), `evidence` tells a part; `score` is
    theirs. What is outside the profile is in it all (`outside`: there is some of it). `failing` and
    `unknown` are numbers of hosts.
    """

    number: str
    title: str
    levels: tuple[str, ...]
    state: str
    controls: tuple[str, ...]
    open: tuple[str, ...]
    evidence: tuple[str, ...]
    words: str
    score: Score
    failing: tuple[int, ...]
    unknown: tuple[int, ...]
    outside: bool = False


@dataclass(frozen=True)
class BenchmarkHost:
    """The automated sections of a benchmark on one host, counted; `nothing`: it has none of it."""

    holds: int
    fails: int
    unknown: int
    nothing: int


@dataclass(frozen=True)
class Benchmark:
    """A benchmark by its sections, in their order; `hosts` as in the report."""

    name: str
    title: str
    version: str
    about: str
    levels: Mapping[str, str]
    sections: tuple[Section, ...]
    hosts: tuple[BenchmarkHost, ...]

    def count(self, *states: str, level: str = "") -> int:
        """How many sections are in one of `states`, of a level or of all."""
        return sum(
            section.state in states and (not level or level in section.levels)
            for section in self.sections
        )

    def automated(self, level: str = "") -> int:
        """How many sections controls judge."""
        return self.count("pass", "fail", "unknown", "not_applicable", level=level)


@dataclass(frozen=True)
class ChangedControl:
    """A control and the hosts on which it went from `before` to `after`."""

    control: str
    title: str
    severity: str
    before: str
    after: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class RunInfo:
    """The run that a report speaks of."""

    id: str
    started: str
    finished: str
    mode: str
    playbook: str
    operator: str
    controller: str
    limit: str
    interrupted: bool
    ansible_core: str
    ringfence: str
    catalogue_sha256: str


@dataclass(frozen=True)
class Comparison:
    """This run beside an earlier one; see ringfence.evidence.Comparison for the lists."""

    before: RunInfo
    score_before: Score
    score_after: Score
    severities: tuple[tuple[str, Score, Score], ...]
    hosts_gone: tuple[str, ...]
    hosts_added: tuple[str, ...]
    new: tuple[ChangedControl, ...]
    fixed: tuple[ChangedControl, ...]
    unchanged: tuple[ChangedControl, ...]
    closed: tuple[ChangedControl, ...]
    lost: tuple[ChangedControl, ...]
    first_seen: tuple[ChangedControl, ...]


@dataclass(frozen=True)
class TrendPoint:
    """A run of the past, for the trend."""

    finished: str
    mode: str
    score: Score
    hosts_not_checked: int


@dataclass(frozen=True)
class Evidence:
    """Where the run lies in the chain of evidence; see ringfence.evidence."""

    seq: int
    hash: str
    head_seq: int
    head_hash: str
    signed: bool


@dataclass(frozen=True)
class Ban:
    """An address or a user (`kind`) that was shut out, on one host.

    `client`: whose site it concerns, empty where the host as such or another host told of it.
    `state`: in force, over or lifted (when, and `why`), as it was when the host was asked.
    """

    host: str
    client: str
    kind: str
    subject: str
    site: str
    reason: str
    rule: str
    source: str
    since: str
    until: str
    seconds: int
    failures: int | None
    state: str
    lifted: str
    why: str


@dataclass(frozen=True)
class BansOfHost:
    """The bans of one host for one client, counted; `addresses` and `users` each once."""

    host: str
    client: str
    bans: int
    addresses: int
    users: int
    in_force: int


@dataclass(frozen=True)
class Bans:
    """Who was banned in the `days` before `collected`, the newest first, and where it is kept.

    `asked`: hosts that told; `without`: those of them on which bans are not set up; `not_asked`:
    name, state and message of the others.
    """

    run: str
    collected: str
    seq: int
    hash: str
    days: int
    hosts: tuple[BansOfHost, ...]
    rows: tuple[Ban, ...]
    asked: tuple[str, ...]
    without: tuple[str, ...]
    not_asked: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Report:
    """All of a report.

    `outside`: what the hosts' profiles do not demand, with its true status; in no other field but
    the sections of `benchmarks`.
    """

    title: str
    scope: str
    generated: str
    run: RunInfo
    score: Score
    hosts: tuple[Host, ...]
    controls: tuple[Control, ...]
    outside: tuple[Control, ...]
    areas: tuple[Slice, ...]
    severities: tuple[Slice, ...]
    waivers: tuple[Waiver, ...]
    benchmarks: tuple[Benchmark, ...]
    comparison: Comparison | None
    trend: tuple[TrendPoint, ...]
    evidence: Evidence | None
    catalogue_known: bool
    bans: Bans | None = None

    @property
    def trial(self) -> bool:
        """A run in check mode: `changed` means would change."""
        return self.run.mode == "check"

    @property
    def outside_count(self) -> int:
        """How many results are outside the profile of their host."""
        return sum(len(group.hosts) for control in self.outside for group in control.groups)

    @property
    def not_checked(self) -> tuple[Host, ...]:
        """Hosts that were not, or only partly, asked."""
        return tuple(host for host in self.hosts if host.state != "ok")
