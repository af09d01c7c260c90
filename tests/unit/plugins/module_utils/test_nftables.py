# SPDX-License-Identifier: GPL-3.0-or-later
"""From zones and services to nft's language, and what its listings say."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _nftables
from ansible_collections.ringfence.hosting.plugins.module_utils._nftables import (
    DeclarationError,
    admits,
    blocks,
    collapse,
    mending,
    network,
    opens,
    parse,
    render,
)

ZONES: dict[str, Any] = {"management": ["203.0.113.0/24", "2001:db8::/48"]}
SERVICES: dict[str, Any] = {
    "ssh": {"tcp": [22], "zones": ["management"]},
    "web": {"tcp": [443, 80], "udp": [443], "zones": ["public"]},
}


def declared(**changed: Any) -> dict[str, Any]:
    usual = {
        "zones": ZONES,
        "services": SERVICES,
        "outbound_policy": "accept",
        "outbound_services": {},
        "log_rate": 10,
    }
    return {**usual, **changed}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"zones": {}}, "firewall_zones.management: is empty, expected the addresses"),
        ({"zones": {"management": []}}, "firewall_zones.management: is empty"),
        ({"zones": {"management": None}}, "firewall_zones.management: is empty"),
        ({"zones": {"management": "any"}}, "firewall_zones.management: found any"),
        ({"zones": {"management": ["0.0.0.0/0"]}}, "management: holds every address"),
        ({"zones": {"management": ["0.0.0.0/1", "128.0.0.0/1"]}}, "holds every address"),
        ({"zones": {"management": "203.0.113.1"}}, "found '203.0.113.1', expected a list"),
        ({"zones": {"management": ["office"]}}, "firewall_zones.management[0]: found office"),
        ({"zones": {"management": ["203.0.113.5/24"]}}, "write 203.0.113.0/24 for all of it"),
        ({"zones": {"management": ["203.0.113.0/33"]}}, "management[0]: found 203.0.113.0/33"),
        ({"zones": {"management": ["::ffff:203.0.113.5"]}}, "write 203.0.113.5/32"),
        ({"zones": {"management": ["fe80::1%eth0"]}}, "expected an address without an interface"),
        ({"zones": {"management": [10.0]}}, "found 10.0, expected an address or a network as text"),
        ({"zones": {**ZONES, "Büro": ["192.0.2.1"]}}, "firewall_zones.Büro: found the name 'Büro'"),
        ({"zones": {**ZONES, "a; flush ruleset": []}}, "expected a small letter"),
        ({"services": {"ssh": {"tcp": [22], "zones": ["managment"]}}}, "expected management"),
        (
            {"services": {"ssh": {"tcp": [70000], "zones": ["public"]}}},
            "port 70000 is out of range",
        ),
        ({"services": {"ssh": {"tcp": [0], "zones": ["public"]}}}, "tcp[0]: port 0 is out of"),
        ({"services": {"ssh": {"tcp": ["90-80"], "zones": ["public"]}}}, "the lower port first"),
        (
            {"services": {"ssh": {"tcp": ["ssh"], "zones": ["public"]}}},
            "found 'ssh', expected a port",
        ),
        (
            {"services": {"ssh": {"tcp": [True], "zones": ["public"]}}},
            "found True, expected a port",
        ),
        (
            {"services": {"ssh": {"tcp": [22.5], "zones": ["public"]}}},
            "found 22.5, expected a port",
        ),
        ({"services": {"ssh": {"tcp": 22, "zones": ["public"]}}}, "found 22, expected a list"),
        ({"services": {"ssh": {"zones": ["public"]}}}, "firewall_services.ssh: opens nothing"),
        ({"services": {"ssh": {"tcp": [22]}}}, "firewall_services.ssh.zones: found []"),
        (
            {"services": {"ssh": {"tcp": [22], "zones": "public"}}},
            "found 'public', expected a list",
        ),
        (
            {"services": {"ssh": {"tpc": [22], "zones": ["public"]}}},
            "tpc: is not known, expected tcp",
        ),
        ({"services": {"ssh": [22]}}, "firewall_services.ssh: found [22], expected tcp, udp"),
        (
            {"services": {"v": {"protocols": ["ospf"], "zones": ["public"]}}},
            "found 'ospf', expected ah",
        ),
        ({"services": {"s": {"tcp": [1], "zones": ["public"], "limit": -1}}}, "limit: found -1"),
        ({"services": {"s": {"tcp": [1], "zones": ["public"], "limit": "5"}}}, "limit: found '5'"),
        ({"outbound_services": SERVICES}, "has no effect unless firewall_outbound_policy is drop"),
        (
            {
                "outbound_policy": "drop",
                "outbound_services": {"s": {"tcp": [1], "zones": ["public"], "limit": 5}},
            },
            "firewall_outbound_services.s.limit: only what comes in is limited",
        ),
        ({"log_rate": -1}, "firewall_log_rate: found -1"),
    ],
)
def test_bad_data_is_named_in_one_line(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse(declared(**changed))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(caught.value.problems) == 1


def test_every_problem_is_told_at_once() -> None:
    wrong = {"ssh": {"tcp": [0], "zones": ["x"]}, "web": {"udp": [65536], "zones": []}}
    with pytest.raises(DeclarationError) as caught:
        parse(declared(services=wrong))
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        (["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"], ["10.0.0.0/8"]),
        (["10.0.0.0/25", "10.0.0.128/25"], ["10.0.0.0/24"]),
        (["2001:db8::/33", "10.0.0.1", "2001:db8:8000::/33"], ["10.0.0.1/32", "2001:db8::/32"]),
        (["10.0.0.1", "10.0.0.1"], ["10.0.0.1/32"]),
        ([" 10.0.0.1 "], ["10.0.0.1/32"]),
        (["10.0.0.0/255.0.0.0"], ["10.0.0.0/8"]),
    ],
)
def test_overlaps_are_joined(listed: list[str], left: list[str]) -> None:
    assert [str(found) for found in collapse(map(network, listed))] == left


@pytest.mark.parametrize(
    ("address", "port", "admitted"),
    [
        ("203.0.113.9", 22, True),
        ("203.0.114.9", 22, False),
        ("2001:db8:0:1::9", 22, True),
        ("2001:db9::9", 22, False),
        ("198.51.100.1", 443, True),
        ("203.0.113.9", 2222, False),
    ],
)
def test_who_is_let_in(address: str, port: int, admitted: bool) -> None:
    assert admits(parse(declared()), ipaddress.ip_address(address), port) is admitted


@pytest.mark.parametrize(
    ("protocol", "port", "opened"),
    [("tcp", 22, True), ("udp", 22, False), ("udp", 443, True), ("tcp", 3306, False)],
)
def test_what_is_opened_to_anybody(protocol: str, port: int, opened: bool) -> None:
    assert opens(parse(declared()), protocol, port) is opened


def test_management_comes_before_bans_and_zones() -> None:
    lines = [line.strip() for line in render(parse(declared())).splitlines()]
    first_ban = lines.index("ip saddr @ban4 counter drop")
    assert lines.index("ip saddr @zone_management4 accept") < first_ban
    assert lines.index("ip6 saddr @zone_management6 accept") < first_ban
    assert lines.index("jump zone_public") > lines.index(
        "ip6 saddr @zone_management6 jump zone_management"
    )


def test_a_set_that_is_filled_at_run_time_is_never_flushed() -> None:
    text = render(parse(declared()))
    assert "flush ruleset" not in text
    for name in _nftables.FILLED_SETS:
        assert f"flush set inet ringfence {name}\n" not in text


def test_only_our_table_is_named() -> None:
    text = render(parse(declared(outbound_policy="drop", outbound_services=SERVICES)))
    tables = {line for line in text.splitlines() if line.startswith(("table", "flush", "add"))}
    assert all("inet ringfence" in line for line in tables)


@pytest.mark.parametrize(
    "changed",
    [
        {"services": dict(reversed(SERVICES.items()))},
        {
            "services": {
                **SERVICES,
                "web": {"udp": [443], "tcp": ["80", 443, 443], "zones": ["public"]},
            }
        },
        {"zones": {"management": list(reversed(ZONES["management"])), "unused": ["192.0.2.1"]}},
        {"zones": {"management": [*ZONES["management"], "203.0.113.77"]}},
    ],
)
def test_what_means_the_same_is_the_same_text(changed: dict[str, Any]) -> None:
    assert render(parse(declared(**changed))) == render(parse(declared()))


def test_ports_are_joined_for_nft_refuses_overlaps() -> None:
    services = {"x": {"tcp": ["8000-8010", 8005, 8011, 22], "zones": ["management"]}}
    assert "tcp dport { 22, 8000-8011 } accept" in render(parse(declared(services=services)))


def test_protocols_and_limits() -> None:
    services = {
        "vpn": {"protocols": ["esp", "ah"], "zones": ["public"]},
        "web": {"tcp": [80], "zones": ["public", "management"], "limit": 30},
    }
    text = render(parse(declared(services=services)))
    assert "meta l4proto { 50, 51 } accept" in text
    limit = "update @limit_web4 { ip saddr limit rate over 30/minute burst 30 packets }"
    assert text.count(limit) == 1  # not for management


LISTING = """\
table inet ringfence {
\tflags dormant

\tset ban4 {
\t\ttype ipv4_addr
\t\tflags timeout
\t}

\tset zone_a4 {
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = { 10.0.0.0/8,
\t\t\t     192.0.2.1 }
\t}

\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\ttcp dport { 22 } accept comment "ssh {"
\t}

