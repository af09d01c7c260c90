# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run document: what one playbook run saw on each host, as JSON, written in one go.

Nothing here knows Ansible. A `Recorder` takes results as they come, which costs no work for a
control that passes, and puts the document together at the end.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
STATUSES = ("pass", "fail", "changed", "not_applicable", "waived", "manual", "error")
HOST_KEYS = (
    "hostname",
    "distribution",
    "release",
    "kernel",
    "machine_id_hash",
    "capabilities",
    "profile",
    "kind",
    "client",
)
RESULT_KEYS = ("expected", "observed", "message", "waiver", "disruption")
TEXT_LIMIT = 4000
_NOT_DEMANDED = {"demanded": False}

_CONTROL_ID = re.compile(r"[a-z][a-z0-9_]+")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class RunDocumentError(Exception):
    """A result or a file that cannot be used; the message is one line."""


@dataclass
class _HostRecord:
    tasks: list[dict[str, Any]] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    facts: dict[str, Any] = field(default_factory=dict)
    trouble: tuple[str, str] | None = None
    stopped: tuple[str, str] | None = None


@dataclass(frozen=True)
class _Part:
    """What still stands of a task. `outside`: ids that the host's profile does not demand."""

    ok_ids: list[str]
    controls: list[dict[str, Any]]
    values: dict[str, Any]
    outside: frozenset[str]


@dataclass
class HostSummary:
    """What the recap says of a host: `state` as in the run document, counts by status.

    What the host's profile does not demand is in no count.
    """

    name: str
    state: str
    message: str
    counts: Counter[str]


class Recorder:
    """Collects the results of one playbook run."""

    def __init__(self) -> None:
        self.id = ulid()
        self.started = utc_now()
        self.modes: set[str] = set()
        self.catalogue_sha256: str | None = None
        self._hosts: dict[str, _HostRecord] = {}
        self._fragments: dict[tuple[Any, ...], str] = {}

    def target(self, names: list[str]) -> None:
        """Note hosts that a play with controls was meant for."""
        for name in names:
            self._hosts.setdefault(name, _HostRecord())

    def add(self, name: str, task: str, result: dict[str, Any]) -> None:
        """Keep the result of a control task (`task`: its uuid). Raises RunDocumentError."""
        record = self._hosts.setdefault(name, _HostRecord())
        record.answered.add(task)
        check_result(result)
        record.tasks.append(result)
        self.modes.add(str(result.get("mode") or "audit"))
        self.catalogue_sha256 = result.get("catalogue_sha256") or self.catalogue_sha256

    def skipped(self, name: str, task: str) -> None:
        """A condition or a tag kept a control task from this host."""
        self._hosts.setdefault(name, _HostRecord()).answered.add(task)

    def trouble(
        self, name: str, state: str, message: str, facts: dict[str, Any] | None = None
    ) -> None:
        """A control task could not ask this host or target: `state` is unreachable or error."""
        record = self._hosts.setdefault(name, _HostRecord())
        record.trouble = (state, message)
        record.facts = facts or record.facts

    def known(self) -> bool:
        """Whether a task has answered for anybody, or said why it cannot."""
        return any(record.answered or record.trouble for record in self._hosts.values())

    def stop(self, name: str, state: str, message: str) -> None:
        """The play ended early for this host; `settle` finds out whether that cost any controls."""
        self._hosts.setdefault(name, _HostRecord()).stopped = (state, message)

    def resume(self, name: str) -> None:
        """The failure that had stopped this host was rescued."""
        if name in self._hosts:
            self._hosts[name].stopped = None

    def stopped(self) -> list[str]:
        """The hosts for which a play ended early."""
        return [name for name, record in self._hosts.items() if record.stopped]

    def settle(self, needed: dict[str, set[str]]) -> None:
        """Decide what is incomplete. `needed`: by host, the uuids of the tasks that were due.

        A host that did not answer all of them must not look like one that has been asked
        everything. Hosts that are not in `needed` were meant for no controls, and are dropped.
        """
        for name, record in list(self._hosts.items()):
            if name not in needed and not record.answered and not record.trouble:
                del self._hosts[name]
            elif needed.get(name, set()) <= record.answered:
                record.stopped = None
            elif record.tasks and not record.stopped:
                record.stopped = ("error", "the run ended before all controls were asked")

    def summaries(self) -> list[HostSummary]:
        """One summary a host, by name."""
        return [self._summary(name, self._hosts[name]) for name in sorted(self._hosts)]

    def encode(self, run: dict[str, Any]) -> str:
        """The document as ASCII JSON; `run` holds what only the caller knows."""
        head = {
            "id": self.id,
            "started": self.started,
            "finished": utc_now(),
            "mode": self.mode(),
            "catalogue_sha256": self.catalogue_sha256,
            **run,
        }
        hosts = ",\n".join(self._encode_host(name) for name in sorted(self._hosts))
        return f'{{"schema":{SCHEMA_VERSION},"run":{_dump(head)},\n"hosts":[\n{hosts}\n]}}\n'

    def mode(self) -> str:
        """check wins over apply, apply over audit: a trial is never recorded as the real thing."""
        return next((mode for mode in ("check", "apply") if mode in self.modes), "audit")

    def _state(self, record: _HostRecord) -> tuple[str, str]:
        for known in (record.trouble, record.stopped):
            if known:
                return known
        if record.tasks:
            return "ok", ""
        if record.answered:
            return "not_run", "a condition kept the controls from this host"
        return "not_run", "the run ended before this host was asked"

    def _summary(self, name: str, record: _HostRecord) -> HostSummary:
        state, message = self._state(record)
        counts: Counter[str] = Counter()
        for part in _merged(record.tasks):
            counts["pass"] += sum(control_id not in part.outside for control_id in part.ok_ids)
            counts.update(c["status"] for c in part.controls if c["id"] not in part.outside)
        return HostSummary(name, state, message, counts)

    def _encode_host(self, name: str) -> str:
        record = self._hosts[name]
        state, message = self._state(record)
        facts: dict[str, Any] = {}
        for found in (record.facts, *(task.get("host") or {} for task in record.tasks)):
            facts.update({k: v for k, v in found.items() if k in HOST_KEYS})
        parts = []
        for part in _merged(record.tasks):
            parts.append(self._passes(part))
            parts.extend(_dump(_stored(control, part)) for control in part.controls)
        head = _dump({"name": name, "state": state, "message": message, "host": facts})
        return f'{head[:-1]},"results":[{",".join(part for part in parts if part)}]}}'

    def _passes(self, part: _Part) -> str:
        # hosts of one kind share their values: encode each such set once, not once a host
        key = (tuple(part.ok_ids), part.outside, _dump(part.values))
        if key not in self._fragments:
            self._fragments[key] = ",".join(
                _dump(_passed(control_id, part)) for control_id in part.ok_ids
            )
        return self._fragments[key]


