# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all roles share: a shell as root, one as an ordinary user, and a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

# Answers what a program asks on its terminal; prints its exit code and all that was said.
_CONVERSATION = """
import json, os, pty, select, sys, time
user, argv, answers = json.loads(sys.argv[1])
process, terminal = pty.fork()
if process == 0:
    os.execvp("runuser", ["runuser", "-u", user, "--", *argv])
said = b""
for question, answer in answers:
    heard, end = b"", time.time() + 20
    while question.encode() not in heard and time.time() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                heard += os.read(terminal, 1024)
            except OSError:
                break
    said += heard
    os.write(terminal, answer.encode() + b"\\n")
while True:
    try:
        heard = os.read(terminal, 1024)
    except OSError:
        break
    if not heard:
        break
    said += heard
code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
print(json.dumps([code, said.decode(errors="replace")]))
"""

Shell = Callable[[str], str]
Talk = Callable[[str, list[str], list[tuple[str, str]]], tuple[int, str]]


@pytest.fixture
def root(host: Any) -> Shell:
    """Run a script as root; returns what it printed, whatever its exit code."""

    def run(script: str) -> str:
        output: str = host.run("sudo -n sh -c %s", f"{{\n{script}\n}} 2>/dev/null").stdout
        return output.strip()

    return run


@pytest.fixture
def release(host: Any) -> str:
    """bookworm or trixie."""
    codename: str = host.system_info.codename
    return codename


@pytest.fixture
def talk(host: Any) -> Talk:
    """Run a program as a user at a terminal, answering its questions: exit code, what it said."""

    def run(user: str, argv: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
        order = json.dumps([user, argv, answers])
        done = host.run("sudo -n python3 -c %s %s", _CONVERSATION, order)
        code, said = json.loads(done.stdout)
        return code, said

    return run
