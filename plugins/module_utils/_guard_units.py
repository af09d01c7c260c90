# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot of what runs (units, sysctls), putting it back, and making daemons read their files.

Functions that put back take the done-record of the guard and add to its lists `units`, `sysctls`
and `errors`; they do not raise for one unit that fails.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SYSCTL = Path("/proc/sys")
SSH_UNITS = ("ssh.service", "ssh.socket")

_COMMAND_SECONDS = 60
_SSHD_SECONDS = 3

States = dict[str, dict[str, str]]
Done = dict[str, Any]


class UnitError(Exception):
    """A unit or sysctl is not as expected; the message is one line."""


def full_name(unit: str) -> str:
    """The unit's name with its type: ssh is ssh.service. Raises UnitError."""
    name = unit if unit.endswith((".service", ".socket")) else f"{unit}.service"
    if not re.fullmatch(r"[A-Za-z0-9:_][A-Za-z0-9:_.\\@-]*", name):
        raise UnitError(f"reload: expected names of services or sockets, not {unit!r}")
    # Debian's alias, which is there only while ssh is enabled.
    return "ssh.service" if name == "sshd.service" else name


def states(units: Iterable[str]) -> States:
    """{unit: {active, enabled}} as systemd says. Raises UnitError."""
    names = list(dict.fromkeys(units))
    shown = call(["systemctl", "show", "--property=ActiveState,UnitFileState", *names])
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines())
        for block in shown.stdout.split("\n\n")
    ]
    if shown.returncode or len(blocks) != len(names):
        raise UnitError(f"systemctl show failed: {first_line(shown.stderr)}")
    return {
        name: {"active": block["ActiveState"], "enabled": block["UnitFileState"]}
        for name, block in zip(names, blocks, strict=True)
    }


def sshd_problem() -> str:
    """The first complaint of `sshd -t`; nothing where sshd is content or not installed."""
    sshd = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin")
    if not sshd:
        return ""
    # Its unit makes this folder; without it sshd -t fails on a host where ssh is stopped.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    tested = call([sshd, "-t"])
    return (first_line(tested.stderr) or "no reason given") if tested.returncode else ""


def reload_and_wait(unit: str) -> str:
    """Reload, restart or start a unit; the problem in one line, or nothing.

    Returns only when sshd has read its configuration again: a reload of ssh merely sends a signal,
    and a sign-in that came before sshd starts itself anew would still be judged by the old
    configuration. The new start is seen by the stack of the process, which the kernel moves.
    """
    before = _main_process(unit)
    problem = _reload(unit)
    until = time.monotonic() + _SSHD_SECONDS
    while unit in SSH_UNITS and not problem and _main_process(unit) == before:
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    return problem


def changed_units(before: States) -> list[str]:
    """Units that ran and do not, did not and do, or are enabled otherwise. Raises UnitError."""
    now = states(before)
    return [
        unit
        for unit, state in before.items()
        if (_ran(state), state["enabled"]) != (_ran(now[unit]), now[unit]["enabled"])
    ]


def put_back_units(before: States, reload: Sequence[str], done: Done) -> None:
    """Everything but ssh: what was enabled and what ran, with the files it reads."""
    _put_back_enabled(before, done)
    now = states(before)
    for unit in (unit for unit in reload if unit not in SSH_UNITS):
        if _ran(before[unit]):
            done["errors"] += [problem for problem in [_reload(unit)] if problem]
            done["units"].append(f"reloaded {unit}")
        elif _ran(now[unit]):
            done["errors"] += _systemctl("stop", unit)
            done["units"].append(f"stopped {unit}")


def start_at_boot(before: States, done: Done) -> None:
    """Have what ran started in this boot, though the change disabled it."""
    _put_back_enabled(before, done)
    for unit in (unit for unit, state in before.items() if _ran(state)):
        # Without waiting: the unit is ordered after the one that runs this.
        done["errors"] += _systemctl("start", "--no-block", unit)


def open_ssh(before: States, done: Done) -> None:
    """sshd reads the old configuration again, and runs if it ran."""
    now = states(SSH_UNITS)
    for unit in SSH_UNITS:
        runs = _ran(now[unit])
        if not _ran(before[unit]) or (runs and (unit == "ssh.socket" or not _touched(done))):
            continue
        problem = _reload(unit)
        if problem:
            done["errors"].append(problem)
        else:
            done["units"].append(f"{'reloaded' if runs else 'started'} {unit}")


