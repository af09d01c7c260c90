# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on real hosts is said in one clear line, ends in the right exit code, and leaves
the rest of the fleet to go on.

Each case spoils web1 (or the call), runs a playbook over web1 and web2, and puts web1 right again.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.playing import Play, evidence, play, sh

pytestmark = pytest.mark.hosts

_UNREACHABLE = 4
_FAILED = 2
_NO_HOST = 1
# Without it, the connection that an earlier case left open would be used once more.
_NEW_CONNECTION = ["-e", "ansible_control_path=none"]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet("badinput", {"web1": "bookworm", "web2": "bookworm"}) as started:
        yield started


@dataclass
class Case:
    """`spoil` and `mend` run on web1; `says` is looked for in a single line of the output."""

    spoil: str
    mend: str
    says: str
    code: int
    playbook: str = "audit.yml"
    options: list[str] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)
    state: str = "ok"


_CASES = {
    "a value of the wrong type": Case(
        "true",
        "true",
        "variable ssh_max_auth_tries of web1: found 'many', expected int",
        _FAILED,
        options=["-e", "ssh_max_auth_tries=many"],
        state="error",
    ),
    "a family that is not there": Case(
        "true",
        "true",
        "there is no family shh (did you mean ssh?)",
        _FAILED,
        options=["-e", '{"ringfence_families": ["shh"]}'],
        state="error",
    ),
    "a control that is not there": Case(
        "true",
        "true",
        "there is no control ssh_rootlogin (did you mean ssh_root_login?)",
        _FAILED,
        options=["-e", '{"ringfence_controls": ["ssh_rootlogin"]}'],
        state="error",
    ),
    "a waiver without an end": Case(
        "true",
        "true",
        "ringfence_waivers[0].expires: is missing",
        _FAILED,
        options=[
            "-e",
            '{"ringfence_waivers": [{"control": "ssh_root_login", "reason": "r", "owner": "o"}]}',
        ],
        state="error",
    ),
    "a host without Python": Case(
        "mv /usr/bin/python3 /usr/bin/python3.away",
        "mv /usr/bin/python3.away /usr/bin/python3",
        "/usr/bin/python3",
        _FAILED,
        state="error",
    ),
    "a host that is down": Case(
        "systemctl stop ssh.service",
        "systemctl start ssh.service",
        "Connection refused",
        _UNREACHABLE,
        options=_NEW_CONNECTION,
        state="unreachable",
    ),
    "sudo that asks for a password": Case(
        "mv /etc/sudoers.d/ops /root/ops.away",
        "mv /root/ops.away /etc/sudoers.d/ops",
        "password",
        _FAILED,
        state="error",
    ),
    "sshd's configuration is broken": Case(
        "echo 'NoSuchOption yes' > /etc/ssh/sshd_config.d/50-broken.conf",
        "rm /etc/ssh/sshd_config.d/50-broken.conf",
        "NoSuchOption",
        _FAILED,
        status={"ssh_root_login": "error", "ssh_max_auth_tries": "error"},
    ),
    "the package list is damaged": Case(
        "mv /var/lib/dpkg/status /var/lib/dpkg/status.away && echo garbage > /var/lib/dpkg/status",
        "mv /var/lib/dpkg/status.away /var/lib/dpkg/status",
        "dpkg-query",
        _FAILED,
    ),
    "the file system is read-only": Case(
        "mount -o bind /etc/ssh /etc/ssh && mount -o remount,ro,bind /etc/ssh",
        "umount /etc/ssh",
        "Read-only file system",
        _FAILED,
        "apply.yml",
        ["-e", '{"ringfence_controls": ["ssh_max_auth_tries"]}', "-e", "ssh_max_auth_tries=3"],
        {"ssh_max_auth_tries": "error"},
    ),
    "the disk is full": Case(
        "mount -t tmpfs -o size=16k none /etc/sysctl.d; "
        "head -c 1M /dev/zero > /etc/sysctl.d/fill; true",
        "umount /etc/sysctl.d",
        "No space left on device",
        _FAILED,
        "apply.yml",
        ["-e", '{"ringfence_controls": ["kernel_syn_cookies"]}'],
        {"kernel_syn_cookies": "error"},
    ),
    "a link in the place of our drop-in": Case(
        "mv /etc/ssh/sshd_config.d/00-ringfence.conf /root/kept 2>/dev/null; touch /root/theirs; "
        "ln -s /root/theirs /etc/ssh/sshd_config.d/00-ringfence.conf",
        "rm /etc/ssh/sshd_config.d/00-ringfence.conf; test ! -s /root/theirs",
        "is not a plain file but a link",
        _FAILED,
        "apply.yml",
        ["-e", '{"ringfence_controls": ["ssh_max_auth_tries"]}', "-e", "ssh_max_auth_tries=2"],
        {"ssh_max_auth_tries": "error"},
    ),
    "an own drop-in that sorts before ours": Case(
        "echo 'MaxAuthTries 9' > /etc/ssh/sshd_config.d/00-first.conf",
        "rm /etc/ssh/sshd_config.d/00-first.conf",
        "ssh_max_auth_tries",
        0,
        "apply.yml",
        ["-e", '{"ringfence_controls": ["ssh_max_auth_tries"]}', "-e", "ssh_max_auth_tries=1"],
        {"ssh_max_auth_tries": "changed"},
    ),
    "a user name that is not UTF-8": Case(
        r"printf 'caf\351:x:4242:4242::/nonexistent:/usr/sbin/nologin\n' >> /etc/passwd",
        r"sed -i '/4242:4242/d' /etc/passwd",
        "web1",
        0,
    ),
    "a sudoers file that is not UTF-8": Case(
        r"printf '# caf\351\n' > /etc/sudoers.d/odd && chmod 0440 /etc/sudoers.d/odd",
        "rm /etc/sudoers.d/odd",
        "web1",
        0,
    ),
    "login.defs is gone": Case(
        "mv /etc/login.defs /etc/login.defs.away",
        "mv /etc/login.defs.away /etc/login.defs",
        "/etc/login.defs",
        0,
        status={"accounts_home_mode": "fail"},
    ),
    "the inventory names no host": Case(
        "true",
        "true",
        "no hosts to target",
        _NO_HOST,
        options=["-l", "nowhere"],
        state="",
    ),
    "a key that cannot be read": Case(
        "true",
        "true",
        "Permission denied",
        _UNREACHABLE,
        options=[*_NEW_CONNECTION, "-e", "ansible_ssh_private_key_file=/nonexistent/key"],
        state="unreachable",
    ),
}


