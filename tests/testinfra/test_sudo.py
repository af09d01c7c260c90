# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role sudo has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell, Talk
from tests.testinfra.readings import FAMILIES

SUDO = FAMILIES["sudo"]
# sudo is asked for these only where something else had been said before.
_SET_ON_NEED = ("sudo_authentication", "sudo_remembered_time", "sudo_hidden_password")


@pytest.mark.parametrize("name", [name for name in SUDO if name not in _SET_ON_NEED])
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(SUDO[name].read) == SUDO[name].expected(release)


def test_sudo_takes_all_its_files(root: Shell) -> None:
    assert root("visudo -c > /dev/null && echo valid") == "valid"


def test_a_command_runs_on_a_terminal_of_its_own(talk: Talk) -> None:
    code, heard = talk("ops", ["sh", "-c", "tty; sudo tty"], [])
    terminals = heard.split()
    assert (code, len(terminals), len(set(terminals))) == (0, 2, 2)


def test_the_log_names_who_ran_what(root: Shell) -> None:
    root("runuser -u ops -- sudo -n /usr/bin/id")
    assert "ops" in root("grep -B2 COMMAND=/usr/bin/id /var/log/sudo.log | tail -3")


def test_an_administrator_cannot_use_su_and_root_can(root: Shell, talk: Talk) -> None:
    code, heard = talk(
        "ops", ["su", "nobody", "-s", "/bin/sh", "-c", "id -un"], [("assword:", "x")]
    )
    assert (code == 0, "Permission denied" in heard) == (False, True)
    assert root("su nobody -s /bin/sh -c 'id -un'") == "nobody"
