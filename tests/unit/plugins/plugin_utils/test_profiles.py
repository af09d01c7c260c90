# SPDX-License-Identifier: GPL-3.0-or-later
"""Which controls a host must have."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import profiles


def _control(level: int) -> dict[str, Any]:
    return {"id": "ssh_x", "level": level, "value": {"name": "ssh_x", "default": "no"}}


@pytest.mark.parametrize(
    ("level", "profile", "value", "demanded", "said"),
    [
        (1, "l1_server", "no", True, "demanded by the profile l1_server"),
        (2, "l1_server", "no", False, "audited, not demanded, never applied"),
        (2, "l1_server", "yes", True, "demanded, for its value was chosen"),
        (2, "l2_server", "no", True, "demanded by the profile l2_server"),
        (2, "all", "no", True, "demanded by the profile all"),
    ],
)
def test_what_is_demanded(level: int, profile: str, value: str, demanded: bool, said: str) -> None:
    assert profiles.is_demanded(_control(level), value, profile) is demanded
    assert said in profiles.reason(_control(level), value, profile)


@pytest.mark.parametrize(
    ("variables", "profile"),
    [
        ({}, "l1_server"),
        ({"ringfence_profile": "l2_server"}, "l2_server"),
        ({"ringfence_tier_profile": "l2_server"}, "l2_server"),
        ({"ringfence_profile": "l1_server", "ringfence_tier_profile": "l2_server"}, "l2_server"),
        ({"ringfence_profile": "all", "ringfence_tier_profile": "l2_server"}, "all"),
    ],
)
def test_a_tier_is_a_floor(variables: dict[str, str], profile: str) -> None:
    assert profiles.of_host(variables) == profile


@pytest.mark.parametrize("found", ["l3_server", "", 2, ["l1_server"]])
def test_an_unknown_profile_is_refused_in_one_line(found: Any) -> None:
    with pytest.raises(ValueError, match=r"variable ringfence_profile: found .*, expected one of"):
        profiles.of_host({"ringfence_profile": found})
