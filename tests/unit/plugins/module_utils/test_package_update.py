# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt says it would do; the rest is tried on real hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _package_update
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Completed,
    Host,
    HostError,
)

SAID = """\
Inst linux-image-6.1.0-31-amd64 (6.1.128-1 Debian-Security:12/oldstable-security [amd64])
Inst xz-utils [5.4.1-1+deb12u1] (5.4.1-1+deb12u2 Debian-Security:12/oldstable-security [amd64])
Inst tzdata [2025a] (2025b-0 Debian:12.11/oldstable, Debian:12-updates/oldstable-updates [all])
Conf xz-utils (5.4.1-1+deb12u2 Debian-Security:12/oldstable-security [amd64])
"""


class Told(Host):
    """A host whose apt says what it is told to."""

    def __init__(self, said: str, rc: int = 0, err: str = "") -> None:
        super().__init__()
        self.said, self.rc, self.err = said, rc, err
        self.asked: list[list[str]] = []
        self.limits: dict[str, int] = {}

    def run(self, argv: list[str], **options: Any) -> Completed:  # type: ignore[override]
        self.asked.append(argv)
        for word in ("update", "install", "--configure"):
            if word in argv and "-s" not in argv:
                self.limits[word] = options["timeout"]
        return Completed(self.rc, self.said, self.err)


def test_each_update_is_read_with_its_origin() -> None:
    found = _package_update.parse(SAID)

    assert [(str(update), _package_update.is_security(origin)) for update, origin in found] == [
        ("linux-image-6.1.0-31-amd64 (new) -> 6.1.128-1", True),
        ("xz-utils 5.4.1-1+deb12u1 -> 5.4.1-1+deb12u2", True),
        ("tzdata 2025a -> 2025b-0", False),
    ]


def test_security_updates_are_asked_for_by_version() -> None:
    host = Told(SAID)

    _package_update.plan(host, only_security=True)

    assert host.asked[1][-2:] == [
        "linux-image-6.1.0-31-amd64=6.1.128-1",
        "xz-utils=5.4.1-1+deb12u2",
    ]


def test_nothing_is_ever_removed() -> None:
    with pytest.raises(HostError, match="would remove nginx"):
        _package_update.plan(Told(SAID + "Remv nginx [1.22]\n"), only_security=False)


def test_a_lock_is_named_once_the_time_is_up() -> None:
    host = Told("", 100, "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by 7\n")

    with pytest.raises(HostError, match="another program is at work on packages: E: Could not"):
        _package_update._patiently(host, ["apt-get", "update"], deadline=0, seconds=9)


def test_what_dpkg_had_against_it_is_said() -> None:
    err = "dpkg: error processing package x (--configure):\nE: Sub-process returned an error\n"

    with pytest.raises(HostError, match="dpkg: error processing package x"):
        _package_update._patiently(
            Told("", 100, err), ["apt-get", "install"], deadline=0, seconds=9
        )


def test_only_what_dpkg_shows_counts_as_done() -> None:
    done = _package_update.changes({"a": "1", "b": "1"}, {"a": "2", "b": "1", "c": "1"})

    assert [str(update) for update in done] == ["a 1 -> 2", "c (new) -> 1"]


def test_what_unpacks_has_hours_and_what_fetches_has_minutes() -> None:
    host = Told("half installed")

    _package_update.run(host, only_security=False, refresh=True, lock_seconds=0, check=False)
    _package_update._install(host, [_package_update.Update("a", "1", "2")], 0)

    assert host.limits == {"--configure": 14400, "install": 14400, "update": 900}
