# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever sudo's parser says: a rule without a password is found, and nothing odd ever passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from hypothesis import given, settings
from hypothesis import strategies as st
from mechanism_cases import FixtureHost, outcome

_ARGV = ["cvtsudoers", "-e", "-f", "json", "/etc/sudoers"]
_RULES = Control(
    id="it", mechanism="sudoers", params={"rules": "without_password"}, value=["root", "ops"]
)
_TERMINAL = Control(
    id="it", mechanism="sudoers", params={"option": "use_pty", "default": "off"}, value=True
)
_NAMES = st.sampled_from(["root", "ops", "eve", "www-data", "caf\xe9", "a b", "\udcff"])
_USERS = st.lists(
    st.builds(
        lambda kind, name, negated: {kind: name} | ({"negated": True} if negated else {}),
        st.sampled_from(["username", "usergroup", "netgroup"]),
        _NAMES,
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
_GRANTS = st.lists(
    st.builds(
        lambda free, command: {
            "Options": [{"setenv": True}, {"authenticate": not free}],
            "Commands": [{"command": command}],
        },
        st.booleans(),
        st.sampled_from(["ALL", "/usr/bin/id", "/bin/x: y"]),
    ),
    min_size=1,
    max_size=3,
)
_SPECS = st.lists(
    st.builds(lambda users, grants: {"User_List": users, "Cmnd_Specs": grants}, _USERS, _GRANTS),
    min_size=1,
    max_size=4,
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Defaults", "User_Specs", "Options", "Binding", "use_pty", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_QUICK = settings(deadline=None, max_examples=150, derandomize=True)


def _host(said: Any) -> FixtureHost:
    text = said if isinstance(said, str) else json.dumps(said)
    return FixtureHost(Path("/nonexistent"), {"commands": [{"argv": _ARGV, "out": text}]})


def _open_to_others(specs: list[dict[str, Any]]) -> bool:
    """Somebody beside root and ops has a rule without a password; said in another way."""
    return any(
        grant["Options"][1]["authenticate"] is False
        and any(
            "negated" not in user and user not in ({"username": "root"}, {"username": "ops"})
            for user in spec["User_List"]
        )
        for spec in specs
        for grant in spec["Cmnd_Specs"]
    )


@_QUICK
@given(_SPECS)
def test_each_rule_without_a_password_is_found(specs: list[dict[str, Any]]) -> None:
    found = outcome(_host({"Defaults": [], "User_Specs": specs}), _RULES)
    assert found.status == ("fail" if _open_to_others(specs) else "pass")


@_QUICK
@given(_JSON)
def test_what_is_no_list_of_rules_never_passes_unread(said: Any) -> None:
    found = outcome(_host(said), _TERMINAL)
    assert found.status in ("pass", "fail", "error")
    rules = said.get("User_Specs") if isinstance(said, dict) else None
    if not isinstance(rules, list) or not rules or '"use_pty": true' not in json.dumps(said):
        assert found.status != "pass"


@_QUICK
@given(st.text(max_size=60))
def test_what_is_no_json_is_an_error(said: str) -> None:
    assert outcome(_host(said or "-"), _RULES).status == "error"
