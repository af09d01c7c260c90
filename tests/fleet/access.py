# SPDX-License-Identifier: GPL-3.0-or-later
"""How a test host is reached and told from others: ports, keys, its files on this machine."""

from __future__ import annotations

import io
import random
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.fleet import inventory
from tests.fleet.command import FleetError, run
from tests.fleet.inventory import ADMIN, Host

# Below the range that the kernel hands out for outgoing connections, so that a host which
# is restarted finds its port still free.
_PORTS = range(20000, 32000)
_KEYS = ".keys-"


def make_key(folder: Path) -> str:
    """Make the administrator's key pair in `folder`; the public key."""
    key = folder / inventory.KEY
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", ADMIN, "-f", str(key)])
    (folder / inventory.SOCKETS).mkdir(mode=0o700, exist_ok=True)
    return key.with_suffix(".pub").read_text(encoding="utf-8")


def write_files(
    folder: Path, hosts: Iterable[Host], host_keys: Mapping[int, Iterable[str]]
) -> None:
    """Write known_hosts, ssh_config and the inventory; `host_keys` by port."""
    hosts = list(hosts)
    for name, text in (
        (inventory.KNOWN_HOSTS, inventory.render_known_hosts(host_keys)),
        (inventory.SSH_CONFIG, inventory.render_ssh_config(hosts, folder)),
        (inventory.INVENTORY, inventory.render_inventory(hosts, folder)),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def remove_files(folder: Path, *more: str) -> None:
    """Remove what `make_key` and `write_files` wrote, and `more`; then an empty folder."""
    sockets = folder / inventory.SOCKETS
    for path in sockets.glob("*"):
        # The connection that Ansible keeps open would outlive the host.
        subprocess.run(
            ["ssh", "-O", "exit", "-o", f"ControlPath={path}", "host"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    for leftover in (sockets, *folder.glob(f"{_KEYS}*")):
        shutil.rmtree(leftover, ignore_errors=True)
    for name in (*inventory.FILES, *more):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def free_ports(count: int) -> list[int]:
    """`count` ports that nobody listens on at 127.0.0.1."""
    found: list[int] = []
    for port in random.sample(_PORTS, k=len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise FleetError(f"no {count} free ports between {_PORTS.start} and {_PORTS.stop}")


def answers_ssh(port: int, seconds: float = 2) -> bool:
    """Whether sshd greets on this loopback port within so many seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def identity_archive(name: str, public: str, folder: Path) -> tuple[bytes, list[str]]:
    """A tar of what makes a host itself, and its public host keys.

    It has new host keys, the administrator's authorized key, and the host's name. The keys
    are made in `folder`, where `remove_files` finds them should this process be killed.
    """
    with tempfile.TemporaryDirectory(prefix=_KEYS, dir=folder) as scratch:
        keys = Path(scratch) / "etc/ssh"
        keys.mkdir(parents=True)
        run(["ssh-keygen", "-q", "-A", "-f", scratch])
        files = {f"etc/ssh/{path.name}": path.read_bytes() for path in sorted(keys.iterdir())}
    public_keys = [data.decode() for path, data in files.items() if path.endswith(".pub")]
    hosts = f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, ".", None, 0o755)
        for path, data in files.items():
            _add(archive, path, data, 0o644 if path.endswith(".pub") else 0o600)
        _add(archive, "etc/hosts", hosts.encode(), 0o644)
        _add(archive, "etc/hostname", f"{name}\n".encode(), 0o644)
        _add(archive, f"home/{ADMIN}/.ssh", None, 0o700, owner=1000)
        _add(archive, f"home/{ADMIN}/.ssh/authorized_keys", public.encode(), 0o600, owner=1000)
    return buffer.getvalue(), public_keys


def _add(
    archive: tarfile.TarFile, path: str, data: bytes | None, mode: int, *, owner: int = 0
) -> None:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.uid, entry.gid, entry.mtime = mode, owner, owner, int(time.time())
    if data is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        return
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
