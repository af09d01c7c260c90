# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that would shut the operator out are refused, or put back by the guard in time."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.hosts.firewall.conftest import PUBLIC_ONLY, Target

pytestmark = pytest.mark.hosts

STATE = (
    "nft -s list ruleset; cd /etc; find ringfence systemd/system -type f -o -type l | sort | "
    "grep -v guard | xargs sha256sum 2>/dev/null; ls -l systemd/system/sysinit.target.wants | "
    "grep -c firewall; ls /var/lib/ringfence/guard 2>/dev/null | wc -l"
)
WITHOUT_SSH = {"web": {"tcp": [80], "zones": ["public"]}}
ELSEWHERE = {"management": ["192.0.2.0/24"]}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"firewall_services": WITHOUT_SSH}, "this connection uses port 22 (from {me}), which no"),
        ({"firewall_services": {}}, "this connection uses port 22 (from {me}), which no service"),
        ({"firewall_zones": ELSEWHERE}, "this connection comes from {me}, which no zone of a"),
        (
            {"firewall_services": {**PUBLIC_ONLY, "ssh": {"udp": [22], "zones": ["public"]}}},
            "this connection uses port 22 (from {me}), which no service opens",
        ),
        ({"firewall_zones": ELSEWHERE, "firewall_guard_timeout": 0}, "this connection comes from"),
        (
            {"firewall_zones": ELSEWHERE, "firewall_guard_timeout": 0, "firewall_force": True},
            "force needs a guard: expected firewall_guard_timeout above 0",
        ),
        ({"firewall_zones": {}}, "firewall_zones.management: is empty, expected the addresses"),
    ],
)
@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_lock_out_is_refused_in_one_line(
    firewall: Target, changed: dict[str, Any], line: str, check: list[str]
) -> None:
    before = firewall.sh(STATE)
    done = firewall.apply(*check, **changed)
    assert done.returncode != 0
    failed = [row for row in done.output.splitlines() if row.startswith("fatal")]
    assert len(failed) == 1
    assert line.format(me=firewall.management) in failed[0]
    assert "Traceback" not in done.output
    assert firewall.sh(STATE) == before


def test_a_refusal_on_a_host_without_firewall_leaves_nothing(target: Target) -> None:
    target.load(firewall_state="absent")
    before = target.sh(STATE)
    assert target.apply(firewall_zones=ELSEWHERE).returncode != 0
    assert target.sh(STATE) == before


@pytest.mark.parametrize("first", [False, True])
def test_a_forced_lock_out_is_put_back(firewall: Target, first: bool) -> None:
    if first:
        firewall.load(firewall_state="absent")
    firewall.sh("nft add element inet ringfence ban4 '{ 192.0.2.9 }'" if not first else "true")
    state = STATE.replace("| wc -l", ">/dev/null")
    before = firewall.sh(state)
    began = time.monotonic()
    done = firewall.apply(firewall_zones=ELSEWHERE, firewall_force=True, firewall_guard_timeout=15)
    assert done.returncode != 0
    assert time.monotonic() - began < 15 + 15 + 15
    failed = next(row for row in done.output.splitlines() if row.startswith("fatal"))
    assert re.search(r"put (itself )?back at .* nftables inet ringfence", failed), failed
    assert "changed=0" in done.output
    assert firewall.fleet.ssh(firewall.name, "echo", "in") == "in\n"
    assert firewall.sh(state) == before


def test_a_good_change_is_confirmed_over_a_new_connection(firewall: Target) -> None:
    assert "changed=1" in firewall.load(firewall_log_rate=30).output
    told = firewall.sh("cat /var/lib/ringfence/guard/last.json")
    assert '"outcome": "confirmed"' in told
    assert firewall.sh("systemctl list-timers --all --no-legend 'ringfence-guard-*'") == ""


def test_check_and_diff_show_the_change_and_make_none(firewall: Target) -> None:
    before = firewall.sh(STATE)
    services = {**PUBLIC_ONLY, "db": {"tcp": [3306], "zones": ["management"]}}
    done = firewall.apply("--check", "--diff", firewall_services=services)
    assert '+\t\ttcp dport { 3306 } accept comment "db"' in done.output
    assert "changed=1" in done.output
    assert firewall.sh(STATE) == before


def test_what_listens_and_is_closed_is_told(firewall: Target) -> None:
    services = {**PUBLIC_ONLY, "db": {"tcp": [3306], "zones": ["management"]}}
    done = firewall.apply("--check", "-v", firewall_services=services)
    closed = re.search(r'"closed": \[([^]]*)\]', done.output)
    assert closed, done.output
    assert '"8000/tcp python3"' in closed[1]
    assert '"5353/udp python3"' in closed[1]
    assert "3306" not in closed[1]
    assert "22/tcp" not in closed[1]


def test_a_zone_written_for_ipv4_covers_an_ipv4_connection_only(firewall: Target) -> None:
    zones = {"management": [f"{firewall.management}/32", "2001:db8::/32"]}
    assert "changed=1" in firewall.load(firewall_zones=zones).output
    text = firewall.sh("nft list set inet ringfence zone_management6")
    assert "2001:db8::/32" in text
