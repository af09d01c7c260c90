# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files anywhere on the local disks: who may write, who owns them, what runs with more rights.

One walk answers all controls of a run. Network file systems, the kernel's own and the stores of
containers are not walked; `search` tells of what else was left out. A walk that did not see all
ends in findings or in an error, never in a pass.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _walk
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._mounts import mounts

# check: search (its value: seconds), or what must not be there (its value: paths that may be so).
# known: programs that may run with other rights where their package brought them.
PARAMS = {"check": "str", "known": "list?"}
VALUE = ("list", "int")

SEARCH = "search"
_UNPACKAGED, _UNEXPECTED, _CHANGED = "setuid_unpackaged", "setuid_unexpected", "setuid_changed"
_KINDS = {
    _walk.OPEN_FILES: _walk.OPEN_FILES,
    _walk.OPEN_FOLDERS: _walk.OPEN_FOLDERS,
    _walk.SHARED_FOLDERS: _walk.SHARED_FOLDERS,
    _walk.UNOWNED: _walk.UNOWNED,
    _UNPACKAGED: _walk.SETUID,
    _UNEXPECTED: _walk.SETUID,
    _CHANGED: _walk.SETUID,
}
_WORDS = {
    _walk.OPEN_FILES: "can be written by everybody",
    _walk.OPEN_FOLDERS: "can be written by everybody and has no sticky bit",
    _walk.SHARED_FOLDERS: "can be written by everybody and does not belong to root",
    _walk.UNOWNED: "belongs to no account or group",
    _UNPACKAGED: "runs with its owner's rights and comes from no package",
    _UNEXPECTED: "runs with its owner's rights and is not known to need that",
    _CHANGED: "is not what its package brought",
}
_SECONDS = 60
_SHOWN = 20
_RUN_TIME = ("/proc", "/sys", "/dev", "/run")
_IMAGES = {"squashfs", "iso9660", "udf", "erofs", "cramfs"}  # cannot be changed once mounted
_CLUSTER = {"gfs2", "ocfs2"}
_WITHOUT_DEVICE = {"tmpfs", "zfs", "bcachefs", "ubifs"}
_NO_DISK = {
    *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts"),
    *("devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nfsd", "nsfs", "proc", "pstore"),
    *("ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs", "fuse.lxcfs"),
    *("fuse.gvfsd-fuse", "fuse.portal"),
}
# What lies there belongs to other systems, with accounts and packages of their own.
STORES = (
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/incus",
    "/var/lib/kubelet",
    "/var/lib/lxc",
    "/var/lib/lxd",
    "/var/lib/machines",
    "/var/snap/lxd",
)
_DPKG = "/var/lib/dpkg"


class _Mounts(NamedTuple):
    """Where the walk begins, every mount point, and what is a disk and yet not searched."""

    starts: tuple[str, ...]
    points: frozenset[str]
    skipped: tuple[str, ...]


class _Packages(NamedTuple):
    """Path -> package that brought it; path -> MD5 sum that the package says it has."""

    owners: dict[str, str]
    sums: dict[str, str]


def prepare(host: Host, controls: list[Control]) -> None:
    """Begin the walk, so that it goes on while other controls are looked at."""
    with suppress(HostError):  # kept by `once`, and told by `observe`
        host.once("file walk: scope", lambda: _scope(host, controls))
        host.once("file walk: begun", lambda: _begin(host))


def observe(host: Host, control: Control) -> Observation:
    check = control.params["check"]
    if check != SEARCH and check not in _KINDS:
        raise HostError(f"there is no check {check}")
    host.once("file walk: scope", _never)  # raises what kept the walk from beginning
    found = host.once("file walk: found", lambda: host.once("file walk: begun", _never).result())
    if check == SEARCH:
        return _observed_search(host, found)
    wrong, count = _wrong(host, control, found)
    incomplete = _incomplete(found)
    if incomplete and not wrong:
        raise HostError(incomplete)
    state = {"wrong": wrong, "count": count, "incomplete": incomplete}
    shown = [_described(finding) for finding in wrong[:_SHOWN]]
    if count > len(shown):
        shown.append(f"and {count - len(shown)} more")
    return Observation(state, "; ".join(shown) or f"none among {found.files} files")


