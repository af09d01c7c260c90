# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup records, and what a restore is compared with."""

from __future__ import annotations

import email.utils
import hashlib
import http.server
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host as backup

_AS_JSON = '{"message_type":"exit_error","code":1,"message":"Fatal: tcp: connection refused"}'


@pytest.mark.parametrize(
    ("path", "pattern", "left_out"),
    [
        ("/var/www/a/cache", "cache", True),
        ("/var/www/a/cache/x", "cache", False),  # its folder is left out before
        ("/var/www/a/cached", "cache", False),
        ("/var/www/a/x.log", "*.log", True),
        ("/var/www/a/x.log", "/*.log", False),
        ("/var/www/a/x.log", "/var/www/a/*.log", True),
        ("/var/www/a/b/x.log", "/var/www/*.log", False),
        ("/var/www/a/b/x.log", "/var/**/x.log", True),
        ("/var/www/a/wp-content/cache", "wp-content/cache", True),
        ("/var/www/a/wp-content/x/cache", "wp-content/cache", False),
    ],
)
def test_a_pattern_leaves_out_what_restic_leaves_out(
    path: str, pattern: str, left_out: bool
) -> None:
    assert backup.excluded(path, [pattern]) is left_out


def _site(folder: Path) -> str:
    root = folder / "live" / "site"
    root.mkdir(parents=True)
    (root / "page").write_bytes(b"one")
    (
        root
        / "odd\udcff name\n".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    ).write_bytes(b"odd")
    (root / "link").symlink_to("/etc/passwd")
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    (root / "x.log").write_bytes(b"left out")
    return str(root)


def test_an_inventory_has_files_links_and_folders_and_never_follows(tmp_path: Path) -> None:
    root = _site(tmp_path)
    found = backup.inventory([root], ["*.log"])
    kinds = {os.path.basename(path): row["kind"] for path, row in found.items()}
    assert kinds.pop("odd\udcff name\n") == "file"
    assert kinds == {"site": "folder", "page": "file", "link": "link", "broken": "link"}
    assert found[f"{root}/link"] == {"kind": "link", "target": "/etc/passwd"}


def test_what_is_as_it_was_is_not_read_again(tmp_path: Path) -> None:
    root = _site(tmp_path)
    first = backup.inventory([root], [])
    known = {path: {**row, "sha256": "kept"} for path, row in first.items() if "sha256" in row}
    (Path(root) / "page").write_bytes(b"two")
    second = backup.inventory([root], [], known)
    assert second[f"{root}/x.log"]["sha256"] == "kept"
    assert second[f"{root}/page"]["sha256"] != "kept"


def test_a_restore_is_compared_byte_by_byte(tmp_path: Path) -> None:
    root = _site(tmp_path)
    wanted = backup.inventory([root], ["pipe"])
    copy = tmp_path / "restored"
    copy.mkdir()
    packed = ["tar", "--format=posix", "--exclude=pipe", "-cPf", f"{tmp_path}/all.tar", root]
    subprocess.run(packed, check=True)
    subprocess.run(["tar", "-xf", f"{tmp_path}/all.tar", "-C", str(copy)], check=True)
    same = backup.compare(wanted, str(copy))
    assert same == {"matched": len(wanted), "missing": [], "different": [], "moved_on": []}
    page = Path(f"{copy}{root}/page")
    seen = page.stat()
    page.write_bytes(b"0ne")
    os.utime(page, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    Path(f"{copy}{root}/broken").unlink()
    Path(f"{copy}{root}/link").unlink()
    Path(f"{copy}{root}/link").symlink_to("/etc/shadow")
    Path(f"{copy}{root}/x.log").write_bytes(b"written to meanwhile")
    found = backup.compare(wanted, str(copy))
    assert set(found["different"]) == {f"{root}/page", f"{root}/link"}
    assert found["missing"] == [f"{root}/broken"]
    assert found["moved_on"] == [f"{root}/x.log"]


def test_rows_are_counted_in_the_dump_itself() -> None:
    counted = backup._Counted()
    for line in (
        b"CREATE TABLE `wp``odd` (\n",
        b"  `id` int\n",
        b") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n",
        b"INSERT INTO `wp``odd` VALUES\n",
        b"(1,'a (b) INSERT INTO `x` VALUES'),\n",
        b"(2,'c\\n(3)');\n",
        b"CREATE TABLE `empty` (\n",
        b") ENGINE=MyISAM;\n",
        b"INSERT INTO `one` VALUES (1,'on a line of its own');\n",
    ):
        counted.take(line)
    assert counted.tables == {"wp`odd": 2, "empty": 0, "one": 1}
    assert counted.unsafe == ["empty"]
    assert not counted.complete
    counted.take(b"-- Dump completed\n")
    assert counted.complete


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Fatal: unable to open config file: Stat: Access Denied.", "refuses the access key"),
        ("The request signature … SignatureDoesNotMatch", "refuses the access key"),
        ("RequestTimeTooSkewed: The difference", "clock"),
        ("Save: write /x: no space left on device", "no space left"),
        (_AS_JSON, "cannot be reached"),
        ("client.PutObject: 503 Service Unavailable", "too busy"),
        ("Fatal: pack 25039 is damaged", "pack 25039 is damaged"),
        ("QuotaExceeded", "no room left"),
        ("x509: certificate has expired or is not yet valid", "clock of this host"),
        ("Head …: Connection closed by foreign host http://x. Retry again.", "cannot be reached"),
        ("", "no word"),
        ("something else", "something else"),
    ],
)
def test_a_complaint_is_said_in_plain_words(said: str, words: str) -> None:
    told = backup.meaning(said)
    assert words in told
    assert "message_type" not in told


