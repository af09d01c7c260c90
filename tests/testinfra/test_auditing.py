# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role auditing has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

AUDITING = FAMILIES["auditing"]
# auditd never ran here, so it has no file of records.
_NOT_HERE = ("auditing_log_modes",)


@pytest.fixture(scope="module")
def waited() -> set[str]:
    """The hosts whose database has been waited for."""
    return set()


@pytest.mark.parametrize(
    "name", [n for n, r in AUDITING.items() if not r.own_kernel and n not in _NOT_HERE]
)
def test_reading(root: Shell, release: str, waited: set[str], name: str) -> None:
    if release not in waited:
        root(AUDITING["auditing_integrity_database"].by_hand)
        waited.add(release)
    assert root(AUDITING[name].read) == AUDITING[name].expected(release)


def test_augenrules_puts_all_rules_together(root: Shell) -> None:
    """Though it cannot load them: the kernel is another's."""
    root("augenrules")
    merged = root("grep -c -e '-k identity$' -e '-k user_emulation$' /etc/audit/audit.rules")
    assert merged == "10"


def test_aide_takes_the_rules(root: Shell) -> None:
    check = "aide --config=/etc/aide/aide.conf"
    assert root(f"{check} --config-check > /dev/null && echo fine") == "fine"
    assert root(f"{check} --path-check=f:/srv/site/index.php | cut -c1-3") == "[ ]"
    assert root(f"{check} --path-check=f:/usr/sbin/ausearch | cut -c1-3").lower() == "[x]"
