# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person does: scans a secret, reads a code off an app, signs in with ssh.

Independent of the product: codes are computed here, from RFC 6238, and ssh is the real one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect

from tests.fleet import Fleet

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = str(ROOT / ".venv" / "bin" / "ansible-playbook")
_STEP = 30
_MARGIN = 8  # a sign-in that begins this close to the end of a step could end in the next
_SECONDS = 60


@dataclass
class Token:
    """An app that holds one secret, the code it was enrolled with, and the recovery codes."""

    secret: str
    recovery_codes: list[str] = field(default_factory=list)
    used: str = ""

    def code(self, steps: int = 0) -> str:
        """The code of now, or of so many steps later (earlier, when negative)."""
        wait_for_margin()
        return code_at(self.secret, time.time() + steps * _STEP)


@dataclass
class SignIn:
    """How a sign-in went: whether a shell ran, how often a code was asked for, what ssh said."""

    came_in: bool
    asked: int
    said: str


def code_at(secret: str, moment: float, digits: int = 6) -> str:
    """RFC 6238 with its defaults: HMAC-SHA-1, 30 s, from 1970."""
    counter = int(moment) // _STEP
    mac = hmac.new(base64.b32decode(secret), counter.to_bytes(8, "big"), hashlib.sha1).digest()
    start = mac[19] % 16
    number = int.from_bytes(mac[start : start + 4], "big") % 2**31
    return str(number)[-digits:].rjust(digits, "0")


def wait_for_margin() -> None:
    """Not in the last seconds of a step, where `now` would be over before it is judged."""
    left = _STEP - time.time() % _STEP
    if left < _MARGIN:
        time.sleep(left + 0.2)


def sign_in(fleet: Fleet, host: str, account: str, *codes: str, key: Path | None = None) -> SignIn:
    """Sign in with the key and then, as often as a code is asked for, the next of `codes`."""
    config = fleet.ssh_config
    if key is not None:
        own = fleet.inventory.with_name("id_ed25519")
        config = key.with_suffix(".ssh_config")
        config.write_text(fleet.ssh_config.read_text().replace(str(own), str(key)))
    child = pexpect.spawn(
        "ssh",
        [*_options(config, codes), "-l", account, host, "echo in as $(id -un)"],
        encoding="utf-8",
        timeout=_SECONDS,
        env=clean_environment(),
    )
    said, asked = _answer(child, codes)
    return SignIn(f"in as {account}" in said, asked, said)


def sftp(fleet: Fleet, host: str, account: str, *codes: str) -> SignIn:
    """Sign in over SFTP, likewise, and write a file in the account's home."""
    child = pexpect.spawn(
        "sftp",
        [*_options(fleet.ssh_config, codes), f"{account}@{host}"],
        encoding="utf-8",
        timeout=_SECONDS,
        env=clean_environment(),
    )
    said, asked = _answer(child, codes, ("put /etc/hostname uploaded", "ls uploaded", "bye"))
    return SignIn(re.search(r"^uploaded\s*$", said, re.M) is not None, asked, said)


def _options(config: Path, codes: Sequence[str]) -> list[str]:
    prompts = f"NumberOfPasswordPrompts={max(1, len(codes))}"
    # Sshd listens anew as it is reloaded, and refuses connections meanwhile.
    return ["-F", str(config), "-o", prompts, "-o", "ConnectionAttempts=10"]


def _answer(
    child: pexpect.spawn[str], codes: Sequence[str], orders: Sequence[str] = ()
) -> tuple[str, int]:
    """All that was said up to the end, and how often a code was asked for."""
    said, asked, left, todo = "", 0, list(codes), list(orders)
    while True:
        found = child.expect(["[Cc]ode: ?", "[Pp]assword: ?", "sftp> ", pexpect.EOF])
        said += str(child.before) + (str(child.after) if found < 2 else "")
        if found == 3:
            break
        asked += found == 0
        answers = todo if found == 2 else left
        child.sendline(answers.pop(0) if answers else "")
    child.close()
    return said, asked


class Enrolment:
    """The enrolment playbook on a terminal of its own."""

    def __init__(
        self,
        fleet: Fleet,
        host: str,
        account: str,
        *options: str,
        rows: int = 50,
        command: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        playbook = "playbooks/second_factor_enrol.yml"
        arguments = ["-i", str(fleet.inventory), playbook, "--limit", host]
        arguments += ["-e", f"second_factor_account={account}", *options]
        line = ["-c", f'{command or "exec"} "$@"', "sh", PLAYBOOK, *arguments]
        self.seen = Screen()
        self.child = pexpect.spawn(
            "/bin/sh",
            line,
            cwd=str(ROOT),
            encoding="utf-8",
            timeout=_SECONDS,
            dimensions=(rows, 120),
            env=clean_environment() | (environment or {}),
        )
        self.child.logfile_read = self.seen

    def scan(self) -> Token:
        """Wait until the secret is shown, and read it as a person types it: from the text."""
        self.child.expect("Code that the app shows now")
        groups = re.search(r"Key to type instead: ([A-Z2-7 ]+)", self.seen.text)
        assert groups is not None, self.seen.text
        return Token(groups[1].replace(" ", ""))

    def answer(self, text: str) -> None:
        """Type a line."""
        self.child.sendline(text)

    def keep_recovery_codes(self, token: Token) -> None:
        """Read the recovery codes, then press Enter."""
        self.child.expect("Press Enter when they are kept")
        token.recovery_codes = re.findall(r"^ {4}(\d{8})\r?$", str(self.child.before), re.M)
        self.answer("")

    def end(self) -> int:
        """Wait for the end; the exit code."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -1)


class Screen:
    """All that a terminal was sent."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """pexpect's log."""
        self.text += text

    def flush(self) -> None:
        """Nothing is held back."""

    def after_leaving(self) -> str:
        """What is left on view: all outside the alternate screen."""
        return re.sub(r"\x1b\[\?1049h.*?\x1b\[\?1049l", "", self.text, flags=re.S)


def enrol(fleet: Fleet, host: str, account: str, *options: str) -> Token:
    """Enrol as a person does: scan, type the code, keep the recovery codes."""
    enrolment = Enrolment(fleet, host, account, *options)
    token = enrolment.scan()
    token.used = token.code()
    enrolment.answer(token.used)
    enrolment.keep_recovery_codes(token)
    assert enrolment.end() == 0, enrolment.seen.text
    return token


def add_account(fleet: Fleet, host: str, name: str) -> None:
    """An account whose key is the fleet's."""
    script = (
        f"id {name} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {name}; "
        f"install -d -m 700 -o {name} -g {name} ~{name}/.ssh; "
        f"install -m 600 -o {name} -g {name} ~ops/.ssh/authorized_keys ~{name}/.ssh/"
    )
    fleet.exec(host, "bash", "-c", script)


def clean_environment() -> dict[str, Any]:
    """Without what would make the enrolment think that it is recorded."""
    dropped = ("CI", "RUNNER_OMIT_EVENTS", "AWX_ISOLATED_DATA_DIR", "SSH_AUTH_SOCK")
    found = {key: value for key, value in os.environ.items() if key not in dropped}
    return found | {"TERM": "xterm-256color", "PATH": _path(), "ANSIBLE_NOCOLOR": "1"}


def _path() -> str:
    tools = os.path.dirname(shutil.which("ssh") or "/usr/bin/ssh")
    return f"{ROOT / '.venv' / 'bin'}:{tools}:/usr/bin:/bin"
