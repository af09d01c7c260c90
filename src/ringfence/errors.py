# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops a command before it has an answer; every message is one line for a person."""

from __future__ import annotations


class BadInputError(Exception):
    """What was typed, or a file that was named, cannot be used: exit code 3."""


class BadRegisterError(BadInputError):
    """The client register cannot be used. `problems` has all that is wrong, a line each."""

    def __init__(self, problems: list[str]) -> None:
        more = len(problems) - 1
        tail = f" (and {more} more: see `ringfence validate`)" if more else ""
        super().__init__(f"{problems[0]}{tail}")
        self.problems = problems


class NotCheckedError(Exception):
    """The answer could not be had: exit code 2."""