@pytest.fixture
def spoilt(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[Case]:
    case: Case = request.param
    sh(fleet, "web1", case.spoil)
    try:
        yield case
    finally:
        sh(fleet, "web1", case.mend)


@pytest.mark.parametrize("spoilt", _CASES.values(), ids=list(_CASES), indirect=True)
def test_trouble_on_one_host(fleet: Fleet, spoilt: Case, tmp_path: Path) -> None:
    done = play(fleet, spoilt.playbook, *spoilt.options, evidence_in=tmp_path)
    assert done.returncode == spoilt.code, done.output
    assert any(spoilt.says in line for line in done.output.splitlines()), done.output
    assert "Traceback" not in done.output
    if not spoilt.state:
        return
    hosts = {host["name"]: host for host in evidence(tmp_path)["hosts"]}
    assert hosts["web1"]["state"] == spoilt.state
    found = {row["id"]: row["status"] for row in hosts["web1"]["results"]}
    assert {name: found.get(name) for name in spoilt.status} == spoilt.status
    if spoilt.state == "ok" or spoilt.spoil != "true":
        assert hosts["web2"]["state"] == "ok", "the rest of the fleet goes on"


def test_a_module_killed_in_mid_run_is_made_good_by_the_next_run(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Killed after the file is written and before sshd is reloaded: the next apply reloads it."""
    options = [
        "-e",
        '{"ringfence_controls": ["ssh_client_alive_interval"]}',
        "-e",
        "ringfence_guard_timeout=0",
    ]
    sh(fleet, "web1", "mv /usr/bin/systemctl /usr/bin/systemctl.real")
    slow = (
        '#!/bin/sh\\ncase "$*" in *reload*) sleep 60;; *) exec /usr/bin/systemctl.real "$@";; esac'
    )
    sh(fleet, "web1", f"printf '{slow}' > /usr/bin/systemctl; chmod 755 /usr/bin/systemctl")
    sh(
        fleet,
        "web1",
        "sed -i /ClientAlive/d /etc/ssh/sshd_config.d/00-ringfence.conf 2>/dev/null; true",
    )
    running = Play(
        fleet, "apply.yml", *options, "-l", "web1", evidence_in=tmp_path / "first"
    ).start()
    _wait(lambda: "reload" in sh(fleet, "web1", "pgrep -x sleep >/dev/null && echo reload || true"))
    sh(fleet, "web1", "pkill -9 -x python3; pkill -x sleep; true")  # the module, and what it ran
    sh(fleet, "web1", "mv /usr/bin/systemctl.real /usr/bin/systemctl")
    assert running.wait(timeout=60) == _FAILED
    assert "reload_sshd" in sh(fleet, "web1", "cat /var/lib/ringfence/pending-reloads.json")
    before = sh(fleet, "web1", "journalctl -u ssh --no-pager | grep -c 'Received SIGHUP' || true")
    done = play(fleet, "apply.yml", *options, "-l", "web1", evidence_in=tmp_path / "second")
    assert done.returncode == 0, done.output
    after = sh(fleet, "web1", "journalctl -u ssh --no-pager | grep -c 'Received SIGHUP' || true")
    assert int(after) == int(before) + 1
    assert sh(fleet, "web1", "ls /var/lib/ringfence/pending-reloads.json 2>&1 || true").count(
        "No such"
    )


def test_an_evidence_folder_that_cannot_be_written_is_said_and_does_not_break_the_run(
    fleet: Fleet, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = play(fleet, "audit.yml", evidence_in=blocked / "evidence")
    assert done.returncode == 0
    assert sum("vidence" in line and str(blocked) in line for line in done.output.splitlines()) >= 1


def test_ctrl_c_ends_the_run_and_leaves_no_process(fleet: Fleet, tmp_path: Path) -> None:
    running = Play(fleet, "audit.yml", evidence_in=tmp_path).start()
    time.sleep(0.7)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=30) != 0
    left = subprocess.run(
        ["pgrep", "-g", str(running.pid)], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""


def _wait(condition: Callable[[], bool], seconds: int = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.3)
    pytest.fail(f"not within {seconds} s")
