# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What listens to the network: one `ss` for all controls of a run."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# ports: judge only these ("25", "68/udp"); without it, every port. The value lists what may be
# open to others than this host itself.
PARAMS = {"ports": "list?"}
VALUE = ("list",)

_COMMAND = ["ss", "-tulpnH"]
_PORT = re.compile(r"[0-9]{1,5}(/(tcp|udp))?")
_PROGRAM = re.compile(r'users:\(\("([^"]*)"')
_SHOWN = 12


def observe(host: Host, control: Control) -> Observation:
    listeners = host.once("ss", lambda: parse(host.output(_COMMAND)))
    asked = control.params.get("ports")
    open_ones = sorted(
        {
            (port, protocol, program)
            for protocol, address, port, program in listeners
            if not _is_loopback(address) and (asked is None or _is_in(port, protocol, asked))
        }
    )
    rows = [[port, protocol, program] for port, protocol, program in open_ones]
    return Observation({"open": rows}, _listed(rows) or "nothing")


def judge(control: Control, observation: Observation) -> Verdict:
    for entry in control.value:
        if not _PORT.fullmatch(str(entry)):
            raise HostError(f"{entry!r} is not a port: expected 443 or 443/udp")
    strange = [
        row for row in observation.state["open"] if not _is_in(row[0], row[1], control.value)
    ]
    if not strange:
        return Verdict(PASS)
    return Verdict(FAIL, f"open to the network and not approved: {_listed(strange)}")


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: which service is to be closed, or approved, is for a person to say."""


def parse(text: str) -> list[tuple[str, str, int, str]]:
    """Protocol, address, port and program of each line of `ss -tulpnH`. Raises HostError."""
    return [_listener(line) for line in text.splitlines() if line.strip()]


def _listener(line: str) -> tuple[str, str, int, str]:
    fields = line.split()
    address, colon, port = fields[4].rpartition(":") if len(fields) > 4 else ("", "", "")
    if fields[0] not in ("tcp", "udp") or not colon or not (port.isascii() and port.isdigit()):
        raise HostError(f"ss says what cannot be understood: {line[:80]!r}")
    program = _PROGRAM.search(line)
    bare = address.partition("%")[0].strip("[]")  # an address may name its interface: %lo
    return fields[0], bare or "*", int(port), program[1] if program else "unknown program"


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False  # "*": all addresses
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def _is_in(port: int, protocol: str, entries: list[str]) -> bool:
    return str(port) in map(str, entries) or f"{port}/{protocol}" in entries


def _listed(rows: list[list[object]]) -> str:
    shown = [f"{port}/{protocol} ({program})" for port, protocol, program in rows[:_SHOWN]]
    more = len(rows) - _SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
