# SPDX-License-Identifier: GPL-3.0-or-later
"""Run documents and stores to put them into."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.evidence import CatalogueCopy, Store

SHA = "c" * 64
CATALOGUE = CatalogueCopy(
    SHA,
    {"ssh_root_login": {"id": "ssh_root_login", "title": "SSH refuses direct root login"}},
    {"cis_debian12": [{"section": "5.1.20", "controls": ["ssh_root_login"]}]},
)


def run_id(number: int) -> str:
    """A run id that sorts by `number`."""
    return f"01M85{number:021d}"


def run_document(number: int = 1, **run: Any) -> dict[str, Any]:
    """A run of two hosts, one of them out of reach."""
    head = {
        "id": run_id(number),
        "started": f"2026-01-{number:02d}T00:00:00Z",
        "finished": f"2026-01-{number:02d}T00:01:00Z",
        "playbook": "audit.yml",
        "mode": "audit",
        "operator": "alice",
        "controller": "ctl1",
        "limit": None,
        "ansible_core": "2.19.14",
        "ringfence": "0.1.0",
        "catalogue_sha256": SHA,
    }
    result = {
        "id": "ssh_root_login",
        "status": "fail",
        "expected": "no",
        "observed": f"yes, run {number}",
        "message": "",
        "waiver": None,
    }
    return {
        "schema": 1,
        "run": {**head, **run},
        "hosts": [
            {"name": "web1", "state": "ok", "message": "", "host": {}, "results": [result]},
            {
                "name": "web2",
                "state": "unreachable",
                "message": "no route",
                "host": {},
                "results": [],
            },
        ],
    }


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store in SQLite."""
    return f"sqlite:///{tmp_path / 'evidence/ringfence.sqlite'}"


@pytest.fixture
def store(url: str) -> Store:
    """An empty store in SQLite."""
    return Store(url)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server, Debian's own, started for this session on a socket."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    binaries = programs[-1].parent
    with tempfile.TemporaryDirectory(prefix="ringfence-pg-", dir="/tmp") as name:
        folder = Path(name)
        data = folder / "data"
        user = _unprivileged(folder)
        options = {"user": user, "cwd": folder, "check": True, "capture_output": True}
        subprocess.run([binaries / "initdb", "-U", "ringfence", "-A", "trust", data], **options)
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="],
                user=user,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
            try:
                _wait(folder / ".s.PGSQL.5432", server)
                yield f"postgresql://ringfence@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)  # fast: does not wait for clients
                server.wait(30)


def _unprivileged(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return None
    user = pwd.getpwnam("postgres")
    shutil.chown(folder, user.pw_uid, user.pw_gid)
    return user.pw_name


def _wait(path: Path, server: subprocess.Popen[bytes]) -> None:
    import time

    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError((path.parent / "log").read_text())
        with socket.socket(socket.AF_UNIX) as client:
            if path.exists() and client.connect_ex(str(path)) == 0:
                ready = subprocess.run(
                    ["pg_isready", "-h", path.parent], capture_output=True, check=False
                )
                if ready.returncode == 0:
                    return
        time.sleep(0.1)
    raise RuntimeError("PostgreSQL did not start")
