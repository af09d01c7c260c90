# SPDX-License-Identifier: GPL-3.0-or-later
"""Seen from another host, only what is declared is open, on IPv4 and IPv6."""

from __future__ import annotations

import json

import pytest

from tests.hosts.firewall import probes
from tests.hosts.firewall.conftest import PUBLIC_ONLY, TCP, Target

pytestmark = pytest.mark.hosts


def test_all_ports_answer_without_the_firewall(target: Target) -> None:
    """Else a scan that sees nothing would show nothing."""
    target.load(firewall_state="absent")
    assert target.scan(target.address, 1, 9000)["open"] == sorted((22, *TCP))
    assert target.from_outside(probes.ASK_UDP, target.address, 5353) == "answered"


@pytest.mark.parametrize("version", [4, 6])
def test_a_scan_of_every_port_sees_what_is_declared(firewall: Target, version: int) -> None:
    found = firewall.scan(firewall.address if version == 4 else firewall.address6)
    assert found == {"open": [80, 443], "refused": 0, "silent": 65533}


@pytest.mark.parametrize(("port", "answer"), [(443, "answered"), (5353, "silent")])
def test_datagrams(firewall: Target, port: int, answer: str) -> None:
    for address in (firewall.address, firewall.address6):
        assert firewall.from_outside(probes.ASK_UDP, address, port) == answer


def test_management_signs_in_anew(firewall: Target) -> None:
    assert firewall.fleet.ssh(firewall.name, "echo", "in") == "in\n"


def test_a_zone_by_address(firewall: Target) -> None:
    services = {**PUBLIC_ONLY, "mariadb": {"tcp": ["3300-3306"], "zones": ["office"]}}
    zones = {"management": [firewall.management], "office": [firewall.outsider6]}
    firewall.load(firewall_services=services, firewall_zones=zones)
    assert firewall.scan(firewall.address6, 1, 9000)["open"] == [80, 443, 3306]
    assert firewall.scan(firewall.address, 1, 9000)["open"] == [80, 443]


def test_neighbours_are_found_anew_and_large_packets_pass(firewall: Target) -> None:
    firewall.sh("ip -6 neigh flush dev eth0; ip neigh flush dev eth0")
    firewall.fleet.exec("outsider", "ip", "-6", "neigh", "flush", "dev", "eth0")
    for address in (firewall.address, firewall.address6):
        said = firewall.fleet.exec("outsider", "ping", "-c1", "-W2", "-s3000", address)
        assert " 0% packet loss" in said


def test_packet_too_big_is_heard(firewall: Target) -> None:
    """A router on the way says the path is narrower: the host must believe it, banned or not."""
    firewall.sh("ip -6 route flush cache; nft add element inet ringfence ban6_networks '{ ::/1 }'")
    firewall.from_outside(_TOO_BIG, firewall.address6, firewall.management)
    assert "mtu 1290" in firewall.sh(f"ip -6 route get {firewall.outsider6}")


# An echo request brings an echo reply, about which we then complain as a router would.
_TOO_BIG = """
import socket, struct, sys
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
target = sys.argv[1]
name = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
name.connect((target, 9))
us, them = (socket.inet_pton(socket.AF_INET6, a) for a in (name.getsockname()[0], target))
reply = struct.pack("!BBHHH", 129, 0, 0, 1, 1) + bytes(1000)
inner = struct.pack("!IHBB", 6 << 28, 1400, 58, 64) + them + us + reply
raw.sendto(struct.pack("!BBHI", 2, 0, 0, 1290) + inner, (target, 0))
"""


def test_new_connections_are_limited_by_source(firewall: Target) -> None:
    services = {**PUBLIC_ONLY, "web": {**PUBLIC_ONLY["web"], "limit": 5}}
    firewall.load(firewall_services=services)
    seen = [firewall.reaches(80) for _ in range(8)]
    assert seen[:5] == [True] * 5
    assert seen[-1] is False
    assert firewall.reaches(80, firewall.address6)
    assert "changed=0" in firewall.load(firewall_services=services).output


def test_the_host_itself_still_gets_out_and_answers_come_back(firewall: Target) -> None:
    ask = "import socket; print(socket.create_connection(('{}', 22), 2).recv(4))"
    for address in (firewall.outsider, firewall.outsider6):
        assert "SSH-" in firewall.fleet.exec(firewall.name, "python3", "-c", ask.format(address))


def test_what_leaves_can_be_declared_too(firewall: Target) -> None:
    dns = {"udp": [53], "tcp": [53], "zones": ["public"]}
    ssh = {"tcp": [22], "zones": ["public"]}
    connect = f"socket.create_connection(('{firewall.outsider}', 22), 1)"
    ask = f'python3 -c "import socket; {connect}" 2>&1 || true'
    firewall.load(firewall_outbound_policy="drop", firewall_outbound_services={"dns": dns})
    assert "TimeoutError" in firewall.sh(ask)
    assert firewall.reaches(80)
    services = {"dns": dns, "ssh": ssh}
    firewall.load(firewall_outbound_policy="drop", firewall_outbound_services=services)
    assert firewall.sh(ask) == ""


def test_dropped_packets_are_counted(firewall: Target) -> None:
    before = firewall.info()["dropped"]["input"]
    assert not firewall.reaches(8001)
    assert firewall.info()["dropped"]["input"] > before
    assert json.dumps(firewall.info()["drift"]) == "[]"
