# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role accounts has been applied to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testinfra.conftest import Shell, Talk
from tests.testinfra.readings import FAMILIES

ACCOUNTS = FAMILIES["accounts"]

_GOOD, _BETTER = "tulip-Orbit-93-qued", "Maple_drum-7-vexing"
# Debian 13 is stricter than asked for, which is left alone.
_HOME_MODE = {"bookworm": "750", "trixie": "700"}
# Readings of accounts, or of programs, that only the tests of wrong states make.
_NEEDS_AN_ACCOUNT = (
    "accounts_empty_passwords",
    "accounts_shadowed_passwords",
    "accounts_system_shells",
    "accounts_system_passwords",
    "accounts_home_mode",
    "accounts_groups_exist",
    "accounts_password_dates",
    "accounts_known_shells",
    "accounts_passwords_without_shell",
    "accounts_password_maximum",
    "accounts_password_minimum",
    "accounts_password_warning",
    "accounts_password_inactive",
    "accounts_homes_exist",
    "accounts_homes_owned",
    "accounts_homes_mode",
    "accounts_dot_files",
    "accounts_trust_files",
    "accounts_at_users",
)


@pytest.fixture
def visitor(root: Shell) -> Iterator[str]:
    """An ordinary account with a password."""
    root(f"useradd -m -s /bin/bash visitor; echo 'visitor:{_GOOD}' | chpasswd; chage -m 0 visitor")
    yield "visitor"
    root("faillock --user visitor --reset; pkill -KILL -u visitor; userdel -rf visitor")
    # The history outlives the account, and root's new passwords are held against it too.
    root("sed -i /^visitor:/d /etc/security/opasswd")


@pytest.mark.parametrize("name", [name for name in ACCOUNTS if name not in _NEEDS_AN_ACCOUNT])
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(ACCOUNTS[name].read) == ACCOUNTS[name].expected(release)


def test_no_account_can_be_used_without_a_password(root: Shell) -> None:
    assert root("awk -F: '$2 == \"\"' /etc/passwd /etc/shadow") == ""


def test_no_system_account_has_a_shell_or_a_password(root: Shell) -> None:
    system = "awk -F: '$3 > 0 && $3 < 1000 && $1 != \"sync\" {{print {}}}' /etc/passwd | sort -u"
    assert root(system.format("$7")) == "/usr/sbin/nologin"
    names = root(system.format("$1")).split()
    locked = root(
        f"for name in {' '.join(names)}; do passwd -S $name; done | cut -d' ' -f2 | sort -u"
    )
    assert locked == "L"


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("Kx9-qu", "shorter than 14 characters"),
        ("Misunderstandings-1", "based on a dictionary word"),
        ("Tuliiiiip-Orbit-93", "more than 3 same characters"),
        ("tulip-abcdefg-Orb1t", "monotonic sequence"),
    ],
)
def test_a_weak_password_is_refused(talk: Talk, visitor: str, password: str, said: str) -> None:
    answers = [("Current password:", _GOOD)] + [("New password:", password)] * 3
    code, heard = talk(visitor, ["passwd"], answers)
    assert code != 0
    assert said in heard


def test_a_good_password_is_taken_and_the_old_one_not_again(talk: Talk, visitor: str) -> None:
    code, heard = talk(
        visitor,
        ["passwd"],
        [("Current password:", _GOOD), ("New password:", _BETTER), ("new password:", _BETTER)],
    )
    assert (code, "updated successfully" in heard) == (0, True)
    code, heard = talk(
        visitor,
        ["passwd"],
        [("Current password:", _BETTER), ("New password:", _GOOD), ("new password:", _GOOD)],
    )
    assert (code == 0, "already used" in heard) == (False, True)


def test_the_sixth_try_finds_the_account_locked_and_keys_and_sudo_go_on(
    root: Shell, talk: Talk, visitor: str
) -> None:
    su = ["su", visitor, "-c", "id -un"]
    code, heard = talk("ops", su, [("assword:", _GOOD)])
    assert (code, "visitor" in heard.splitlines()) == (0, True)
    for _try in range(5):
        code, heard = talk("ops", su, [("assword:", "wrong")])
        assert code != 0
    code, heard = talk("ops", su, [("assword:", _GOOD)])
    assert code != 0
    assert "locked due to 5 failed logins" in heard
    # What needs no password is not touched: sudo (this shell) and a root-made session.
    assert root("runuser -u visitor -- id -un") == "visitor"
    root("faillock --user visitor --reset")
    code, _heard = talk("ops", su, [("assword:", _GOOD)])
    assert code == 0


def test_a_new_password_is_stored_with_yescrypt(root: Shell, visitor: str) -> None:
    assert root(f"getent shadow {visitor} | cut -d: -f2 | cut -c1-4") == "$y$j"


def test_new_files_are_not_writable_by_others(root: Shell, visitor: str) -> None:
    made = f"su - {visitor} -c 'touch new; mkdir folder; stat -c \"%a %G\" new folder'"
    assert root(made) == "644 visitor\n755 visitor"


def test_new_homes_are_closed_to_others(root: Shell, release: str, visitor: str) -> None:
    assert root(f"stat -c %a /home/{visitor}") == _HOME_MODE[release]
