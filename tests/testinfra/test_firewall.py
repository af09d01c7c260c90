# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall as the kernel tells it in JSON, and packets of our own made up on the host."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Shell = Callable[[str], str]


@pytest.fixture
def ruleset(root: Shell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(root("nft -j list ruleset"))["nftables"]
    return found


def _chain(ruleset: list[dict[str, Any]], name: str) -> dict[str, Any]:
    chains = [row["chain"] for row in ruleset if "chain" in row]
    return next(chain for chain in chains if chain["name"] == name)


def _rules(ruleset: list[dict[str, Any]], chain: str) -> list[list[dict[str, Any]]]:
    rules = [row["rule"] for row in ruleset if "rule" in row]
    return [rule["expr"] for rule in rules if rule["chain"] == chain]


def _elements(ruleset: list[dict[str, Any]], name: str) -> list[Any]:
    sets = [row["set"] for row in ruleset if "set" in row]
    found: list[Any] = next(each for each in sets if each["name"] == name).get("elem", [])
    return found


def test_there_is_one_table(ruleset: list[dict[str, Any]]) -> None:
    tables = [(row["table"]["family"], row["table"]["name"]) for row in ruleset if "table" in row]
    assert tables == [("inet", "ringfence")]


def test_what_is_not_declared_is_dropped(ruleset: list[dict[str, Any]]) -> None:
    chain = _chain(ruleset, "input")
    assert (chain["hook"], chain["prio"], chain["policy"]) == ("input", 0, "drop")
    last = _rules(ruleset, "input")[-1]
    assert [next(iter(part)) for part in last] == ["counter", "drop"]


def test_nothing_is_said_of_what_is_forwarded_or_sent(ruleset: list[dict[str, Any]]) -> None:
    hooks = {row["chain"].get("hook") for row in ruleset if "chain" in row}
    assert hooks == {None, "input", "prerouting"}


@pytest.mark.parametrize(
    ("zone", "protocol", "ports"),
    [
        ("management", "tcp", [[22]]),
        ("public", "tcp", [[80, 443]]),
        ("public", "udp", [[443]]),
        ("office", "tcp", [[3306]]),
        ("office", "udp", []),
    ],
)
def test_each_zone_reaches_its_ports(
    ruleset: list[dict[str, Any]], zone: str, protocol: str, ports: list[list[int]]
) -> None:
    found = []
    for rule in _rules(ruleset, f"zone_{zone}"):
        match = rule[0]["match"]
        assert rule[-1] == {"accept": None}
        if match["left"] == {"payload": {"protocol": protocol, "field": "dport"}}:
            right = match["right"]
            found.append(right["set"] if isinstance(right, dict) else [right])
    assert found == ports


def test_zones_hold_their_networks(ruleset: list[dict[str, Any]]) -> None:
    def prefix(address: str, length: int) -> dict[str, Any]:
        return {"prefix": {"addr": address, "len": length}}

    assert _elements(ruleset, "zone_office4") == [prefix("198.51.100.0", 24)]
    assert _elements(ruleset, "zone_office6") == [prefix("2001:db8:2::", 64)]
    assert prefix("203.0.113.0", 24) in _elements(ruleset, "zone_management4")
    assert len(_elements(ruleset, "zone_management4")) == 2


def test_lists_are_kept(ruleset: list[dict[str, Any]]) -> None:
    ban = _elements(ruleset, "ban4")[0]["elem"]
    assert (ban["val"], ban["timeout"]) == ("192.0.2.9", 86400)
    assert _elements(ruleset, "ban6_networks")[0]["elem"]["timeout"] == 86400
    assert _elements(ruleset, "block4_addresses") == ["192.0.2.7"]
    assert _elements(ruleset, "block4") == [{"prefix": {"addr": "192.0.2.128", "len": 25}}]
    assert _elements(ruleset, "allow4") == ["192.0.2.64"]


def test_it_is_loaded_at_boot(host: Any, root: Shell) -> None:
    assert host.service("ringfence-firewall").is_enabled
    assert host.service("ringfence-firewall").is_running
    rules = host.file("/etc/ringfence/firewall.nft")
    with host.sudo():
        assert (rules.user, rules.group, rules.mode) == ("root", "root", 0o600)
    before = root("nft -s list ruleset | grep -v expires")
    # As at a reboot: what is stopped keeps its bans, the kernel forgets, what is started loads.
    root("systemctl stop ringfence-firewall; nft flush ruleset; systemctl start ringfence-firewall")
    assert root("nft -s list ruleset | grep -v expires") == before


def test_debians_own_unit_does_not_open_the_host(root: Shell) -> None:
    root("systemctl start nftables; systemctl reload nftables")
    assert "policy drop" in root("nft list chain inet ringfence input")
    root("systemctl stop nftables")
    assert "policy drop" in root("nft list chain inet ringfence input")
    assert "192.0.2.9" in root("nft list set inet ringfence ban4")


def test_the_guard_is_over(root: Shell) -> None:
    assert root("systemctl list-timers --all --no-legend 'ringfence-guard-*'") == ""
    assert root("ls /var/lib/ringfence/guard/armed.json") == ""
