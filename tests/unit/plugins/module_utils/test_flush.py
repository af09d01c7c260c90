# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order a stage is carried out: the guard's clock runs for what it guards only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _flush, _guard
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control, Stage
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Completed, Host

_DOOR = Control("door", "pam", {}, disruption="access")
_WINDOW = Control("window", "package", {}, disruption="low")


class _Recorder(Host):
    """A host that notes what apt is asked to do for good."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.done: list[str] = []
        self.limits: dict[str, int] = {}

    def run(self, argv: list[str], **options: Any) -> Completed:  # type: ignore[override]
        if argv[0] == "apt-get":
            what = "fetch" if "--download-only" in argv else "plan" if "-s" in argv else "unpack"
            self.limits[what] = options["timeout"]
        if argv[0] == "apt-get" and not {"-s", "--download-only", "update"} & set(argv):
            self.done.append(" ".join(argv[argv.index("-y") + 1 :]))
        return Completed(0, "", "")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Recorder:
    made = _Recorder(tmp_path)
    monkeypatch.setattr(_flush.Flush, "_arm", lambda *_ignored: made.done.append("guard"))
    return made


def _carried_out(host: _Recorder, *wanted: tuple[Control, str, str]) -> list[str]:
    stage = Stage(host)
    for control, name, state in wanted:
        stage.begin(control)
        stage.package(name, state)
    _flush.Flush(host, check=False, guard=_flush.NO_GUARD).carry_out(stage)
    return host.done


def test_only_what_can_shut_somebody_out_waits_for_the_guard(host: _Recorder) -> None:
    wanted = ((_DOOR, "libpam-x", "present"), (_WINDOW, "aide", "present"))
    assert _carried_out(host, *wanted) == ["install aide", "guard", "install libpam-x"]


@pytest.mark.parametrize("owners", [(_DOOR, _WINDOW), (_WINDOW, _DOOR)])
def test_a_package_of_both_waits_too(host: _Recorder, owners: tuple[Control, Control]) -> None:
    wanted = [(owner, "libpam-x", "present") for owner in owners]
    assert _carried_out(host, *wanted) == ["guard", "install libpam-x"]


def test_removals_are_parted_alike(host: _Recorder) -> None:
    wanted = ((_DOOR, "libpam-y", "absent"), (_WINDOW, "telnet", "absent"))
    assert _carried_out(host, *wanted) == ["remove telnet", "guard", "remove libpam-y"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_unpacks_has_hours_where_what_fetches_has_minutes(host: _Recorder, state: str) -> None:
    _carried_out(host, (_WINDOW, "aide", state))
    limits = dict(host.limits)
    assert limits.pop("unpack") >= 3600
    assert limits
    assert all(seconds <= 900 for seconds in limits.values())


def test_the_guard_knows_the_files_that_programs_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed: list[list[str]] = []
    monkeypatch.setattr(_guard, "arm", lambda paths, **_ignored: armed.append(paths) or {})
    stage = Stage(Host(str(tmp_path)))
    for control, path in ((_DOOR, "/etc/shadow"), (_WINDOW, "/etc/cron.allow")):
        stage.begin(control)
        stage.step(lambda _host: None, paths=(path,))

    _flush.Flush(stage.host, check=False, guard=_flush.GuardOptions(60)).carry_out(stage)

    assert armed == [["/etc/shadow"]]
