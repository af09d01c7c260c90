# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact snapshots of files and folders, and putting them back.

A snapshot is a list of entries (JSON-able) and a folder of blobs. Putting back touches only what
differs, and walks to every file without following a link, so that a folder an ordinary user owns
(~/.ssh) cannot be swapped for a link that makes root write somewhere else.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

_CHUNK = 1 << 20
_UNGUARDABLE = ("/proc", "/sys", "/dev", "/run")
# A rename is refused over a mount point (containers mount /etc/hosts) and on a full disk.
_OVERWRITE_INSTEAD = (errno.EBUSY, errno.ENOSPC, errno.EDQUOT, errno.EXDEV)


class SnapshotError(Exception):
    """A path cannot be snapshotted; the message is one line."""


class Entry(TypedDict, total=False):
    """One path of a snapshot. `kind` is file, folder, link, absent or other (never touched)."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    size: int
    sha256: str
    blob: str
    target: str
    xattrs: dict[str, str]


class PutBack(TypedDict):
    """What was done: paths restored, paths removed because they were new, errors by path."""

    restored: list[str]
    removed: list[str]
    errors: list[str]


def survey(paths: Iterable[str]) -> list[str]:
    """Resolve what to guard: every path, what lies beneath it, and what its links point to.

    A path that is not there stands for itself, or for its topmost missing parent, so that a folder
    made later is removed as a whole. Raises SnapshotError for a path that cannot be guarded.
    """
    found: dict[str, None] = {}
    for path in paths:
        _add(_checked(path), found)
    return sorted(found)


def sizes(paths: Iterable[str]) -> dict[int, int]:
    """Bytes of the regular files in `paths`, by device number of the file system they are on."""
    total: dict[int, int] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            info = os.lstat(path)
            wanted = info.st_size if stat.S_ISREG(info.st_mode) else 0
            total[info.st_dev] = total.get(info.st_dev, 0) + wanted
    return total


def capture(paths: Iterable[str], blobs: Path) -> list[Entry]:
    """Snapshot every path of `survey` into entries, file contents into the folder `blobs`."""
    entries = []
    for number, path in enumerate(paths):
        blob = blobs / f"{number:05d}"
        with blob.open("wb") as sink:
            entry = _describe(path, sink.fileno())
            os.fsync(sink.fileno())
        if entry["kind"] == "file":
            entry["blob"] = blob.name
        else:
            blob.unlink()
        entries.append(entry)
    return entries


def intact(entries: Iterable[Entry], blobs: Path) -> bool:
    """Whether every blob still holds exactly what its entry says."""
    return all(_blob_matches(entry, blobs) for entry in entries if entry["kind"] == "file")


def changed(entries: Iterable[Entry]) -> list[str]:
    """Paths that differ from the snapshot now, new files in guarded folders among them."""
    entries = list(entries)
    differing = [e["path"] for e in entries if e["kind"] != "other" and _differs(e)]
    return differing + [path for path in _newcomers(entries) if path not in differing]


def put_back(entries: Iterable[Entry], blobs: Path) -> PutBack:
    """Make every path what its entry says. One path that fails does not stop the others."""
    entries = list(entries)
    done = PutBack(restored=[], removed=[], errors=[])
    # What is new goes first: it may hold the very room the old content needs.
    absent = [entry["path"] for entry in entries if entry["kind"] == "absent"]
    for path in [*_newcomers(entries), *absent]:
        with _noting(path, done["errors"]):
            if _remove(path):
                done["removed"].append(path)
    present = [entry for entry in entries if entry["kind"] in _PUT_BACK]
    for entry in present:
        with _noting(entry["path"], done["errors"]):
            if _PUT_BACK[entry["kind"]](entry, blobs):
                done["restored"].append(entry["path"])
    # Times of folders last, children first: writing a file touches the folder that holds it.
    for entry in reversed(present):
        with _noting(entry["path"], done["errors"]):
            _set_times(entry)
    return done


@contextlib.contextmanager
def _noting(path: str, errors: list[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        errors.append(f"{path}: {error.strerror or error}")


# --- what to guard


def _checked(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise SnapshotError(f"{path!r}: expected an absolute path")
    folder, name = os.path.split(os.path.normpath(path))
    if not name:
        raise SnapshotError(f"{path}: expected a path below /")
    real = os.path.join(os.path.realpath(folder), name)
    if any(real == root or real.startswith(root + "/") for root in _UNGUARDABLE):
        raise SnapshotError(f"{path}: only files on disk can be guarded, not {real}")
    return real


def _add(path: str, found: dict[str, None]) -> None:
    if path in found:
        return
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        found[_topmost_missing(path)] = None
        return
    found[path] = None
    if stat.S_ISLNK(info.st_mode):
        _add_target(path, found)
    elif stat.S_ISDIR(info.st_mode) and not os.path.ismount(path):
        for child in os.scandir(path):
            _add(child.path, found)


def _add_target(link: str, found: dict[str, None]) -> None:
    """A change written through a link lands in its target: guard that too, if it is on disk."""
    target = os.path.realpath(link)
    with contextlib.suppress(SnapshotError):
        _add(_checked(target), found)


def _topmost_missing(path: str) -> str:
    missing = path
    for parent in Path(path).parents:
        if os.path.lexists(parent):
            break
        missing = str(parent)
    return missing


# --- describing what is there


def _describe(path: str, sink: int | None = None) -> Entry:
    """The entry of `path` as it is now; content is also copied to the descriptor `sink`."""
    try:
        with _parent(path) as (folder, name):
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                target = os.readlink(name, dir_fd=folder)
                return _common(path, "link", info, target=target)
            if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
                return _common(path, "other", info)
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return Entry(path=path, kind="absent")
    try:
        if stat.S_ISDIR(info.st_mode):
            return _common(path, "folder", info, xattrs=_xattrs(fd))
        size, digest = _read(fd, sink)
        return _common(path, "file", info, xattrs=_xattrs(fd), size=size, sha256=digest)
    finally:
        os.close(fd)


def _common(
    path: str,
    kind: str,
    info: os.stat_result,
    *,
    target: str = "",
    xattrs: dict[str, str] | None = None,
    size: int = 0,
    sha256: str = "",
) -> Entry:
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        atime_ns=info.st_atime_ns,
        mtime_ns=info.st_mtime_ns,
        size=size,
        sha256=sha256,
        target=target,
        xattrs=xattrs or {},
    )


def _read(fd: int, sink: int | None) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    while chunk := os.read(fd, _CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if sink is not None:
            _write_all(sink, chunk)
    return size, digest.hexdigest()


def _xattrs(fd: int) -> dict[str, str]:
    """Extended attributes, POSIX ACLs and capabilities among them."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: base64.b64encode(os.getxattr(fd, name)).decode() for name in sorted(names)}


