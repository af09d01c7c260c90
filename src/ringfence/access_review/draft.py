# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions until the sign-off: a journal that only grows, one line for each thing somebody did.

It lies beside the evidence and is no evidence itself; the sign-off makes it that.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ringfence.access_review.model import Decision, Review
from ringfence.errors import BadInputError


class RefusedError(BadInputError):
    """Decisions that are not allowed. `problems`: identity -> what is wrong, one line each."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        name, problem = next(iter(self.problems.items()))
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"access {name}: {problem}{more}")


class Draft:
    """The decisions on a review so far, in FOLDER/ID.jsonl."""

    def __init__(self, folder: Path, review: Review) -> None:
        self.review = review
        self.path = folder / f"{review.id}.jsonl"
        self._read_to = 0
        self._known: dict[str, Decision] = {}

    @property
    def decisions(self) -> dict[str, Decision]:
        """The last word on each row, of all processes that write here."""
        self._catch_up()
        return self._known

    def decide(self, decisions: Mapping[str, Decision]) -> None:
        """Write decisions down, all or none. Raises RefusedError, BadInputError."""
        problems = {
            name: problem
            for name, one in decisions.items()
            if (problem := "is not in this review" if name not in self.review.rows
                else self.review.problem(name, one))
        }  # fmt: skip
        if problems:
            raise RefusedError(problems)
        if not decisions:
            return
        grouped: dict[Decision, list[str]] = {}
        for name, one in decisions.items():
            grouped.setdefault(one, []).append(name)
        changes = [{**vars(one), "rows": names} for one, names in grouped.items()]
        self._append(json.dumps(changes, separators=(",", ":")).encode("ascii") + b"\n")

    def take_back(self, names: list[str], reviewer: str, at: str) -> None:
        """Make rows undecided again."""
        for name in names:
            if name not in self.review.rows:
                raise RefusedError({name: "is not in this review"})
        change = {"decision": None, "reviewer": reviewer, "decided_at": at, "rows": names}
        self._append(json.dumps([change]).encode("ascii") + b"\n")

    def _append(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self.path) as file:
                size = os.fstat(file).st_size
                whole = _whole_lines(file, size)
                if whole != size:
                    os.ftruncate(file, whole)  # a line that a crash cut short was never confirmed
                os.lseek(file, 0, os.SEEK_END)
                view = memoryview(line)
                while view:
                    view = view[os.write(file, view) :]
                os.fsync(file)
        except OSError as error:
            raise BadInputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _catch_up(self) -> None:
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_to)
                text = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise BadInputError(f"{self.path}: cannot be read: {error.strerror}") from error
        for line in text.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise BadInputError(f"{self.path}: is not as it was written: {error}") from None
            self._read_to += len(line)

    def _take(self, changes: list[dict[str, Any]]) -> None:
        if not isinstance(changes, list):
            raise TypeError("expected a list")
        for change in changes:
            names = change["rows"]
            said = {key: value for key, value in change.items() if key != "rows"}
            for name in names:
                if said["decision"] is None:
                    self._known.pop(name, None)
                else:
                    self._known[name] = Decision(**said)


def _whole_lines(file: int, size: int) -> int:
    """How much of a file is whole lines."""
    step = 1 << 16
    end = size
    while end > 0:
        start = max(0, end - step)
        at = os.pread(file, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
