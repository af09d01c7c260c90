# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs our playbooks against test hosts, as a user would, and reads what the run left behind."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fleet import Fleet

ROOT = Path(__file__).resolve().parents[2]
_BIN = ROOT / ".venv" / "bin"


@dataclass
class Done:
    """A playbook that ran: its exit code and all it printed."""

    returncode: int
    output: str


class Play:
    """One `ansible-playbook` call against a fleet; `name` is a file of playbooks/ or a path."""

    def __init__(self, fleet: Fleet, name: str, *options: str, evidence_in: Path) -> None:
        playbook = name if "/" in name else f"playbooks/{name}"
        inventory = str(fleet.inventory)
        self.command = [str(_BIN / "ansible-playbook"), "-i", inventory, playbook, *options]
        self.environment = {
            **os.environ,
            "PATH": f"{_BIN}:{os.environ['PATH']}",
            "RINGFENCE_EVIDENCE_DIR": str(evidence_in),
            "ANSIBLE_NOCOLOR": "1",
        }

    def start(self) -> subprocess.Popen[str]:
        """Start it in a process group of its own; the caller waits for it."""
        return subprocess.Popen(
            # What a shell starts in the background has Ctrl-C switched off, and its children too.
            ["env", "--default-signal=INT", *self.command],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, timeout: float = 600) -> Done:
        """Run it to its end, within `timeout` seconds."""
        process = self.start()
        output, _nothing = process.communicate(timeout=timeout)
        return Done(process.returncode, output)


def play(fleet: Fleet, name: str, *options: str, evidence_in: Path, timeout: float = 600) -> Done:
    """Run a playbook to its end."""
    return Play(fleet, name, *options, evidence_in=evidence_in).run(timeout)


def evidence(folder: Path) -> dict[str, Any]:
    """The newest run document below an evidence folder."""
    from ringfence.evidence import Store

    store = Store(f"sqlite:///{folder / 'ringfence.sqlite'}")
    document: dict[str, Any] = store.run(store.runs()[-1].id)
    return document


def statuses(document: dict[str, Any], host: str) -> dict[str, str]:
    """Control id -> status of one host of a run document."""
    found = next(row for row in document["hosts"] if row["name"] == host)
    return {row["id"]: row["status"] for row in found["results"]}


def sh(fleet: Fleet, host: str, script: str) -> str:
    """What a shell script printed as root on a host, beside sshd. Raises where it fails."""
    return fleet.exec(host, "sh", "-c", script)
