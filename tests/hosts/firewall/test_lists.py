# SPDX-License-Identifier: GPL-3.0-or-later
"""Bans and lists take effect at once, leak nothing while they change, and spare management."""

from __future__ import annotations

import ipaddress
import json
import time

import pytest

from tests.hosts.firewall import probes
from tests.hosts.firewall.conftest import HERE, PUBLIC_ONLY, Target

pytestmark = pytest.mark.hosts


@pytest.mark.parametrize("length", [(32, 128), (31, 64)])
@pytest.mark.parametrize("name", ["ban", "block"])
def test_a_listed_address_is_out_until_it_is_taken_off(
    firewall: Target, name: str, length: tuple[int, int]
) -> None:
    addresses = [firewall.outsider, firewall.outsider6]
    nets = [
        str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
        for address, bits in zip(addresses, length, strict=True)
    ]
    firewall.fill(list=name, entries=nets)
    assert not firewall.reaches(80)
    assert not firewall.reaches(80, firewall.address6)
    firewall.fill(list=name, entries=addresses[:1], state="absent")
    assert firewall.reaches(80)
    assert not firewall.reaches(80, firewall.address6)


def test_a_ban_cuts_what_is_established(firewall: Target) -> None:
    held = firewall.beside(probes.HOLD, firewall.address, 80, 8)
    time.sleep(1)
    firewall.sh(f"nft add element inet ringfence ban4 '{{ {firewall.outsider} timeout 1h }}'")
    assert 0 < int(held.result(30)) < 12


def test_a_ban_ends_by_itself(firewall: Target) -> None:
    firewall.fill(list="ban", entries=[firewall.outsider], timeout=6)
    assert not firewall.reaches(80)
    time.sleep(6.5)
    assert firewall.reaches(80)


def test_who_is_allowed_is_not_banned_but_gets_no_port_for_it(firewall: Target) -> None:
    firewall.fill(list="allow", entries=[firewall.outsider])
    firewall.fill(list="ban", entries=[firewall.outsider])
    firewall.fill(list="block", entries=["0.0.0.0/1"])
    assert firewall.scan(firewall.address, 1, 9000)["open"] == [80, 443]


def test_management_is_never_shut_out(firewall: Target) -> None:
    firewall.fill(list="ban", entries=[firewall.management])
    firewall.fill(list="block", entries=["0.0.0.0/1", "128.0.0.0/2"])
    assert firewall.fleet.ssh(firewall.name, "echo", "in") == "in\n"
    assert not firewall.reaches(80)


def test_an_operator_who_is_not_management_cannot_ban_himself(firewall: Target) -> None:
    services = {**PUBLIC_ONLY, "ssh": {"tcp": [22], "zones": ["public"]}}
    zones = {"management": ["192.0.2.77"]}
    firewall.load(firewall_services=services, firewall_zones=zones)
    before = firewall.sh("nft list ruleset")
    options = {"list": "block", "entries": ["0.0.0.0/1"]}
    done = firewall.play(str(HERE / "fill.yml"), {"fill": options})
    assert done.returncode != 0
    told = f"refused, nothing changed: 0.0.0.0/1 holds {firewall.management}"
    assert told in done.output
    assert firewall.sh("nft list ruleset") == before


@pytest.mark.parametrize("name", ["ban", "block", "allow"])
def test_filling_twice_changes_once(firewall: Target, name: str) -> None:
    entries = ["192.0.2.9", "198.51.100.0/24", "198.51.100.7", "2001:db8:1::/64", "2001:db8::7"]
    options = {"list": name, "entries": entries, "timeout": 3600 if name == "ban" else 0}
    assert "changed=1" in firewall.fill(**options).output
    assert "changed=0" in firewall.fill(**options).output
    assert "changed=1" in firewall.fill(**options, state="absent").output
    assert "changed=0" in firewall.fill(**options, state="absent").output


def test_check_mode_fills_nothing(firewall: Target) -> None:
    options = {"fill": {"list": "block", "entries": ["192.0.2.9"]}}
    assert "changed=1" in firewall.play(str(HERE / "fill.yml"), options, "--check").output
    assert "changed=1" in firewall.fill(**options["fill"]).output


