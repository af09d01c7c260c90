# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user types wrong gets one clear line and a right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.access import free_ports
from tests.fleet.command import FleetError, run
from tests.fleet.fleet import parse_hosts
from tests.fleet.watcher import ROOT, is_alive, process_identity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bookworm", {"web1": "bookworm"}),
        ("bookworm,trixie", {"web1": "bookworm", "web2": "trixie"}),
        ("db=trixie, bookworm", {"db": "trixie", "web2": "bookworm"}),
    ],
)
def test_hosts(text: str, expected: dict[str, str]) -> None:
    assert parse_hosts(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sid", "host 'sid': release must be one of bookworm, trixie"),
        ("", "host '': release must be one of bookworm, trixie"),
        ("a=bookworm,a=trixie", "host 'a' is listed twice"),
        ("web2=trixie,bookworm", "host 'web2' is listed twice"),
        ("We b=bookworm", "host 'We b': a name has a-z, 0-9 and -, and begins"),
        ("-x=bookworm", "host '-x': a name has"),
    ],
)
def test_wrong_hosts(text: str, message: str) -> None:
    with pytest.raises(FleetError) as caught:
        parse_hosts(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["up", "--name", "x", "--hosts", "sid"], 1, "fleet: host 'sid': release must be"),
        (["up", "--name", "No!", "--hosts", "bookworm"], 1, "fleet: fleet 'No!': a name has"),
        (["up", "--name", "x"], 2, "the following arguments are required: --hosts"),
        (["build", "--release", "sid"], 2, "invalid choice: 'sid'"),
        (["down"], 2, "one of the arguments --name --dir is required"),
        ([], 2, "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage(arguments: list[str], code: int, message: str) -> None:
    done = _fleet(*arguments)
    assert done.returncode == code
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_without_podman_the_user_is_told_what_to_run(tmp_path: Path) -> None:
    done = _fleet("list", PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "fleet: podman: not installed; run tools/setup.sh first\n"


def test_a_failed_program_is_one_line_with_its_last_word() -> None:
    with pytest.raises(FleetError, match=r"^sh -c 'echo a >&2; echo why >&2; exit 3': why$"):
        run(["sh", "-c", "echo a >&2; echo why >&2; exit 3"])


def test_a_silent_failure_shows_its_code() -> None:
    with pytest.raises(FleetError, match=r"^false: 1$"):
        run(["false"])


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(FleetError, match=r"sleep 60: no end after 0.1 s"):
        run(["sleep", "60"], timeout=0.1)


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    mine = process_identity(os.getpid())
    assert is_alive(mine)
    assert not is_alive(f"{os.getpid()}:1")
    with subprocess.Popen(["true"]) as ended:
        pass
    assert not is_alive(f"{ended.pid}:{mine.partition(':')[2]}")


def test_ports_are_free_and_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(20000 <= port < 32000 for port in ports)


def _fleet(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fleet", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
