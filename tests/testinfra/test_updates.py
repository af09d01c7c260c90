# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role updates has been applied to: it judges, and leaves the host as it was."""

from __future__ import annotations

from tests.testinfra.conftest import Shell


def test_no_package_was_put_on_or_taken_away(root: Shell) -> None:
    # apt begins the file with the first of them.
    history = "cat /var/log/apt/history.log | grep -cE '^(Install|Upgrade|Remove|Purge):'"
    assert root(history) == "0"
    assert root("dpkg --audit") == ""


def test_nothing_waits_for_a_reboot(root: Shell) -> None:
    assert root("ls /run/reboot-required") == ""


def test_lists_were_fetched(root: Shell) -> None:
    assert int(root("ls /var/lib/apt/lists | grep -c _Packages")) > 0
