# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the project's checks, stage by stage, and ends with one line of counts.

Usage: python tools/stages.py [STAGE …]     (all but the virtual machine's where none is named)

Each stage writes build/log/<stage>.log. A stage is a pytest run (its tests are counted one by one)
or commands (each counts as one test). A failed stage does not stop the others; the exit code is 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
_LOG = BUILD / "log"
_BIN = ROOT / ".venv" / "bin"
_TAIL = 60
# What a molecule scenario prints that cannot run on this machine.
_SKIPPED = "molecule scenario skipped:"


@dataclass
class Counts:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def _pytest(*arguments: str) -> list[str]:
    return ["pytest", "-q", "--durations=8", *arguments]


def _molecule() -> list[list[str]]:
    scenarios = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return [["molecule", "test", "-s", name] for name in scenarios]


STAGES: dict[str, list[list[str]]] = {
    "lint": [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["yamllint", "--strict", "."],
        ["ansible-lint", "--offline", "--strict"],
        ["python", "tools/generate.py", "--check"],
        ["antsibull-changelog", "lint"],
    ],
    "unit": [
        _pytest(
            "-n2",
            "--dist=loadfile",
            "tests/unit",
            "-m",
            "not hosts and not browser",
        )
    ],
    "sanity": [["tools/sanity.sh"]],
    "browser": [_pytest("tests", "-m", "browser")],
    # Tests of hosts wait for them much of the time, so there are more of them than cores.
    "hosts": [
        _pytest(
            "-n3",
            "--dist=loadfile",
            "--no-loadscope-reorder",
            "tests",
            "-m",
            "hosts and not machine",
        )
    ],
    "molecule": _molecule(),
    "vm": [_pytest("tests", "-m", "machine")],
}
# The life of a virtual machine itself, in software emulation: run where it is asked for by name.
_BY_NAME_ONLY = ("vm",)
# Stages that leave one of two cores idle: two of them at once.
_BESIDE = ("sanity", "browser", "lint")
# Scenarios wait for their hosts much of the time; the one with a machine in emulation does not.
_AT_ONCE = {"molecule": 3}
_ALONE = ("vm",)


def main(names: list[str]) -> int:
    """Run the stages named, or all. Returns the exit code."""
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"there is no stage {unknown[0]}; there are: {', '.join(STAGES)}", file=sys.stderr)
        return 3
    _LOG.mkdir(parents=True, exist_ok=True)
    # Test hosts whose run was killed would still hold the names that this run needs.
    subprocess.run(
        [str(_BIN / "python"), "-m", "tests.fleet", "gc"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    chosen = names or [stage for stage in STAGES if stage not in _BY_NAME_ONLY]
    total = Counts()
    with ThreadPoolExecutor(2) as pool:
        for counts in pool.map(_run, [name for name in _BESIDE if name in chosen]):
            total += counts
    for name in chosen:
        if name not in _BESIDE:
            total += _run(name)
    print(f"\nringfence: {total}", flush=True)
    return 1 if total.failed else 0


def _run(name: str) -> Counts:
    started = time.monotonic()
    counts = Counts()
    logs = [_LOG / f"{name}-{number}.log" for number in range(len(STAGES[name]))]

    def run(number: int) -> Counts:
        with logs[number].open("w+", encoding="utf-8") as log:
            return _command(name, number, STAGES[name][number], log)

    # What needs the machine for itself comes after the others.
    alone = [n for n, command in enumerate(STAGES[name]) if command[-1] in _ALONE]
    together = [n for n in range(len(STAGES[name])) if n not in alone]
    with ThreadPoolExecutor(_AT_ONCE.get(name, 1)) as pool:
        for one in [*pool.map(run, together), *map(run, alone)]:
            counts += one
    with (_LOG / f"{name}.log").open("wb") as whole:
        for log in logs:
            whole.write(log.read_bytes())
            log.unlink()
    seconds = time.monotonic() - started
    print(f"{name:<10} {seconds:7.1f} s   {counts}", flush=True)
    return counts


def _command(stage: str, number: int, command: list[str], log: IO[str]) -> Counts:
    is_pytest = command[0] == "pytest"
    results = BUILD / f"{stage}-{number}.xml"
    results.unlink(missing_ok=True)
    argv = [*command, f"--junit-xml={results}"] if is_pytest else command
    environment = {**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", "ANSIBLE_FORCE_COLOR": "0"}
    environment["PYTHONPATH"] = str(ROOT)
    start = log.tell()
    log.write(f"$ {' '.join(argv)}\n")
    log.flush()
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        check=False,
    )
    log.seek(0, os.SEEK_END)
    if done.returncode != 0:
        print(f"--- {stage}: {' '.join(command)} ended with {done.returncode}")
        log.seek(start)
        print("".join(log.readlines()[-_TAIL:]), flush=True)
    if is_pytest and results.exists():
        return _counted(results, done.returncode)
    if done.returncode != 0:
        return Counts(failed=1)
    log.seek(start)
    why = [line for line in log if _SKIPPED in line]
    for line in why:
        print(f"--- {stage}: {' '.join(command)}: {line.strip()}", flush=True)
    log.seek(0, os.SEEK_END)
    return Counts(skipped=1) if why else Counts(passed=1)


def _counted(results: Path, code: int) -> Counts:
    suites = ElementTree.parse(results).getroot().iter("testsuite")  # noqa: S314 - our own file
    counts = Counts()
    for suite in suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        counts += Counts(int(suite.get("tests", 0)) - bad - skipped, bad, skipped)
    if code != 0 and not counts.failed:  # pytest itself broke, or found no test
        counts.failed = 1
    return counts


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
