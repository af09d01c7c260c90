# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role filesystem has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

FILESYSTEM = FAMILIES["filesystem"]
# In a container these are no mounts of their own, and there is no boot loader.
_NOT_HERE = (
    "filesystem_var",
    "filesystem_logs",
    "filesystem_audit_logs",
    "filesystem_homes",
    "filesystem_sites",
    "filesystem_added_programs",
    "filesystem_boot",
    "filesystem_kept_temporary_files",
    "filesystem_boot_configuration",
    "filesystem_open_folders",  # reads a folder that only a test has opened; see below
    "filesystem_compilers",  # reads a compiler that only the journey of all controls puts there
)


@pytest.mark.parametrize("name", [name for name in FILESYSTEM if name not in _NOT_HERE])
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(FILESYSTEM[name].read) == FILESYSTEM[name].expected(release)


def test_no_folder_lets_everybody_delete(root: Shell) -> None:
    open_folders = "find / -xdev -type d -perm -0002 ! -perm -1000 -print"
    assert root(f"{open_folders}; stat -c %a /tmp") == "1777"


def _as_user(root: Shell, command: str) -> str:
    """What an ordinary user without sudo gets to see."""
    return root(f"runuser -u nobody -- sh -c '{command}' 2>&1")


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/crontab", "/etc/security/opasswd"]
)
def test_an_ordinary_user_cannot_read(root: Shell, path: str) -> None:
    assert _as_user(root, f"cat {path}") == f"cat: {path}: Permission denied"


@pytest.mark.parametrize("path", ["/root", "/etc/cron.d", "/etc/cron.daily"])
def test_an_ordinary_user_cannot_list(root: Shell, path: str) -> None:
    assert "Permission denied" in _as_user(root, f"ls {path}")


def test_nothing_runs_from_shared_memory(root: Shell) -> None:
    said = root(
        "cp /bin/true /dev/shm/tool; chmod 755 /dev/shm/tool; /dev/shm/tool 2>&1; rm /dev/shm/tool"
    )
    assert "Permission denied" in said


def test_the_rules_of_sudo_still_work(root: Shell) -> None:
    assert "parsed OK" in root("visudo -c")
    assert root("runuser -u ops -- sudo -n id -un") == "root"


def test_fstab_is_sound(root: Shell) -> None:
    assert "0 parse errors" in root("findmnt --verify 2>&1") or "Success" in root(
        "findmnt --verify 2>&1"
    )
