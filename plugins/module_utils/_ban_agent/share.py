# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bans that hosts tell each other, over SSH with a key that can do nothing else.

A peer may be broken into. What it says is taken for a while only, so many an hour, addresses alone,
never whom this host never bans, and is not passed on.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import (
    ADDRESS,
    Ban,
    Store,
    plain,
)

SPOOL = "/var/spool/ringfence-bans"
FOLDER = "/etc/ringfence/bans"
KEY = f"{FOLDER}/share_key"
KNOWN_HOSTS = f"{FOLDER}/known_hosts"
ACCOUNT = "ringfence-bans"

_MAX_BYTES = 64 << 10
_MAX_ROWS = 200
_MAX_FILES = 50
_CALL_EVERY = 1800.0
_TIMEOUT = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0


class Limits(NamedTuple):
    """What is taken from one peer: bans an hour, and seconds that each lasts at most."""

    an_hour: int
    seconds: int


# --- telling


def message(bans: Iterable[Ban], now: int) -> str:
    """What a peer is told: no site and no user, for those are none of its business."""
    rows = [
        {"address": ban.subject, "seconds": ban.until - now, "reason": ban.reason} for ban in bans
    ]
    return json.dumps({"bans": rows})


class Teller(threading.Thread):
    """Tells one peer, and again until it listens."""

    def __init__(
        self, host: str, peer: dict[str, Any], jails: set[str], say: Callable[[str], None]
    ) -> None:
        super().__init__(daemon=True, name=f"peer {peer['name']}")
        self._host, self._peer, self._jails, self._say = host, peer, jails, say
        self._wake = threading.Event()
        self._pause = _FIRST_PAUSE
        self._next_call = 0.0  # at the start, and now and then, to know that it listens

    def wake(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    def run(self) -> None:
        store = Store()
        while True:
            self._wake.clear()
            try:
                idle = self._tell(store)
            except Exception as error:  # the thread must go on
                self._say(f"{self.name}: {error}")
                idle = False
            self._wake.wait(_LONGEST_PAUSE if idle else self._pause)

    def _tell(self, store: Store) -> bool:
        """Whether there is nothing left to tell."""
        name, now = self._peer["name"], int(time.time())
        bans = store.to_send(name, self._host, self._jails, now)
        if not bans and time.monotonic() < self._next_call:
            return True
        self._next_call = time.monotonic() + _CALL_EVERY
        complaint = _call(self._peer, message(bans, now))
        if complaint:
            store.note(f"unheard {name}", f"{now} {plain(complaint)}")
            self._next_call = 0.0
            self._say(f"{self.name} does not listen, {len(bans)} bans wait: {complaint}")
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return False
        store.sent(name, bans)
        store.note(f"heard {name}", str(now))
        self._pause = _FIRST_PAUSE
        return len(bans) < _MAX_ROWS


def _call(peer: dict[str, Any], text: str) -> str:
    """Hand `text` to a peer. Returns what went wrong, or nothing."""
    command = ["ssh", "-F", "/dev/null", "-T", "-i", KEY, "-p", str(peer["port"])]
    for option in (
        "BatchMode=yes",
        "ConnectTimeout=8",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={KNOWN_HOSTS}",
        "GlobalKnownHostsFile=/dev/null",
        "PreferredAuthentications=publickey",
    ):
        command += ["-o", option]
    command.append(f"{ACCOUNT}@{peer['address']}")
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"


def probe(peer: dict[str, Any]) -> str:
    """Whether a peer listens: what went wrong, or nothing."""
    return _call(peer, message([], 0))


# --- being told


def receive(peer: str, spool: str = SPOOL) -> int:
    """What a peer's key runs here, as an account that may do nothing but this."""
    data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        sys.stderr.write("too long\n")
        return 1
    mine = [name for name in os.listdir(spool) if name.startswith(f"{peer}.")]
    if len(mine) >= _MAX_FILES:
        sys.stderr.write("too many at once\n")
        return 1
    staged = f"{spool}/.{peer}.{time.time_ns()}"
    with open(staged, "xb") as handle:
        handle.write(data)
    os.rename(staged, f"{spool}/{peer}.{time.time_ns()}.json")
    return 0


def spooled(peers: set[str], spool: str = SPOOL) -> Iterator[tuple[str, bytes]]:
    """Who told what, each once. Only plain files are read, of peers that are known."""
    try:
        names = sorted(name for name in os.listdir(spool) if name.endswith(".json"))
    except FileNotFoundError:
        return
    for name in names:
        peer, path = name.split(".", 1)[0], f"{spool}/{name}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as handle:
                data = handle.read(_MAX_BYTES + 1)
        except OSError:
            data = b""
        finally:
            os.unlink(path)
        if peer in peers:
            yield peer, data


def taken(peer: str, data: bytes, limits: Limits, already: int, now: int) -> tuple[list[Ban], str]:
    """The bans that a peer's word brings, and why others were left out, in one line.

    `already`: how many of its bans were taken within the last hour.
    """
    try:
        rows = json.loads(data)["bans"]
        if not isinstance(rows, list) or len(rows) > _MAX_ROWS:
            raise ValueError(f"expected a list of at most {_MAX_ROWS}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return [], f"{peer} says what cannot be understood: {plain(error)}"
    found, bad = [], 0
    for row in rows:
        ban = _ban(peer, row, limits, now)
        if ban is None:
            bad += 1
        else:
            found.append(ban)
    left = max(0, limits.an_hour - already)
    problems = [f"{bad} no bans of addresses"] if bad else []
    if len(found) > left:
        problems.append(f"{len(found) - left} beyond {limits.an_hour} an hour")
    complaint = f"left out what {peer} says: {', '.join(problems)}" if problems else ""
    return found[:left], complaint


def _ban(peer: str, row: Any, limits: Limits, now: int) -> Ban | None:
    try:
        address = ipaddress.ip_address(row["address"])
        seconds, reason = row["seconds"], row["reason"]
    except (ValueError, KeyError, TypeError):
        return None
    good = isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0
    if not good or not isinstance(reason, str) or not isinstance(row["address"], str):
        return None
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return None
    until = now + min(seconds, limits.seconds)
    said = plain(reason)
    return Ban(0, ADDRESS, str(address), "", "shared", said, peer, 0, now, until)