def test_a_wrong_entry_changes_nothing(firewall: Target) -> None:
    options = {"list": "block", "entries": ["192.0.2.9", "::ffff:192.0.2.10"]}
    done = firewall.play(str(HERE / "fill.yml"), {"fill": options})
    assert done.returncode != 0
    assert "entries, line 2: found ::ffff:192.0.2.10, an IPv4 address inside IPv6" in done.output
    assert "elements" not in firewall.sh("nft list set inet ringfence block4_addresses")


def test_a_swap_lets_no_packet_through(firewall: Target) -> None:
    """The outsider is on both lists; between them there must be no moment it is on neither."""
    others = [f"10.{n >> 8}.{n & 255}.1" for n in range(20_000)]
    for n, extra in enumerate((others[:10_000], others[10_000:])):
        text = "\\n".join([firewall.outsider, *extra])
        firewall.sh(f"printf '%b\\n' '{text}' > /root/list{n}")
    firewall.fill(list="block", src="/root/list0", state="exact")
    knocked = firewall.beside(probes.KNOCK, firewall.address, 80, 14)
    for n in (1, 0, 1, 0):
        assert (
            "changed=1" in firewall.fill(list="block", src=f"/root/list{n}", state="exact").output
        )
    counted = json.loads(knocked.result(60))
    assert counted["tried"] > 200
    assert counted["connected"] == 0
    firewall.fill(list="block", state="exact")
    assert firewall.reaches(80)


def test_a_hundred_thousand_entries_are_quick(firewall: Target) -> None:
    firewall.sh(
        "seq 0 99999 | awk '{printf \"11.%d.%d.%d\\n\", $1/65536, $1/256%256, $1%256}' > /root/feed"
    )
    began = time.monotonic()
    assert "changed=1" in firewall.fill(list="block", src="/root/feed", state="exact").output
    first = time.monotonic() - began
    began = time.monotonic()
    assert "changed=0" in firewall.fill(list="block", src="/root/feed", state="exact").output
    second = time.monotonic() - began
    assert (first < 20, second < 20) == (True, True), (first, second)
    assert "changed=0" in firewall.load().output
    last = "get element inet ringfence block4_addresses '{ 11.1.134.159 }'"
    assert "11.1.134.159" in firewall.sh(f"nft {last}")


_LONG = (
    "seq 0 299999 | awk '{printf \"11.%d.%d.%d\\n\", $1/65536, $1/256%256, $1%256}' > /root/long; "
    "echo 10.9.0.0/16 >> /root/long"
)
_HELD = "get element inet ringfence block4_addresses '{ 11.1.134.159 }'"


_MEANWHILE = (
    "nft flush set inet ringfence block4_addresses",
    "nft add element inet ringfence block4_addresses '{ 192.0.2.99 }'",
    "nft delete table inet ringfence; systemctl restart ringfence-firewall",
)


def test_a_long_list_that_is_as_it_was_is_left_and_any_doubt_loads_it_anew(
    firewall: Target,
) -> None:
    options = {"list": "block", "src": "/root/long", "state": "exact"}
    firewall.sh(_LONG)
    assert "changed=1" in firewall.fill(**options).output
    assert "changed=0" in firewall.fill(**options).output
    for by_hand in _MEANWHILE:
        firewall.sh(by_hand)
        assert "changed=1" in firewall.fill(**options).output, by_hand
        assert "11.1.134.159" in firewall.sh(f"nft {_HELD}")
        other = "nft get element inet ringfence block4_addresses '{ 192.0.2.99 }' 2>&1 || true"
        assert "No such file" in firewall.sh(other)
    firewall.sh(f"nft {_HELD.replace('get', 'delete')}")
    check = firewall.play(str(HERE / "fill.yml"), {"fill": options}, "--check")
    assert "changed=1" in check.output
    # One entry more, and the file that the list came from is another.
    assert "changed=1" in firewall.fill(list="block", entries=["192.0.2.98"]).output
    assert "changed=0" in firewall.fill(list="block", entries=["192.0.2.98"]).output
    assert "changed=1" in firewall.fill(**options).output
    assert "changed=0" in firewall.fill(**options).output
