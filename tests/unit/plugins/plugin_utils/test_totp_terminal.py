# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator's terminal is sent, read back as a phone and a person would."""

from __future__ import annotations

import os
import pty
import re
import select
from collections.abc import Iterator

import numpy
import pytest
import zxingcpp
from ansible_collections.ringfence.hosting.plugins.plugin_utils import totp_terminal

URI = "otpauth://totp/web1.agency.example:alice?secret=" + "A" * 32 + "&issuer=web1.agency.example"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal that the operator is said to sit at; the end that a person sees."""
    person, program = pty.openpty()
    monkeypatch.setattr(totp_terminal, "path_of_operator", lambda: os.ttyname(program))
    for name in ("CI", "RUNNER_OMIT_EVENTS", "AWX_ISOLATED_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield person
    os.close(person)
    os.close(program)


def test_a_phone_reads_the_qr_code() -> None:
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", totp_terminal.qr_code(URI)).splitlines()
    dots = []
    for line in drawn:
        dots.append([255 * (block in "▀█") for block in line])
        dots.append([255 * (block in "▄█") for block in line])
    image = numpy.kron(numpy.array(dots, dtype=numpy.uint8), numpy.ones((6, 6), numpy.uint8))
    assert [found.text for found in zxingcpp.read_barcodes(image)] == [URI]


def test_the_qr_code_fits_an_ordinary_terminal() -> None:
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", totp_terminal.qr_code(URI)).splitlines()
    assert len(drawn) <= 24
    assert max(map(len, drawn)) <= 80


def test_without_the_library_there_is_no_qr_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp_terminal, "segno", None)
    assert totp_terminal.qr_code(URI) == ""


def test_a_private_screen_is_left_when_something_goes_wrong(terminal: int) -> None:
    with pytest.raises(RuntimeError):
        _fail_while_showing("SECRET")
    sent = _all_sent(terminal)
    assert sent.startswith("\x1b[?1049h")
    assert "SECRET" in sent
    assert sent.endswith("\x1b[2J\x1b[?1049l")


def test_an_answer_is_read_as_a_line_and_what_was_typed_before_is_not(terminal: int) -> None:
    os.write(terminal, b"typed too early\n")
    with totp_terminal.opened() as shown:
        pid = os.fork()
        if pid == 0:  # the person answers once they see the question
            seen = b""
            while b"Code? " not in seen:
                seen += os.read(terminal, 4096)
            os.write(terminal, b" 123 456 \n")
            os._exit(0)
        assert shown.ask("Code? ") == "123 456"
        os.waitpid(pid, 0)


def test_nobody_who_answers_is_an_error(terminal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp_terminal, "_PATIENCE_SECONDS", 0.05)
    with (
        totp_terminal.opened() as shown,
        pytest.raises(totp_terminal.TerminalError, match="nobody answered"),
    ):
        shown.ask("Code? ")
    assert os.read(terminal, 100) == b"Code? "


@pytest.mark.parametrize("name", ["CI", "RUNNER_OMIT_EVENTS", "AWX_ISOLATED_DATA_DIR"])
def test_where_the_terminal_is_recorded_nothing_is_shown(
    terminal: int, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(totp_terminal.TerminalError, match="records this run"):
        totp_terminal.require_unrecorded()
    with pytest.raises(totp_terminal.TerminalError), totp_terminal.private_screen():
        pytest.fail("a screen was opened")
    os.set_blocking(terminal, False)
    with pytest.raises(BlockingIOError):
        os.read(terminal, 100)


def test_without_a_terminal_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totp_terminal, "path_of_operator", lambda: "")
    with pytest.raises(totp_terminal.TerminalError, match="from a terminal"):
        _open()


def _all_sent(terminal: int) -> str:
    sent = b""
    while select.select([terminal], [], [], 0.2)[0]:
        sent += os.read(terminal, 4096)
    return sent.decode()


def _fail_while_showing(text: str) -> None:
    with totp_terminal.private_screen() as shown:
        shown.write(text)
        raise RuntimeError


def _open() -> None:
    with totp_terminal.opened():
        pass
