# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When somebody last signed in to a host, from where, and by which key.

Debian 12 keeps wtmp and lastlog, Debian 13 lastlog2 and (where installed) wtmpdb; the journal alone
tells which key was used. Each is read where it is; none of them being there is no proof that
nobody came.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._access_row import coverage
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._sshd_log import JOURNAL_MATCH

_UTMP = struct.Struct("=hxxi32s4s32s256shhiii16s20s")  # 384 bytes, see utmp(5)
_USER_PROCESS = 7
_LASTLOG = struct.Struct("=i32s256s")
_WTMP_LIMIT = 64 << 20
_ACCEPTED = re.compile(
    r"Accepted (?P<how>\S+) for (?P<user>\S+) from (?P<address>\S+) port \d+ ssh2"
    r"(?:: (?P<type>\S+) (?P<key>SHA256:\S+))?"
)
_WTMPDB_SIGN_IN = 3
_SOURCES_KEPT = 5
_JOURNAL_SECONDS = 20
_WTMPDB = ("/var/lib/wtmpdb/wtmp.db", "/var/log/wtmp.db")
_LASTLOG2 = "/var/lib/lastlog/lastlog2.db"


@dataclass
class SignIns:
    """What the sources tell. Times are UTC, as 2026-01-31T12:00:00Z.

    `last`: account -> time; `addresses`: account -> the last ones first; `keys`: (account,
    fingerprint) -> time; `since`: from when on something was kept; `coverage`: by source.
    """

    last: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    since: str = ""
    coverage: list[dict[str, Any]] = field(default_factory=list)
    _seen: dict[str, dict[str, str]] = field(default_factory=dict)

    def note(self, user: str, when: float, address: str = "", key: str = "") -> None:
        """One sign-in; `when` in seconds since 1970."""
        if when <= 0:
            return
        time = moment(when)
        self.last[user] = max(self.last.get(user, ""), time)
        self.since = min(self.since or time, time)
        if key:
            self.keys[user, key] = max(self.keys.get((user, key), ""), time)
        address = _address(address)
        if address:
            seen = self._seen.setdefault(user, {})
            seen[address] = max(seen.get(address, ""), time)

    def settle(self) -> None:
        """Put the addresses in order."""
        for user, seen in self._seen.items():
            ordered = sorted(seen, key=lambda address: seen[address], reverse=True)
            self.addresses[user] = ordered[:_SOURCES_KEPT]


def read(host: Host, names: Mapping[int, str], days: int) -> SignIns:
    """All sources of the host. `names`: user id -> account; `days`: how far back the journal."""
    found = SignIns()
    readers = (
        ("wtmp", _wtmp),
        ("lastlog", lambda host, found: _lastlog(host, found, names)),
        ("lastlog2", _lastlog2),
        ("wtmpdb", _wtmpdb),
        ("journal", lambda host, found: _journal(host, found, days)),
    )
    for source, reader in readers:
        try:
            count = reader(host, found)
        except (HostError, OSError, sqlite3.Error, struct.error) as error:
            found.coverage.append(coverage(source, "failed", str(error)))
            continue
        state = "absent" if count is None else "read"
        found.coverage.append(coverage(source, state, count=count))
    found.settle()
    return found


def moment(when: float) -> str:
    """Seconds since 1970 as 2026-01-31T12:00:00Z."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wtmp(host: Host, found: SignIns) -> int | None:
    paths = [path for path in ("/var/log/wtmp.1", "/var/log/wtmp") if host.exists(path)]
    if not paths:
        return None
    return sum(_wtmp_file(host.real(path), found) for path in paths)


def _wtmp_file(path: str, found: SignIns) -> int:
    count = 0
    with open(path, "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        # The end is what counts where a scanner filled it with sign-ins of others.
        handle.seek(max(0, size - _WTMP_LIMIT) // _UTMP.size * _UTMP.size)
        while len(entry := handle.read(_UTMP.size)) == _UTMP.size:
            kind, _pid, _line, _id, user, origin, _t, _e, _s, seconds, _us, address, _rest = (
                _UTMP.unpack(entry)
            )
            if kind == _USER_PROCESS:
                found.note(_text(user), seconds, _packed(address) or _text(origin))
                count += 1
    return count


def _lastlog(host: Host, found: SignIns, names: Mapping[int, str]) -> int | None:
    if not host.exists("/var/log/lastlog"):
        return None
    count = 0
    with open(host.real("/var/log/lastlog"), "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        for uid, name in names.items():
            # The file is sparse, and as long as the highest user id ever seen.
            if (uid + 1) * _LASTLOG.size > size:
                continue
            handle.seek(uid * _LASTLOG.size)
            seconds, _line, origin = _LASTLOG.unpack(handle.read(_LASTLOG.size))
            if seconds:
                found.note(name, seconds & 0xFFFFFFFF, _text(origin))
                count += 1
    return count


def _lastlog2(host: Host, found: SignIns) -> int | None:
    rows = _rows(host, _LASTLOG2, "SELECT Name, Time, RemoteHost FROM Lastlog2")
    if rows is None:
        return None
    for name, seconds, origin in rows:
        found.note(str(name), float(seconds or 0), str(origin or ""))
    return len(rows)


def _wtmpdb(host: Host, found: SignIns) -> int | None:
    path = next((path for path in _WTMPDB if host.exists(path)), _WTMPDB[0])
    query = f"SELECT User, MAX(Login), RemoteHost FROM wtmp WHERE Type = {_WTMPDB_SIGN_IN}"  # noqa: S608 # a number
    rows = _rows(host, path, f"{query} GROUP BY User, RemoteHost")
    if rows is None:
        return None
    for name, microseconds, origin in rows:
        found.note(str(name), float(microseconds or 0) / 1e6, str(origin or ""))
    return len(rows)


def _rows(host: Host, path: str, query: str) -> list[tuple[Any, ...]] | None:
    if not os.path.exists(host.real(path)):  # a link to where nothing was written yet is none
        return None
    with closing(sqlite3.connect(f"file:{host.real(path)}?mode=ro", uri=True, timeout=5)) as base:
        return list(base.execute(query))


def _journal(host: Host, found: SignIns, days: int) -> int | None:
    if not host.exists("/usr/bin/journalctl"):
        return None
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--since=-{days}d"]
    argv += ["--output-fields=MESSAGE", "--grep=^Accepted ", "--case-sensitive=true"]
    argv += JOURNAL_MATCH
    done = host.run(argv, timeout=_JOURNAL_SECONDS)
    if done.rc != 0 and done.err.strip():
        raise HostError(f"journalctl: {done.complaint()}")
    count = 0
    for user, when, address, key in _accepted(done.out):
        found.note(user, when, address, key)
        count += 1
    return count


def _accepted(text: str) -> Iterator[tuple[str, float, str, str]]:
    for line in text.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            match = _ACCEPTED.match(entry["MESSAGE"])
            if match:
                when = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
                yield match["user"], when, match["address"], match["key"] or ""


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _packed(data: bytes) -> str:
    if not any(data):
        return ""
    if not any(data[4:]):
        return str(ipaddress.IPv4Address(data[:4]))
    return str(ipaddress.IPv6Address(data))


def _address(text: str) -> str:
    """An address, as it is; a host name or a display is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
