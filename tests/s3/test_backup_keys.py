# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence prune` and `backup-keys` as a user calls them, on repositories in an S3 server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups, restic_program

from tests.s3 import embedded

pytestmark = pytest.mark.hosts

ROOT = Path(__file__).resolve().parents[2]
_OLD, _NEW, _AGENCY = "the-old-secret", "the-new-secret", "the-agencys-secret"
_KEY = {"key": embedded.ACCESS_KEY, "secret": embedded.SECRET_KEY}


class _Desk:
    """A register of one client and one host, and the command at work on it."""

    def __init__(self, url: str, folder: Path) -> None:
        place = {"bucket": "backups", "endpoint": url, "region": "eu-west-1"}
        keys = {"writer": _KEY, "keeper": _KEY, "keep": {"hourly": 1}}
        self.settings: dict[str, Any] = {**place, **keys}
        self.folder, self.said = folder, ""
        # This machine, which has no password of any client's repository, stands for the host.
        self.way: dict[str, Any] = {"ansible_connection": "local", "ansible_become": False}
        (self.server,) = backups.server({**self.settings, "password": _AGENCY}, "web1")

    def site(self, **backup: Any) -> dict[str, Any]:
        settings = {**self.settings, "password": _OLD, **backup}
        return {"client": "acme", "id": "shop", "root": "/etc/apt", "backup": settings}

    def restic(self, site: dict[str, Any], *words: str) -> str:
        opened = _backup_host.opened(**backups.opening(site), cache=str(self.folder / "cache"))
        with opened as repository:
            return _backup_host.restic(repository, *words, program=restic_program.program())

    def stored(self) -> int:
        """Bytes of data that acme's repository has in the bucket."""
        client = embedded.client(self.settings["endpoint"])
        listed = client.list_objects_v2(Bucket="backups", Prefix="acme/data/")
        return sum(row["Size"] for row in listed["Contents"])

    def call(self, *words: str, **backup: Any) -> tuple[int, str]:
        hosts = {
            "web1": {
                **self.way,
                "ringfence_sites": [self.site(**backup)],
                "backup_server": {**self.settings, "password": _AGENCY},
            }
        }
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        where = ["-i", str(inventory), "--evidence-dir", str(self.folder / "evidence")]
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ringfence"), *words, *where],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        self.said += said
        return done.returncode, " ".join(said.split())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Desk]:
    with embedded.server() as url:
        where = {"LocationConstraint": "eu-west-1"}
        embedded.client(url).create_bucket(Bucket="backups", CreateBucketConfiguration=where)
        made = _Desk(url, tmp_path_factory.mktemp("keys"))
        for site in (made.site(), made.server):
            made.restic(site, "init")
            for _number in range(2):
                made.restic(site, "backup", f"--tag=site={site['id']}", "/etc/apt")
        yield made


def test_old_backups_of_clients_and_servers_go(desk: _Desk) -> None:
    for words, count in ((("--check",), 2), ((), 2), (("--client", "acme"), 0)):
        code, said = desk.call("prune", *words)
        assert (code, f"{count} backups of" in said) == (0, True), said
    assert "1 snapshots" in desk.restic(desk.server, "snapshots")


def test_data_goes_too_where_a_run_was_stopped_before_it_did(desk: _Desk) -> None:
    data = desk.folder / "data"
    data.write_bytes(os.urandom(1_000_000))
    desk.restic(desk.site(), "backup", "--tag=site=shop", str(data))
    size = desk.stored()
    desk.restic(desk.site(), "forget", "latest")
    assert desk.stored() == size
    code, said = desk.call("prune", "--client", "acme")
    assert (code, "0 backups of" in said) == (0, True), said
    assert desk.stored() < size - 900_000


