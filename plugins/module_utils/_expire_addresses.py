# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes entries off the address lists of sites at the moment they end, and reloads the web server.

Runs on a host by itself, as a whole, by a timer that is set to those moments: it stands alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path("/etc/ringfence/sites/addresses")
LOCK = "/run/ringfence-site-config.lock"
_UNTIL = re.compile(r"# until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n")
_SERVERS = {
    ".geo": ("nginx.service", ["/usr/sbin/nginx", "-t", "-q"]),
    ".require": ("apache2.service", ["/usr/sbin/apachectl", "configtest"]),
}


def remaining(text: str, now: datetime) -> str:
    """A list without the entries that ended at or before `now`.

    An entry that ends has a line above it which says when.
    """
    found = []
    rows: Iterator[str] = iter(text.splitlines(keepends=True))
    for row in rows:
        match = _UNTIL.fullmatch(row)
        if match and datetime.fromisoformat(match[1].replace("Z", "+00:00")) <= now:
            next(rows, None)
            continue
        found.append(row)
    return "".join(found)


def run(folder: Path, now: datetime) -> str:
    """Bring every list up to date; what went wrong, in one line, or nothing."""
    before = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix not in _SERVERS:
            continue
        text = path.read_text("utf-8")
        left = remaining(text, now)
        if left != text:
            before[path] = text
            _write(path, left)
    problems = []
    for suffix in sorted({path.suffix for path in before}):
        unit, test = _SERVERS[suffix]
        tested = subprocess.run(test, capture_output=True, text=True, check=False)
        if tested.returncode == 0:
            if subprocess.run(["systemctl", "is-active", "-q", unit], check=False).returncode == 0:
                subprocess.run(["systemctl", "reload", unit], check=False)
            continue
        # Not by these lists: an entry less breaks nothing. They wait until the rest works again.
        problems.append(f"{unit} was not reloaded: {tested.stderr.strip()}")
        for path, text in before.items():
            if path.suffix == suffix:
                _write(path, text)
    return "; ".join(problems)


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f"{path.name}.ringfence-new")
    staged.write_text(text, "utf-8")
    staged.chmod(path.stat().st_mode & 0o7777)
    os.replace(staged, path)


def main() -> int:
    with open(LOCK, "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        problem = run(FOLDER, datetime.now(UTC))
    if problem:
        sys.stderr.write(f"{problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    raise SystemExit(main())
