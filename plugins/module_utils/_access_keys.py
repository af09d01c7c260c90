# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""authorized_keys, read as sshd reads it: fingerprint, type, bits and options of each key."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_LIMIT = 1 << 20
_CURVES = {"nistp256": 256, "nistp384": 384, "nistp521": 521}
_TYPE = re.compile(
    r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d+|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)"
    r"@openssh\.com)(?:-cert-v01@openssh\.com)?"
)


@dataclass(frozen=True)
class Key:
    """A line of authorized_keys. `options`: name in small letters -> its values ("" where none)."""

    type: str
    fingerprint: str
    bits: int | None
    comment: str
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    line: int = 0

    @property
    def authority(self) -> bool:
        """It is no key to sign in with, but vouches for certificates."""
        return "cert-authority" in self.options


def parse(text: str) -> list[Key]:
    """The keys of a file. Lines that sshd would not take are left out."""
    found = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip(" \t\r\0")
        if not line or line.startswith("#"):
            continue
        key = _parsed(line, number)
        if key is not None:
            found.append(key)
    return found


def _parsed(line: str, number: int) -> Key | None:
    options: dict[str, tuple[str, ...]] = {}
    first = line.split(None, 1)[0]
    if not _TYPE.fullmatch(first):
        end = _end_of_options(line)
        options = _options(line[:end])
        line = line[end:].lstrip(" \t")
    words = line.split(None, 2)
    if len(words) < 2 or not _TYPE.fullmatch(words[0]):
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
        kind, bits = _strength(blob)
    except (ValueError, struct.error, IndexError):
        return None
    if kind != words[0]:
        return None
    comment = words[2] if len(words) > 2 else ""
    return Key(kind, fingerprint(blob), bits, comment, options, number)


def fingerprint(blob: bytes) -> str:
    """As `ssh-keygen -l` prints it: `SHA256:…`."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def fingerprint_of(public_key: str) -> str:
    """The fingerprint of a public key as text, options and comment allowed; empty if it is none."""
    keys = parse(public_key)
    return keys[0].fingerprint if len(keys) == 1 else ""


def _strength(blob: bytes) -> tuple[str, int | None]:
    parts = _strings(blob)
    kind = next(parts).decode("ascii")
    plain = kind.removesuffix("-cert-v01@openssh.com")
    if plain != kind:
        next(parts)  # a certificate has a nonce first
    if plain == "ssh-rsa":
        next(parts)
        return kind, int.from_bytes(next(parts), "big").bit_length()
    if plain == "ssh-dss":
        return kind, int.from_bytes(next(parts), "big").bit_length()
    if "ecdsa" in plain:
        return kind, _CURVES.get(next(parts).decode("ascii"))
    return kind, 256


def _strings(blob: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(blob):
        (length,) = struct.unpack_from(">I", blob, position)
        if position + 4 + length > len(blob):
            raise ValueError("the key is cut short")
        yield blob[position + 4 : position + 4 + length]
        position += 4 + length
    raise ValueError("the key is cut short")


def _end_of_options(line: str) -> int:
    """Where the options end: at the first blank that is in no quotes."""
    quoted = False
    for place, character in enumerate(line):
        if character == '"' and line[place - 1 : place] != "\\":
            quoted = not quoted
        elif character in " \t" and not quoted:
            return place
    return len(line)


def _options(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for match in re.finditer(r'([A-Za-z0-9_-]+)(?:="((?:\\"|[^"])*)")?(?:,|$)', text):
        value = (match[2] or "").replace('\\"', '"')
        name = match[1].lower()
        found[name] = (*found.get(name, ()), value)
    return found


def read(host: Host, path: str, home: str = "") -> tuple[list[Key], list[str]]:
    """The keys in a file, and what is odd about it. Never waits: the file is its user's.

    Odd is `writable_by_others`: somebody else than the account and root can add a key. Raises
    HostError where there is a file and it cannot be read to its end.
    """
    real = host.real(path)
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HostError(f"{path} cannot be read: {reason}") from error
    with os.fdopen(descriptor, "rb") as handle:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise HostError(f"{path} is not a plain file")
        data = handle.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise HostError(f"{path} is larger than {_LIMIT >> 20} MiB")
    odd = []
    folders = [os.path.dirname(path), *([home] if home and path.startswith(f"{home}/") else [])]
    modes = [seen.st_mode, *(_mode(host, folder) for folder in folders)]
    if any(mode & (stat.S_IWGRP | stat.S_IWOTH) for mode in modes):
        odd.append("writable_by_others")
    return parse(data.decode("utf-8", "replace")), odd


def _mode(host: Host, path: str) -> int:
    try:
        found = os.stat(host.real(path)).st_mode
    except OSError:
        return 0
    return 0 if found & stat.S_ISVTX else found
