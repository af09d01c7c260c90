# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is answered, asked from addresses of the host's own loopback interface."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Shell = Callable[[str], str]


@pytest.mark.parametrize(
    ("source", "path", "header", "status"),
    [
        ("127.0.0.1", "/", "", "200"),
        ("127.0.0.6", "/", "", "403"),
        ("127.0.0.5", "/", "", "200"),  # management, inside what is denied
        ("127.0.0.1", "/", "198.51.100.9", "200"),  # not from the CDN: not looked at
        ("127.0.0.2", "/", "198.51.100.9", "403"),
        ("127.0.0.2", "/", "::ffff:198.51.100.9", "403"),
        ("127.0.0.2", "/", "127.0.0.5, 198.51.100.9", "403"),  # forged by the visitor
        ("127.0.0.1", "/staff/", "", "403"),
        ("127.0.0.5", "/staff/", "", "404"),
    ],
)
def test_who_is_answered(root: Shell, source: str, path: str, header: str, status: str) -> None:
    forged = f"-H 'X-Forwarded-For: {header}'" if header else ""
    said = root(
        f"curl -s -o /dev/null -w '%{{http_code}}' --interface {source} {forged} "
        f"--resolve choir.example:80:127.0.0.1 http://choir.example{path}"
    )
    assert said.strip() == status


def test_an_entry_that_ends_has_its_moment(root: Shell) -> None:
    shown = root("systemctl show -p TimersCalendar ringfence-site-addresses.timer")
    assert "2099-01-02 00:00:00 UTC" in shown
