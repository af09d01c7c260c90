# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One walk over the local file systems, in a process of its own, for all who ask about files.

The walk looks at each file once (hard links and bind mounts too), follows no link, and notes what
somebody asks about. Its own process can be given up where a disk does not answer, and it works
while the rest of an audit goes on.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._host import HostError

OPEN_FILES = "open_files"
OPEN_FOLDERS = "open_folders"
SHARED_FOLDERS = "shared_folders"
UNOWNED = "unowned"
SETUID = "setuid"

KEPT = 1000  # findings of a kind that are kept; the rest is counted
_UNREADABLE_KEPT = 5
_SUSPECT = stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH
_LINK, _FOLDER, _FILE = stat.S_IFLNK, stat.S_IFDIR, stat.S_IFREG
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# A small server is done before; what takes longer must not slow down the sites.
_POLITE_AFTER = 0.5
_GRACE = 5.0


class Finding(NamedTuple):
    """A path and what it is; `uid` and `gid` are numbers, `device` and `inode` tell it apart."""

    path: str
    mode: int
    uid: int
    gid: int
    device: int
    inode: int


class Scope(NamedTuple):
    """What is walked. All paths are the host's; `root` is where this process finds them."""

    root: str
    starts: tuple[str, ...]  # where file systems are mounted, outer ones first
    mounts: frozenset[str]  # every mount point, walked or not
    left_out: frozenset[tuple[int, int]]  # (device, inode) of folders that are not entered
    users: frozenset[int]
    groups: frozenset[int]
    excepted: dict[str, tuple[str, ...]]  # kind of finding -> patterns of paths that may be so
    seconds: float


@dataclass
class Found:
    """What a walk saw: how many of each kind, the first `KEPT`, and what it could not see."""

    files: int = 0
    seconds: float = 0.0
    stopped: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    unreadable_count: int = 0


def pattern(paths: Iterable[str]) -> re.Pattern[str] | None:
    """What matches each of the paths and all below it; a star stays within one name."""
    parts = [
        re.escape(path.rstrip("/")).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") for path in paths
    ]
    return re.compile(f"(?:{'|'.join(parts)})(?:/.*)?", re.DOTALL) if parts else None


