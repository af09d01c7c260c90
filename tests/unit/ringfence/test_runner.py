# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as commands, and a run of real ansible-playbook on this machine."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringfence.runner import Credentials, Job, Run

PASSWORD = "correct-horse-never-in-a-process-list"


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (Job("p.yml"), "ansible-playbook p.yml"),
        (Job("p.yml", inventories=("a", "b c")), "ansible-playbook p.yml -i a -i 'b c'"),
        (Job("p.yml", limit="web*:!web2"), "ansible-playbook p.yml -l 'web*:!web2'"),
        (Job("p.yml", check=True), "ansible-playbook p.yml --check --diff"),
        (Job("p.yml", forks=5), "ansible-playbook p.yml -f 5"),
        (Job("p.yml", variables={"b": 1, "a": ["x y"]}),
         """ansible-playbook p.yml -e '{"a": ["x y"], "b": 1}'"""),
        (Job("p.yml", environment={"A": "b c"}), "A='b c' ansible-playbook p.yml"),
        (Job("p.yml", settings={"A": "b"}), "ansible-playbook p.yml"),
        (Job("p.yml", credentials=Credentials(("f",), PASSWORD, PASSWORD)),
         "ansible-playbook p.yml --vault-password-file f --ask-vault-pass --ask-become-pass"),
    ],
)  # fmt: skip
def test_a_job_as_one_would_type_it(job: Job, expected: str) -> None:
    assert job.command_line() == expected


def test_a_command_line_survives_the_shell() -> None:
    job = Job("p.yml", limit="a'b\"c", variables={"x": "$(touch /tmp/no) `y`"})
    assert shlex.split(job.command_line())[1:] == ["p.yml", *job.arguments()]


def test_passwords_are_in_no_representation() -> None:
    credentials = Credentials((), PASSWORD, PASSWORD)
    assert PASSWORD not in repr(credentials) + repr(Job("p", credentials=credentials))


PLAYBOOK = """\
- hosts: all
  gather_facts: false
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.command: {argv: [BODY]}
      changed_when: false
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nhost_key_checking = true\n")
    monkeypatch.setenv("ANSIBLE_CONFIG", str(tmp_path / "ansible.cfg"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(folder: Path, *argv: str, credentials: Credentials | None = None) -> Job:
    body = ", ".join(f"'{part}'" for part in argv)
    (folder / "p.yml").write_text(PLAYBOOK.replace("BODY", body))
    return Job("p.yml", inventories=("here,",), credentials=credentials or Credentials())


def test_sockets_fit_however_long_the_temporary_folder_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = folder / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with Run(job(folder, "printenv", "ANSIBLE_SSH_CONTROL_PATH_DIR")) as run:
        events = list(run)
    paths = [e["event_data"]["res"]["stdout"] for e in events if e["event"] == "runner_on_ok"]
    assert len(f"{paths[0]}/0123456789.0123456789abcdef") <= 107
    assert not Path(paths[0]).parent.exists()


def left(folder: Path) -> list[str]:
    """Our own; a module that is killed leaves a folder of Ansible's, on the host it ran on."""
    return sorted(path.name for path in (folder / "tmp").glob("ringfence*"))


def test_ansibles_own_settings_are_left_as_they_are(folder: Path) -> None:
    with Run(job(folder, "env")) as run:
        events = list(run)
    results = [e["event_data"]["res"] for e in events if e["event"] == "runner_on_ok"]
    settings = dict(line.partition("=")[::2] for line in results[0]["stdout"].splitlines())
    assert settings["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert "ANSIBLE_CACHE_PLUGIN" not in settings
    assert settings["PWD"] == str(folder) or Path(settings["PWD"]).exists()
    assert run.return_code == 0
    assert left(folder) == []


def test_relative_paths_mean_what_they_mean_here(folder: Path) -> None:
    (folder / "group_vars").mkdir()
    with Run(job(folder, "pwd")) as run:
        events = list(run)
    results = [e["event_data"]["res"] for e in events if e["event"] == "runner_on_ok"]
    assert results[0]["stdout"] == str(folder)


@pytest.mark.parametrize(
    ("playbook", "said"),
    [
        ("nothing.yml", "could not be found"),
        ("p.yml", "syntax"),
    ],
)
def test_what_ansible_refuses_is_said_in_one_line(folder: Path, playbook: str, said: str) -> None:
    (folder / "p.yml").write_text("- hosts: [\n")
    with Run(Job(playbook, inventories=("here,",))) as run:
        list(run)
    assert not run.started
    assert run.return_code != 0
    assert "\n" not in run.trouble()
    assert said in run.trouble().lower() or "yaml" in run.trouble().lower()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_and_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Run(job(folder, "sleep", "4242")) as run:
        for event in run:
            if event["event"] == "runner_on_start":
                wait_for("sleep 4242")
                started = time.monotonic()
                os.kill(os.getpid(), number)
    assert run.interrupted == number.name
    assert time.monotonic() - started < 30
    assert left(folder) == []
    assert signal.getsignal(number) is before
    assert "sleep 4242" not in processes()


def test_a_run_that_answers_no_signal_is_killed_with_its_workers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = [(number, 0.5) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)]
    monkeypatch.setattr("ringfence.runner._ESCALATION", patience)
    with Run(job(folder, "sleep", "4244")) as run:
        for event in run:
            if event["event"] == "runner_on_start":
                wait_for("sleep 4244")
                os.kill(event["pid"], signal.SIGSTOP)
                os.kill(os.getpid(), signal.SIGINT)
    assert run.return_code != 0
    assert "sleep 4244" not in processes()
    assert left(folder) == []


