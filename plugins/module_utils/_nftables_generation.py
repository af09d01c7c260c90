# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether anything of nftables was changed since: the kernel's own number of its last change.

Every transaction of a network namespace gets the next number, whoever makes it and whichever table
it is about: an element by hand, a flush, a reload. What was loaded by one is in the kernel as long
as the number is still that one. nft does not print it, so the kernel is asked.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_NETLINK_NETFILTER = 12
_NFTABLES = 10 << 8
_GET_GENERATION, _NEW_GENERATION = _NFTABLES | 16, _NFTABLES | 15
_REQUEST = 1
_GENERATION_ID = 1
_HEADER, _FAMILY, _ATTRIBUTE = "=IHHII", "=BBH", "=HH"
_PATIENCE = 5
_BOOT = "/proc/sys/kernel/random/boot_id"
_NAMESPACE = "/proc/self/ns/net"


class Mark(NamedTuple):
    """A state of nftables: the boot and the network namespace that `number` counts for."""

    boot: str
    namespace: int
    number: int

    def next(self) -> Mark:
        """The state after one transaction."""
        return self._replace(number=self.number + 1)


def mark() -> Mark | None:
    """The state of now; None where the kernel does not tell, which is not the state of any time."""
    try:
        boot = Path(_BOOT).read_text(encoding="ascii").strip()
        return Mark(boot, os.stat(_NAMESPACE).st_ino, _number())
    except (OSError, ValueError, struct.error):
        return None


def _number() -> int:
    """Raises OSError, and ValueError for another answer than was asked for."""
    body = struct.pack(_FAMILY, socket.AF_UNSPEC, 0, 0)
    length = struct.calcsize(_HEADER) + len(body)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as link:
        link.settimeout(_PATIENCE)
        link.sendto(struct.pack(_HEADER, length, _GET_GENERATION, _REQUEST, 1, 0) + body, (0, 0))
        return parse_number(link.recv(4096))


def parse_number(answer: bytes) -> int:
    """The number in the kernel's answer. Raises ValueError and struct.error for another one."""
    kind = struct.unpack_from(_HEADER, answer)[1]
    place = struct.calcsize(_HEADER) + struct.calcsize(_FAMILY)
    length, attribute = struct.unpack_from(_ATTRIBUTE, answer, place)
    if (kind, attribute, length) != (_NEW_GENERATION, _GENERATION_ID, 8):
        raise ValueError(f"found an answer of kind {kind}, expected {_NEW_GENERATION}")
    number: int = struct.unpack_from("!I", answer, place + struct.calcsize(_ATTRIBUTE))[0]
    return number
