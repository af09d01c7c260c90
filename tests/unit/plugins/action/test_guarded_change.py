# SPDX-License-Identifier: GPL-3.0-or-later
"""How several changes become one task. That they are guarded is shown on hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.ringfence.hosting.plugins.action import guarded_change as action

COPY = ("ansible.builtin.copy", {"dest": "/etc/a"})
LINE = ("ansible.builtin.lineinfile", {"path": "/etc/b"})


@pytest.mark.parametrize(
    "change",
    [{}, {"copy": {}, "template": {}}, {"copy": "src=a dest=b"}, {"name": None}],
)
def test_a_change_names_one_module_and_its_options(change: dict[str, Any]) -> None:
    with pytest.raises(AnsibleError, match="changes: expected one module with its options"):
        action._named(change, "changes")
    assert action._named({COPY[0]: COPY[1]}, "changes") == COPY


@pytest.mark.parametrize(
    ("result", "arms"),
    [
        pytest.param({"changed": False}, False, id="nothing to do"),
        pytest.param({"changed": True}, True, id="would change"),
        pytest.param({"skipped": True, "changed": False}, True, id="cannot tell in check mode"),
        pytest.param({"failed": True}, True, id="needs an earlier change"),
    ],
)
def test_a_guard_is_armed_unless_all_is_as_wanted(result: dict[str, Any], arms: bool) -> None:
    assert action._would_change(result) is arms


def test_several_results_are_one() -> None:
    diffs = [{"before": "a", "after": "b"}, {"before": "c", "after": "d"}]
    results: list[dict[str, Any]] = [
        {"changed": False, "diff": diffs[0]},
        {"changed": True, "diff": [diffs[1]]},
    ]
    assert action._summed([COPY, LINE], results) == {
        "changed": True,
        "diff": diffs,
        "results": [
            {"module": COPY[0], "changed": False},
            {"module": LINE[0], "changed": True},
        ],
    }


def test_one_failure_is_the_failure_of_all() -> None:
    results: list[dict[str, Any]] = [{"changed": True}, {"failed": True, "msg": "no such folder"}]
    found = action._summed([COPY, LINE], results)
    assert (found["failed"], found["msg"]) == (True, "no such folder")