class _Walk:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.found = Found()
        self.visited = set(scope.left_out)
        self.links: set[tuple[str, int, int]] = set()
        self.excepted = {kind: pattern(paths) for kind, paths in scope.excepted.items()}
        self.waiting: list[tuple[str, tuple[int, int] | None]] = []

    def run(self) -> Found:
        started = time.monotonic()
        polite_at, end = started + _POLITE_AFTER, started + self.scope.seconds
        # Reversed: an outer file system is walked before what is mounted on it.
        self.waiting = [(path.rstrip("/"), None) for path in reversed(self.scope.starts)]
        while self.waiting:
            now = time.monotonic()
            if now > end:
                self.found.stopped = True
                break
            if now > polite_at:
                polite_at = end + 1
                _step_back()
            self._folder(*self.waiting.pop())
        self.found.seconds = round(time.monotonic() - started, 2)
        return self.found

    def _folder(self, path: str, expected: tuple[int, int] | None) -> None:
        try:
            descriptor = os.open(f"{self.scope.root}{path}" or "/", _OPEN)
        except OSError as error:
            self._note_unreadable(path, error)
            return
        try:
            itself = os.fstat(descriptor)
            identity = (itself.st_dev, itself.st_ino)
            # Another folder than the one that was listed: something was moved in between.
            if identity in self.visited or expected not in (None, identity):
                return
            self.visited.add(identity)
            if not path:
                self._note("/", itself)
            self._entries(path, descriptor, itself.st_dev)
        except OSError as error:
            self._note_unreadable(path, error)
        finally:
            os.close(descriptor)

    def _entries(self, path: str, descriptor: int, device: int) -> None:
        """The hot loop: one system call a file, and no path put together where none is needed."""
        users, groups, waiting = self.scope.users, self.scope.groups, self.waiting
        files = 0
        with os.scandir(descriptor) as entries:
            for entry in entries:
                try:
                    seen = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self._note_unreadable(f"{path}/{entry.name}", error)
                    continue
                files += 1
                mode = seen.st_mode
                kind = mode & 0o170000
                if kind == _FOLDER:
                    child = f"{path}/{entry.name}"
                    # Another device is a mount, which is a start of its own, or a subvolume.
                    if seen.st_dev == device or child not in self.scope.mounts:
                        waiting.append((child, (seen.st_dev, seen.st_ino)))
                if (
                    (mode & _SUSPECT and kind != _LINK)
                    or seen.st_uid not in users
                    or seen.st_gid not in groups
                ):
                    self._note(f"{path}/{entry.name}", seen)
        self.found.files += files

    def _note(self, path: str, seen: os.stat_result) -> None:
        mode, kind = seen.st_mode, seen.st_mode & 0o170000
        if seen.st_uid not in self.scope.users or seen.st_gid not in self.scope.groups:
            self._keep(UNOWNED, path, seen)
        if kind == _FILE:
            if mode & stat.S_IWOTH:
                self._keep(OPEN_FILES, path, seen)
            if mode & (stat.S_ISUID | stat.S_ISGID):
                self._keep(SETUID, path, seen)
        elif kind == _FOLDER and mode & stat.S_IWOTH:
            if not mode & stat.S_ISVTX:
                self._keep(OPEN_FOLDERS, path, seen)
            if seen.st_uid != 0:
                self._keep(SHARED_FOLDERS, path, seen)

    def _keep(self, kind: str, path: str, seen: os.stat_result) -> None:
        excepted = self.excepted.get(kind)
        if excepted is not None and excepted.fullmatch(path):
            return
        if seen.st_nlink > 1 and not stat.S_ISDIR(seen.st_mode):
            link = (kind, seen.st_dev, seen.st_ino)
            if link in self.links:
                return
            self.links.add(link)
        self.found.counts[kind] = self.found.counts.get(kind, 0) + 1
        kept = self.found.findings.setdefault(kind, [])
        if len(kept) < KEPT:
            kept.append(
                Finding(path, seen.st_mode, seen.st_uid, seen.st_gid, seen.st_dev, seen.st_ino)
            )

    def _note_unreadable(self, path: str, error: OSError) -> None:
        if error.errno in _GONE:
            return
        self.found.unreadable_count += 1
        if len(self.found.unreadable) < _UNREADABLE_KEPT:
            self.found.unreadable.append(f"{path or '/'}: {error.strerror}")


def walk(scope: Scope) -> Found:
    """Walk in this process. See `Walking` for one beside it."""
    return _Walk(scope).run()


class Walking:
    """A walk in a process of its own, from its start until `result()`."""

    def __init__(self, scope: Scope) -> None:
        self._limit = scope.seconds
        self._end = time.monotonic() + scope.seconds + _GRACE
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reader)
            _answer(scope, writer)
        os.close(writer)
        self._reader = reader

    def result(self) -> Found:
        """Wait for the walk. Raises HostError where it does not end in time or breaks off."""
        try:
            data = self._received()
        finally:
            os.close(self._reader)
        self._reap()
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise HostError("the search of the file systems broke off") from error
        if isinstance(answer, str):
            raise HostError(f"the search of the file systems broke off: {answer}")
        answer["findings"] = {
            kind: [Finding(*row) for row in rows] for kind, rows in answer["findings"].items()
        }
        return Found(**answer)

    def _received(self) -> bytes:
        parts: list[bytes] = []
        while True:
            left = max(0.0, self._end - time.monotonic())
            if not select.select([self._reader], [], [], left)[0]:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                # Not waited for: a process that hangs on a disk does not even die.
                raise HostError(
                    f"the search of the file systems did not end within {self._limit:.0f} s:"
                    " a disk may hang"
                )
            part = os.read(self._reader, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _answer(scope: Scope, writer: int) -> None:
    """In the child: walk, tell, and leave without what the parent would do at its end."""
    gc.disable()  # what is kept is bounded, and collecting would only copy the parent's pages
    try:
        try:
            found: Any = vars(walk(scope))
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(found).encode("ascii"))
    finally:
        os._exit(0)


def _step_back() -> None:
    """Let everything else go first, on the processor and on the disk."""
    with suppress(OSError):
        os.nice(19)
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            ["ionice", "--class", "3", "--pid", str(os.getpid())],
            capture_output=True,
            timeout=5,
            check=False,
        )
