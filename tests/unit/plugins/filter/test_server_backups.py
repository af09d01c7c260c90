# SPDX-License-Identifier: GPL-3.0-or-later
"""From settings of hosts to what is backed up of them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.ringfence.hosting.plugins.filter.server_backups import server_backups

_SETTINGS = {"bucket": "agency", "password": "p"}


def test_each_host_with_settings_is_one() -> None:
    found = server_backups([_SETTINGS, {}, _SETTINGS], ["web1", "web2", "web3"])
    assert [(one["client"], one["id"]) for one in found] == [
        ("_server", "web1"),
        ("_server", "web3"),
    ]


@pytest.mark.parametrize(
    ("settings", "hosts", "words"),
    [([{"what": 1}], ["web1"], "there is no what"), ([_SETTINGS], [], "shorter")],
)
def test_what_cannot_be_meant_is_said(
    settings: list[dict[str, str]], hosts: list[str], words: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        server_backups(settings, hosts)
