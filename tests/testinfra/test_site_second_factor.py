# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves in the database of a Joomla, read by SQL and compared with literals."""

from __future__ import annotations

import json

from testinfra.host import Host

PARAMS = "SELECT params FROM j_extensions WHERE element = 'com_users' AND type = 'component'"


def test_the_groups_are_forced_and_what_was_there_stays(host: Host) -> None:
    with host.sudo():
        said = host.check_output(f'mariadb --raw -N joomla -e "{PARAMS}"')
    assert json.loads(said) == {
        "allowUserRegistration": "0",
        "neverMFAUserGroups": ["2"],
        "forceMFAUserGroups": ["6", "7", "8"],
    }


def test_only_what_was_added_is_remembered(host: Host) -> None:
    with host.sudo():
        found = host.file("/var/lib/ringfence/sites/forced_groups.json")
        assert json.loads(found.content_string) == {"choir/members": [7, 8]}
        assert found.mode == 0o600
