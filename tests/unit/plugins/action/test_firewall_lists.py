# SPDX-License-Identifier: GPL-3.0-or-later
"""What of it needs no host; tests/hosts/firewall has the rest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.ringfence.hosting.plugins.action import firewall_lists as action

UNLOADED = {"failed": True, "msg": "the firewall is not loaded on this host: no such table"}
BROKEN = {"failed": True, "msg": "nft: out of memory"}


@pytest.mark.parametrize("value", ["KP", {"KP": 1}, 3])
def test_a_word_is_no_list(value: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="expected a list"):
        action._words(value)


@pytest.mark.parametrize(
    ("result", "check", "expected"),
    [
        (UNLOADED, True, {"changed": True, "entries": 3, "added": 3, "removed": 0}),
        (UNLOADED, False, UNLOADED),
        (BROKEN, True, BROKEN),
        ({"changed": False}, True, {"changed": False}),
    ],
)
def test_only_a_firewall_that_is_yet_to_come_is_foreseen(
    result: dict[str, Any], check: bool, expected: dict[str, Any]
) -> None:
    assert action._foreseen(result, 3, SimpleNamespace(check_mode=check)) == expected
