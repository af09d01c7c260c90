# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what a process started when that process ends, however it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fleet.command import FleetError

ROOT = Path(__file__).resolve().parents[2]
_QUIET_SWEEPS = 4
_MOST_SWEEPS = 120


class Watcher:
    """A process of its own that runs a hidden command once its owner is gone.

    It reads from a pipe that the owner holds: the pipe closes also after a kill -9.
    """

    def __init__(self, *command: str) -> None:
        # Its own session: a Ctrl-C meant for the owner must not end it as well.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fleet", *command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Let it end without doing anything."""
        if self._process.returncode is None:
            self._process.communicate(b"dismissed")


def watch(remove: Callable[[], bool]) -> None:
    """What the watcher does: wait for the owner's end, then `remove` until all is gone.

    A program that the owner had started may still be creating something: call `remove`,
    which says whether there was anything, until nothing has come up for a while.
    """
    if sys.stdin.buffer.read() == b"dismissed":
        return
    quiet = 0
    for _ in range(_MOST_SWEEPS):
        quiet = 0 if _removed_any(remove) else quiet + 1
        if quiet == _QUIET_SWEEPS:
            return
        time.sleep(1)


def _removed_any(remove: Callable[[], bool]) -> bool:
    try:
        return remove()
    except FleetError:  # half made just now; the next sweep finds it whole
        return True


def process_identity(pid: int) -> str:
    """`PID:START`: tells a process from a later one with the same number."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return f"{pid}:{stat.rpartition(')')[2].split()[19]}"


def is_alive(identity: str) -> bool:
    """Whether the process of `process_identity` still runs."""
    try:
        return process_identity(int(identity.partition(":")[0])) == identity
    except FileNotFoundError:
        return False
