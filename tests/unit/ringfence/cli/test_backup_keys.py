# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ringfence backup-keys` refuses, asks and says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.cli import _backup_keys
from ringfence.cli._backup_keys import ACTIONS, Wish
from ringfence.cli._options import Target
from ringfence.errors import BadInputError, NotCheckedError
from ringfence.results import HostResult
from tests.unit.ringfence.cli.conftest import Call


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish("acme", "copy"), "copy: needs --old-repository"),
        (Wish("acme", "copy", "acme"), "copy: needs --old-repository"),
        (Wish("acme", "shred", "acme", Path("/etc/hosts")), "only copy needs"),
        (Wish("acme", "copy", "acme", Path("/nowhere")), "/nowhere: there is no such file"),
    ],
)
def test_an_unclear_wish_is_refused(wish: Wish, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        _backup_keys._variables(wish)


def test_a_password_is_named_by_its_file_and_in_no_argument(tmp_path: Path) -> None:
    kept = tmp_path / "old"
    kept.write_text("the-old-password")
    found = _backup_keys._variables(Wish("acme", "copy", "acme", kept))
    assert found["care_old_password_file"] == str(kept)
    assert "the-old-password" not in str(found)


def test_only_shredding_confirms_by_itself_that_it_means_this_client() -> None:
    assert _backup_keys._variables(Wish("acme", "shred"))["care_confirm"] == "acme"
    assert "care_confirm" not in _backup_keys._variables(Wish("acme", "escrow"))


def test_the_actions_are_those_of_the_module() -> None:
    module = Path(__file__).parents[4] / "plugins/modules/backup_care.py"
    text = module.read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.strip().startswith("choices: [prune")]
    known = {word.strip("[], ") for word in line.split(":", 1)[1].split(",")}
    assert {action.what for action in ACTIONS.values()} == known - {"prune", "adopt"}


class _Controller:
    """Answers as the playbook does, and notes whether it was a trial."""

    def __init__(self, *answers: dict[str, Any], failed: str = "") -> None:
        self.answers, self.failed = list(answers), failed
        self.trials: list[bool] = []

    def __call__(self, *_given: Any, check: bool) -> HostResult:
        self.trials.append(check)
        host = HostResult("localhost")
        host.state, host.failed, host.message = "ok", bool(self.failed), self.failed
        host.answer = self.answers.pop(0) if self.answers else {}
        return host


def _run(monkeypatch: pytest.MonkeyPatch, controller: _Controller, wish: Wish) -> int:
    monkeypatch.setattr(_backup_keys, "asked_controller", controller)
    return _backup_keys.backup_keys(Target(), wish, False, False)


@pytest.mark.parametrize(
    ("wish", "answers", "code", "trials", "words"),
    [
        (Wish("acme", "escrow", check=True), [{"changed": True, "recipients": ["a", "b"],
         "file": "x.age"}], 0, [True], "would be encrypted to 2 people, in x.age"),
        (Wish("acme", "add-password", yes=True), [{"changed": False}], 0, [True],
         "nothing is to be done"),
        (Wish("acme", "drop-passwords", yes=True), [{"changed": True, "dropped": 1}] * 2, 0,
         [True, False], "1 other password removed"),
        (Wish("acme", "shred", yes=True), [{"changed": True, "deleted": 2}] * 2, 0,
         [True, False], "2 versions of its key files deleted"),
        (Wish("acme", "shred", yes=True), [{"changed": True, "deleted": 2},
         {"changed": True, "deleted": 0, "locked": ["acme/keys/1"], "opens": True}], 1,
         [True, False], "can still be opened"),
    ],
)  # fmt: skip
def test_it_is_planned_then_done_then_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wish: Wish,
    answers: list[dict[str, Any]],
    code: int,
    trials: list[bool],
    words: str,
) -> None:
    controller = _Controller(*answers)
    assert _run(monkeypatch, controller, wish) == code
    assert controller.trials == trials
    assert words in " ".join(capsys.readouterr().out.split())


def test_where_nobody_can_be_asked_it_stays_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = _Controller({"changed": True, "deleted": 2})
    with pytest.raises(BadInputError, match="give --yes"):
        _run(monkeypatch, controller, Wish("acme", "shred"))
    assert controller.trials == [True]


def test_what_failed_is_said_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = _Controller(failed="the repository's password is wrong")
    with pytest.raises(NotCheckedError, match="password is wrong"):
        _run(monkeypatch, controller, Wish("acme", "escrow", yes=True))


def test_an_action_that_is_none_is_refused(call: Call) -> None:
    done = call("backup-keys", "acme", "burn")
    assert (done.exit_code, "expected one of add-password" in done.stderr) == (3, True)
