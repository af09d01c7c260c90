# SPDX-License-Identifier: GPL-3.0-or-later
"""Reloads by name: checked first, left out for what does not run, told when they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _notify
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Completed,
    Host,
    HostError,
)

_CHECK = ("/usr/sbin/sshd", "-t")
_RUNS = ("systemctl", "is-active", "-q", "ssh.service")
_RELOAD = ("systemctl", "reload", "ssh.service")


class _Recorder(Host):
    """A host that notes what is run and lets the commands of `failing` fail."""

    def __init__(self, root: Path, *failing: tuple[str, ...]) -> None:
        super().__init__(str(root))
        self.failing = failing
        self.ran: list[tuple[str, ...]] = []

    def run(self, argv: list[str], **_options: Any) -> Completed:  # type: ignore[override]
        self.ran.append(tuple(argv))
        bad = tuple(argv) in self.failing
        return Completed(1 if bad else 0, "", "it is broken\n" if bad else "")


def test_sshd_is_reloaded_after_its_check(tmp_path: Path) -> None:
    host = _Recorder(tmp_path)
    _notify.carry_out(host, "reload_sshd")
    assert host.ran == [_CHECK, _RUNS, _RELOAD]


def test_a_configuration_that_its_daemon_refuses_is_not_loaded(tmp_path: Path) -> None:
    host = _Recorder(tmp_path, _CHECK)
    with pytest.raises(HostError, match="it is broken"):
        _notify.carry_out(host, "reload_sshd")
    assert host.ran == [_CHECK]


def test_a_daemon_that_does_not_run_is_left_alone(tmp_path: Path) -> None:
    host = _Recorder(tmp_path, _RUNS)
    _notify.carry_out(host, "reload_sshd")
    assert _RELOAD not in host.ran


@pytest.mark.parametrize("name", _notify.NAMES)
def test_a_reload_that_fails_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/php-fpm8.2").touch()
    host = _Recorder(tmp_path)
    _notify.carry_out(host, name)
    failing = _Recorder(tmp_path, host.ran[-1])
    with pytest.raises(HostError, match="it is broken"):
        _notify.carry_out(failing, name)


def test_an_unknown_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="there is no reload called reload_everything"):
        _notify.carry_out(_Recorder(tmp_path), "reload_everything")


def test_the_guard_knows_what_a_reload_itself_writes_and_what_to_reload() -> None:
    assert "/etc/pam.d/common-auth" in _notify.guarded_paths(["update_pam", "reload_sshd"])
    assert _notify.reloaded_units(["update_pam", "reload_sshd"]) == {"ssh.service"}
