# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's own list of mounts, read once a run. Source: proc_pid_mountinfo(5)."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_PATH = "/proc/self/mountinfo"


class Mount(NamedTuple):
    """`device` is major:minor, `options` those of this mount point, `kind` the file system's."""

    path: str
    device: str
    options: str
    kind: str
    source: str


def mounts(host: Host) -> list[Mount]:
    """All mounts in the kernel's order: one on top of another hides it, and comes later.

    Raises HostError where the list is missing or cannot be understood.
    """
    return host.once(_PATH, lambda: _read(host))


def unescaped(text: str) -> str:
    """A field of the list, or of fstab, in which blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _read(host: Host) -> list[Mount]:
    text = host.text(_PATH)
    if not text:
        raise HostError(f"{_PATH} is not there: mounts cannot be told")
    return [_mount(line) for line in text.splitlines()]


def _mount(line: str) -> Mount:
    left, dash, right = line.partition(" - ")
    fields, tail = left.split(" "), right.split(" ")
    if not dash or len(fields) < 6 or len(tail) < 2:
        raise HostError(f"{_PATH} cannot be understood: {line[:80]}")
    return Mount(unescaped(fields[4]), fields[2], fields[5], tail[0], unescaped(tail[1]))