def _blob_matches(entry: Entry, blobs: Path) -> bool:
    try:
        with (blobs / entry["blob"]).open("rb") as blob:
            return _read(blob.fileno(), None) == (entry["size"], entry["sha256"])
    except OSError:
        return False


def _differs(entry: Entry) -> bool:
    now = _describe(entry["path"])
    # The time of a folder tells only that a child came or went, and the child says so itself.
    keys = [key for key in _COMPARED if key != "mtime_ns" or entry["kind"] != "folder"]
    return now["kind"] != entry["kind"] or any(now.get(key) != entry.get(key) for key in keys)


def _newcomers(entries: list[Entry]) -> list[str]:
    """Topmost paths in guarded folders that the snapshot does not know."""
    known = {entry["path"] for entry in entries}
    found: list[str] = []
    for entry in entries:
        # A mount point is recorded, and never entered.
        if entry["kind"] != "folder" or os.path.ismount(entry["path"]):
            continue
        with contextlib.suppress(OSError), _parent(entry["path"] + "/x") as (folder, _name):
            children = [f"{entry['path']}/{name}" for name in os.listdir(folder)]
            found += [child for child in children if child not in known]
    return sorted(found)


# --- putting back


def _remove(path: str) -> bool:
    try:
        with _parent(path) as (folder, name):
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
            os.fsync(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _put_back_file(entry: Entry, blobs: Path) -> bool:
    now = _describe(entry["path"])
    if now["kind"] not in ("file", "absent"):
        _remove(entry["path"])
    with _parent(entry["path"]) as (folder, name):
        if now["kind"] != "file" or now["sha256"] != entry["sha256"]:
            _replace(entry, blobs, folder, name)
            return True
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            return _set_attributes(fd, entry, now)
        finally:
            os.close(fd)


def _put_back_folder(entry: Entry, _blobs: Path) -> bool:
    now = _describe(entry["path"])
    made = now["kind"] != "folder"
    if made and now["kind"] != "absent":
        _remove(entry["path"])
    with _parent(entry["path"]) as (folder, name):
        if made:
            os.mkdir(name, 0o700, dir_fd=folder)
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder)
        try:
            return _set_attributes(fd, entry, _describe(entry["path"])) or made
        finally:
            os.close(fd)


