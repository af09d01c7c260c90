# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hands a run document to the evidence store, in a process of its own.

The store's libraries take a fifth of a second to import. Started with the first control task, the
process imports them while the hosts work, and nobody waits; and whatever the store does, the run
is out of its reach.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

_TIMEOUT_S = 120


class Ingester:
    """One waiting process; `ingest` uses it up. It ends by itself when its input is closed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ringfence.evidence"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt at the terminal must not cost the evidence
        )

    @staticmethod
    def available() -> bool:
        """Whether the package `ringfence` is installed for this Python."""
        return importlib.util.find_spec("ringfence") is not None

    def ingest(self, path: Path, store: str | None, signing_key: str | None) -> tuple[bool, str]:
        """(whether `path` is in the store, one line that says so or why not)."""
        # by standard input: a store's URL may hold a password, and arguments are public
        request = {"path": str(path), "store": store, "signing_key": signing_key}
        try:
            output, errors = self._process.communicate(json.dumps(request), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return False, f"the store did not answer within {_TIMEOUT_S} s"
        try:
            answer = json.loads(output)
            return bool(answer["ok"]), str(answer["message"])
        except (ValueError, KeyError, TypeError):
            last = (errors.strip().splitlines() or ["no answer"])[-1]
            return False, f"the store's process ended with {self._process.returncode}: {last}"
