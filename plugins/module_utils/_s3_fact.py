# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of a bucket or an account.

A fact is a value; `NOTHING` where the service says there is none; `Absent` where the service has no
such function; `Unread` where it could not be read, which is never taken for either. Here and not
where facts are read: who only judges them needs no boto3, which takes long to import.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Absent(NamedTuple):
    """The service has no such function; `why` says how it said so."""

    why: str


class Unread(NamedTuple):
    """A fact that could not be read, and why."""

    why: str


NOTHING: dict[str, Any] = {}
Fact = Any  # a dict, a list, a text, Absent or Unread
Facts = dict[str, Fact]