def _put_back_link(entry: Entry, _blobs: Path) -> bool:
    now = _describe(entry["path"])
    same = ("kind", "target", "uid", "gid")
    if all(now.get(key) == entry.get(key) for key in same):
        return False
    if now["kind"] == "folder":
        _remove(entry["path"])
    with _parent(entry["path"]) as (folder, name):
        fresh = _temporary(name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=folder)
        os.symlink(entry["target"], fresh, dir_fd=folder)
        os.chown(fresh, entry["uid"], entry["gid"], dir_fd=folder, follow_symlinks=False)
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    return True


def _replace(entry: Entry, blobs: Path, folder: int, name: str) -> None:
    """Write the old content beside the file and rename it over, so that no reader sees half."""
    content = (blobs / entry["blob"]).read_bytes()
    fresh = _temporary(name)
    try:
        try:
            _write_new(fresh, content, entry, folder)
            os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=folder)
            if error.errno not in _OVERWRITE_INSTEAD:
                raise
            _overwrite(name, content, entry, folder)
    finally:
        os.fsync(folder)


def _write_new(name: str, content: bytes, entry: Entry, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    _fill(os.open(name, flags, 0o600, dir_fd=folder), content, entry)


def _overwrite(name: str, content: bytes, entry: Entry, folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    _fill(os.open(name, flags, 0o600, dir_fd=folder), content, entry)


def _fill(fd: int, content: bytes, entry: Entry) -> None:
    try:
        _write_all(fd, content)
        _set_attributes(fd, entry, None)
        os.utime(fd, ns=(entry["atime_ns"], entry["mtime_ns"]))
        os.fsync(fd)
    finally:
        os.close(fd)


def _set_attributes(fd: int, entry: Entry, now: Entry | None) -> bool:
    """Owner, mode and extended attributes of the open file or folder; whether any was different."""
    keys = ("uid", "gid", "mode", "xattrs")
    if now and all(now.get(key) == entry.get(key) for key in keys):
        return False
    os.fchown(fd, entry["uid"], entry["gid"])
    os.fchmod(fd, entry["mode"])
    wanted = entry["xattrs"]
    current = _xattrs(fd)
    for name in current.keys() - wanted.keys():
        os.removexattr(fd, name)
    for name, value in wanted.items():
        if current.get(name) != value:
            os.setxattr(fd, name, base64.b64decode(value))
    return True


def _set_times(entry: Entry) -> None:
    with _parent(entry["path"]) as (folder, name):
        times = (entry["atime_ns"], entry["mtime_ns"])
        os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _temporary(name: str) -> str:
    # A leading dot keeps sshd's *.conf glob and sudo's sudoers.d from reading it half written.
    return f".{name}.ringfence-guard~"


@contextlib.contextmanager
def _parent(path: str) -> Iterator[tuple[int, str]]:
    """Open the folder of `path` without following a link anywhere on the way."""
    *folders, name = path.strip("/").split("/")
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            below = os.open(part, flags, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd, name
    finally:
        os.close(fd)


_COMPARED = ("mode", "uid", "gid", "mtime_ns", "size", "sha256", "target", "xattrs")
_PUT_BACK = {"file": _put_back_file, "folder": _put_back_folder, "link": _put_back_link}
