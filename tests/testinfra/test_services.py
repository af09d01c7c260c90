# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role services has been applied to."""

from __future__ import annotations

from tests.testinfra.conftest import Shell

_UNWANTED = (
    "autofs avahi-daemon isc-dhcp-server named dnsmasq vsftpd slapd dovecot nfs-server ypserv cups "
    "smbd snmpd tftpd-hpa squid xinetd gdm xrdp bluetooth"
)


def test_nothing_unwanted_runs(root: Shell) -> None:
    assert set(root(f"systemctl is-active {_UNWANTED}").split()) == {"inactive"}


def test_only_sshd_listens_to_the_network(root: Shell) -> None:
    listed = root("ss -Hltun | awk '{print $5}' | grep -v -e '^127' -e '^.::1' | sed 's/.*://'")
    assert set(listed.split()) <= {"22", "80", "443"}


def test_one_daemon_keeps_the_time_and_asks_the_pool(root: Shell) -> None:
    assert root("systemctl is-enabled systemd-timesyncd") == "enabled"
    assert root("systemctl is-enabled chrony ntpsec openntpd | grep -c enabled") == "0"
    servers = root("systemd-analyze cat-config systemd/timesyncd.conf | grep ^NTP= | tail -1")
    assert servers.startswith("NTP=0.debian.pool.ntp.org 1.debian.pool.ntp.org")


def test_no_screen_is_served(root: Shell) -> None:
    assert root("dpkg-query -W -f '${db:Status-Status}' xserver-common || echo none") == "none"
