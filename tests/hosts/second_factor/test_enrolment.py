# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrolment on a terminal: the secret is seen once, there, and nowhere else."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.playing import Done, play
from tests.hosts.second_factor.conftest import Apply, wipe
from tests.hosts.second_factor.people import Enrolment, add_account, enrol

pytestmark = pytest.mark.hosts

STATE = "/var/lib/ringfence/second-factor"


@pytest.fixture(scope="module", autouse=True)
def people(fleet: Fleet, host: str, apply: Apply) -> Iterator[None]:
    wipe(fleet, host, apply)
    for name in ("alice", "bob"):
        add_account(fleet, host, name)
    yield
    wipe(fleet, host, apply)


@pytest.fixture
def clean(fleet: Fleet, host: str) -> None:
    fleet.exec(host, "sh", "-c", "rm -rf /var/lib/ringfence/second-factor*")


@pytest.mark.usefixtures("clean")
def test_the_secret_is_nowhere_but_on_the_screen_and_in_its_file(
    fleet: Fleet, host: str, tmp_path: Path
) -> None:
    """With all that Ansible can be told to say and to keep."""
    evidence, home, output = tmp_path / "evidence", tmp_path / "home", tmp_path / "output"
    for folder in (evidence, home):
        folder.mkdir()
    loud = {
        "ANSIBLE_DEBUG": "1",
        "ANSIBLE_KEEP_REMOTE_FILES": "1",
        "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
        "ANSIBLE_LOCAL_TEMP": str(home),
        "RINGFENCE_EVIDENCE_DIR": str(evidence),
        "HOME": str(home),
        "TMPDIR": str(home),
    }
    with _Watch() as watch:
        enrolment = Enrolment(
            fleet,
            host,
            "alice",
            "-vvvvv",
            command=f'exec >"{output}" 2>&1; exec',
            environment=loud,
        )
        token = enrolment.scan()
        enrolment.answer(token.code())
        enrolment.keep_recovery_codes(token)
        assert enrolment.end() == 0, output.read_text()[-2000:]
    assert len(token.recovery_codes) == 5
    assert output.stat().st_size > 10_000  # it did say a lot
    told = [token.secret, *token.recovery_codes]
    assert [path for path in tmp_path.rglob("*") if _holds(path, told)] == []
    assert [text for text in told if text in enrolment.seen.after_leaving()] == []
    assert watch.looks > 20
    assert [text for text in told if text in watch.seen] == []
    on_host = "grep -rlF -e {} /etc /home /root /run /srv /tmp /var 2>/dev/null || true"
    pattern = " -e ".join(told)
    assert fleet.exec(host, "sh", "-c", on_host.format(pattern)).split() == [f"{STATE}/alice"]
    journal = fleet.exec(host, "journalctl", "--no-pager", "-o", "cat")
    assert "phase=confirm" in journal
    assert [text for text in told if text in journal] == []


@pytest.mark.usefixtures("clean")
def test_the_state_is_roots_alone_and_as_pam_wants_it(fleet: Fleet, host: str) -> None:
    token = enrol(fleet, host, "alice")
    listed = fleet.exec(host, "stat", "-c", "%U:%G %a %F", STATE, f"{STATE}/alice").splitlines()
    assert listed == ["root:root 700 directory", "root:root 600 regular file"]
    lines = fleet.exec(host, "cat", f"{STATE}/alice").splitlines()
    assert lines[0] == token.secret
    assert lines[1:3] == ['" RATE_LIMIT 5 300', '" WINDOW_SIZE 3']
    assert lines[3].startswith('" DISALLOW_REUSE ')
    assert lines[4] == '" TOTP_AUTH'
    assert sorted(lines[5:]) == sorted(token.recovery_codes)


@pytest.mark.usefixtures("clean")
def test_a_wrong_code_enrols_nobody_and_the_right_one_then_does(fleet: Fleet, host: str) -> None:
    enrolment = Enrolment(fleet, host, "alice")
    token = enrolment.scan()
    for wrong, told in (
        ("000000" if token.code() != "000000" else "000001", "not the code of this secret"),
        (token.code(-4), "120 s behind this host's clock"),
        ("letters", "expected the six digits"),
    ):
        enrolment.answer(wrong)
        enrolment.child.expect(f"Not taken: .*{told}")
        assert not _enrolled(fleet, host, "alice")
    enrolment.answer(token.code())
    enrolment.keep_recovery_codes(token)
    assert enrolment.end() == 0
    assert _enrolled(fleet, host, "alice")


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("how", ["Enter", "Ctrl-C", "five wrong codes"])
def test_giving_up_leaves_nobody_enrolled_and_no_secret_on_view(
    fleet: Fleet, host: str, how: str
) -> None:
    enrolment = Enrolment(fleet, host, "alice")
    token = enrolment.scan()
    if how == "Enter":
        enrolment.answer("")
    elif how == "Ctrl-C":
        enrolment.child.sendintr()
    else:
        for _try in range(5):
            enrolment.answer("no code")
            enrolment.child.expect("Not taken")
    assert enrolment.end() != 0
    assert not _enrolled(fleet, host, "alice")
    assert token.secret not in enrolment.seen.after_leaving()


