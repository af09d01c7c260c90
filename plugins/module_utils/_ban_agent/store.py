# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bans on disk: who is and was banned, why, until when. Reports are made of it as well."""

from __future__ import annotations

import ipaddress
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any, NamedTuple

PATH = "/var/lib/ringfence/bans/bans.sqlite"
ADDRESS, USER = "address", "user"
KEEP_SECONDS = 400 * 86400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bans (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,       -- address, user
    subject TEXT NOT NULL,    -- the address as it was seen, or the user's name
    site TEXT NOT NULL,       -- client/site; empty: the host itself
    jail TEXT NOT NULL,       -- which rule
    reason TEXT NOT NULL,
    source TEXT NOT NULL,     -- the host that saw it
    failures INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    ended INTEGER,            -- when it was lifted before its time
    why TEXT NOT NULL,        -- by whom
    state TEXT NOT NULL       -- user: what has to be put back (JSON); central list: its decision
);
CREATE INDEX IF NOT EXISTS live ON bans (until) WHERE ended IS NULL;
CREATE INDEX IF NOT EXISTS subjects ON bans (subject);
CREATE TABLE IF NOT EXISTS sent (peer TEXT, ban INTEGER, until INTEGER, PRIMARY KEY (peer, ban));
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Ban(NamedTuple):
    """A row. Times are seconds since 1970."""

    id: int
    kind: str
    subject: str
    site: str
    jail: str
    reason: str
    source: str
    failures: int
    since: int
    until: int
    ended: int | None = None
    why: str = ""
    state: str = ""


