# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""restic 0.18 for those that have none so new: Debian 13's package, pinned by version and checksum.

restic is a Go program that needs nothing but a C library, so Debian 13's runs on Debian 12 too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.urls import open_url
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_set import MINIMUM, version

VERSION = "0.18.0-1+b4"
SHA256 = "4888fb20b272a28b84ac39171b7d7f0d9a58c2aeae51ec28e54684648d66e12c"
_FILE = f"restic_{VERSION}_amd64.deb"
_MIRRORS = (
    "http://deb.debian.org/debian/pool/main/r/restic",
    "https://snapshot.debian.org/archive/debian/20250801T000000Z/pool/main/r/restic",
)


class ProgramError(Exception):
    """Why there is no restic, in one line."""


def cache() -> Path:
    """The folder that keeps what was fetched, and restic's own cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "ringfence"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def package() -> Path:
    """The package file, fetched once and checked each time. Raises ProgramError."""
    kept = cache() / _FILE
    if kept.is_file() and _sha256(kept.read_bytes()) == SHA256:
        return kept
    said = ""
    for mirror in _MIRRORS:
        try:
            with open_url(f"{mirror}/{_FILE}", timeout=120) as answer:
                data: bytes = answer.read()
        except OSError as error:
            said = said or f"{mirror}/{_FILE}: {error}"
            continue
        if _sha256(data) != SHA256:
            raise ProgramError(f"{mirror}/{_FILE}: its checksum is not the pinned one: not used")
        staged = kept.with_name(f"{_FILE}.{os.getpid()}")
        staged.write_bytes(data)
        staged.replace(kept)
        return kept
    raise ProgramError(f"restic cannot be fetched: {said}")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """No other process of this controller is in such a block."""
    with (cache() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def program() -> str:
    """A restic of 0.18 or newer on the controller: its own, else the one of `package`."""
    own = shutil.which("restic")
    if own and _version(own)[:2] >= MINIMUM:
        return own
    folder = cache() / f"restic-{VERSION}"
    found = folder / "usr/bin/restic"
    if not found.is_file():
        staged = folder.with_name(f"{folder.name}.{os.getpid()}")
        done = subprocess.run(
            ["dpkg-deb", "-x", str(package()), str(staged)], capture_output=True, check=False
        )
        if done.returncode:
            raise ProgramError(done.stderr.decode(errors="replace").strip()[:200])
        if found.is_file():  # somebody was faster
            shutil.rmtree(staged)
        else:
            staged.rename(folder)
    return str(found)


def _version(path: str) -> tuple[int, ...]:
    done = subprocess.run([path, "version"], capture_output=True, text=True, check=False)
    return version(done.stdout)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
