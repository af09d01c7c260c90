# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The operator's terminal, written to directly.

What Ansible displays also goes to its log, its callbacks and wherever its output is sent. A secret
goes to the terminal device itself and nowhere else, on the alternate screen, so that it leaves no
trace in the scrollback either.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from types import FrameType

try:
    import segno
except ImportError:  # the key can be typed in
    segno = None  # type: ignore[assignment]

_PATIENCE_SECONDS = 600
_ENTER_SCREEN = "\x1b[?1049h\x1b[H\x1b[2J"
_LEAVE_SCREEN = "\x1b[2J\x1b[?1049l"
_CLEAR = "\x1b[H\x1b[2J"
_WHITE_ON_BLACK = "\x1b[97;40m"  # segno's blocks are the light modules, whatever the theme
_PLAIN = "\x1b[0m"
_QUIET_ZONE = 2
# Each is set where something keeps what the terminal shows.
_RECORDERS = {
    "AWX_ISOLATED_DATA_DIR": "ansible-runner",
    "RUNNER_OMIT_EVENTS": "ansible-runner",
    "CI": "continuous integration",
}


class TerminalError(Exception):
    """No terminal that may be shown a secret; one line."""


class Terminal:
    """A terminal device that is open for reading and writing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def rows(self) -> int:
        """How many lines it shows at once."""
        return os.get_terminal_size(self._descriptor).lines

    def write(self, text: str) -> None:
        """Show `text`, all of it."""
        data = text.encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def clear(self) -> None:
        """An empty screen."""
        self.write(_CLEAR)

    def ask(self, question: str) -> str:
        """The line typed in answer, stripped. Raises TerminalError when nobody answers."""
        termios.tcflush(self._descriptor, termios.TCIFLUSH)
        self.write(question)
        typed = b""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not typed.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
                raise TerminalError(f"nobody answered within {_PATIENCE_SECONDS // 60} minutes")
            chunk = os.read(self._descriptor, 1024)
            if not chunk:
                raise TerminalError("the terminal was closed")
            typed += chunk
        return typed.decode("utf-8", "replace").strip()


def require_unrecorded() -> None:
    """Raises TerminalError where something keeps what the terminal shows."""
    for variable, recorder in _RECORDERS.items():
        if os.environ.get(variable):
            raise TerminalError(
                f"{recorder} records this run: start ansible-playbook itself, from a terminal"
            )


def path_of_operator() -> str:
    """The device that ansible-playbook was started from; "" for none.

    Ansible's workers are cut off from the terminal, so it is their parent's that is looked for.
    """
    command = ["ps", "-o", "tty=", "-p", str(os.getppid())]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    path = f"/dev/{found}"
    return path if found and "?" not in found and os.path.exists(path) else ""


@contextmanager
def private_screen() -> Iterator[Terminal]:
    """The operator's terminal, on a screen of its own that is gone afterwards, Ctrl-C or not.

    Waits for its turn where another host shows something. Raises TerminalError.
    """
    require_unrecorded()
    with opened() as terminal, _tidied_when_killed(terminal):
        terminal.write(_ENTER_SCREEN)
        try:
            yield terminal
        finally:
            terminal.write(_LEAVE_SCREEN)


@contextmanager
def opened() -> Iterator[Terminal]:
    """The operator's terminal as it is. Raises TerminalError where there is none."""
    path = path_of_operator()
    if not path:
        raise TerminalError(
            "there is none to show a secret on: start ansible-playbook itself, from a terminal"
        )
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise TerminalError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Terminal(descriptor)
    finally:
        os.close(descriptor)


def qr_code(text: str) -> str:
    """`text` as a QR code of half blocks; "" where there is nothing to draw it with."""
    if segno is None:
        return ""
    drawn = StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, border=_QUIET_ZONE, compact=True)
    lines = drawn.getvalue().rstrip("\n").split("\n")
    return "".join(f"{_WHITE_ON_BLACK}{line}{_PLAIN}\n" for line in lines)


@contextmanager
def _tidied_when_killed(terminal: Terminal) -> Iterator[None]:
    """Ansible ends its workers by signal, which would leave the secret on the screen."""

    def end(number: int, _frame: FrameType | None) -> None:
        terminal.write(_LEAVE_SCREEN)
        signal.signal(number, before[signal.Signals(number)])
        os.kill(os.getpid(), number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
