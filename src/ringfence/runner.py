# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook of the collection through ansible-runner, and stops it in good order.

ansible-runner is used for its stream of events alone. Whatever it would decide about the run (host
key checking, the fact cache, the working folder) is given back to Ansible's own settings, and its
private folder is removed at the end.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from ringfence import collection
from ringfence.hosts import complaint, without_colours

Event = dict[str, Any]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# how long ansible-playbook gets after each signal: to end its workers and to write the evidence
_ESCALATION = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
_TICK_S = 0.2
# a socket's path has at most 107 characters, of which ssh's names and our folders take 52
_LONGEST_BASE = 55
_END = object()


@dataclass(frozen=True)
class Credentials:
    """How the run gets at secrets. A typed password lives in memory alone."""

    vault_password_files: tuple[str, ...] = ()
    vault_password: str | None = field(default=None, repr=False)
    become_password: str | None = field(default=None, repr=False)

    def arguments(self) -> list[str]:
        """The options of ansible-playbook for them."""
        found = [part for path in self.vault_password_files for part in _vault_file(path)]
        if self.vault_password is not None:
            found.append("--ask-vault-pass")
        if self.become_password is not None:
            found.append("--ask-become-pass")
        return found

    def answers(self) -> dict[str, str]:
        """What to type at which prompt."""
        found = {}
        if self.vault_password is not None:
            found[r"^Vault password.*:\s*?$"] = self.vault_password
        if self.become_password is not None:
            found[r"^BECOME password.*:\s*?$"] = self.become_password
        return found


def _vault_file(path: str) -> list[str]:
    return ["--vault-password-file", path]