def check_result(result: dict[str, Any]) -> None:
    """Refuse what no control module returns: a host may be broken, or hostile.

    Raises RunDocumentError, whose message names the place.
    """
    controls, ok_ids, values = (result.get(key) for key in ("controls", "ok_ids", "values"))
    if not isinstance(controls, list) or not isinstance(ok_ids, list):
        raise RunDocumentError("the result has no lists `controls` and `ok_ids`")
    if not isinstance(values, dict) or not isinstance(result.get("host", {}), dict):
        raise RunDocumentError("`values` and `host` of the result are not mappings")
    for number, control in enumerate(controls):
        if not isinstance(control, dict) or control.get("status") not in STATUSES:
            raise RunDocumentError(f"controls[{number}] of the result has no known status")
        _check_id(control.get("id"), f"controls[{number}].id")
    for number, control_id in enumerate(ok_ids):
        _check_id(control_id, f"ok_ids[{number}]")
    outside = result.get("not_demanded", [])
    if not isinstance(outside, list):
        raise RunDocumentError("`not_demanded` of the result is not a list")
    for number, control_id in enumerate(outside):
        _check_id(control_id, f"not_demanded[{number}]")
    try:
        _dump([controls, values, result.get("host")])
    except (TypeError, ValueError, RecursionError) as error:
        raise RunDocumentError(f"the result is not JSON: {error}") from None


def _check_id(value: Any, where: str) -> None:
    if not isinstance(value, str) or not _CONTROL_ID.fullmatch(value):
        raise RunDocumentError(f"{where} of the result is not a control id")


def _merged(tasks: list[dict[str, Any]]) -> list[_Part]:
    """Per task what still stands of it: a later task's word on a control replaces an earlier's."""
    seen: set[str] = set()
    merged: list[_Part] = []
    for task in reversed(tasks):
        ok_ids, controls = task["ok_ids"], task["controls"]
        ids = {*ok_ids, *(control["id"] for control in controls)}
        if not seen.isdisjoint(ids):
            ok_ids = [i for i in ok_ids if i not in seen]
            controls = [c for c in controls if c["id"] not in seen]
        listed = {control["id"] for control in controls}
        if not listed.isdisjoint(ok_ids):  # says both: the worse one stands
            ok_ids = [i for i in ok_ids if i not in listed]
        outside = frozenset(task.get("not_demanded") or ())
        merged.append(_Part(ok_ids, controls, task["values"], outside))
        seen |= ids
    return merged[::-1]


def _passed(control_id: str, part: _Part) -> dict[str, Any]:
    kept = {"id": control_id, "status": "pass", "expected": clipped(part.values.get(control_id))}
    return kept | _NOT_DEMANDED if control_id in part.outside else kept


def _stored(control: dict[str, Any], part: _Part) -> dict[str, Any]:
    kept: dict[str, Any] = {"id": control["id"], "status": control["status"]}
    for key in RESULT_KEYS:
        if control.get(key) is not None:
            kept[key] = clipped(control[key])
    if "expected" not in kept and control["id"] in part.values:
        kept["expected"] = clipped(part.values[control["id"]])
    kept.setdefault("waiver", None)
    return kept | _NOT_DEMANDED if control["id"] in part.outside else kept


def clipped(value: Any) -> Any:
    """`value`, cut at TEXT_LIMIT characters: evidence is not a log."""
    if isinstance(value, list | dict):
        encoded = _dump(value)
        return clipped(encoded) if len(encoded) > TEXT_LIMIT else value
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return f"{value[:TEXT_LIMIT]}… ({len(value) - TEXT_LIMIT} more characters)"
    return value


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def utc_now() -> str:
    """The time now, as 2026-01-31T12:00:00Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ulid() -> str:
    """A new ULID: 26 characters that sort by time."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def write_atomically(path: Path, text: str) -> None:
    """Put `text` at `path`, readable by the owner alone; a kill leaves all of it or nothing.

    Raises OSError.
    """
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
