# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-ins from every file that a Debian may keep them in."""

from __future__ import annotations

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_signins as signins
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Completed, Host

THEN, LATER = 1_750_000_000, 1_760_000_000
NAMES = {0: "root", 1000: "ada"}


def entry(user: str, when: int, address: bytes = b"", kind: int = 7) -> bytes:
    return struct.pack(
        "=hxxi32s4s32s256shhiii16s20s",
        kind, 1, b"pts/0", b"ts/0", user.encode(), b"", 0, 0, 0, when, 0, address, b"",
    )  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "var/log").mkdir(parents=True)
    return Host(str(tmp_path))


def states(found: signins.SignIns) -> dict[str, str]:
    return {one["source"]: one["state"] for one in found.coverage}


def test_nothing_there_is_told_as_such(host: Host) -> None:
    found = signins.read(host, NAMES, 10)
    assert set(states(found).values()) == {"absent"}
    assert (found.last, found.since) == ({}, "")


def test_wtmp_and_its_older_file(host: Host, tmp_path: Path) -> None:
    six = bytes.fromhex("20010db8000000000000000000000001")
    (tmp_path / "var/log/wtmp.1").write_bytes(entry("ada", THEN, bytes([192, 0, 2, 1])))
    (tmp_path / "var/log/wtmp").write_bytes(
        entry("ada", LATER, six) + entry("ada", LATER + 9, kind=8) + b"cut short"
    )
    found = signins.read(host, NAMES, 10)
    assert found.last == {"ada": signins.moment(LATER)}
    assert found.addresses == {"ada": ["2001:db8::1", "192.0.2.1"]}
    assert found.since == signins.moment(THEN)


def test_lastlog_is_sparse(host: Host, tmp_path: Path) -> None:
    with (tmp_path / "var/log/lastlog").open("wb") as handle:
        handle.seek(1000 * 292)
        handle.write(struct.pack("=i32s256s", THEN, b"pts/0", b"198.51.100.4"))
    found = signins.read(host, {**NAMES, 60000: "late"}, 10)
    assert found.last == {"ada": signins.moment(THEN)}
    assert found.addresses["ada"] == ["198.51.100.4"]


def test_lastlog2_and_wtmpdb(host: Host, tmp_path: Path) -> None:
    for path, make, rows in (
        (
            "var/lib/lastlog/lastlog2.db",
            "CREATE TABLE Lastlog2 (Name TEXT, Time INTEGER, TTY TEXT, RemoteHost TEXT)",
            [("ada", THEN, "pts/0", "::ffff:192.0.2.1"), ("never", 0, "", "")],
        ),
        (
            "var/lib/wtmpdb/wtmp.db",
            "CREATE TABLE wtmp (Type INTEGER, User TEXT, Login INTEGER, RemoteHost TEXT)",
            [(3, "ada", LATER * 1_000_000, "host.example"), (1, "boot", LATER * 1_000_000, "")],
        ),
    ):
        target = tmp_path / path
        target.parent.mkdir(parents=True)
        with closing(sqlite3.connect(target)) as base:
            base.execute(make)
            base.executemany(f"INSERT INTO {make.split()[2]} VALUES (?, ?, ?, ?)", rows)  # noqa: S608
            base.commit()
    found = signins.read(host, NAMES, 10)
    assert found.last == {"ada": signins.moment(LATER)}
    assert found.addresses == {"ada": ["192.0.2.1"]}


def test_the_journal_tells_which_key(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/journalctl").touch()
    said = "Accepted publickey for ada from 192.0.2.1 port 5 ssh2: ED25519 SHA256:abc"
    lines = [
        json.dumps({"MESSAGE": said, "__REALTIME_TIMESTAMP": str(THEN * 1_000_000)}),
        json.dumps({"MESSAGE": [1, 2], "__REALTIME_TIMESTAMP": "1"}),
        "no JSON",
    ]
    asked: list[Any] = []

    def run(argv: list[str], **_options: Any) -> Completed:
        asked.append(argv)
        return Completed(0, "\n".join(lines), "")

    monkeypatch.setattr(host, "run", run)
    found = signins.read(host, NAMES, 30)
    assert found.keys == {("ada", "SHA256:abc"): signins.moment(THEN)}
    # anybody may log as "sshd"; these fields are journald's own
    assert "_UID=0" in asked[0]


def test_a_broken_file_is_a_gap_and_costs_no_other(host: Host, tmp_path: Path) -> None:
    (tmp_path / "var/lib/lastlog").mkdir(parents=True)
    (tmp_path / "var/lib/lastlog/lastlog2.db").write_bytes(b"no database at all" * 99)
    (tmp_path / "var/log/wtmp").write_bytes(entry("ada", THEN))
    found = signins.read(host, NAMES, 10)
    assert (states(found)["lastlog2"], states(found)["wtmp"]) == ("failed", "read")
    assert found.last == {"ada": signins.moment(THEN)}
