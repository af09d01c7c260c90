# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _cvtsudoers
from ansible_collections.ringfence.hosting.plugins.module_utils._host import HostError


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"username": "ada"}, "ada"),
        ({"usergroup": "sudo"}, "%sudo"),
        ({"userid": 1000}, "#1000"),
        ({"usergid": 27}, "%#27"),
        ({"netgroup": "admins"}, "+admins"),
        ({"nonunixgroup": "Domain Admins"}, "%:Domain Admins"),
        ({"command": "/bin/ls", "negated": True}, "!/bin/ls"),
        ({"negated": True, "command": "/bin/ls"}, "!/bin/ls"),
        ({"sha256": "0" * 64, "command": "/bin/ls"}, "/bin/ls"),
        ({}, ""),
    ],
)
def test_a_name_as_sudoers_spells_it(item: dict[str, Any], expected: str) -> None:
    assert _cvtsudoers.spelt(item) == expected


@pytest.mark.parametrize("text", ["{", "[]", '"User_Specs"'])
def test_another_answer_is_refused(text: str) -> None:
    with pytest.raises(HostError, match="cvtsudoers: "):
        _cvtsudoers.parse(text)


@pytest.mark.parametrize("said", ["ALL", {"a": 1}, [1], [{}, "ada"]])
def test_a_part_of_another_shape_is_refused(said: Any) -> None:
    with pytest.raises(HostError, match="User_Specs is not as expected"):
        _cvtsudoers.items({"User_Specs": said}, "User_Specs")
