# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The server's own SSH keys: no DSA, and RSA keys of so many bits at least.

Never changed: whoever has the old key on record is warned of an attack when it changes.
"""

from __future__ import annotations

import base64
import binascii

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import sshd_option

PARAMS: dict[str, str] = {}
VALUE = ("int",)


def observe(host: Host, control: Control) -> Observation:
    in_force = host.once("sshd -T", lambda: sshd_option.in_force_of(host))
    paths = in_force.get("hostkey", "").split()
    if not paths:
        raise HostError("sshd -T names no host key")
    keys = [(path, *_kind(host, f"{path}.pub")) for path in paths if host.exists(path)]
    weak = [
        f"{path} is a {kind} key of {bits} bits"
        for path, kind, bits in keys
        if kind == "ssh-dss" or (kind == "ssh-rsa" and not control.meets(bits))
    ]
    shown = ", ".join(f"{kind} {bits}" if bits else kind for _path, kind, bits in keys)
    return Observation({"weak": weak}, shown)


def judge(_control: Control, observation: Observation) -> Verdict:
    weak = observation.state["weak"]
    return Verdict(FAIL, "; ".join(weak)) if weak else Verdict(PASS)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    raise HostError("this is for a person to decide: see the control's remedy")


def _kind(host: Host, path: str) -> tuple[str, int]:
    """The type of a public key, and its bits (of RSA and DSA; else 0)."""
    words = (host.text(path) or "").split()
    try:
        parts = _parts(base64.b64decode(words[1], validate=True))
        kind = parts[0].decode("ascii")
    except (IndexError, ValueError, binascii.Error) as error:
        raise HostError(f"{path} holds no public key") from error
    place = {"ssh-rsa": 2, "ssh-dss": 1}.get(kind)
    if kind != words[0] or (place is not None and len(parts) <= place):
        raise HostError(f"{path} holds no public key")
    return kind, int.from_bytes(parts[place], "big").bit_length() if place else 0


def _parts(blob: bytes) -> list[bytes]:
    """The strings of an SSH blob, each after its length (RFC 4251)."""
    found = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            raise ValueError("cut short")
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return found
