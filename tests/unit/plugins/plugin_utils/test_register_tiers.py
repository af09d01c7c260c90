# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiers and the settings of a site; the shipped tiers against the shipped controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue, register
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_order import (
    is_weaker,
    seconds,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_tiers import (
    ORDERS,
    TierError,
    explain_setting,
    merged,
    resolve_tiers,
    site_settings,
    weaker_settings,
)

ENTRY = {"network": "192.0.2.1", "reason": "Noise"}
OTHER = {"network": "192.0.2.2", "reason": "Noise"}
TIERS = resolve_tiers(
    {
        "standard": {
            "title": "Standard",
            "rank": 1,
            "controls": {"a": 1},
            "security": {"second_factor": {"admin": "none"}},
            "backup": {"every": "24h", "keep": {"daily": 7}},
        },
        "strict": {
            "rank": 2,
            "extends": "standard",
            "controls": {"b": 2},
            "security": {"second_factor": {"admin": "gate"}, "addresses": {"deny": [ENTRY]}},
        },
    }
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> register.Register:
    root = tmp_path_factory.mktemp("register")
    (root / "clients").mkdir()
    return register.load(root, catalogue.load().controls)


def test_the_shipped_tiers_fit_the_shipped_controls(shipped: register.Register) -> None:
    assert [str(problem) for problem in shipped.problems] == []
    assert list(shipped.tiers) == ["standard", "enhanced", "strict"]


@pytest.mark.parametrize(("lower", "upper"), [("standard", "enhanced"), ("enhanced", "strict")])
def test_each_shipped_tier_is_at_least_as_strict_as_the_one_below(
    shipped: register.Register, lower: str, upper: str
) -> None:
    below, above = shipped.tiers[lower], shipped.tiers[upper]
    assert below["rank"] < above["rank"]
    for control in catalogue.load().controls.values():
        spec = control["value"]
        default = spec["default"]
        low = below["controls"].get(spec["name"], default)
        high = above["controls"].get(spec["name"], default)
        assert not is_weaker(spec, low, default), spec["name"]
        assert not is_weaker(spec, high, low), spec["name"]
    assert list(weaker_settings(shipped.tiers, {"id": "x", "tier": lower, **above}, None)) == []


def test_every_ordered_setting_of_the_shipped_tiers_is_in_the_schema(
    shipped: register.Register,
) -> None:
    for path, spec in ORDERS.items():
        value: Any = shipped.tiers["strict"]
        for step in path.split("."):
            value = value.get(step, {}) if isinstance(value, dict) else {}
        if value != {} and spec["type"] == "int" and isinstance(value, str):
            assert seconds(value) > 0


def test_a_tier_takes_over_what_it_does_not_say() -> None:
    strict = TIERS["strict"]
    assert strict["controls"] == {"a": 1, "b": 2}
    assert strict["backup"] == {"every": "24h", "keep": {"daily": 7}}
    assert "title" not in strict


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"a": {"extends": "b"}}, "extends b, and there is no such tier"),
        ({"a": {"extends": "a"}}, "extends itself by way of a"),
        ({"a": {"extends": "b"}, "b": {"extends": "a"}}, "extends itself by way of a and b"),
    ],
)
def test_a_tier_that_cannot_be_put_together(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(TierError, match=message):
        resolve_tiers(declared)


def test_lists_of_denied_addresses_add_up_and_others_are_replaced() -> None:
    base = {"security": {"addresses": {"deny": [ENTRY], "allow_only": [ENTRY]}}}
    over = {"security": {"addresses": {"deny": [OTHER], "allow_only": [OTHER]}}}
    assert merged(base, over) == {
        "security": {"addresses": {"deny": [ENTRY, OTHER], "allow_only": [OTHER]}}
    }


def test_a_country_list_is_replaced_as_a_whole() -> None:
    base = {"security": {"addresses": {"countries": {"deny": ["FR"]}}}}
    over = {"security": {"addresses": {"countries": {"allow_only": ["GB"]}}}}
    assert merged(base, over) == over


def test_tier_client_and_site_each_have_a_word() -> None:
    client = {"id": "acme", "tier": "strict", "backup": {"keep": {"weekly": 4}}}
    site = {"id": "shop", "security": {"addresses": {"deny": [OTHER]}}, "backup": {"every": "1h"}}
    assert site_settings(TIERS, client, site) == {
        "security": {"second_factor": {"admin": "gate"}, "addresses": {"deny": [ENTRY, OTHER]}},
        "backup": {"every": "1h", "keep": {"daily": 7, "weekly": 4}},
    }
    own = site_settings(TIERS, client, {"id": "x", "tier": "standard"})
    assert own["security"] == {"second_factor": {"admin": "none"}}


def test_a_site_of_a_silent_tier_that_asks_for_nothing_is_told_nothing() -> None:
    silent = resolve_tiers({"plain": {}})
    assert site_settings(silent, {"id": "acme", "tier": "plain"}, {"id": "shop"}) == {}


def test_a_setting_is_explained() -> None:
    client = {"id": "acme", "tier": "strict", "security": {"second_factor": {"admin": "cms"}}}
    layers = explain_setting(TIERS, client, {"id": "shop"}, "security.second_factor.admin")
    assert [(layer.kind, layer.name, layer.value, layer.note) for layer in layers] == [
        ("tier", "strict", "gate", ""),
        ("client", "acme", "cms", "weaker than gate of tier strict"),
        ("effective", "acme/shop", "cms", ""),
    ]
    assert explain_setting(TIERS, client, {"id": "shop"}, "security.second_factor.ssh") == []


def test_what_is_weaker_than_the_tier_is_found() -> None:
    client = {"id": "acme", "tier": "standard", "backup": {"every": "2d", "keep": {"daily": 9}}}
    assert list(weaker_settings(TIERS, client, None)) == [("backup.every", "2d", "24h")]


def test_the_inventory_changes_and_adds_tiers(tmp_path: Path) -> None:
    (tmp_path / "clients").mkdir()
    (tmp_path / "tiers.yml").write_text(
        "tiers:\n  standard: {controls: {ssh_max_auth_tries: 3}}\n"
        "  medical: {extends: strict, rank: 40, controls: {ssh_max_auth_tries: 1}}\n",
        encoding="utf-8",
    )
    found = register.load(tmp_path, catalogue.load().controls)
    assert found.errors == []
    assert found.tiers["enhanced"]["controls"]["ssh_max_auth_tries"] == 3
    assert found.tiers["medical"]["controls"]["ssh_max_auth_tries"] == 1
    assert found.tiers["medical"]["backup"] == found.tiers["strict"]["backup"]