class Store:
    """One connection; each thread opens its own."""

    def __init__(self, path: str = PATH) -> None:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=20, isolation_level=None)
        os.chmod(path, 0o600)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def add(self, ban: Ban) -> Ban:
        """Keep a ban. One that is in force for the same rule is made longer, never shorter."""
        key = (ban.kind, ban.subject, ban.site if ban.kind == USER else "", ban.jail, ban.source)
        row = self._db.execute(
            "SELECT * FROM bans WHERE kind=? AND subject=? AND (?='' OR site=?) AND jail=?"
            " AND source=? AND ended IS NULL AND until>?",
            (key[0], key[1], key[2], key[2], key[3], key[4], ban.since),
        ).fetchone()
        if row:
            known = Ban(*row)
            until = max(known.until, ban.until)
            self._db.execute(
                "UPDATE bans SET until=?, failures=MAX(failures,?) WHERE id=?",
                (until, ban.failures, known.id),
            )
            return known._replace(until=until)
        fields = ban._fields[1:]
        marks = ",".join("?" * len(fields))
        made = self._db.execute(
            f"INSERT INTO bans ({','.join(fields)}) VALUES ({marks})",  # noqa: S608 - our own names
            ban[1:],
        )
        return ban._replace(id=int(made.lastrowid or 0))

    def set_state(self, ban: Ban, state: str) -> None:
        """Note what has to be put back when the ban ends."""
        self._db.execute("UPDATE bans SET state=? WHERE id=?", (state, ban.id))

    def live(self, now: int, kind: str = "") -> list[Ban]:
        """What is in force at `now`, the oldest first."""
        rows = self._db.execute(
            "SELECT * FROM bans WHERE ended IS NULL AND until>? AND (?='' OR kind=?) ORDER BY id",
            (now, kind, kind),
        )
        return [Ban(*row) for row in rows]

    def due(self, now: int) -> list[Ban]:
        """Bans of users whose time is over and whose state was not put back yet."""
        rows = self._db.execute(
            "SELECT * FROM bans WHERE kind=? AND ended IS NULL AND until<=? AND state<>''",
            (USER, now),
        )
        return [Ban(*row) for row in rows]

    def last_end(self, site: str, user: str) -> int:
        """When the last ban of a user ended or will end; 0 where there was none."""
        row = self._db.execute(
            "SELECT MAX(COALESCE(ended,until)) FROM bans WHERE kind=? AND site=? AND subject=?",
            (USER, site, user),
        ).fetchone()
        return int(row[0] or 0)

    def end(self, bans: Iterable[Ban], now: int, why: str) -> None:
        """Lift bans before their time."""
        self._db.executemany(
            "UPDATE bans SET ended=?, why=?, state='' WHERE id=?",
            [(now, why, ban.id) for ban in bans],
        )

    def was_lifted(self, ban: Ban) -> bool:
        """Whether a ban for the same rule was lifted at a time when this one had begun."""
        row = self._db.execute(
            "SELECT 1 FROM bans WHERE kind=? AND subject=? AND (kind<>? OR site=?) AND jail=?"
            " AND source=? AND ended>=?",
            (ban.kind, ban.subject, USER, ban.site, ban.jail, ban.source, ban.since),
        ).fetchone()
        return row is not None

    def to_send(self, peer: str, host: str, jails: set[str], now: int) -> list[Ban]:
        """Bans of addresses that this host made itself, and that a peer has not been told of."""
        rows = self._db.execute(
            "SELECT bans.* FROM bans LEFT JOIN sent ON sent.ban=bans.id AND sent.peer=?"
            " WHERE kind=? AND source=? AND ended IS NULL AND bans.until>?"
            " AND (sent.until IS NULL OR sent.until<bans.until) ORDER BY bans.id DESC LIMIT 200",
            (peer, ADDRESS, host, now),
        )
        return [ban for ban in (Ban(*row) for row in rows) if ban.jail in jails]

    def sent(self, peer: str, bans: Iterable[Ban]) -> None:
        """Note that a peer was told."""
        self._db.executemany(
            "INSERT OR REPLACE INTO sent VALUES (?,?,?)",
            [(peer, ban.id, ban.until) for ban in bans],
        )

    def received_since(self, source: str, since: int) -> int:
        """How many bans a peer made here since then."""
        row = self._db.execute(
            "SELECT COUNT(*) FROM bans WHERE source=? AND since>=?", (source, since)
        ).fetchone()
        return int(row[0])

    def note(self, name: str, value: str) -> None:
        """Keep a word under a name, such as when a peer was last reached."""
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?,?)", (name, value))

    def noted(self, name: str) -> str:
        """The word under a name; empty where there is none."""
        row = self._db.execute("SELECT value FROM notes WHERE name=?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def notes_of(self, prefix: str) -> list[tuple[str, str]]:
        """Names that begin so, each with its word."""
        rows = self._db.execute(
            "SELECT name, value FROM notes WHERE substr(name, 1, ?)=?", (len(prefix), prefix)
        )
        return [(str(name), str(value)) for name, value in rows]

    def forget(self, name: str, value: str) -> None:
        """Drop a word, unless another stands there by now."""
        self._db.execute("DELETE FROM notes WHERE name=? AND value=?", (name, value))

    def made_since(self, jail: str, since: int) -> int:
        """How many bans a rule made here since then."""
        row = self._db.execute(
            "SELECT COUNT(*) FROM bans WHERE jail=? AND since>=?", (jail, since)
        ).fetchone()
        return int(row[0])

    def states(self, jail: str) -> set[str]:
        """What was kept with the bans of a rule."""
        rows = self._db.execute("SELECT state FROM bans WHERE jail=? AND state<>''", (jail,))
        return {str(row[0]) for row in rows}

    def prune(self, now: int) -> None:
        """Forget what is long over."""
        self._db.execute("DELETE FROM bans WHERE MAX(until,since)<?", (now - KEEP_SECONDS,))
        self._db.execute("DELETE FROM sent WHERE ban NOT IN (SELECT id FROM bans)")


def read(path: str, since: int) -> tuple[list[Ban], dict[str, str]]:
    """Bans that were in force after `since`, and the notes; changes nothing. Raises OSError."""
    if not os.path.exists(path):
        return [], {}
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
            bans = database.execute(
                "SELECT * FROM bans WHERE COALESCE(ended,until)>=? ORDER BY id", (since,)
            ).fetchall()
            notes = database.execute("SELECT * FROM notes").fetchall()
    except sqlite3.Error as error:
        raise OSError(0, f"{path}: {error}") from error
    return [Ban(*row) for row in bans], {str(row[0]): str(row[1]) for row in notes}


def banned_network(subject: str) -> str:
    """What is shut out for an address: itself, or for IPv6 the /64, which its owner has whole."""
    address = ipaddress.ip_address(subject)
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def plain(text: Any, limit: int = 200) -> str:
    """A text from outside in one line of printable ASCII, without what quotes or ends a string."""
    kept = "".join(c if 32 <= ord(c) < 127 and c not in '"\\' else "?" for c in str(text))
    return kept[:limit]
