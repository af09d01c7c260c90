# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's events come to: by host, by control, and as an exit code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence.runner import Event

CLEAN, FINDINGS, NOT_CHECKED, BAD_INPUT = 0, 1, 2, 3

# what Ansible puts before ssh's own words
_WRAPPING = re.compile(
    r"^(Task failed: )?(Failed to connect to the host via ssh: |Data could not be sent to remote "
    r'host "[^"]*"\. Make sure this host can be reached over ssh: )?'
)

# Modules whose result is the answer that a command asked for.
_ANSWERS = (
    "site_info",
    "ban_info",
    "ban",
    "backup_info",
    "backup_drill",
    "backup_restore",
    "backup_recover",
    "backup_care",
    "vendor_access",
    "offboard",
    "aws_offboard",
    "third_party_offboard",
)

SEVERITIES = ("critical", "high", "medium", "low")


@dataclass
class HostResult:
    """One host. `state`: ok (it was asked) | unreachable | error | not_run.

    `controls`: by id, each that is not plainly a pass. `outside`: by id, the status of what the
    host's profile does not demand; it is in neither `controls` nor `passes`. `failed`: a task
    failed on it, so that it is not as it should be whatever its controls say. `begun`: a task was
    started on it.
    """

    name: str
    state: str = "not_run"
    message: str = ""
    failed: bool = False
    begun: bool = False
    passes: set[str] = field(default_factory=set)
    controls: dict[str, dict[str, Any]] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    diffs: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """How many controls ended in each status."""
        counted = Counter(str(control["status"]) for control in self.controls.values())
        counted["pass"] = len(self.passes)
        return counted

    def with_status(self, *statuses: str) -> list[dict[str, Any]]:
        """The controls that ended in one of `statuses`."""
        return [c for c in self.controls.values() if c.get("status") in statuses]


class Results:
    """Collects events; `hosts` holds every host that was to be asked, whatever came of it."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.hosts = {name: HostResult(name) for name in names}
        self.catalogue_sha256: str | None = None

    def take(self, event: Event) -> HostResult | None:
        """Note an event; the host where it says how the host is, else None."""
        data = event.get("event_data") or {}
        name = data.get("host")
        if not isinstance(name, str):
            return None
        if event.get("event") == "runner_on_start":
            self.hosts.setdefault(name, HostResult(name)).begun = True
        handler = {
            "runner_on_ok": self._ok,
            "runner_on_failed": self._failed,
            "runner_on_unreachable": self._unreachable,
        }.get(str(event.get("event")))
        if handler is None:
            return None
        host = self.hosts.setdefault(name, HostResult(name))
        return host if handler(host, data, _mapping(data.get("res"))) else None

    def exit_code(self, *, would_change_is_finding: bool = False) -> int:
        """What could not be checked outweighs what was found: it may hide more."""
        findings = ("fail", "changed") if would_change_is_finding else ("fail",)
        code = CLEAN
        for host in self.hosts.values():
            if host.state != "ok" or host.failed or host.counts["error"]:
                return NOT_CHECKED
            if host.with_status(*findings):
                code = FINDINGS
        return code

    def totals(self) -> Counter[str]:
        """How many controls ended in each status, over all hosts."""
        total: Counter[str] = Counter()
        for host in self.hosts.values():
            total.update(host.counts)
        return total

    def _ok(self, host: HostResult, data: Event, answer: dict[str, Any]) -> bool:
        if "controls" in answer:
            self._controls(host, answer)
        elif str(data.get("task_action")).rpartition(".")[2] in _ANSWERS:
            host.state, host.answer = "ok", _together(host.answer, answer)
        elif "access_info" in str(data.get("task_action")):
            # the evidence has what it said: a fleet's is too much to keep here
            found = _mapping(answer.get("access")).get("rows")
            host.state, host.answer = "ok", {"accesses": len(found) if found else 0}
        else:
            return False
        return True

    def _failed(self, host: HostResult, data: Event, answer: dict[str, Any]) -> bool:
        if data.get("ignore_errors"):
            return False
        host.failed = True
        if "controls" in answer:
            self._controls(host, answer)
            # an error among its controls says by itself what is wrong
            host.message = "" if host.counts["error"] else _message(answer)
        else:
            host.state = "error"
            host.message = f"{data.get('task') or 'a task'}: {_message(answer)}"
        return True

    def _unreachable(self, host: HostResult, _data: Event, answer: dict[str, Any]) -> bool:
        host.state = "unreachable"
        host.message = _message(answer)
        return True

    def _controls(self, host: HostResult, answer: dict[str, Any]) -> None:
        """A later task's word on a control replaces an earlier one's."""
        if host.state == "not_run":
            host.state = "ok"
        listed = {
            str(control["id"]): control
            for control in answer.get("controls") or []
            if isinstance(control, dict) and "id" in control and "status" in control
        }
        passed = set(map(str, answer.get("ok_ids") or [])) - set(listed)
        outside = set(map(str, answer.get("not_demanded") or []))
        found = dict.fromkeys(passed, "pass") | {k: str(v["status"]) for k, v in listed.items()}
        host.outside = _without(host.outside, found)
        host.outside |= {k: v for k, v in found.items() if k in outside}
        host.passes = (host.passes - set(found)) | (passed - outside)
        host.controls = _without(host.controls, found) | _without(listed, outside)
        host.diffs += [part for part in _listed(answer.get("diff")) if isinstance(part, dict)]
        self.catalogue_sha256 = answer.get("catalogue_sha256") or self.catalogue_sha256


@dataclass
class Finding:
    """One control in one status, and the hosts it concerns, by what was expected and seen there."""

    control: str
    status: str
    disruption: str
    hosts: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All its hosts."""
        return [name for names in self.hosts.values() for name in names]


