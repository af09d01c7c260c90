# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a program; its failure becomes one clear line."""

from __future__ import annotations

import resource
import shlex
import subprocess
from collections.abc import Sequence

RUNTIME = "runc"  # crun refuses a controller with hybrid control groups


def _limit(name: str, kind: int, most: int) -> str:
    hard = resource.getrlimit(kind)[1]
    allowed = most if hard == resource.RLIM_INFINITY else min(hard, most)
    return f"--ulimit={name}={allowed}:{allowed}"


# Every container needs these: podman's own are above what this machine may allow, and runc
# cannot raise a limit.
LIMITS = (
    _limit("nofile", resource.RLIMIT_NOFILE, 4096),
    _limit("nproc", resource.RLIMIT_NPROC, 8192),
)


class FleetError(Exception):
    """Something the user can act on, in one line."""


def run(command: Sequence[str], *, stdin: bytes | str | None = None, timeout: float = 300) -> str:
    """Run `command` to its end and return what it printed.

    Raises FleetError with the last line of its error output when it fails, cannot be
    found or takes longer than `timeout` seconds.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(
            command,
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise FleetError(f"{command[0]}: not installed; run tools/setup.sh first") from None
    except subprocess.TimeoutExpired:
        raise FleetError(f"{shlex.join(command)}: no end after {timeout:g} s") from None
    if done.returncode != 0:
        raise FleetError(f"{shlex.join(command)}: {_last_line(done.stderr) or done.returncode}")
    return done.stdout.decode(errors="replace")


def podman(*arguments: str, stdin: bytes | str | None = None, timeout: float = 300) -> str:
    """`podman` with the runtime every test host uses; see `run`."""
    return run(["podman", "--runtime", RUNTIME, *arguments], stdin=stdin, timeout=timeout)


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