_MISSES_THE_FIRST = """\
import signal, time
signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, signal.SIG_DFL))
end = time.monotonic() + 46
while time.monotonic() < end: time.sleep(0.1)
"""


def test_a_process_that_missed_the_signal_is_sent_it_again(folder: Path) -> None:
    (folder / "misses.py").write_text(_MISSES_THE_FIRST)
    with Run(job(folder, sys.executable, "misses.py")) as run:
        for event in run:
            if event["event"] == "runner_on_start":
                wait_for("misses.py")
                time.sleep(0.5)
                os.kill(os.getpid(), signal.SIGINT)
    wait_for_end("misses.py")
    assert left(folder) == []


def test_other_signals_before_it_do_not_keep_a_signal_from_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look for an event is cut short over and over, up to the very moment in which it ends.
    left_to_send = 3000

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal left_to_send
        left_to_send -= 1
        if not left_to_send:
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("ringfence.runner._TICK_S", 0.02)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Run(job(folder, "sleep", "45")) as run:
            for event in run:
                if event["event"] == "runner_on_start":
                    wait_for("sleep 45")
                    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0002)
                    started = time.monotonic()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert run.interrupted == "SIGINT"
    assert time.monotonic() - started < 30


def test_leaving_early_stops_the_run(folder: Path) -> None:
    with Run(job(folder, "sleep", "4243")) as run:
        for event in run:
            if event["event"] == "runner_on_start":
                break
    assert "sleep 4243" not in processes()
    assert left(folder) == []


def test_a_typed_password_is_in_no_process_list_and_in_no_file(folder: Path) -> None:
    vault = subprocess.run(
        [Path(sys.executable).parent / "ansible-vault", "encrypt_string", "--name", "secret",
         "--vault-password-file", "pw", "opened"],
        input="", capture_output=True, text=True, check=True, cwd=with_password(folder),
    )  # fmt: skip
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text(vault.stdout)
    (folder / "pw").unlink()
    asked = job(folder, "echo", "{{ secret }}", credentials=Credentials((), PASSWORD))
    seen = ""
    with Run(asked) as run:
        answers = []
        for event in run:
            seen += everything(folder)
            if event["event"] == "runner_on_ok":
                answers.append(event["event_data"]["res"]["stdout"])
    assert answers == ["opened"]
    assert PASSWORD not in seen
    assert left(folder) == []


def with_password(folder: Path) -> Path:
    (folder / "pw").write_text(PASSWORD)
    return folder


def everything(folder: Path) -> str:
    """All that anybody could read of the run: arguments, environments, files."""
    text = processes()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            text += path.read_bytes().decode(errors="replace")
        except OSError:
            continue
    for path in (folder / "tmp").rglob("*"):
        try:
            text += path.read_text(errors="replace") if path.is_file() else ""
        except OSError:
            continue
    return text


def processes() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def wait_for_end(command: str) -> None:
    for _try in range(50):
        if command not in processes():
            return
        time.sleep(0.1)
    raise AssertionError(f"{command} still runs")


def wait_for(command: str) -> None:
    for _try in range(100):
        if command in processes():
            return
        time.sleep(0.1)
    raise AssertionError(f"{command} did not start")
