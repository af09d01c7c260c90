# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which SSH connection this process runs under, as the host sees it."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_DEPTH = 64


class Connection(NamedTuple):
    """`address` is where the client comes from, `port` what it connected to on this host."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    def __str__(self) -> str:
        return f"{self.address} to port {self.port}"


def ssh_connection(proc: str = "/proc") -> Connection | None:
    """The connection of the nearest ancestor that sshd started; None where there is none.

    sudo clears SSH_CONNECTION from the environment, so the ancestors are asked for theirs.
    """
    for pid in _ancestors(Path(proc)):
        try:
            environment = Path(proc, str(pid), "environ").read_bytes()
        except OSError:
            continue
        for entry in environment.split(b"\0"):
            name, _equals, value = entry.partition(b"=")
            found = _parse(value) if name == b"SSH_CONNECTION" else None
            if found:
                return found
    return None


def _ancestors(proc: Path) -> Iterator[int]:
    pid = os.getpid()
    for _step in range(_DEPTH):
        yield pid
        try:
            fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
            pid = int(fields[1])
        except (OSError, ValueError, IndexError):
            return
        if pid < 1:
            return


def _parse(value: bytes) -> Connection | None:
    """From "client-address client-port server-address server-port"."""
    try:
        client, _client_port, _server, port = value.decode("ascii").split()
        address = ipaddress.ip_address(client.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return Connection(mapped or address, int(port))
    except ValueError:
        return None
