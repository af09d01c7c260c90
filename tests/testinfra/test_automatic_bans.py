# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves on a host, read by fail2ban's, nft's and sshd's own words."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

TABLE = "inet ringfence_bans"


def _asked(host: Host, command: str) -> str:
    with host.sudo():
        return str(host.check_output(command))


def _jail(host: Host) -> str:
    found = re.search(r"Jail list:\s*(\S+)", _asked(host, "fail2ban-client status"))
    assert found
    return found[1]


@pytest.mark.parametrize("name", ["fail2ban", "ringfence-bans", "ringfence-bans-receiver"])
def test_it_runs_now_and_at_boot(host: Host, name: str) -> None:
    service = host.service(name)
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize(
    ("setting", "value"),
    [("maxretry", "3"), ("findtime", "600"), ("bantime", "3600"), ("bantime.maxtime", "604800")],
)
def test_fail2ban_has_the_thresholds(host: Host, setting: str, value: str) -> None:
    assert _asked(host, f"fail2ban-client get {_jail(host)} {setting}").strip() == value


def test_fail2ban_reads_what_sshd_says(host: Host) -> None:
    match = _asked(host, f"fail2ban-client get {_jail(host)} journalmatch")
    for name in ("sshd", "sshd-session"):
        assert re.search(rf"SYSLOG_IDENTIFIER={name} _UID=0( |$)", match, re.MULTILINE), match


def test_bans_are_remembered_as_long_as_the_longest_may_last(host: Host) -> None:
    assert "691200" in _asked(host, "fail2ban-client get dbpurgeage")


def test_the_kernel_accepts_who_is_never_banned_before_it_drops_anybody(host: Host) -> None:
    chain = _asked(host, f"nft list chain {TABLE} prerouting")
    order = re.findall(r"saddr (?:& \S+ == )?@(\w+) .*?(accept|drop)", chain)
    assert order == [
        ("never4", "accept"), ("never6", "accept"), ("ban4", "drop"), ("ban6", "drop"),
        ("shared4", "drop"), ("shared6", "drop"),
    ]  # fmt: skip
    listed = _asked(host, f"nft list set {TABLE} never4")
    variables = host.ansible.get_variables()
    for address in ("127.0.0.0/8", "203.0.113.0/24", "192.0.2.64", variables["fleet_gateway"]):
        assert address in listed


def test_a_ban_is_made_and_lifted_at_the_console(host: Host) -> None:
    since = _asked(host, "date +%s").strip()
    told = f'{{"do": "ban", "jail": "x", "id": "198.51.100.9", "since": {since}, "seconds": 600}}'
    assert "banned" in _asked(host, f"ringfence-bans tell '{told}'")
    assert "198.51.100.9 timeout" in _asked(host, f"nft list set {TABLE} ban4")
    lifted = _asked(host, 'ringfence-bans tell \'{"do": "unban", "subject": "198.51.100.9"}\'')
    assert '"lifted": ["198.51.100.9"]' in lifted
    assert "198.51.100.9" not in _asked(host, f"nft list set {TABLE} ban4")


def test_keys_are_for_those_who_need_them(host: Host) -> None:
    with host.sudo():
        key = host.file("/etc/ringfence/bans/share_key")
        assert (key.user, key.mode) == ("root", 0o600)
        key = host.file("/etc/ringfence/bans/host_key")
        assert (key.user, key.group, key.mode) == ("root", "ringfence-bans", 0o640)
        settings = host.file("/etc/ringfence/bans/bans.json")
        assert (settings.user, settings.mode) == ("root", 0o600)


def test_a_peers_key_runs_one_command(host: Host) -> None:
    with host.sudo():
        lines = host.file("/etc/ringfence/bans/authorized_keys").content_string.splitlines()
    keys = [line for line in lines if not line.startswith("#")]
    assert len(keys) == 1
    assert re.match(
        r'restrict,from="[^"]+",command="/usr/local/sbin/ringfence-bans receive ', keys[0]
    )


def test_debians_own_jail_is_off(host: Host) -> None:
    assert "sshd" not in re.split(r"[\s,]+", _asked(host, "fail2ban-client status"))
