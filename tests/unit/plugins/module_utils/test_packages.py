# SPDX-License-Identifier: GPL-3.0-or-later
"""How apt-get is called; what comes of it is tried on real hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _packages
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Completed,
    Host,
    HostError,
)


class Apt(Host):
    """A host that notes (what, its limit) of each call, and fails those it is told to."""

    def __init__(self, *fails: int) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []
        self.fails = fails

    def run(self, argv: list[str], **options: Any) -> Completed:  # type: ignore[override]
        assert argv[0] == "apt-get"
        assert options["environment"]["DEBIAN_FRONTEND"] == "noninteractive"
        marks = [word for word in ("-s", "update", "--download-only") if word in argv]
        self.calls.append((marks[0] if marks else argv[-2], options["timeout"]))
        failed = len(self.calls) - 1 in self.fails
        return Completed(100 * failed, "", "E: gone" if failed else "")


FETCH, LISTS, UNPACK = "--download-only", "update", "install"
_FETCH_SECONDS, _UNPACK_SECONDS = 900, 14400


@pytest.mark.parametrize(
    ("fails", "calls"),
    [
        ((), [FETCH, UNPACK]),
        ((0,), [FETCH, LISTS, FETCH, UNPACK]),
    ],
)
def test_what_unpacks_has_hours_and_what_fetches_has_minutes(
    fails: tuple[int, ...], calls: list[str]
) -> None:
    host = Apt(*fails)
    _packages.install(host, ["fail2ban"])
    limits = {FETCH: _FETCH_SECONDS, LISTS: _FETCH_SECONDS, UNPACK: _UNPACK_SECONDS}
    assert host.calls == [(call, limits[call]) for call in calls]


@pytest.mark.parametrize(
    ("fails", "calls"),
    [
        ((0, 1), [FETCH, LISTS]),
        ((0, 2), [FETCH, LISTS, FETCH]),
        ((1,), [FETCH, UNPACK]),
    ],
)
def test_what_fails_is_told_and_an_unpacking_is_not_tried_twice(
    fails: tuple[int, ...], calls: list[str]
) -> None:
    host = Apt(*fails)
    with pytest.raises(HostError, match="E: gone"):
        _packages.install(host, ["fail2ban"])
    assert [call for call, _seconds in host.calls] == calls


def test_a_simulation_touches_nothing() -> None:
    host = Apt()
    assert _packages.simulated(host, "remove", ["telnet"]) == ""
    assert host.calls == [("-s", _FETCH_SECONDS)]