\tct helper h {
\t\ttype "ftp" protocol tcp
\t\tl3proto inet
\t}
}
"""


def test_a_listing_is_read_by_its_parts() -> None:
    found = blocks(LISTING)
    assert list(found) == ["", "set ban4", "set zone_a4", "chain input", "ct helper h"]
    assert found[""] == "\tflags dormant\n"
    assert _nftables.zone_sets(found) == ["zone_a4"]


@pytest.mark.parametrize(
    ("old", "new", "commands", "lost"),
    [
        ("", "", [], []),
        ("policy drop", "policy accept", [], []),
        ("192.0.2.1", "192.0.2.2", [], []),
        ("accept", "drop", [], []),
        ("priority filter", "priority raw", ["delete chain inet ringfence input"], []),
        ("chain input", "chain mine", ["delete chain inet ringfence mine"], []),
        ("set ban4", "map m", ["delete map inet ringfence m"], []),
        ("set zone_a4", "set zone_b4", ["delete set inet ringfence zone_b4"], []),
        ("flags timeout", "size 5", ["delete set inet ringfence ban4"], ["ban4"]),
        ("ct helper h", "ct timeout t", ["delete ct timeout inet ringfence t"], []),
    ],
)
def test_what_is_in_the_way_is_removed(
    old: str, new: str, commands: list[str], lost: list[str]
) -> None:
    found, gone = mending(blocks(LISTING.replace(old, new)), blocks(LISTING))
    start = ["table inet ringfence", "flush table inet ringfence"] if commands else []
    assert (found, gone) == (start + commands, lost)
