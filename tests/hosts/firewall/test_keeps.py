# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall stays what is declared: a second run, changes by hand, other programs, a reboot."""

from __future__ import annotations

import time

import pytest

from tests.hosts.firewall import probes
from tests.hosts.firewall.conftest import PUBLIC_ONLY, STATE, Target

pytestmark = pytest.mark.hosts

LISTING = "nft -s -t list table inet ringfence"
OTHERS = """
nft -f - <<'RULES'
table inet foreign {
	set seen {
		type ipv4_addr
		elements = { 192.0.2.1 }
	}

	chain input {
		type filter hook input priority 5; policy accept;
		tcp dport 9999 counter packets 7 bytes 420 drop
	}
}
table ip nat_by_engine {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 8088 dnat to 10.99.0.2:80
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.99.0.0/24 masquerade
	}
}
RULES
"""
LIST_OTHERS = "nft -a list table inet foreign; nft -a list table ip nat_by_engine"
REMOVE_OTHERS = "nft delete table inet foreign; nft delete table ip nat_by_engine"


def test_a_second_run_changes_nothing_and_keeps_bans(firewall: Target) -> None:
    firewall.fill(list="ban", entries=["192.0.2.9"], timeout=3600)
    assert "changed=0" in firewall.load().output
    assert "192.0.2.9" in firewall.sh("nft list set inet ringfence ban4")


def test_changed_rules_keep_bans_and_lists(firewall: Target) -> None:
    firewall.fill(list="ban", entries=["192.0.2.9", "2001:db8::/64"], timeout=3600)
    firewall.fill(list="block", entries=["198.51.100.0/24"])
    zones = {"management": [firewall.management], "office": ["192.0.2.0/28"]}
    services = {**PUBLIC_ONLY, "db": {"tcp": [3306], "zones": ["office"]}}
    for changed in ({"firewall_services": services, "firewall_zones": zones}, {}):
        assert "changed=1" in firewall.load(**changed).output
        bans = firewall.sh("nft list set inet ringfence ban4")
        assert "192.0.2.9 timeout 1h expires" in bans
        assert "2001:db8::/64" in firewall.sh("nft list set inet ringfence ban6_networks")
        assert "198.51.100.0/24" in firewall.sh("nft list set inet ringfence block4")
    assert "office" not in firewall.sh(LISTING)


@pytest.mark.parametrize(
    "by_hand",
    [
        "nft insert rule inet ringfence input accept",
        "nft insert rule inet ringfence prerouting accept",
        "nft 'add chain inet ringfence input { policy accept; }'",
        "nft 'add table inet ringfence { flags dormant; }'",
        "nft delete table inet ringfence",
        "nft flush chain inet ringfence zone_public",
        "nft flush ruleset",
        "nft add element inet ringfence zone_management4 '{ 198.51.100.1 }'",
        "nft flush chain inet ringfence input; nft delete chain inet ringfence input",
        "nft 'add chain inet ringfence mine { type filter hook input priority -5; }'",
        "nft 'add map inet ringfence m { type inet_service : verdict; }'",
        "nft 'add counter inet ringfence c'",
        "nft 'flush chain inet ringfence prerouting; delete set inet ringfence ban4; "
        "add set inet ringfence ban4 { type ipv4_addr; }'",
        "sed -i s/22/2222/ /etc/ringfence/firewall.nft",
        "chmod 0666 /etc/ringfence/firewall.nft",
        "rm /etc/ringfence/firewall.nft",
        "systemctl -q disable ringfence-firewall",
        "systemctl stop ringfence-firewall",
        "rm /etc/systemd/system/ringfence-firewall.service; systemctl daemon-reload",
        "rm -r /etc/systemd/system/nftables.service.d",
    ],
)
def test_what_was_done_by_hand_is_seen_and_mended(firewall: Target, by_hand: str) -> None:
    before = firewall.sh(STATE)
    firewall.sh(by_hand)
    altered = firewall.sh(STATE)
    assert altered != before
    checked = firewall.apply("--check", "--diff")
    assert "changed=1" in checked.output, checked.output
    assert "+++ after: " in checked.output
    assert firewall.sh(STATE) == altered
    assert "changed=1" in firewall.load().output
    assert firewall.sh(STATE) == before


def test_info_tells_drift_and_changes_nothing(firewall: Target) -> None:
    told = firewall.info()
    assert (told["loaded"], told["at_boot"], told["drift"]) == (True, True, [])
    assert told["connection"] == f"{firewall.management} to port 22"
    firewall.sh(
        "nft insert rule inet ringfence input tcp dport 8000 accept; "
        "systemctl -q disable ringfence-firewall"
    )
    told = firewall.info()
    assert "+\t\ttcp dport 8000 accept" in told["drift"]
    assert told["at_boot"] is False
    firewall.sh("nft 'add table inet ringfence { flags dormant; }'")
    assert firewall.info()["loaded"] is False
    firewall.sh("nft delete table inet ringfence")
    assert firewall.info()["loaded"] is False


