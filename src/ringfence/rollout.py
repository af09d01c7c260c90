# SPDX-License-Identifier: GPL-3.0-or-later
"""A staged rollout: canary first, then batches, stopped by the first batch that fails.

The state is one JSON file a rollout in `EVIDENCE/rollouts/`, written before and after every batch,
so that whatever ends the program, `--resume` knows which hosts are done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ringfence.errors import BadInputError
from ringfence.results import HostResult

RUNNING, STOPPED, INTERRUPTED, DONE = "running", "stopped", "interrupted", "done"
PENDING, STARTED, FAILED, UNREACHABLE, APPLIED = (
    "pending",
    "started",
    "failed",
    "unreachable",
    "applied",
)
DEFAULT_BATCH = "10%"
CANARY_GROUP = "canary"

_SCHEMA = 1
# ssh's own words for a door that never opened: nothing was changed behind it
_NEVER_IN = re.compile(
    r"connect to host|could not resolve|host key verification failed|permission denied|"
    r"banner exchange|kex_exchange_identification|no such identity",
    re.IGNORECASE,
)
# how much later than its time a host may be done with putting itself back
_GRACE = timedelta(seconds=15)
DEFAULT_GUARD_SECONDS = 120


@dataclass
class Rollout:
    """`hosts`: host -> pending | started | failed | unreachable | applied. `batches`: as planned.

    `options`: what the rollout was started with, and is resumed with. `reason`: why it goes on
    outside a change window. `unsettled_until`: until then, hosts that were cut off may still put
    themselves back.
    """

    id: str
    started: str
    options: dict[str, Any]
    batches: list[list[str]]
    hosts: dict[str, str]
    status: str = RUNNING
    runs: list[str] = field(default_factory=list)
    reason: str | None = None
    stopped_because: str = ""
    unsettled_until: float = 0.0
    schema: int = _SCHEMA

    @classmethod
    def begin(
        cls, batches: list[list[str]], options: dict[str, Any], reason: str | None
    ) -> Rollout:
        """A new rollout; nothing is written yet."""
        now = datetime.now(UTC)
        hosts = {name: PENDING for batch in batches for name in batch}
        return cls(
            id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            started=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            options=options,
            batches=batches,
            hosts=hosts,
            reason=reason,
        )

    def remaining(self) -> list[list[str]]:
        """The batches still to do: first what failed or was cut off, last what was unreachable."""
        first = self._in_state(FAILED, STARTED)
        batches = [
            [name for name in batch if self.hosts.get(name) == PENDING] for batch in self.batches
        ]
        return [batch for batch in (first, *batches, self._in_state(UNREACHABLE)) if batch]

    def note(self, batch: Sequence[str], results: dict[str, HostResult]) -> None:
        """What came of a batch."""
        for name in batch:
            host = results.get(name)
            self.hosts[name] = _state(host) if host is not None else PENDING

    def interrupt(self, now: datetime) -> None:
        """The run was cut off: whatever guard is armed on a host now will have ended later."""
        seconds = self.options.get("guard_timeout") or DEFAULT_GUARD_SECONDS
        self.status = INTERRUPTED
        self.unsettled_until = (now + timedelta(seconds=seconds) + _GRACE).timestamp()

    def unsettled(self, now: datetime) -> float:
        """For how many seconds hosts that were cut off must be left alone.

        Until then they may show what they are about to take back.
        """
        if not self._in_state(STARTED):
            return 0.0
        if self.status == RUNNING:  # killed: nobody knows when
            self.interrupt(now)
        return max(0.0, self.unsettled_until - now.timestamp())

    def count(self, state: str) -> int:
        """How many hosts are in a state."""
        return sum(found == state for found in self.hosts.values())

    def _in_state(self, *states: str) -> list[str]:
        return [name for name, state in self.hosts.items() if state in states]


def _state(host: HostResult) -> str:
    if host.state == "unreachable":
        return UNREACHABLE if _NEVER_IN.search(host.message) else FAILED
    if host.state == "not_run":
        return STARTED if host.begun else PENDING
    if host.state == "error" or host.failed or host.counts["error"]:
        return FAILED
    return APPLIED


def failed(rollout: Rollout, batch: Sequence[str], *, canary: bool) -> list[str]:
    """The hosts for which the rollout must stop after `batch`.

    A host that never let us in was not changed: it says nothing against the change, unless it is a
    canary, which has then shown nothing, or nobody in its batch could be reached.
    """
    down = [name for name in batch if rollout.hosts[name] == UNREACHABLE]
    bad = [name for name in batch if rollout.hosts[name] in (FAILED, STARTED, PENDING)]
    if down and (canary or (len(down) == len(batch) > 1)):
        return bad + down
    return bad


def plan(
    hosts: Sequence[str],
    canaries: Sequence[str],
    size: str,
    groups: dict[str, list[str]],
) -> list[list[str]]:
    """The batches. Canaries: those named, else the group `canary`, else the first host.

    Raises BadInputError for a size that is none and for a canary that is not among the hosts.
    """
    number = batch_size(size, len(hosts))
    for name in canaries:
        if name not in hosts:
            raise BadInputError(f"--canary {name}: is not one of the chosen hosts")
    grouped = [name for name in groups.get(CANARY_GROUP, []) if name in set(hosts)]
    first = list(dict.fromkeys(canaries)) or grouped or list(hosts[:1])
    rest = [name for name in hosts if name not in set(first)]
    return [first, *(rest[i : i + number] for i in range(0, len(rest), number))]


def batch_size(size: str, total: int) -> int:
    """How many hosts `5` or `10%` are, at least one. Raises BadInputError."""
    match = re.fullmatch(r"(\d{1,6})(%?)", size.strip())
    if not match or not int(match[1]) or (match[2] and int(match[1]) > 100):
        raise BadInputError(f"--batch {size}: expected a number of hosts or a share such as 10%")
    return max(1, total * int(match[1]) // 100) if match[2] else int(match[1])


class Folder:
    """Where rollouts are kept: `rollouts/` in the evidence folder."""

    def __init__(self, evidence: Path) -> None:
        self.path = evidence / "rollouts"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One rollout at a time. Raises BadInputError where another is going on."""
        self._make()
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
                raise BadInputError(
                    f"another rollout is going on (process {owner or 'unknown'}, {self.path})"
                ) from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            yield
        finally:
            os.close(descriptor)

    def save(self, rollout: Rollout) -> None:
        """Write the state, whole or not at all. Raises BadInputError."""
        self._make()
        path = self.path / f"{rollout.id}.json"
        staged = path.with_suffix(".tmp")
        try:
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(asdict(rollout), stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            staged.replace(path)
        except OSError as error:
            raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error

    def unfinished(self) -> Rollout | None:
        """The newest rollout, where it is not done. Raises BadInputError for an unusable file."""
        files = sorted(self.path.glob("[0-9]*.json"))
        if not files:
            return None
        newest = self._read(files[-1])
        return None if newest.status == DONE else newest

    def _read(self, path: Path) -> Rollout:
        try:
            data = json.loads(path.read_bytes())
            if data["schema"] != _SCHEMA:
                raise ValueError(f"schema {data['schema']}")
            return Rollout(**data)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadInputError(f"{path}: is not the state of a rollout: {error}") from error

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(f"{self.path}: cannot be made: {error.strerror}") from error