def read_sysctls(names: Iterable[str]) -> dict[str, str]:
    """Live values by path below /proc/sys. One for all interfaces changes those of each: they are
    read too. Raises UnitError for a name that is none."""
    values: dict[str, str] = {}
    for name in names:
        for path in _sysctl_paths(name):
            value = _read_sysctl(path)
            if value is not None:
                values[path] = value
    return values


def changed_sysctls(before: dict[str, str]) -> list[str]:
    """Those whose live value differs from the snapshot; an interface that went is no change."""
    return [name for name in before if _read_sysctl(name) not in (None, before[name])]


def put_back_sysctls(before: dict[str, str], done: Done) -> None:
    """Write the old values of those that differ."""
    # "all" and "default" first, for what they set in each interface is then set right.
    order = sorted(before, key=lambda name: ("/all/" not in name, "/default/" not in name))
    for name in order:
        # Asked one by one: writing the first changes the others.
        if not changed_sysctls({name: before[name]}):
            continue
        try:
            (SYSCTL / name).write_text(before[name], encoding="ascii")
            done["sysctls"].append(name)
        except OSError as error:
            done["errors"].append(f"sysctl {name}: {error.strerror or error}")


def process_field(pid: int, number: int) -> str:
    """A field of /proc/<pid>/stat, numbered as in proc(5), from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[number - 3]


def call(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a plain environment; one that hangs or is missing counts as failed."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 1, "", str(error))


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _put_back_enabled(before: States, done: Done) -> None:
    if any("/systemd/" in path for path in _touched(done)):
        done["errors"] += _systemctl("daemon-reload")
    now = states(before)
    for unit, state in before.items():
        was, is_now = state["enabled"], now[unit]["enabled"]
        if was == is_now or was not in ("enabled", "disabled"):
            continue
        if is_now == "masked":
            done["errors"] += _systemctl("unmask", unit)
        done["errors"] += _systemctl(was.removesuffix("d"), unit)
        done["units"].append(f"{was} {unit}")


def _touched(done: Done) -> list[str]:
    return [*done["restored"], *done["removed"]]


def _ran(state: dict[str, str]) -> bool:
    return state["active"] in ("active", "activating", "reloading")


def _reload(unit: str) -> str:
    if unit == "ssh.service":
        problem = sshd_problem()
        if problem:
            return f"{unit} not reloaded, sshd refuses its configuration: {problem}"
    # A unit that failed too often in a row is not started again until it is reset.
    call(["systemctl", "reset-failed", unit])
    errors = _systemctl("reload-or-restart", unit)
    if errors:
        errors = _systemctl("restart", unit)
    return "; ".join(errors)


def _systemctl(*arguments: str) -> list[str]:
    result = call(["systemctl", *arguments])
    if not result.returncode:
        return []
    return [f"systemctl {' '.join(arguments)}: {first_line(result.stderr)}"]


def _main_process(unit: str) -> tuple[str, str]:
    pid = call(["systemctl", "show", "--value", "--property=MainPID", unit]).stdout.strip()
    with contextlib.suppress(OSError, ValueError, IndexError):
        return pid, process_field(int(pid), 28)
    return pid, ""


def _sysctl_paths(name: str) -> list[str]:
    """Paths below /proc/sys. A name written with slashes is taken as it is (eth0.5 has a dot)."""
    relative = name if "/" in name else name.replace(".", "/")
    if not re.fullmatch(r"net/[\w./-]+", relative) or ".." in relative:
        raise UnitError(f"sysctls: expected names such as net.ipv4.ip_forward, not {name!r}")
    match = re.fullmatch(r"(net/ipv[46]/conf)/(all|default)/(\w+)", relative)
    if not match:
        return [relative]
    each = sorted((SYSCTL / match[1]).glob(f"*/{match[3]}"))
    return [str(path.relative_to(SYSCTL)) for path in each]


def _read_sysctl(name: str) -> str | None:
    try:
        return (SYSCTL / name).read_text(encoding="ascii").rstrip("\n")
    except (OSError, ValueError):
        return None