@pytest.mark.usefixtures("clean")
def test_who_is_enrolled_is_enrolled_again_only_after_a_reset(fleet: Fleet, host: str) -> None:
    before = enrol(fleet, host, "bob")
    again = Enrolment(fleet, host, "bob")
    assert again.end() == 2
    assert "account 'bob' is enrolled already" in again.seen.text
    done = _reset(fleet, host, "bob", "phone lost, called back")
    assert (done.returncode, _changed(done)) == (0, 1), done.output
    assert not _enrolled(fleet, host, "bob")
    assert _changed(_reset(fleet, host, "bob", "phone lost, called back")) == 0
    after = enrol(fleet, host, "bob")
    assert after.secret != before.secret
    assert set(after.recovery_codes).isdisjoint(before.recovery_codes)
    history = fleet.exec(host, "cat", "/var/lib/ringfence/second-factor-history.jsonl")
    events = [json.loads(line) for line in history.splitlines()]
    assert [event["event"] for event in events] == ["enrolled", "reset", "enrolled"]
    assert events[1]["reason"] == "phone lost, called back"
    assert "@" in events[1]["operator"]
    assert before.secret not in history


@pytest.mark.parametrize(
    ("account", "told"),
    [
        ("nobody-here", "account 'nobody-here': there is none of that name on this host"),
        ("../../etc/x", "expected a name of letters"),
        ("zoë", "expected a name of letters"),
        ("", "expected a name of letters"),
    ],
)
def test_an_odd_or_missing_account_gets_one_clear_line(
    fleet: Fleet, host: str, account: str, told: str
) -> None:
    enrolment = Enrolment(fleet, host, account)
    assert enrolment.end() == 2
    assert told in " ".join(enrolment.seen.text.split())
    assert "Traceback" not in enrolment.seen.text


@pytest.mark.parametrize("reason", ["", "two\nlines"])
def test_a_reset_wants_a_reason(fleet: Fleet, host: str, reason: str) -> None:
    done = _reset(fleet, host, "bob", reason)
    assert done.returncode == 2
    assert "reason: expected one printable line" in done.output


@pytest.mark.usefixtures("clean")
def test_without_a_terminal_nothing_is_made(fleet: Fleet, host: str, tmp_path: Path) -> None:
    options = ("--limit", host, "-e", "second_factor_account=alice")
    done = play(fleet, "second_factor_enrol.yml", *options, evidence_in=tmp_path)
    assert done.returncode == 2
    assert "start ansible-playbook itself, from a terminal" in done.output
    assert fleet.exec(host, "sh", "-c", "ls -A /var/lib/ringfence | grep second || true") == ""


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("variable", ["CI", "RUNNER_OMIT_EVENTS"])
def test_a_recorded_run_is_refused(fleet: Fleet, host: str, variable: str) -> None:
    enrolment = Enrolment(fleet, host, "alice", environment={variable: "1"})
    assert enrolment.end() == 2
    assert "records this run" in enrolment.seen.text
    assert not _enrolled(fleet, host, "alice")


@pytest.mark.usefixtures("clean")
def test_check_mode_asks_and_makes_nothing(fleet: Fleet, host: str, tmp_path: Path) -> None:
    options = ("--limit", host, "-e", "second_factor_account=alice", "--check", "--diff")
    done = play(fleet, "second_factor_enrol.yml", *options, evidence_in=tmp_path)
    assert (done.returncode, _changed(done)) == (0, 1), done.output
    assert fleet.exec(host, "sh", "-c", "ls -A /var/lib/ringfence | grep second || true") == ""


@pytest.mark.usefixtures("clean")
def test_a_low_terminal_is_told_how_high_it_must_be(fleet: Fleet, host: str) -> None:
    enrolment = Enrolment(fleet, host, "alice", rows=10)
    enrolment.child.expect("make it taller, then press Enter")
    assert "secret=" not in enrolment.seen.text
    enrolment.child.setwinsize(60, 120)
    enrolment.answer("")
    token = enrolment.scan()
    enrolment.answer(token.code())
    enrolment.keep_recovery_codes(token)
    assert enrolment.end() == 0


class _Watch:
    """Every command line and environment of this machine, containers included, while it lasts."""

    def __init__(self) -> None:
        self.seen, self.looks = "", 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        found: set[bytes] = set()
        while not self._ended.is_set():
            for name in ("cmdline", "environ"):
                for path in Path("/proc").glob(f"[0-9]*/{name}"):
                    try:
                        found.add(path.read_bytes())
                    except OSError:
                        continue
            self.looks += 1
            time.sleep(0.02)
        self.seen = b"\n".join(found).decode("utf-8", "replace")


def _holds(path: Path, texts: list[str]) -> bool:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    data = path.read_bytes()
    return any(text.encode() in data for text in texts)


def _enrolled(fleet: Fleet, host: str, account: str) -> bool:
    script = f"test -e {STATE}/{account} && echo yes || echo no"
    return fleet.exec(host, "sh", "-c", script).strip() == "yes"


def _reset(fleet: Fleet, host: str, account: str, reason: str) -> Done:
    variables = {"second_factor_account": account, "second_factor_reason": reason}
    options = ("--limit", host, "-e", json.dumps(variables))
    return play(fleet, "second_factor_reset.yml", *options, evidence_in=Path("/tmp/unused"))


def _changed(done: Done) -> int:
    recap = next(line for line in done.output.splitlines() if "changed=" in line)
    return int(recap.split("changed=")[1].split()[0])