def test_others_tables_stay_as_they_are(firewall: Target) -> None:
    firewall.sh(OTHERS)
    before = firewall.sh(LIST_OTHERS)
    try:
        for changed in (
            {"firewall_log_rate": 20},
            {"firewall_state": "absent"},
            {},
        ):
            firewall.load(**changed)
            assert firewall.sh(LIST_OTHERS) == before
    finally:
        firewall.sh(REMOVE_OTHERS)


def test_a_container_behind_the_host_is_reached_and_gets_out(firewall: Target) -> None:
    """As an engine does it: a bridge, a network namespace, DNAT to what it publishes."""
    firewall.sh(_CONTAINER)
    try:
        firewall.load(firewall_log_rate=20)
        assert firewall.reaches(8088)
        ask = f"socket.create_connection(('{firewall.outsider}', 22), 2).recv(4)"
        said = firewall.sh(f'ip netns exec box python3 -c "import socket; print({ask})"')
        assert "SSH-" in said
        firewall.fill(list="ban", entries=[firewall.outsider])
        assert not firewall.reaches(8088)
    finally:
        firewall.sh("systemctl stop box; ip netns del box; ip link del rfbr; " + REMOVE_OTHERS)


_CONTAINER = (
    OTHERS
    + """
set -e
ip link add rfbr type bridge
ip addr add 10.99.0.1/24 dev rfbr
ip link set rfbr up
ip netns add box
ip link add out type veth peer name eth0 netns box
ip link set out master rfbr up
ip -n box addr add 10.99.0.2/24 dev eth0
ip -n box link set eth0 up
ip -n box route add default via 10.99.0.1
sysctl -qw net.ipv4.ip_forward=1
systemctl reset-failed box 2>/dev/null || true
systemd-run -q --unit=box ip netns exec box python3 -m http.server 80
sleep 1
"""
)


def test_debians_nftables_service_never_opens_the_host(firewall: Target) -> None:
    """Its file begins with `flush ruleset`, and so does stopping it."""
    firewall.fill(list="ban", entries=["192.0.2.9"], timeout=3600)
    firewall.fill(list="block", entries=["198.51.100.0/24"])
    before = firewall.sh(LISTING)
    knocked = firewall.beside(probes.KNOCK, firewall.address, 8000, 6)
    firewall.sh(
        "for i in 1 2 3 4 5 6 7 8; do for do in start reload restart stop; do "
        "systemctl reset-failed nftables; systemctl $do nftables; sleep 0.1; done; done"
    )
    assert '"connected": 0' in knocked.result(60)
    assert firewall.sh(LISTING) == before
    assert "192.0.2.9" in firewall.sh("nft list set inet ringfence ban4")
    assert "198.51.100.0/24" in firewall.sh("nft list set inet ringfence block4")


@pytest.mark.parametrize("nftables", ["disable", "enable"])
def test_all_is_there_after_a_reboot(firewall: Target, nftables: str) -> None:
    firewall.sh(f"systemctl -q {nftables} nftables")
    firewall.fill(list="ban", entries=["192.0.2.9", "2001:db8:9::/64"], timeout=86400)
    firewall.fill(list="block", entries=["198.51.100.0/24", "198.51.101.1"])
    firewall.fill(list="allow", entries=["192.0.2.64/26"])
    before = firewall.sh(LISTING)
    firewall.fleet.reboot(firewall.name)
    assert firewall.sh(LISTING) == before
    for name, entry in (
        ("ban4", "192.0.2.9 timeout 1d expires 23h"),
        ("ban6_networks", "2001:db8:9::/64 timeout 1d"),
        ("block4", "198.51.100.0/24"),
        ("block4_addresses", "198.51.101.1"),
        ("allow4", "192.0.2.64/26"),
    ):
        assert entry in firewall.sh(f"nft list set inet ringfence {name}")
    firewall.listen()
    assert firewall.scan(firewall.address, 1, 9000)["open"] == [80, 443]
    assert firewall.scan(firewall.address6, 1, 9000)["open"] == [80, 443]
    assert "changed=0" in firewall.load().output


def test_a_power_cut_and_a_broken_list_leave_the_rules(firewall: Target) -> None:
    firewall.sh(
        "mkdir -p /var/lib/ringfence/firewall; echo nonsense "
        "> /var/lib/ringfence/firewall/block.nft; sync"
    )
    firewall.fleet.kill(firewall.name)
    firewall.fleet.revive(firewall.name)
    firewall.listen()
    assert firewall.scan(firewall.address, 1, 9000)["open"] == [80, 443]


def test_absent_leaves_nothing(firewall: Target) -> None:
    firewall.fill(list="block", entries=["198.51.100.0/24"])
    assert "changed=1" in firewall.load(firewall_state="absent").output
    assert "ringfence" not in firewall.sh("nft list tables")
    left = firewall.sh(
        "find /etc /var/lib /usr -xdev -path /var/lib/ringfence/guard -prune -o -print | grep -e "
        "ringfence-firewall -e ringfence/fire -e keep-bans -e system/nftables.service.d || true"
    )
    assert left == ""
    assert firewall.reaches(8000)
    assert "changed=0" in firewall.load(firewall_state="absent").output


def test_a_second_run_is_one_quick_call(firewall: Target) -> None:
    began = time.monotonic()
    assert "changed=0" in firewall.load().output
    assert time.monotonic() - began < 15
