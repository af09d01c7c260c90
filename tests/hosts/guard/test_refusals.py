# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused, changes nothing and says why in one line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import Fleet
from tests.hosts.guard.matrix import GUARDED, HERE, until_ready
from tests.hosts.playing import Done, Play, sh

pytestmark = pytest.mark.hosts

HOSTS = ["bookworm-1", "trixie-1"]
LINE = "LogLevel VERBOSE"
CHANGE = {
    "ansible.builtin.copy": {
        "dest": "/etc/ssh/sshd_config.d/10-lockout.conf",
        "content": f"{LINE}\n",
        "mode": "0600",
    }
}


@pytest.fixture(params=HOSTS)
def host(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    sh(fleet, request.param, "rm -f /etc/ssh/sshd_config.d/10-lockout.conf /run/ready /run/go")


def run(fleet: Fleet, host: str, folder: Path, *options: str, **variables: Any) -> Done:
    return _play(fleet, host, folder, "one_task", *options, **variables).run()


def _play(
    fleet: Fleet, host: str, folder: Path, playbook: str, *options: str, **variables: Any
) -> Play:
    known = {"fault": "trial", "guarded": GUARDED, "guard_seconds": 60, "changes": [CHANGE]}
    extra = ["--limit", host, "-e", json.dumps(known | variables), *options]
    return Play(fleet, str(HERE / f"{playbook}.yml"), *extra, evidence_in=folder)


def line_of(done: Done) -> str:
    lines = [
        line for line in done.output.splitlines() if "guard not armed, nothing changed" in line
    ]
    lines = [line for line in lines if not line.startswith("fatal:")]
    assert len(lines) == 1, done.output
    return lines[0]


def changed_at_all(fleet: Fleet, host: str) -> bool:
    return "10-lockout" in sh(fleet, host, "ls /etc/ssh/sshd_config.d")


@contextlib.contextmanager
def _full_disk(fleet: Fleet, host: str) -> Iterator[None]:
    folder = "/var/lib/ringfence"
    fill = "head -c 3M /dev/zero > full || true"
    mount = f"mkdir -p {folder} && mount -t tmpfs -o size=2M none {folder} && cd {folder} && {fill}"
    sh(fleet, host, mount)
    try:
        yield
    finally:
        sh(fleet, host, f"umount {folder}")


@contextlib.contextmanager
def _no_inodes(fleet: Fleet, host: str) -> Iterator[None]:
    folder = "/var/lib/ringfence"
    mount = f"mkdir -p {folder} && mount -t tmpfs -o size=90M,nr_inodes=20 none {folder}"
    sh(fleet, host, mount)
    try:
        yield
    finally:
        sh(fleet, host, f"umount {folder}")


@contextlib.contextmanager
def _broken_sshd(fleet: Fleet, host: str) -> Iterator[None]:
    path = "/etc/ssh/sshd_config.d/00-broken.conf"
    sh(fleet, host, f"echo NoSuchOption yes > {path}")
    try:
        yield
    finally:
        sh(fleet, host, f"rm {path}")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        pytest.param(_full_disk, "disk is full", id="full disk"),
        pytest.param(_no_inodes, "inodes free", id="no inodes"),
        pytest.param(_broken_sshd, "Bad configuration option: NoSuchOption", id="broken sshd"),
    ],
)
def test_a_guard_that_could_not_put_back_is_not_armed(
    fleet: Fleet, host: str, tmp_path: Path, trouble: Any, said: str
) -> None:
    with trouble(fleet, host):
        done = run(fleet, host, tmp_path)
        assert said in line_of(done)
        assert done.returncode != 0
        assert not changed_at_all(fleet, host)
        assert not sh(fleet, host, "systemctl list-units --no-legend 'ringfence-guard*'")


def test_of_two_runs_at_once_the_second_is_refused(fleet: Fleet, host: str, tmp_path: Path) -> None:
    first = _play(fleet, host, tmp_path / "1", "block", fault="holds_on").start()
    until_ready(fleet, host)
    second = run(fleet, host, tmp_path / "2", fault="the second", changes=[SECOND])
    line = line_of(second)
    assert "another guarded change is under way" in line
    assert "(holds_on) until 20" in line
    assert "11-second" not in sh(fleet, host, "ls /etc/ssh/sshd_config.d")
    sh(fleet, host, "touch /run/go")
    output, _nothing = first.communicate(timeout=120)
    assert first.returncode == 0, output
    assert LINE in sh(fleet, host, "cat /etc/ssh/sshd_config.d/10-lockout.conf")


SECOND = {
    "ansible.builtin.copy": {
        "dest": "/etc/ssh/sshd_config.d/11-second.conf",
        "content": "",
        "mode": "0600",
    }
}


def test_a_trial_arms_nothing_and_shows_the_difference(
    fleet: Fleet, host: str, tmp_path: Path
) -> None:
    done = run(fleet, host, tmp_path, "--check", "--diff")
    assert done.returncode == 0, done.output
    assert f"+{LINE}" in done.output
    assert not changed_at_all(fleet, host)
    block = _play(fleet, host, tmp_path, "block", "--check", fault="holds_on").run()
    assert block.returncode == 0 or "/run/go" in block.output
    assert not sh(fleet, host, "ls -d /var/lib/ringfence/guard/armed.json 2>/dev/null || true")


def test_a_good_change_stays_and_the_second_run_changes_nothing(
    fleet: Fleet, host: str, tmp_path: Path
) -> None:
    first = run(fleet, host, tmp_path)
    assert "changed=1" in first.output, first.output
    last = "cat /var/lib/ringfence/guard/last.json"
    confirmed = json.loads(sh(fleet, host, last))
    assert confirmed["outcome"] == "confirmed"
    second = run(fleet, host, tmp_path)
    assert "changed=0" in second.output
    assert "failed=0" in second.output
    assert json.loads(sh(fleet, host, last))["id"] == confirmed["id"], "a guard for no change"


def test_the_snapshots_are_root_s_own(fleet: Fleet, host: str, tmp_path: Path) -> None:
    run(fleet, host, tmp_path)
    seen = sh(fleet, host, "stat -c '%a %U' /var/lib/ringfence/guard /var/lib/ringfence/guard/*/")
    assert set(seen.splitlines()) == {"700 root"}
    assert fleet.ssh(host, "ls /var/lib/ringfence/guard || true") == ""
