# SPDX-License-Identifier: GPL-3.0-or-later
"""When a guard is armed, refused, confirmed and ended.

Files, records, the lock and the archive are real. Only programs that would change this machine
(systemctl, systemd-run, sshd, nft) are answered for; tests/hosts/guard has the real ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _guard as guard,
)
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _guard_nftables,
    _guard_units,
)


class Machine:
    """A host whose programs are answered for. `failing` names those that fail, with their words."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "etc/app.conf"
        self.config.parent.mkdir()
        self.config.write_text("old\n")
        self.calls: list[Sequence[str]] = []
        self.failing: dict[str, str] = {}

    def call(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.calls.append(argv)
        name = Path(argv[0]).name
        if name in self.failing:
            return subprocess.CompletedProcess(argv, 1, "", self.failing[name])
        if name.startswith("python"):
            return subprocess.run(argv, capture_output=True, text=True, check=False)
        if argv[:2] == ["systemctl", "show"]:
            units = [word for word in argv[2:] if not word.startswith("--")]
            block = "ActiveState=active\nUnitFileState=enabled\n"
            return subprocess.CompletedProcess(argv, 0, "\n".join(block for _ in units), "")
        return subprocess.CompletedProcess(argv, 0, "", "")

    def ran(self, *words: str) -> bool:
        return any(set(words) <= set(argv) for argv in self.calls)

    def arm(self, **options: Any) -> dict[str, Any]:
        return guard.arm([str(self.config)], reason="trying", operator="alice@ctl", **options)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(guard, "ROOT", tmp_path / "var/guard")
    monkeypatch.setattr(guard, "SYSTEMD", tmp_path / "systemd")
    monkeypatch.setattr(guard, "_log", lambda _message: None)
    monkeypatch.setattr(guard, "_require_host", lambda _timeout: None)
    monkeypatch.setattr(_guard_units, "call", made.call)
    monkeypatch.setattr(_guard_units, "sshd_problem", lambda: made.failing.get("sshd", ""))
    monkeypatch.setattr(_guard_nftables, "_output", lambda _argv: "")
    return made


def test_an_armed_guard_is_ready_to_put_back(machine: Machine) -> None:
    armed = machine.arm(timeout=60, reload=["app"])
    assert armed["paths"] == [str(machine.config)]
    assert armed["previous"] is None
    assert machine.ran("systemd-run", f"--unit=ringfence-guard-{armed['id']}", "--on-active=60s")
    folder = guard.ROOT / armed["id"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert guard.ROOT.stat().st_mode & 0o777 == 0o700
    unit = (guard.SYSTEMD / "ringfence-guard-boot.service").read_text()
    assert f"{folder}/guard.pyz boot {folder}" in unit
    assert (guard.SYSTEMD / "sysinit.target.wants/ringfence-guard-boot.service").exists()
    shown = guard.status()["armed"]
    assert (shown["operator"], shown["reason"]) == ("alice@ctl", "trying")
    assert 55 < shown["seconds_left"] <= 60


def test_the_archive_puts_back_without_anything_of_ours_installed(machine: Machine) -> None:
    folder = guard.ROOT / machine.arm()["id"]
    with zipfile.ZipFile(folder / "guard.pyz") as archive:
        assert "ansible_collections/ringfence/hosting/plugins/module_utils/_guard.py" in (
            archive.namelist()
        )
    command = [sys.executable, "-I", "-S", str(folder / "guard.pyz"), "check", str(folder)]
    assert subprocess.run(command, cwd="/", env={}, check=False).returncode == 0
    next((folder / "blobs").iterdir()).write_text("altered")
    assert subprocess.run(command, cwd="/", env={}, check=False).returncode == 1


def test_a_second_guard_is_refused_and_told_who_holds_the_first(machine: Machine) -> None:
    armed = machine.arm()
    with pytest.raises(guard.GuardError, match=r"armed by alice@ctl \(trying\) until 2"):
        machine.arm()
    assert guard.status()["armed"]["id"] == armed["id"]


def test_a_guard_that_never_fired_must_be_put_back_first(machine: Machine) -> None:
    machine.arm()
    record = json.loads((guard.ROOT / "armed.json").read_text())
    (guard.ROOT / "armed.json").write_text(json.dumps(record | {"deadline": -1e9}))
    with pytest.raises(guard.GuardError, match="has not put the host back; do that first"):
        machine.arm()


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ({"systemd-run": "Failed to start transient timer unit"}, "Failed to start transient"),
        ({"sshd": "line 3: Bad configuration option: Foo"}, "sshd refuses its present config"),
        ({Path(sys.executable).resolve().name: "no zlib"}, "does not run on this host: no zlib"),
        ({"systemctl": "Failed to connect to bus"}, "Failed to connect to bus"),
    ],
)
def test_what_cannot_be_armed_leaves_nothing(
    machine: Machine, failing: dict[str, str], said: str
) -> None:
    machine.failing = failing
    before = machine.files()
    with pytest.raises(guard.GuardError, match=said) as caught:
        machine.arm()
    assert str(caught.value).startswith("guard not armed, nothing changed: ")
    assert "\n" not in str(caught.value)
    kept = {"var", "var/guard", "var/guard/lock", "systemd", "systemd/sysinit.target.wants"}
    assert machine.files() - before <= kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reload": ["a b"]}, "names of services"),
        ({"reload": ["--now.service"]}, "names of services"),
        ({"sysctls": ["kernel.randomize_va_space"]}, "names such as net.ipv4.ip_forward"),
        ({"sysctls": ["net.ipv4/../../x"]}, "names such as"),
        ({"guard_id": "../../etc"}, "hexadecimal digits"),
    ],
)
def test_bad_options_are_refused(machine: Machine, options: dict[str, Any], said: str) -> None:
    with pytest.raises(guard.GuardError, match=said):
        machine.arm(**options)
    assert guard.status()["armed"] is None


