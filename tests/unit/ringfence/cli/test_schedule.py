# SPDX-License-Identifier: GPL-3.0-or-later
"""The units that run the controller's own jobs by the clock."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.cli import _schedule
from ringfence.cli._schedule import Place, Wish
from ringfence.errors import BadInputError
from tests.unit.ringfence.cli.conftest import Call

_WISH = Wish(drill="Sun 03:00", prune="Sat 03:00", backups="*-*-* 06:00")
_NAMES = {f"ringfence-{job}.{kind}" for job in ("backups", "drill", "prune")
          for kind in ("service", "timer")}  # fmt: skip
needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here"
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    program = tmp_path / "bin with space" / "ring%fence"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return Place(program, tmp_path, tmp_path / "evi$dence", "daemon", ("/etc/hosts",), ("/v",))


@needs_systemd
def test_systemd_takes_them_even_with_odd_paths(place: Place) -> None:
    found = _schedule.units(place, _WISH)
    assert set(found) == _NAMES
    assert _schedule.verify(found) == ""


@needs_systemd
@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (replace(_WISH, drill="every full moon"), "full moon"),
        (replace(_WISH, prune="Sat 25:00"), "25:00"),
    ],
)
def test_what_systemd_does_not_take_is_told(place: Place, wish: Wish, words: str) -> None:
    assert words in _schedule.verify(_schedule.units(place, wish))


def test_paths_reach_the_program_as_they_are(place: Place) -> None:
    text = _schedule.units(place, _WISH)["ringfence-drill.service"]
    (command,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert "bin with space/ring%%fence" in command
    assert "evi$$dence" in command
    assert f'ReadWritePaths="{place.evidence}"' in text
    assert command.endswith("-i /etc/hosts --vault-password-file /v")


def test_a_setting_cannot_bring_another_with_it(place: Place) -> None:
    with pytest.raises(BadInputError, match="line end"):
        _schedule.units(place, replace(_WISH, drill="daily\nExecStart=/bin/sh"))


def test_root_keeps_what_it_needs_and_others_get_nothing(place: Place) -> None:
    name = "ringfence-prune.service"
    assert "CapabilityBoundingSet=\n" in _schedule.units(place, _WISH)[name]
    root = replace(place, user="root")
    assert "CapabilityBoundingSet" not in _schedule.units(root, _WISH)[name]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units see the folders of tests, and systemd is not asked."""
    monkeypatch.setattr(_schedule, "_HIDDEN", ())
    monkeypatch.setattr(_schedule, "verify", lambda _found: "")


def _words(tmp_path: Path, *more: str) -> list[str]:
    (tmp_path / "evidence").mkdir(exist_ok=True)
    hosts = tmp_path / "hosts"
    hosts.write_text("web1\n")
    where = ["-i", str(hosts), "--evidence-dir", str(tmp_path / "evidence")]
    return ["schedule", *where, "--user", "daemon", *more]


@pytest.mark.usefixtures("seen")
def test_they_are_written_once_and_then_left(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "units"
    folder.mkdir()
    first = call(*_words(tmp_path, str(folder)))
    assert (first.exit_code, {path.name for path in folder.iterdir()}) == (0, _NAMES)
    assert "6 units written" in first.stdout
    assert "systemctl enable --now" in " ".join(first.stdout.split())
    assert "0 units written, 6 as they were" in call(*_words(tmp_path, str(folder))).stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--user", "no such user"], "expected the name of an account"),
        (["--evidence-dir", "/nowhere"], "expected the folder of the evidence"),
        (["/nowhere/at/all"], "cannot be written"),
    ],
)
@pytest.mark.usefixtures("seen")
def test_what_cannot_be_meant_is_refused(
    call: Call, tmp_path: Path, more: list[str], words: str
) -> None:
    done = call(*_words(tmp_path, *more))
    assert (done.exit_code, words in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(
    "hidden", ["program", "checkout", "evidence", "inventory", "vault_password_files"]
)
def test_what_a_unit_would_not_see_is_refused(hidden: str) -> None:
    sound = Place(Path("/o/r"), Path("/o"), Path("/srv/e"), "daemon", ("/srv/i", "a,b"), ("/v",))
    _schedule._require_seen(sound)
    path: object = "/var/tmp/x" if isinstance(getattr(sound, hidden), tuple) else Path("/tmp/x")
    given = replace(sound, **{hidden: (path,) if isinstance(path, str) else path})
    with pytest.raises(BadInputError, match="/tmp/x: expected a path outside /tmp"):
        _schedule._require_seen(given)


def test_nothing_is_written_for_what_a_unit_would_not_see(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_schedule, "_HIDDEN", (tmp_path,))
    monkeypatch.setattr(_schedule, "verify", lambda _found: "")
    done = call(*_words(tmp_path, str(tmp_path)))
    assert (done.exit_code, "of which a unit has its own" in done.stderr) == (3, True)
    assert not list(tmp_path.glob("*.timer"))
    assert call(*_words(tmp_path)).exit_code == 0, "to look at them is no harm"


@needs_systemd
def test_a_time_that_is_none_writes_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_schedule, "_HIDDEN", ())
    done = call(*_words(tmp_path, str(tmp_path), "--drill", "never ever"))
    assert (done.exit_code, "systemd refuses it" in done.stderr) == (3, True)
    assert not list(tmp_path.glob("*.timer"))
