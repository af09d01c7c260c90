# SPDX-License-Identifier: GPL-3.0-or-later
"""Who would be shut out, and what listens in vain. The rest is tried on real hosts."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _firewall, _nftables
from ansible_collections.ringfence.hosting.plugins.module_utils._connection import Connection
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# As `ss -H -l -n -t -u -p` of iproute2 6.1 and 6.15 prints it.
LISTENING = """\
udp   UNCONN 0  0  127.0.0.53%lo:53  0.0.0.0:*  users:(("systemd-resolve",pid=1,fd=1))
udp   UNCONN 0  0  0.0.0.0:5353  0.0.0.0:*  users:(("avahi-daemon",pid=1,fd=12))
tcp   LISTEN 0  128  0.0.0.0:22  0.0.0.0:*  users:(("sshd",pid=1,fd=3))
tcp   LISTEN 0  80  127.0.0.1:3306  0.0.0.0:*  users:(("mariadbd",pid=1,fd=20))
tcp   LISTEN 0  511  *:80  *:*  users:(("apache2",pid=1,fd=4))
tcp   LISTEN 0  128  [::]:22  [::]:*  users:(("sshd",pid=1,fd=4))
tcp   LISTEN 0  4096  [::1]:631  [::]:*
tcp   LISTEN 0  5  [::]:9000  [::]:*
"""


class Told(Host):
    """A host whose programs print what they are told to."""

    def __init__(self, root: Path, **said: str) -> None:
        super().__init__(str(root))
        self.said = said

    def output(self, argv: list[str], **_options: Any) -> str:
        name = Path(argv[0]).name
        if name not in self.said:
            raise HostError(f"{name} is not installed")
        return self.said[name]


def firewall(zones: list[str], ports: list[int]) -> _nftables.Firewall:
    return _nftables.parse(
        {
            "zones": {"management": ["203.0.113.0/24"]},
            "services": {"ssh": {"tcp": ports, "zones": zones}},
            "outbound_policy": "accept",
            "outbound_services": {},
            "log_rate": 10,
        }
    )


def from_address(text: str, port: int = 22) -> Connection:
    return Connection(ipaddress.ip_address(text), port)


@pytest.mark.parametrize(
    ("zones", "ports", "connection", "told"),
    [
        (["management"], [22], from_address("203.0.113.9"), ""),
        (["public"], [22], from_address("198.51.100.1"), ""),
        (["management"], [2222], from_address("127.0.0.1"), ""),
        (
            ["management"],
            [22],
            from_address("198.51.100.1"),
            "which no zone of a service with port",
        ),
        (
            ["management"],
            [22],
            from_address("203.0.113.9", 2222),
            "uses port 2222 (from 203.0.113.9",
        ),
        (
            ["management"],
            [22],
            from_address("2001:db8::1"),
            "comes from 2001:db8::1, which no zone",
        ),
    ],
)
def test_who_is_shut_out(
    tmp_path: Path, zones: list[str], ports: list[int], connection: Connection, told: str
) -> None:
    found = _firewall.lock_out(Told(tmp_path), firewall(zones, ports), connection)
    assert told in found
    assert bool(told) == bool(found)


@pytest.mark.parametrize(
    ("said", "ports", "told"),
    [
        ("port 22\nport 2222\naddressfamily any\n", [2222], ""),
        (
            "port 22\nport 2222\n",
            [443],
            "no service lets the zone management in to sshd, which listens",
        ),
        (None, [443], "which listens on port 22"),
        (None, [22], ""),
    ],
)
def test_without_a_connection_management_must_reach_sshd(
    tmp_path: Path, said: str | None, ports: list[int], told: str
) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/sshd").touch()
    host = Told(tmp_path, **({"sshd": said} if said else {}))
    found = _firewall.lock_out(host, firewall(["management"], ports), None)
    assert told in found
    assert bool(told) == bool(found)


@pytest.mark.parametrize(
    ("sshd", "socket", "ports"),
    [
        ("port 22\nlistenaddress 192.0.2.1:2222\nlistenaddress [2001:db8::1]:2222\n", "", [2222]),
        ("port 22\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\n", "", [22]),
        ("port 22\n", "Listen=[::]:2222 (Stream)\nActiveState=active\n", [2222]),
        ("port 22\n", "Listen=[::]:2222 (Stream)\nActiveState=inactive\n", [22]),
        (
            "port 22\n",
            "Listen=0.0.0.0:22 (Stream)\nListen=[::]:2222 (Stream)\nActiveState=active\n",
            [22, 2222],
        ),
    ],
)
def test_ports_by_addresses_and_by_a_socket_of_systemd(
    tmp_path: Path, sshd: str, socket: str, ports: list[int]
) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/sshd").touch()
    host = Told(tmp_path, sshd=sshd, **({"systemctl": socket} if socket else {}))
    assert _firewall._sshd_ports(host) == ports


def test_a_host_without_sshd_shuts_nobody_out(tmp_path: Path) -> None:
    assert _firewall.lock_out(Told(tmp_path), firewall(["management"], [443]), None) == ""


def test_what_listens_in_vain(tmp_path: Path) -> None:
    closed = _firewall.closed_listeners(
        Told(tmp_path, ss=LISTENING), firewall(["management"], [22])
    )
    assert closed == ["80/tcp apache2", "5353/udp avahi-daemon", "9000/tcp"]


def test_a_host_without_ss_says_nothing(tmp_path: Path) -> None:
    assert _firewall.closed_listeners(Told(tmp_path), firewall(["management"], [22])) == []
