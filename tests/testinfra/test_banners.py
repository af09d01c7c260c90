# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role banners has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

BANNERS = FAMILIES["banners"]


@pytest.mark.parametrize("name", BANNERS)
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(BANNERS[name].read) == BANNERS[name].expected(release)


def test_no_notice_names_the_system(root: Shell) -> None:
    assert root("cat /etc/issue /etc/issue.net /etc/motd | grep -ciE 'debian|linux'") == "0"