def findings(hosts: Iterable[HostResult], *statuses: str) -> list[Finding]:
    """The controls that ended in one of `statuses`, each once for the whole fleet."""
    found: dict[tuple[str, str], Finding] = {}
    for host in hosts:
        for control in host.with_status(*statuses):
            key = (str(control["id"]), str(control["status"]))
            entry = found.setdefault(
                key, Finding(*key, disruption=str(control.get("disruption") or "none"))
            )
            seen = tuple(shown(control.get(part)) for part in ("expected", "observed", "message"))
            entry.hosts.setdefault((seen[0], seen[1], seen[2]), []).append(host.name)
    return list(found.values())


def by_severity(items: Iterable[Finding], catalogue: Mapping[str, Any]) -> list[Finding]:
    """Worst first, then by control id; a control that the catalogue lacks counts as the worst."""

    def rank(item: Finding) -> tuple[int, str]:
        severity = catalogue.get(item.control, {}).get("severity")
        return (SEVERITIES.index(severity) if severity in SEVERITIES else -1, item.control)

    return sorted(items, key=rank)


def shown(value: Any) -> str:
    """A value as one line of plain text: no control character of a host reaches a terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{shown(key)}={shown(item)}" for key, item in value.items())
    return printable(" ".join(str(value).split()))


def printable(text: str) -> str:
    """`text` with control characters spelt out."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _together(before: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """A later answer, with what was taken and named by earlier ones: one host may give several."""
    kept = {key: before[key] for key in ("taken", "named") if before.get(key)}
    return {**answer, **{k: [*rows, *_listed(answer.get(k))] for k, rows in kept.items()}}


def _message(answer: Mapping[str, Any]) -> str:
    """Of a loop what was said of each item that failed."""
    rows = [row for row in map(_mapping, _listed(answer.get("results"))) if row.get("failed")]
    if rows:
        return "; ".join(map(_message, rows))[:600]
    said = str(answer.get("msg") or answer.get("module_stderr") or "no reason given")
    return reason(said)[:600]


def reason(said: str) -> str:
    """What ssh or a module said, without Ansible's words around it.

    Before ssh's own last line stands the notice that a host shows to whoever signs in.
    """
    found = _WRAPPING.match(said)
    rest = said[found.end() :] if found else said
    lines = [line for line in rest.splitlines() if line.strip()]
    return shown(lines[-1] if found and found[2] and lines else rest)


def _without(rows: Mapping[str, Any], ids: Iterable[str]) -> dict[str, Any]:
    gone = set(ids)
    return {name: row for name, row in rows.items() if name not in gone}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
