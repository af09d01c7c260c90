# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls `ringfence` as a user would, from a folder that knows nothing of the checkout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fleet import Fleet

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / ".venv/bin/ringfence"


def environment() -> dict[str, str]:
    """Ours, less what would settle something for Ansible or for the command."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "RINGFENCE_"))}


def answered(
    folder: Path, command: str, *arguments: str, **more: str
) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of a command that is given the inventory `inv` below a folder.

    `more`: variables of the environment.
    """
    done = subprocess.run(
        [PROGRAM, command, "-i", "inv", "--json", *arguments], cwd=folder,
        env={**environment(), **more}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, answer


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        found: dict[str, Any] = json.loads(self.out)
        assert found["exit_code"] == self.code
        return found


class Caller:
    """`ringfence` in an empty folder, with an inventory of a fleet and evidence of its own."""

    def __init__(self, fleet: Fleet, folder: Path, temporary: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        self.evidence = folder / "evidence"
        self.inventory = folder / "inv"
        self.inventory.mkdir()
        self.write_hosts(fleet.inventory.read_text())
        self.temporary = temporary

    def write_hosts(self, text: str) -> None:
        """The fleet's hosts, less where their connections are kept: that is for us to decide."""
        tree = yaml.safe_load(text)
        for values in tree["all"]["hosts"].values():
            values.pop("ansible_control_path_dir", None)
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump(tree))

    @property
    def environment(self) -> dict[str, str]:
        """Without .venv/bin on PATH, and with a temporary folder that can be looked into."""
        return {
            **environment(),
            "TMPDIR": str(self.temporary),
            "COLUMNS": "300",
            "PYTHONFAULTHANDLER": "1",  # see `ended`
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; `ended` waits for it."""
        return subprocess.Popen(
            [str(PROGRAM), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> Said:
        return self.ended(self.start(*arguments), 500)

    def ended(self, process: subprocess.Popen[str], seconds: float) -> Said:
        """What a command answered; one that hangs is asked by SIGABRT where it does."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            out, err = process.communicate()
            pytest.fail(f"still running after {seconds} s:\n{out}\n{err}")
        return Said(process.returncode, out, err)

    def on(self, command: str, *arguments: str) -> Said:
        """A command that takes `-i`."""
        return self(command, "-i", "inv", *arguments)

    def left_behind(self) -> list[str]:
        """Temporary files, and processes that know of our folders."""
        files = [str(path) for path in self.temporary.iterdir()]
        folders = str(self.folder), str(self.temporary)
        listing = subprocess.run(
            ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
        )
        lines = listing.stdout.splitlines()
        return files + [line for line in lines if any(folder in line for folder in folders)]
