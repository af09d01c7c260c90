# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role boot has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

BOOT = FAMILIES["boot"]


@pytest.mark.parametrize("name", ["boot_rescue_password", "boot_ctrl_alt_del"])
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(BOOT[name].read) == BOOT[name].expected(release)


def test_the_keys_start_nothing(root: Shell) -> None:
    assert root("systemctl start ctrl-alt-del.target && echo started || echo refused") == "refused"


def test_nothing_keeps_the_memory_of_a_crash(root: Shell) -> None:
    assert root("systemctl is-active kdump-tools.service") == "inactive"