@dataclass(frozen=True)
class Job:
    """One ansible-playbook command.

    `environment`: what must be set beside the caller's own, for the same to happen. `settings`:
    what is set too, but would be so anyway or concerns this run alone.
    """

    playbook: str
    inventories: tuple[str, ...] = ()
    limit: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    forks: int | None = None
    credentials: Credentials = Credentials()
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """All of the command but the program and the playbook."""
        found = [part for source in self.inventories for part in ("-i", source)]
        if self.limit is not None:
            found += ["-l", self.limit]
        if self.check:
            found += ["--check", "--diff"]
        if self.forks is not None:
            found += ["-f", str(self.forks)]
        if self.variables:
            found += ["-e", json.dumps(dict(self.variables), sort_keys=True)]
        return found + self.credentials.arguments()

    def command_line(self) -> str:
        """The same as one would type it."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        command = shlex.join(["ansible-playbook", self.playbook, *self.arguments()])
        return " ".join([*settings, command])


class Run:
    """A running job: iterate over it for Ansible's events, then look at the rest.

    Must be used as a context manager, in the main thread: it owns the signals meanwhile.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.return_code: int | None = None
        self.interrupted: str | None = None
        self.started = False
        self._output: list[str] = []
        # no SimpleQueue: one that a signal wakes just before its timeout waits without end
        self._events: queue.Queue[Any] = queue.Queue()
        self._pid: int | None = None
        self._workers: set[int] = set()
        self._stage = -1
        self._deadline = 0.0
        self._handlers: dict[int, Any] = {}
        self._folder = Path()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Run:
        self._folder = _private_folder()
        for number in _STOP_SIGNALS:
            self._handlers[number] = signal.signal(number, self._on_signal)
        self._thread = threading.Thread(target=self._work, name="ansible-runner", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._stop("an error on the controller" if error else "the run was left early")
            for _event in self:
                pass  # to the end: nothing of the run may outlive this object
        self._end_workers()
        self._close_connections()
        shutil.rmtree(self._folder, ignore_errors=True)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def __iter__(self) -> Iterator[Event]:
        while True:
            with suppress(queue.Empty):
                event = self._events.get(timeout=_TICK_S)
                if event is _END:
                    return
                self._note(event)
                yield event
            self._escalate()

    def trouble(self) -> str:
        """What ansible-playbook said went wrong, in one line; empty where it said nothing."""
        return complaint("\n".join(self._output))

    def said(self, mark: str) -> list[str]:
        """The lines of ansible-playbook's own output that begin with `mark`."""
        return [line.strip() for line in self._output if line.strip().startswith(mark)]

    def _note(self, event: Event) -> None:
        self.started = self.started or event.get("event") == "playbook_on_start"
        if event.get("event") == "runner_on_ok":
            return  # its text is a long result, and nothing there is a complaint
        self._output += without_colours(str(event.get("stdout", ""))).splitlines()

    def _work(self) -> None:
        try:
            runner = self._runner()
            runner.run()
            self.return_code = runner.rc
        except Exception as error:
            self._output.append(f"[ERROR]: {type(error).__name__}: {error}")
        finally:
            self._events.put(_END)

    def _runner(self) -> Any:
        from ansible_runner.config.runner import RunnerConfig
        from ansible_runner.runner import Runner

        self._write_settings()
        config = RunnerConfig(
            private_data_dir=str(self._folder),
            project_dir=os.getcwd(),  # relative paths and ansible.cfg mean what they mean here
            playbook=self.job.playbook,
            cmdline=shlex.join(self.job.arguments()),
            passwords=self.job.credentials.answers(),
            envvars=self._environment(),
            fact_cache_type="",
        )
        config.prepare()
        return Runner(
            config=config, event_handler=self._on_event, cancel_callback=self._must_not_start
        )

    def _write_settings(self) -> None:
        # by file, since settings that are passed as an argument are dropped when there is none
        folder = self._folder / "env"
        folder.mkdir(mode=0o700)
        settings = {
            "pexpect_timeout": 0.2,
            "suppress_output_file": True,
            "suppress_ansible_output": True,
        }
        (folder / "settings").write_text(json.dumps(settings), encoding="utf-8")
        (self._folder / "cp").mkdir(mode=0o700)

    def _environment(self) -> dict[str, str]:
        program = Path(collection.program("ansible-playbook"))
        return {
            **self.job.environment,
            **self.job.settings,
            "PATH": f"{program.parent}:{os.environ.get('PATH', os.defpath)}",
            # ansible-runner would turn this off where the environment does not say
            "ANSIBLE_HOST_KEY_CHECKING": str(collection.host_key_checking()),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._folder / "cp"),
        }

    def _on_event(self, event: Event) -> bool:
        # enqueue and no more: ansible-playbook waits for whoever reads its output
        self._pid = self._pid or event.get("pid")
        self._events.put(event)
        return False  # no file of it: the queue is all that is read

    def _must_not_start(self) -> bool:
        """Before the first event no host has been touched, and there is nobody to tell."""
        return self.interrupted is not None and self._pid is None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        again = self.interrupted is not None
        self._stop(signal.Signals(number).name)
        if again:
            self._deadline = 0.0

    def _stop(self, why: str) -> None:
        self.interrupted = self.interrupted or why

    def _escalate(self) -> None:
        """Ask ansible-playbook to end; after a while, or when told again, less politely."""
        if self.interrupted is None or self._pid is None or time.monotonic() < self._deadline:
            return
        self._stage = min(self._stage + 1, len(_ESCALATION) - 1)
        number, patience = _ESCALATION[self._stage]
        self._deadline = time.monotonic() + patience
        self._workers |= _workers_of(self._pid)
        with suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(self._pid, number)  # it leads a group of its own: the pty's session
            else:
                os.kill(self._pid, number)

    def _end_workers(self) -> None:
        """Send what is left of the workers the signal that ansible-playbook ended by.

        It may not have lived to pass it on, and a process that is just being started loses it.
        """
        for worker in self._workers:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(worker, _ESCALATION[self._stage][0])

    def _close_connections(self) -> None:
        """End the SSH connections that OpenSSH keeps open in the background for a next task."""
        sockets = [path for path in (self._folder / "cp").glob("*") if path.is_socket()]
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(_close_connection, sockets))


def _workers_of(pid: int) -> set[int]:
    """The workers of an ansible-playbook: forks of it, each of which leads a group of its own."""
    with suppress(OSError):
        own = _command_line(str(pid))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return {int(child) for child in children if _command_line(child) == own}
    return set()


def _command_line(pid: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _private_folder() -> Path:
    """A new folder for this user alone, near enough to the root for sockets in it."""
    usual = tempfile.gettempdir()
    base = usual if len(usual) <= _LONGEST_BASE else "/tmp"  # noqa: S108 - mkdtemp makes it private
    return Path(tempfile.mkdtemp(prefix="ringfence-", dir=base))


def _close_connection(socket: Path) -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "ringfence"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
