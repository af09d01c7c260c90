# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator is told. That a new sign-in is made is shown on hosts (tests/hosts/guard)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guard_session as session

RESTORED = {
    "id": "ab12cd34ef56",
    "outcome": "restored",
    "at": "2026-01-02T03:04:05Z",
    "why": "no confirmation came in time",
    "summary": "put back /etc/ssh/sshd_config, reloaded ssh.service",
    "reason": "trying",
    "operator": "alice@ctl",
}
REFUSED = "the new sign-in failed (Permission denied)"


class Action:
    """An action whose module calls are answered in turn; the last answer stays."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []
        self.resets = 0
        self.sign_ins = 0
        self._connection = self
        self.transport = "paramiko"

    def _low_level_execute_command(self, _command: str) -> dict[str, Any]:
        """A sign-in that only looks: it fails where the next call would, and takes no answer."""
        self.sign_ins += 1
        answer = self.answers[0]
        if isinstance(answer, Exception):
            self.answers = self.answers[1:] or self.answers
            raise answer
        failed = bool(answer.get("failed"))
        if failed:
            self.answers = self.answers[1:] or self.answers
        return {"rc": int(failed), "stderr": answer.get("module_stderr", "")}

    def reset(self) -> None:
        self.resets += 1

    def _execute_module(self, module_args: dict[str, Any], **_more: Any) -> dict[str, Any]:
        self.calls.append(module_args)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    @property
    def states(self) -> list[str]:
        return [call["state"] for call in self.calls]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_PAUSE_SECONDS", 0.0)


LOST = AnsibleConnectionFailure("Make sure this host can be reached over ssh: Connection refused.")
OK: dict[str, Any] = {"guard": {"changed": [], "reloaded": []}}
CONFIRMED = {"guard": {"id": "ab12cd34ef56", "outcome": "confirmed"}}
PUT_BACK = {"guard": RESTORED}
NO_SUDO = {"failed": True, "msg": "MODULE FAILURE", "module_stderr": "sudo: no valid sudoers\n"}
GUARD = {"id": "ab12cd34ef56", "timeout": 5}


def test_a_good_change_is_confirmed_over_a_connection_made_for_it() -> None:
    action = Action(OK, CONFIRMED)
    verdict = session.confirm_over_new_connection(action, {}, GUARD)
    assert verdict["confirmed"]
    assert action.states == ["activated", "confirmed"]
    assert action.sign_ins == 1, "one sign-in may be luck"
    assert action.resets >= 2


def test_one_lost_packet_does_not_undo_a_good_change() -> None:
    action = Action(OK, LOST, CONFIRMED)
    assert session.confirm_over_new_connection(action, {}, GUARD)["confirmed"]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param([OK, LOST, LOST, LOST, PUT_BACK], "Connection refused", id="sign-in"),
        pytest.param([OK, NO_SUDO, NO_SUDO, NO_SUDO, PUT_BACK], "no valid sudoers", id="become"),
        pytest.param(
            [{"failed": True, "msg": "sshd refuses", "guard": None}, PUT_BACK],
            "sshd refuses",
            id="reload",
        ),
        pytest.param([LOST, LOST, LOST, PUT_BACK], "Connection refused", id="old one gone"),
    ],
)
def test_a_failed_sign_in_ends_in_one_line_that_says_what_was_put_back(
    answers: list[Any], said: str
) -> None:
    verdict = session.confirm_over_new_connection(Action(*answers), {}, GUARD)
    assert not verdict["confirmed"]
    assert said in verdict["msg"]
    assert RESTORED["summary"] in verdict["msg"]
    assert "\n" not in verdict["msg"]


def test_a_confirmation_whose_answer_was_lost_counts() -> None:
    late = {"failed": True, "msg": "was confirmed", "guard": CONFIRMED["guard"]}
    verdict = session.settle(Action(late), {}, GUARD, REFUSED)
    assert verdict["confirmed"]
    assert verdict["warnings"] == [REFUSED]


def test_a_host_that_stays_silent_sends_the_operator_to_the_console(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "_GRACE_SECONDS", -5)
    verdict = session.settle(Action(LOST), {}, GUARD, REFUSED)
    assert not verdict["confirmed"]
    assert "console" in verdict["msg"]
    assert "guard.pyz restore /var/lib/ringfence/guard/ab12cd34ef56" in verdict["msg"]


def test_without_a_sign_in_there_is_a_warning() -> None:
    action = Action(CONFIRMED)
    action.transport = "local"
    verdict = session.confirm_over_new_connection(action, {}, GUARD, activate=False)
    assert verdict["confirmed"]
    assert "local does not sign in" in verdict["warnings"][0]


def test_a_late_word_is_one_line() -> None:
    assert session.told_late({"previous": None}) == []
    (line,) = session.told_late({"previous": RESTORED})
    assert "trying, by alice@ctl" in line
    assert RESTORED["summary"] in line


@pytest.mark.parametrize(
    ("result", "line"),
    [
        ({"msg": "first\nlast"}, "last"),
        ({"msg": "MODULE FAILURE", "module_stderr": "Traceback\nOSError: no\n"}, "OSError: no"),
        ({"msg": "non-zero return code", "stderr": "nft: syntax error"}, "nft: syntax error"),
        ({}, "no reason given"),
    ],
)
def test_a_failure_is_told_in_one_line(result: dict[str, str], line: str) -> None:
    assert session.one_line(result) == line


class Ssh:
    """A connection's options, as ssh has them."""

    transport = "ssh"

    def __init__(self, timeout: int) -> None:
        self.options: dict[str, Any] = {
            "ssh_args": "-C",
            "timeout": timeout,
            "reconnection_retries": 2,
        }
        self._connection = self

    def get_option(self, name: str) -> Any:
        return self.options[name]

    def set_option(self, name: str, value: Any) -> None:
        self.options[name] = value


@pytest.mark.parametrize(
    ("guard_seconds", "timeout", "waits"),
    [(30, 10, 5), (120, 10, 5), (600, 60, 20), (600, 10, 10), (120, 3, 3)],
)
def test_who_gives_the_guard_more_time_gives_the_sign_in_more(
    guard_seconds: int, timeout: int, waits: int
) -> None:
    action: Any = Ssh(timeout)
    before = dict(action.options)
    with session._new_connections(action, guard_seconds):
        assert action.options["timeout"] == waits
    assert action.options == before
