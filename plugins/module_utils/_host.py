# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host as mechanisms see it: files, commands, and sources that are read once a run."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

T = TypeVar("T")

_COMMAND_TIMEOUT = 60
_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# A session has the host's own umask, which may be the very thing that is wrong: what packages make
# under 000 everybody could write, and under 077 no service could read.
UMASK = 0o022


class HostError(Exception):
    """What could not be read or done on the host, in one line."""


class Completed(NamedTuple):
    """What a command answered."""

    rc: int
    out: str
    err: str

    def complaint(self) -> str:
        """The first line that says what went wrong."""
        for line in (self.err + "\n" + self.out).splitlines():
            if line.strip():
                return line.strip()
        return f"exit code {self.rc}"


class Attributes(NamedTuple):
    """Who owns a path and what its mode bits are; `kind` is file, directory, link or other."""

    kind: str
    mode: int
    uid: int
    gid: int


class Host:
    """The machine this process runs on, or the tree below `root` that stands for one."""

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")
        self.awaited: set[str] = set()
        self._sources: dict[str, Any] = {}

    def once(self, name: str, read: Callable[[], T]) -> T:
        """The shared source `name`: read at first use, kept (its failure too) until `forget()`."""
        if name not in self._sources:
            try:
                self._sources[name] = read()
            except (HostError, OSError) as error:
                self._sources[name] = HostError(str(error))
        found = self._sources[name]
        if isinstance(found, HostError):
            raise HostError(str(found))
        return cast("T", found)

    def forget(self) -> None:
        """Drop every shared source: the host has been changed."""
        self._sources.clear()

    def real(self, path: str) -> str:
        """Where `path` of the host lies for this process."""
        return self.root + path

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none. Raises HostError if unreadable."""
        try:
            return Path(self.real(path)).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(f"{path} cannot be read: {error.strerror}") from error

    def text(self, path: str) -> str | None:
        """Like `read`, as text; odd bytes survive a round trip (surrogateescape)."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`, a dangling link included."""
        return os.path.lexists(self.real(path))

    def names(self, directory: str) -> list[str]:
        """The sorted names in a directory; empty where there is none."""
        try:
            return sorted(os.listdir(self.real(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise HostError(f"{directory} cannot be listed: {error.strerror}") from error

    def attributes(self, path: str) -> Attributes | None:
        """Kind, mode and owner of `path` itself, links not followed; None where there is none."""
        try:
            found = os.lstat(self.real(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise HostError(f"{path} cannot be examined: {error.strerror}") from error
        return Attributes(
            _kind(found.st_mode), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
        )

    def writable(self, path: str) -> bool:
        """Whether root could write to `path`: false on a read-only mount."""
        return os.access(self.real(path), os.W_OK)

    def glob(self, pattern: str) -> list[str]:
        """The host's paths that match a shell pattern, sorted."""
        base = Path(self.root or "/")
        return sorted("/" + str(p.relative_to(base)) for p in base.glob(pattern.lstrip("/")))

    def run(
        self,
        argv: list[str],
        *,
        stdin: str | None = None,
        timeout: int = _COMMAND_TIMEOUT,
        environment: dict[str, str] | None = None,
    ) -> Completed:
        """Run a program without a shell. Raises HostError where it is missing or takes too long."""
        settings = {
            "PATH": _SEARCH_PATH,
            "LC_ALL": "C.UTF-8",
            "HOME": "/root",
            **(environment or {}),
        }
        try:
            done = subprocess.run(
                argv,
                input=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                timeout=timeout,
                env=settings,
                umask=UMASK,
                check=False,
            )
        except FileNotFoundError as error:
            raise HostError(f"{argv[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise HostError(f"{argv[0]} did not answer within {timeout} s") from error
        except OSError as error:
            raise HostError(f"{argv[0]} cannot be run: {error.strerror}") from error
        return Completed(done.returncode, _decoded(done.stdout), _decoded(done.stderr))

    def output(self, argv: list[str], **options: Any) -> str:
        """The standard output of a program that must succeed."""
        done = self.run(argv, **options)
        if done.rc != 0:
            raise HostError(f"{' '.join(argv[:3])}: {done.complaint()}")
        return done.out

    def installed_packages(self) -> dict[str, str]:
        """Package name -> version of all that is installed; one dpkg-query a run."""
        return self.once("dpkg", self._read_packages)

    def _read_packages(self) -> dict[str, str]:
        listing = self.output(
            ["dpkg-query", "-W", "-f", "${db:Status-Status} ${binary:Package} ${Version}\n"]
        )
        rows = (line.split(" ") for line in listing.splitlines())
        return {row[1].partition(":")[0]: row[2] for row in rows if row[0] == "installed"}

    def capabilities(self) -> frozenset[str]:
        """What a control's `applies.requires` can ask for; see docs/extending.md."""
        return self.once("capabilities", lambda: frozenset(self._detect()))

    def _detect(self) -> Iterator[str]:
        container = any(
            self.exists(mark)
            for mark in ("/run/systemd/container", "/run/.containerenv", "/.dockerenv")
        )
        yield "container" if container else "own_kernel"
        for name, marks in _CAPABILITY_MARKS.items():
            if any(self.exists(mark) for mark in marks):
                yield name

    def facts(self) -> dict[str, Any]:
        """What a report says of the host: name, release, kernel, capabilities."""
        release = dict(
            line.split("=", 1)
            for line in (self.text("/etc/os-release") or "").splitlines()
            if "=" in line
        )
        system = os.uname()
        return {
            "hostname": system.nodename,
            "distribution": release.get("ID", "unknown").strip('"'),
            "release": release.get("VERSION_ID", "unknown").strip('"'),
            "kernel": system.release,
            "capabilities": sorted(self.capabilities()),
        }


_CAPABILITY_MARKS = {
    "bluetooth": ("/sys/class/bluetooth",),
    "container_engine": (
        "/usr/bin/containerd",
        "/usr/bin/dockerd",
        "/usr/bin/lxc-start",
        "/usr/bin/podman",
        "/usr/bin/systemd-nspawn",
        "/usr/local/bin/k3s",
        "/usr/libexec/incus/incusd",
        "/snap/bin/lxd",
    ),
    "snap": ("/usr/bin/snap",),
    "virtual_machines": ("/usr/sbin/libvirtd", "/usr/sbin/virtqemud"),
    "wireless": ("/sys/class/ieee80211",),
    "aide": ("/usr/bin/aide",),
    "apache": ("/usr/sbin/apache2",),
    "apt": ("/usr/bin/apt-get",),
    "auditd": ("/usr/sbin/auditd",),
    "automatic_bans": ("/etc/ringfence/bans/bans.json",),
    "grub": ("/boot/grub/grub.cfg",),
    "ipv6": ("/proc/sys/net/ipv6",),
    "mariadb": ("/usr/sbin/mariadbd",),
    "nginx": ("/usr/sbin/nginx",),
    "pam": ("/usr/sbin/pam-auth-update",),
    "rsyslog": ("/usr/sbin/rsyslogd",),
    "sshd": ("/usr/sbin/sshd",),
    "sudo": ("/usr/bin/sudo",),
    "systemd": ("/run/systemd/system",),
}


def replace_file(host: Host, path: str, data: bytes, new_mode: int = 0o644) -> None:
    """Write `path` whole or not at all; keeps mode and owner of what was there.

    Raises HostError for a link (we write only where we looked) and for what the system refuses.
    """
    before = host.attributes(path)
    if before is not None and before.kind != "file":
        raise HostError(f"{path} is not a plain file but a {before.kind}: left alone")
    target = host.real(path)
    staged = f"{target}.ringfence-new"
    try:
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(staged)
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            if before is not None:
                os.fchown(descriptor, before.uid, before.gid)
            os.fchmod(descriptor, before.mode if before else new_mode)
            handle.flush()
            os.fsync(descriptor)
        os.replace(staged, target)
    except OSError as error:
        with suppress(OSError):
            os.unlink(staged)
        raise HostError(f"{path} cannot be written: {error.strerror}") from error


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISREG(mode):
        return "file"
    return "directory" if stat.S_ISDIR(mode) else "other"


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
