# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of root's in a folder that belongs to a site, whose owner may be hostile.

Each folder on the way is opened in its parent and no link is followed, so that a folder which the
site exchanges for a link, at whatever moment, leads nowhere. Nothing but a plain file is read.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_LIMIT = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened(host: Host, root: str, parts: list[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder `parts` below `root`. Raises HostError for a link on the way."""
    where = root
    try:
        descriptor = os.open(host.real(root), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                where = f"{where}/{part}"
                made = make and _made(part, descriptor)
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
                if made:  # whatever the umask is, the site has to read it
                    os.fchmod(inner, 0o755)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(f"{where}: expected a folder, no link: {error.strerror}") from error


def _made(name: str, folder: int) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return False
    return True


def read(host: Host, root: str, path: str) -> str | None:
    """The text of a plain file below `root`; None where there is none, or something else."""
    *parts, name = path.split("/")
    try:
        with opened(host, root, parts) as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return None
                return file.read(_LIMIT).decode("utf-8", "replace")
    except HostError:
        return None


def write(host: Host, root: str, path: str, data: bytes) -> None:
    """Write a file of root's that all may read, whole or not at all, its folders with it."""
    *parts, name = path.split("/")
    with opened(host, root, parts, make=True) as folder:
        fresh = f".{name}.{secrets.token_hex(6)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, 0o644)
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)


def remove(host: Host, root: str, path: str) -> None:
    """Remove a file, a link, or a folder with all in it; nothing where there is none."""
    *parts, name = path.split("/")
    with suppress(HostError), opened(host, root, parts) as folder:
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            shutil.rmtree(name, dir_fd=folder)


def move(host: Host, root: str, source: str, target: str) -> None:
    """Give a folder below `root` another name in its folder, in place of what was there."""
    *parts, old = source.split("/")
    remove(host, root, target)
    with opened(host, root, parts) as folder:
        os.rename(old, target.rpartition("/")[2], src_dir_fd=folder, dst_dir_fd=folder)