def test_a_password_is_planned_added_and_the_old_one_dropped(desk: _Desk) -> None:
    coming = {"next": {"password": _NEW}}
    for words, code, told in (
        ((), 3, "nobody is there to be asked: give --yes"),
        (("--yes",), 0, "backup.next.password opens it too"),
        (("--yes",), 0, "nothing is to be done"),
    ):
        ended, said = desk.call("backup-keys", "acme", "add-password", *words, **coming)
        assert (ended, told in said) == (code, True), said
    code, said = desk.call("backup-keys", "acme", "drop-passwords", "--yes", **coming)
    assert (code, "the register still has backup.next" in said) == (2, True), said
    desk.way, kept = {"ansible_host": "127.0.0.1", "ansible_port": 1}, desk.way
    code, said = desk.call("backup-keys", "acme", "drop-passwords", "--yes", password=_NEW)
    assert (code, "web1 does not say which password it has" in said) == (2, True), said
    desk.way = kept
    desk.restic(desk.site(), "snapshots")
    code, said = desk.call("backup-keys", "acme", "drop-passwords", "--yes", password=_NEW)
    assert (code, "1 other password removed" in said) == (0, True), said
    with pytest.raises(_backup_host.BackupError, match="password is wrong"):
        desk.restic(desk.site(), "snapshots")


def test_each_of_two_people_opens_the_escrow_alone(desk: _Desk, tmp_path: Path) -> None:
    keys = [tmp_path / "one", tmp_path / "two", tmp_path / "nobody"]
    for key in keys:
        subprocess.run(["age-keygen", "-o", str(key)], capture_output=True, check=True)
    people = [
        subprocess.run(
            ["age-keygen", "-y", str(key)], capture_output=True, text=True, check=True
        ).stdout.strip()
        for key in keys[:2]
    ]
    kept = desk.folder / "evidence" / "backup-escrow" / "acme.age"
    say = ("backup-keys", "acme", "escrow")
    for words, escrow, code, told in (
        (("--check",), people[:1], 2, "expected two recipients"),
        (("--yes",), people[:1], 2, "expected two recipients"),
        (("--check",), people, 0, f"would be encrypted to 2 people, in {kept}"),
        (("--yes",), people, 0, f"encrypted to 2 people, in {kept}"),
    ):
        assert not kept.exists()
        ended, said = desk.call(*say, *words, password=_NEW, escrow=escrow)
        assert (ended, told in said) == (code, True), said
    assert kept.stat().st_mode & 0o777 == 0o600
    opened = [
        subprocess.run(["age", "--decrypt", "-i", str(key), str(kept)], capture_output=True)
        for key in keys
    ]
    assert [done.returncode for done in opened] == [0, 0, 1]
    assert {done.stdout for done in opened[:2]} == {_NEW.encode()}
    desk.restic(desk.site(password=opened[0].stdout.decode()), "snapshots")


def test_one_repository_that_cannot_be_pruned_stops_no_other(desk: _Desk) -> None:
    desk.restic(desk.server, "backup", "--tag=site=web1", "/etc/apt")
    code, said = desk.call("prune")  # acme's password in this register is no longer right
    assert (code, "acme: restic" in said, "password is wrong" in said) == (2, True, True), said
    assert "1 snapshots" in desk.restic(desk.server, "snapshots")


def test_all_backups_are_copied_below_a_new_master_key(desk: _Desk) -> None:
    moved = {"repository": "acme-2", "password": "another-secret"}
    desk.restic(desk.site(**moved), "init")
    old = desk.folder / "old"
    old.write_text(f"{_NEW}\n")
    say = ("--old-repository", "acme", "--old-password-file", str(old), "--yes")
    for told in ("1 backup copied", "nothing is to be done"):
        code, said = desk.call("backup-keys", "acme", "copy", *say, **moved)
        assert (code, told in said) == (0, True), said


def test_shredding_leaves_what_nobody_opens(desk: _Desk) -> None:
    code, said = desk.call("backup-keys", "_server/web1", "shred", "--check")
    assert (code, "1 version of its key files would be deleted" in said) == (0, True), said
    desk.restic(desk.server, "snapshots")
    code, said = desk.call("backup-keys", "_server/web1", "shred", "--yes")
    assert (code, "1 version of its key files deleted" in said) == (0, True), said
    with pytest.raises(_backup_host.BackupError):
        desk.restic(desk.server, "snapshots")


def test_no_secret_was_printed(desk: _Desk) -> None:
    secrets = (_OLD, _NEW, _AGENCY, embedded.SECRET_KEY, desk.server["backup"]["password"])
    assert not [secret for secret in secrets if secret in desk.said]