def judge(control: Control, observation: Observation) -> Verdict:
    if control.params["check"] == SEARCH:
        return _judged_search(observation)
    wrong, count = observation.state["wrong"], observation.state["count"]
    if not wrong:
        return Verdict(PASS)
    others = and_others(count)
    note = observation.state["incomplete"]
    rest = f"; {note}" if note else ""
    return Verdict(
        FAIL, f"{printable(wrong[0].path)} {_WORDS[control.params['check']]}{others}{rest}"
    )


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if control.params["check"] != _walk.OPEN_FOLDERS:
        raise HostError("what to do about this is for a person to decide")
    wrong, count = observation.state["wrong"], observation.state["count"]
    if count > len(wrong):
        raise HostError(f"{count} folders are too many to be changed unseen: look at them first")

    def add_sticky_bits(host: Host) -> None:
        for finding in wrong:
            _add_sticky_bit(host, finding)

    stage.step(add_sticky_bits)


def printable(path: str) -> str:
    """The path in one line: bytes and marks that a terminal would not show are spelt out."""
    return "".join(c if c.isprintable() else _spelt(c) for c in path)


def _spelt(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _described(finding: _walk.Finding) -> str:
    mode = stat.S_IMODE(finding.mode)
    return f"{printable(finding.path)} {mode:04o} {finding.uid}:{finding.gid}"


def _never() -> Any:
    raise HostError("the walk was not begun")


def _begin(host: Host) -> _walk.Walking:
    try:
        return _walk.Walking(host.once("file walk: scope", _never))
    except OSError as error:
        raise HostError(f"the search of the file systems cannot begin: {error}") from error


def _scope(host: Host, controls: list[Control]) -> _walk.Scope:
    mounts = host.once("file walk: mounts", lambda: _mounts(host))
    excepted: dict[str, set[str]] = {}
    everywhere: set[str] | None = None
    seconds = _SECONDS
    for control in controls:
        if control.params["check"] == SEARCH:
            seconds = control.value
            continue
        own = {_absolute(control, path) for path in control.value}
        everywhere = own if everywhere is None else everywhere & own
        kind = _KINDS.get(control.params["check"], "")
        # A kind that several controls ask about leaves out only what all of them leave out.
        excepted[kind] = excepted[kind] & own if kind in excepted else own
    return _walk.Scope(
        root=host.root,
        starts=mounts.starts,
        mounts=mounts.points,
        left_out=frozenset(_left_out(host, everywhere or set())),
        users=_numbers(host, "/etc/passwd"),
        groups=_numbers(host, "/etc/group"),
        excepted={kind: tuple(sorted(paths)) for kind, paths in excepted.items()},
        seconds=float(seconds),
    )


def _absolute(control: Control, path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise HostError(f"{control.id}: found {path!r}, expected a path that begins with /")
    return path


def _left_out(host: Host, everywhere: set[str]) -> Iterator[tuple[int, int]]:
    """Stores of containers, where they are root's own, and what every control leaves out."""
    for path in STORES:
        found = _identity(host, path)
        if found is not None and found[2] == 0:
            yield found[:2]
    for path in everywhere:
        for match in host.glob(path) if "*" in path or "?" in path else [path]:
            found = _identity(host, match)
            if found is not None:
                yield found[:2]


def _identity(host: Host, path: str) -> tuple[int, int, int] | None:
    with suppress(OSError):
        found = os.lstat(host.real(path))
        if stat.S_ISDIR(found.st_mode):
            return found.st_dev, found.st_ino, found.st_uid
    return None


def _numbers(host: Host, path: str) -> frozenset[int]:
    text = host.text(path)
    if text is None:
        raise HostError(f"there is no {path}")
    rows = [line.split(":") for line in text.splitlines()]
    return frozenset(int(row[2]) for row in rows if len(row) > 2 and row[2].isdecimal())


def _mounts(host: Host) -> _Mounts:
    """Raises HostError where the kernel's list is missing or cannot be understood."""
    rows = mounts(host)
    local = {row.device for row in rows if _is_local(row.path, row.kind, row.source)}
    starts, skipped = [], []
    for path, device, _options, kind, _source in rows:
        if _below(path, _RUN_TIME):
            continue
        if device in local:
            starts.append(path)
        elif kind not in _NO_DISK | _IMAGES and not _below(path, STORES):
            skipped.append(f"{path} ({kind})")
    if not starts:
        raise HostError("/proc/self/mountinfo names no local file system")
    return _Mounts(
        tuple(sorted(dict.fromkeys(starts), key=len)),
        frozenset(row.path for row in rows),
        tuple(dict.fromkeys(skipped)),
    )


def _is_local(path: str, kind: str, source: str) -> bool:
    if path == "/":
        return True  # whatever it is: the root of a container is an overlay
    if kind in _IMAGES | _CLUSTER or _below(path, _RUN_TIME):
        return False
    return source.startswith("/dev/") or kind in _WITHOUT_DEVICE


def _below(path: str, parents: tuple[str, ...]) -> bool:
    return any(path == parent or path.startswith(f"{parent}/") for parent in parents)


def _observed_search(host: Host, found: _walk.Found) -> Observation:
    incomplete = _incomplete(found)
    if incomplete:
        raise HostError(incomplete)
    mounts = host.once("file walk: mounts", lambda: _mounts(host))
    shown = f"{found.files} files in {found.seconds} s"
    if mounts.skipped:
        shown += f"; not searched: {', '.join(map(printable, mounts.skipped))}"
    return Observation({"skipped": mounts.skipped}, shown)


def _judged_search(observation: Observation) -> Verdict:
    skipped = observation.state["skipped"]
    if not skipped:
        return Verdict(PASS)
    others = and_others(len(skipped))
    return Verdict(FAIL, f"{printable(skipped[0])} is not searched from here{others}")


def _incomplete(found: _walk.Found) -> str:
    if found.stopped:
        return f"the search stopped after {found.seconds} s, with {found.files} files seen"
    if found.unreadable:
        others = and_others(found.unreadable_count)
        return f"not all could be searched: {printable(found.unreadable[0])}{others}"
    return ""


def _wrong(host: Host, control: Control, found: _walk.Found) -> tuple[list[_walk.Finding], int]:
    """The findings that this control minds, and how many there are in all."""
    check = control.params["check"]
    kind = _KINDS[check]
    rows, count = found.findings.get(kind, []), found.counts.get(kind, 0)
    if not rows:
        return [], 0
    if kind == _walk.UNOWNED:
        rows = host.once("file walk: unowned", lambda: _unowned(host, rows))
    elif kind == _walk.SETUID:
        rows = _setuid(host, control, rows)
    # Beyond those that were kept nobody looked: they count.
    return rows, len(rows) + count - len(found.findings[kind])


def _unowned(host: Host, rows: list[_walk.Finding]) -> list[_walk.Finding]:
    """Those whose owner no directory service knows either."""
    users = _numbers(host, "/etc/passwd")
    groups = _numbers(host, "/etc/group")
    users |= _asked(host, "passwd", {row.uid for row in rows} - users)
    groups |= _asked(host, "group", {row.gid for row in rows} - groups)
    return [row for row in rows if row.uid not in users or row.gid not in groups]


def _asked(host: Host, database: str, numbers: set[int]) -> frozenset[int]:
    if not numbers:
        return frozenset()
    done = host.run(["getent", database, *map(str, sorted(numbers))])
    if done.rc not in (0, 2):  # 2: some of them are not known
        raise HostError(f"getent {database}: {done.complaint()}")
    rows = [line.split(":") for line in done.out.splitlines()]
    return frozenset(int(row[2]) for row in rows if len(row) > 2 and row[2].isdecimal())


def _setuid(host: Host, control: Control, rows: list[_walk.Finding]) -> list[_walk.Finding]:
    paths = [row.path for row in rows]
    packages = host.once("file walk: packages", lambda: _packages(host, paths))
    check, excepted = control.params["check"], _walk.pattern(control.value)
    rows = [row for row in rows if excepted is None or not excepted.fullmatch(row.path)]
    if check == _UNPACKAGED:
        return [row for row in rows if row.path not in packages.owners]
    brought = [row for row in rows if row.path in packages.owners]
    if check == _UNEXPECTED:
        known = _walk.pattern(control.params.get("known", []))
        overrides = host.once("dpkg-statoverride", lambda: _overrides(host))
        return [
            row
            for row in brought
            if not (known is not None and known.fullmatch(row.path)) and row.path not in overrides
        ]
    return [row for row in brought if _is_changed(host, row.path, packages.sums)]


def _is_changed(host: Host, path: str, sums: dict[str, str]) -> bool:
    """Packages that say no sum cannot be held against it."""
    if path not in sums:
        return False
    data = host.read(path)
    return data is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != sums[path]


def _packages(host: Host, paths: list[str]) -> _Packages:
    """dpkg's own lists: to ask dpkg-query costs ten times as much."""
    diversions = _diversions(host)
    wanted: dict[bytes, list[str]] = {}
    for path in paths:
        for spelt in _names(diversions.get(path, (path, ""))[0]):
            wanted.setdefault(os.fsencode(spelt), []).append(path)
    owners: dict[str, str] = {}
    for file in host.names(f"{_DPKG}/info"):
        if not file.endswith(".list"):
            continue
        package = file[: -len(".list")]
        lines = (host.read(f"{_DPKG}/info/{file}") or b"").split(b"\n")
        listed = [path for line in wanted.keys() & lines for path in wanted[line]]
        owners |= {path: package for path in listed if _is_owner(package, path, diversions)}
    sums: dict[str, str] = {}
    for package in set(owners.values()):
        for row in (host.text(f"{_DPKG}/info/{package}.md5sums") or "").splitlines():
            digest, _blanks, brought = row.partition("  ")
            for path in wanted.get(os.fsencode(f"/{brought}"), []):
                if owners.get(path) == package:
                    sums[path] = digest
    return _Packages(owners, sums)


def _names(path: str) -> Iterator[str]:
    """As packages may spell it: what lies in /usr now was below / before."""
    yield path
    if re.match(r"/usr/(s?bin|lib[^/]*)/", path):
        yield path[len("/usr") :]


def _is_owner(package: str, path: str, diversions: dict[str, tuple[str, str]]) -> bool:
    """Where somebody diverted a path, only his own file lies there."""
    _name, diverted_by = diversions.get(path, (path, ""))
    return not diverted_by or package.partition(":")[0] == diverted_by


def _diversions(host: Host) -> dict[str, tuple[str, str]]:
    """Path -> (name under which it was shipped, who alone can have brought it or "")."""
    lines = (host.text(f"{_DPKG}/diversions") or "").split("\n")
    found: dict[str, tuple[str, str]] = {}
    for original, target, package in zip(lines[::3], lines[1::3], lines[2::3], strict=False):
        found[target] = (original, "")
        found[original] = (original, package)
    return found


def _overrides(host: Host) -> frozenset[str]:
    """Paths to which an administrator, or a package's own setup, gave the bit on record."""
    found = set()
    for line in (host.text(f"{_DPKG}/statoverride") or "").splitlines():
        words = line.split(" ", 3)
        if len(words) == 4 and re.fullmatch(r"0?[2467][0-7]{3}", words[2]):
            found.add(words[3])
    return frozenset(found)


def _add_sticky_bit(host: Host, finding: _walk.Finding) -> None:
    """By descriptor. A folder that was swapped, or mended for another control, is left alone."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(host.real(finding.path), flags)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostError(f"{printable(finding.path)} cannot be changed: {error.strerror}") from error
    try:
        now = os.fstat(descriptor)
        same = (now.st_dev, now.st_ino) == (finding.device, finding.inode)
        if same and now.st_mode & stat.S_IWOTH:
            os.fchmod(descriptor, stat.S_IMODE(now.st_mode) | stat.S_ISVTX)
    except OSError as error:
        raise HostError(f"{printable(finding.path)} cannot be changed: {error.strerror}") from error
    finally:
        os.close(descriptor)
