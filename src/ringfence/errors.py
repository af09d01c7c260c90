# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops a command before it has an answer; every message is one line for a person."""

from __future__ import annotations


class BadInputError(Exception):
    """What was typed, or a file that was named, cannot be used: exit code 3."""


class NotCheckedError(Exception):
    """The answer could not be had: exit code 2."""
