# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role packages has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

PACKAGES = FAMILIES["packages"]
# rpcbind is only there where a test has put it on.
_NOT_HERE = (
    "packages_remote_procedure_calls",
    "packages_remote_procedure_service",
    "packages_apparmor",
    "packages_process_accounting",  # a container may not switch it on
)
# apt is asked for these only where something else had been said before.
_SET_ON_NEED = (
    "packages_unauthenticated",
    "packages_weak_sources",
    "packages_unsigned_again",
    "packages_downgrades",
    "packages_verified_servers",
    "packages_update_reboot",
    "packages_old_kernels",
    "packages_old_dependencies",
    "packages_update_origins",
)


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {*_NOT_HERE, *_SET_ON_NEED}))
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(PACKAGES[name].read) == PACKAGES[name].expected(release)


def test_unattended_upgrades_is_switched_on_for_security_updates(root: Shell) -> None:
    periodic = "apt-config dump APT::Periodic::Unattended-Upgrade"
    assert root(periodic) == 'APT::Periodic::Unattended-Upgrade "1";'
    origins = root("apt-config dump Unattended-Upgrade::Origins-Pattern")
    assert "label=Debian-Security" in origins


def test_unattended_upgrades_can_run(root: Shell) -> None:
    assert root("unattended-upgrade --dry-run > /dev/null 2>&1 && echo fine") == "fine"


def test_nothing_waits_for_clear_text_passwords(root: Shell) -> None:
    listening = root("ss -Hltun | awk '{print $5}' | sed 's/.*://' | sort -un").split()
    assert not {"23", "69", "111", "512", "513", "514"} & set(listening)