@pytest.mark.parametrize("timeout", [0, 4, 3601, -5])
def test_a_timeout_out_of_range_is_refused(timeout: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("pathlib.Path.is_dir", lambda _path: True)
    with pytest.raises(guard.GuardError, match="timeout: expected 5 to 3600 seconds"):
        guard.arm(["/etc/ssh"], timeout)


def test_without_root_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(guard.GuardError, match="needs root"):
        guard.arm(["/etc/ssh"])


def test_too_much_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BYTES", 3)
    with pytest.raises(guard.GuardError, match="too much to snapshot"):
        machine.arm()


def test_a_confirmed_change_stays(machine: Machine) -> None:
    armed = machine.arm()
    machine.config.write_text("new\n")
    outcome = guard.confirm(armed["id"])
    assert outcome["changed"] == [str(machine.config)]
    assert machine.ran("systemctl", "stop", f"ringfence-guard-{armed['id']}.timer")
    assert not list(guard.SYSTEMD.rglob("ringfence-guard*"))
    assert guard.confirm(armed["id"])["already"]
    with pytest.raises(guard.GuardError, match="was confirmed at") as caught:
        guard.restore(armed["id"], "too late")
    assert caught.value.ended is not None
    assert machine.config.read_text() == "new\n"
    machine.arm()


def test_an_unconfirmed_change_is_put_back(machine: Machine) -> None:
    armed = machine.arm()
    machine.config.write_text("new\n")
    outcome = guard.restore(armed["id"], "no confirmation\ncame in time")
    assert machine.config.read_text() == "old\n"
    assert outcome["why"] == "no confirmation came in time"
    assert outcome["summary"] == f"put back {machine.config}, reloaded ssh.service"
    assert guard.restore(armed["id"], "again") == outcome
    assert guard.status()["armed"] is None
    assert not list(guard.SYSTEMD.rglob("ringfence-guard*"))


def test_confirming_too_late_puts_back_what_came_after(machine: Machine) -> None:
    armed = machine.arm()
    machine.config.write_text("new\n")
    guard.restore(armed["id"], "no confirmation came in time")
    machine.config.write_text("later, with no guard\n")
    with pytest.raises(guard.GuardError, match="of what was changed after that: put back"):
        guard.confirm(armed["id"])
    assert machine.config.read_text() == "old\n"


def test_what_a_slow_run_changes_after_its_guard_is_put_back_too(machine: Machine) -> None:
    armed = machine.arm()
    machine.config.write_text("new\n")
    guard.expire(armed["id"])
    assert machine.ran("wall")
    assert not machine.ran("systemctl", "stop", f"ringfence-guard-{armed['id']}.timer")
    machine.config.write_text("later, with no guard\n")
    guard.expire(armed["id"])
    assert machine.config.read_text() == "old\n"
    assert "of what was changed after that: put back" in guard.status()["last"]["summary"]


def _another_guard(machine: Machine, _armed: dict[str, Any]) -> None:
    guard.confirm(machine.arm()["id"])


def _time_is_up(_machine: Machine, armed: dict[str, Any]) -> None:
    (guard.ROOT / "watch.json").write_text(json.dumps({"id": armed["id"], "until": 0}))


def _the_run_hears_of_it(_machine: Machine, armed: dict[str, Any]) -> None:
    guard.restore(armed["id"], "the run failed")


@pytest.mark.parametrize("end", [_another_guard, _time_is_up, _the_run_hears_of_it])
def test_the_watch_ends(machine: Machine, end: Callable[[Machine, dict[str, Any]], None]) -> None:
    armed = machine.arm()
    guard.expire(armed["id"])
    end(machine, armed)
    machine.config.write_text("mended by hand\n")
    guard.expire(armed["id"])
    assert machine.config.read_text() == "mended by hand\n"
    assert machine.ran("systemctl", "stop", f"ringfence-guard-{armed['id']}.timer")


def test_the_timer_gives_up_in_the_end(machine: Machine) -> None:
    armed = machine.arm()
    machine.config.write_text("new\n")
    next((guard.ROOT / armed["id"] / "blobs").iterdir()).unlink()
    stop = ("systemctl", "stop", f"ringfence-guard-{armed['id']}.timer")
    for _attempt in range(9):
        with pytest.raises(guard.GuardError, match="could not put back"):
            guard.expire(armed["id"])
    assert not machine.ran(*stop)
    with pytest.raises(guard.GuardError, match="could not put back"):
        guard.expire(armed["id"])
    assert machine.ran(*stop)
    assert guard.status()["armed"]


def test_a_guard_that_has_expired_cannot_be_confirmed(machine: Machine) -> None:
    armed = machine.arm()
    record = json.loads((guard.ROOT / "armed.json").read_text())
    for changed in ({"deadline": 0}, {"boot": "another"}):
        (guard.ROOT / "armed.json").write_text(json.dumps(record | changed))
        with pytest.raises(guard.GuardError, match="has expired"):
            guard.confirm(armed["id"])


def test_somebody_else_s_guard_is_not_ours_to_end(machine: Machine) -> None:
    machine.arm()
    for act in (guard.confirm, guard.activate, lambda name: guard.restore(name, "why")):
        with pytest.raises(guard.GuardError, match="abcdef012345 is not armed"):
            act("abcdef012345")
    assert guard.status()["armed"]


def test_what_could_not_be_put_back_keeps_the_guard_armed(machine: Machine) -> None:
    armed = machine.arm()
    machine.config.write_text("new\n")
    blob = next((guard.ROOT / armed["id"] / "blobs").iterdir())
    kept = blob.read_bytes()
    blob.unlink()
    with pytest.raises(guard.GuardError, match=r"could not put back: .*app\.conf"):
        guard.restore(armed["id"], "why")
    assert guard.status()["armed"]
    assert guard.status()["failed"]["errors"]
    blob.write_bytes(kept)
    guard.restore(armed["id"], "why")
    assert machine.config.read_text() == "old\n"
    assert guard.status()["failed"] is None


def test_a_crash_after_the_outcome_was_written_does_not_leave_it_armed(machine: Machine) -> None:
    armed = machine.arm()
    record = (guard.ROOT / "armed.json").read_bytes()
    guard.restore(armed["id"], "why")
    (guard.ROOT / "armed.json").write_bytes(record)
    guard.restore(armed["id"], "again")
    assert guard.status()["armed"] is None


def test_the_next_run_is_told_once_what_was_put_back(machine: Machine) -> None:
    first = machine.arm()
    guard.restore(first["id"], "why")
    second = machine.arm()
    assert second["previous"]["id"] == first["id"]
    guard.confirm(second["id"])
    assert machine.arm()["previous"] is None


def test_units_read_their_files_only_when_those_changed(machine: Machine) -> None:
    armed = machine.arm(reload=["app"])
    assert guard.activate(armed["id"]) == {"changed": [], "reloaded": []}
    machine.config.write_text("new\n")
    assert guard.activate(armed["id"])["reloaded"] == ["app.service"]
    assert machine.ran("systemctl", "reload-or-restart", "app.service")


def test_only_a_few_snapshots_are_kept(machine: Machine) -> None:
    for _ in range(5):
        guard.confirm(machine.arm()["id"])
    assert len([path for path in guard.ROOT.iterdir() if path.is_dir()]) == 3


def test_at_boot_nothing_is_reloaded_and_ssh_is_started(machine: Machine) -> None:
    armed = machine.arm()
    machine.config.write_text("new\n")
    machine.calls.clear()
    guard.restore(armed["id"], "rebooted", at_boot=True)
    assert machine.config.read_text() == "old\n"
    assert machine.ran("systemctl", "start", "--no-block", "ssh.service")
    assert not machine.ran("reload-or-restart")


def test_the_program_of_the_timer_ends_well_when_it_comes_too_late(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    armed = machine.arm()
    folder = str(guard.ROOT / armed["id"])
    guard.confirm(armed["id"])
    assert guard.main(["restore", folder]) == 0
    assert "was confirmed at" in capsys.readouterr().err
