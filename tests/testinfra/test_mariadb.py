# SPDX-License-Identifier: GPL-3.0-or-later
"""A hosting server that the role mariadb has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

MARIADB = FAMILIES["mariadb"]
# Accounts and a file that only a test has put there.
_NOT_HERE = ("mariadb_passwords", "mariadb_remote_tls", "mariadb_credentials")


@pytest.mark.parametrize("name", sorted(set(MARIADB) - set(_NOT_HERE)))
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(MARIADB[name].read) == MARIADB[name].expected(release)


def test_it_starts_again_as_it_runs(root: Shell) -> None:
    script = "systemctl restart mariadb && mariadb -N -B -e 'SELECT @@GLOBAL.local_infile, "
    assert root(script + "@@GLOBAL.server_audit_logging, @@GLOBAL.server_audit_events'") == (
        "0\t1\tQUERY_DCL"
    )


def test_sites_still_have_their_databases(root: Shell) -> None:
    ask = "mariadb -N -B -u site_shop -ptest-only-shop shop -e 'SELECT COUNT(*) > 0 FROM wp_posts'"
    assert root(ask) == "1"
    assert root("mariadb -u site_shop -ptest-only-shop blog -e 'SELECT 1' || echo refused") == (
        "refused"
    )
