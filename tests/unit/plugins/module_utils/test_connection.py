# SPDX-License-Identifier: GPL-3.0-or-later
"""Which connection a process runs under, from the environment of its ancestors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils._connection import ssh_connection


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"203.0.113.7 50000 192.0.2.1 22", "203.0.113.7 to port 22"),
        (b"2001:db8::7 50000 2001:db8::1 2222", "2001:db8::7 to port 2222"),
        (b"fe80::7%eth0 50000 fe80::1%eth0 22", "fe80::7 to port 22"),
        (b"::ffff:203.0.113.7 50000 ::ffff:192.0.2.1 22", "203.0.113.7 to port 22"),
        (b"", None),
        (b"nonsense", None),
        (b"203.0.113.7 x y z", None),
        (b"\xff\xfe 1 2 3", None),
    ],
)
def test_the_nearest_ancestor_with_a_connection(
    tmp_path: Path, value: bytes, expected: str | None
) -> None:
    _process(tmp_path, os.getpid(), 70, b"PATH=/bin\0NOT_SSH_CONNECTION=1 2 3 4\0")
    _process(tmp_path, 70, 60, None)  # sudo, whose environment is not ours to read
    _process(tmp_path, 60, 1, b"A=b\0SSH_CONNECTION=" + value + b"\0")
    _process(tmp_path, 1, 0, b"")
    found = ssh_connection(str(tmp_path))
    assert (str(found) if found else None) == expected


def test_a_circle_of_ancestors_ends(tmp_path: Path) -> None:
    _process(tmp_path, os.getpid(), os.getpid(), b"")
    assert ssh_connection(str(tmp_path)) is None


def _process(proc: Path, pid: int, parent: int, environment: bytes | None) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_bytes(b"%d (a (b) c) S %d 1 1\n" % (pid, parent))
    if environment is not None:
        (folder / "environ").write_bytes(environment)