def test_the_newest_backup_up_to_a_moment_is_chosen() -> None:
    rows = [
        {"id": "a", "site": "shop", "time": 10.0},
        {"id": "b", "site": "blog", "time": 15.0},
        {"id": "c", "site": "shop", "time": 20.0},
    ]
    assert backup.choose(rows, "shop")["id"] == "c"
    assert backup.choose(rows, "shop", 19.0)["id"] == "a"
    for site, at in (("shop", 9.0), ("none", None)):
        with pytest.raises(backup.BackupError, match="there is no backup of"):
            backup.choose(rows, site, at)


def test_secrets_are_in_files_of_ones_own_and_in_no_environment() -> None:
    with backup.opened("s3:x/y", "the-password", "KEY", "the-secret", authority="PEM") as found:
        environment = found.environment()
        assert not [value for value in environment.values() if "the-" in value]
        for path in (found.password_file, found.key_file):
            assert os.stat(path).st_mode & 0o777 == 0o600
        assert "the-secret" in Path(found.key_file).read_text()
    assert not Path(found.password_file).exists()


def _programs(folder: Path, **scripts: str) -> None:
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def test_a_server_is_told_by_its_packages_and_rules_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, spool = tmp_path / "bin", tmp_path / "spool"
    programs.mkdir()
    spool.mkdir()
    (spool / "nftables.nft").write_text("of a firewall that is gone")
    _programs(programs, dpkg_query="echo nginx:amd64 1.22 ii", apt_mark="echo nginx")
    monkeypatch.setenv("PATH", str(programs))
    found = backup.describe(str(spool))
    assert set(found) == {"packages.txt", "packages-manual.txt"} == set(os.listdir(spool))
    assert (spool / "packages.txt").read_text() == "nginx:amd64 1.22 ii\n"
    _programs(programs, nft="echo Operation not permitted >&2; exit 1")
    with pytest.raises(backup.BackupError, match="nft: Operation not permitted"):
        backup.describe(str(spool))


def test_what_tells_a_server_is_proven_too(tmp_path: Path) -> None:
    (tmp_path / "packages.txt").write_text("as it was")
    same = hashlib.sha256(b"as it was").hexdigest()
    wanted = {"packages.txt": same, "nftables.nft": same}
    found: dict[str, Any] = {"matched": 1, "missing": [], "different": []}
    backup._compare_described(wanted, str(tmp_path), found)
    assert found == {"matched": 2, "missing": ["nftables.nft"], "different": []}
    (tmp_path / "nftables.nft").write_text("other rules")
    found = {"matched": 0, "missing": [], "different": []}
    backup._compare_described(wanted, str(tmp_path), found)
    assert found == {"matched": 1, "missing": [], "different": ["nftables.nft"]}


@contextmanager
def _server(date: str) -> Iterator[str]:
    """An S3 server that refuses everybody and dates its answers so."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(403)
            self.send_header("Date", date)
            self.end_headers()

        def log_message(self, *_given: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"s3:http://127.0.0.1:{server.server_port}/bucket/acme"
        server.shutdown()


def _restic(folder: Path, script: str) -> str:
    _programs(folder, restic=script)
    return str(folder / "restic")


@pytest.mark.parametrize(
    ("off", "told"),
    [
        (3600, "the clock of this host is 60 min behind S3's"),
        (-7200, "the clock of this host is 120 min ahead of S3's"),
        (600, "S3 refuses the access key"),
        (None, "S3 refuses the access key"),
    ],
)
def test_a_refusal_is_the_clocks_where_the_clock_is_off(
    tmp_path: Path, off: int | None, told: str
) -> None:
    program = _restic(tmp_path, "echo 'Fatal: Stat: Access Denied.' >&2; exit 1")
    date = "some day" if off is None else email.utils.formatdate(time.time() + off, usegmt=True)
    with _server(date) as url, pytest.raises(backup.BackupError, match=told):
        backup.restic(backup.Repository(url, "/p", "/k"), "snapshots", program=program)


@pytest.mark.parametrize("url", ["s3:http://127.0.0.1:1/b/c", "/srv/local"])
def test_a_clock_that_cannot_be_asked_is_not_blamed(tmp_path: Path, url: str) -> None:
    program = _restic(tmp_path, "echo 'Fatal: Stat: Access Denied.' >&2; exit 1")
    with pytest.raises(backup.BackupError, match="S3 refuses the access key"):
        backup.restic(backup.Repository(url, "/p", "/k"), "snapshots", program=program)


def test_one_that_does_not_end_says_what_it_met(tmp_path: Path) -> None:
    program = _restic(tmp_path, "echo 'List(lock) returned error: 503 Busy' >&2; exec sleep 60")
    with pytest.raises(backup.BackupError, match="no end after 1 s: S3 is too busy to answer"):
        backup.restic(backup.Repository("/x", "/p", "/k"), "list", program=program, seconds=1)
