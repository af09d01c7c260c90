# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bans in the web server, for visitors behind a CDN: there the kernel sees the CDN only."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable

from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import (
    banned_network,
)

FOLDER = "/var/lib/ringfence/bans/web"
_FILES = {"nginx": f"{FOLDER}/nginx.conf", "apache": f"{FOLDER}/apache.conf"}
_UNITS = {"nginx": "nginx.service", "apache": "apache2.service"}
_TESTS = {
    "nginx": ["/usr/sbin/nginx", "-t", "-q"],
    "apache": ["/usr/sbin/apache2ctl", "configtest"],
}
# A reload a second at most: each starts new workers, and an attack by many asks for many.
_PAUSE = 1.0
_TIMEOUT = 60


def text(server: str, subjects: Iterable[str]) -> str:
    """What the web server includes: one banned network a line."""
    networks = sorted({banned_network(subject) for subject in subjects})
    if server == "nginx":
        return "".join(f"{network} 1;\n" for network in networks)
    return "".join(f"Require not ip {network}\n" for network in networks)


class Web:
    """Keeps the files of the web servers of this host, and reloads them, not too often."""

    def __init__(self, servers: Iterable[str], folder: str = FOLDER) -> None:
        self._files = {server: f"{folder}/{server}.conf" for server in servers}
        self._last = 0.0
        self._waiting: set[str] = set()

    def put(self, subjects: Iterable[str]) -> None:
        """Note who is banned now; `reload` makes it hold."""
        listed = list(subjects)
        for server, path in self._files.items():
            wanted = text(server, listed)
            if _read(path) != wanted:
                _write(path, wanted)
                self._waiting.add(server)

    def reload(self) -> str:
        """Reload what must be, when it is time. Returns what went wrong, or nothing."""
        if not self._waiting or time.monotonic() - self._last < _PAUSE:
            return ""
        self._last = time.monotonic()
        problems = [said for server in sorted(self._waiting) if (said := _reload(server))]
        self._waiting.clear()
        return "; ".join(problems)

    @property
    def waits(self) -> bool:
        """Whether a reload is due."""
        return bool(self._waiting)


def _reload(server: str) -> str:
    unit = _UNITS[server]
    try:
        if _run(["systemctl", "is-active", "--quiet", unit]).returncode != 0:
            return ""  # not running: it reads its files when it starts
        for command in (_TESTS[server], ["systemctl", "reload", unit]):
            done = _run(command)
            if done.returncode != 0:
                lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
                return f"{server} was not reloaded: {lines[0]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{server} was not reloaded: {error}"
    return ""


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def _write(path: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    staged = f"{path}.new"
    with open(staged, "w", encoding="ascii") as handle:
        handle.write(content)
        os.fchmod(handle.fileno(), 0o644)
    os.replace(staged, path)
