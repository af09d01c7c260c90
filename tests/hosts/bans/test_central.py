# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts share bans by a central list, which one of them keeps with CrowdSec."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.hosts.bans.conftest import LATER, POLICIES, SERVERS, SOON, World, wait

pytestmark = pytest.mark.hosts

_PORT = 2243
_CSCLI = "cscli -c /etc/ringfence/bans-central/crowdsec.yaml"
_UNIT = "ringfence-bans-central"
_SECRETS = ("/etc/ringfence/bans/central.json", "/etc/ringfence/bans-central/client.yaml")
_CERTIFICATE = "/etc/ringfence/bans/central.pem"


@pytest.fixture(scope="module", autouse=True)
def applied(world: World) -> Iterator[None]:
    world.central = "web1"
    world.apply("--check")
    assert world.sh("web1", "ls -d /etc/ringfence/bans-central 2>&1 || true").startswith("ls: ")
    done = world.apply("-vvv")
    # Nobody who reads what a run says learns what a host signs in with.
    assert not [word for host in SERVERS for word in _secrets(world, host) if word in done.output]
    yield
    world.central = ""


def _secrets(world: World, host: str) -> list[str]:
    found = json.loads(world.sh(host, f"cat {_SECRETS[0]}"))
    return [found["password"], found["key"]]


def test_a_second_run_changes_nothing(world: World) -> None:
    done = world.apply()
    assert done.output.count("changed=0 ") == len(SERVERS), done.output


def test_only_the_list_runs_and_nothing_is_told_to_the_vendor(world: World) -> None:
    state = f"systemctl is-active {_UNIT} crowdsec; systemctl is-enabled {_UNIT} crowdsec"
    assert world.sh("web1", f"{{ {state}; }} || true").split() == [
        "active", "inactive", "enabled", "disabled",
    ]  # fmt: skip
    assert world.sh("web2", "ls /usr/bin/crowdsec 2>/dev/null || echo none").strip() == "none"
    settings = world.sh("web1", "cat /etc/ringfence/bans-central/crowdsec.yaml")
    assert "online" not in settings
    said = world.sh("web1", f"journalctl -u {_UNIT} --no-pager -o cat")
    assert "Central API disabled" in said
    assert "password" not in world.sh("web1", "cat /etc/crowdsec/online_api_credentials.yaml")
    # Hosts do not tell each other beside it.
    for host in SERVERS:
        assert world.sh(host, "ss -ltnH 'sport = :2242' | wc -l").strip() == "0"


def test_secrets_are_roots_alone_and_in_no_command_line(world: World) -> None:
    for host in SERVERS:
        shown = world.sh(host, f"stat -c '%U %a' {_SECRETS[0]}")
        assert shown.strip() == "root 600"
        everything = world.sh(host, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
        logged = world.sh(host, "journalctl --no-pager -o cat")
        for word in _secrets(world, host):
            assert word not in everything
            assert word not in logged
    shown = world.sh("web1", f"stat -c '%U %a' {_SECRETS[1]} /etc/ringfence/bans-central")
    assert shown.split() == ["root", "600", "root", "700"]


@pytest.mark.parametrize(
    ("host", "other", "number"), [("web1", "web2", 100), ("web2", "web1", 101)]
)
def test_a_ban_on_one_host_holds_on_the_other_until_it_is_lifted(
    world: World, host: str, other: str, number: int
) -> None:
    source = world.source(number)
    world.sign_in(host, source, "shop.example", POLICIES["shop"]["sign_in"]["attempts"])
    here = wait(lambda: source in world.banned(host), SOON, "the ban")
    there = wait(lambda: source in world.banned(other, "shared"), SOON, "the ban elsewhere")
    print(f"{host}: banned after {here:.1f} s, on {other} {there:.1f} s later")
    assert world.banned(other, "shared")[source][1] == f"{host}: bad sign-ins to WordPress"
    assert not world.reaches(other, source)
    # What is told names the host, the reason and the address, and no site.
    (row,) = _decisions(world, source)
    assert row["scenario"] == f"{host}: bad sign-ins to WordPress"
    assert "acme" not in json.dumps(row)
    # Evidence on both hosts, with the reason and who saw it.
    for name in SERVERS:
        kept = [one for one in world.record(name) if one["subject"] == source]
        assert [(one["source"], one["reason"]) for one in kept] == [
            (host, "bad sign-ins to WordPress")
        ]
    world.apply_unban(source)
    wait(lambda: not _decisions(world, source), SOON, "its end on the list")
    wait(lambda: not _banned_anywhere(world, source), SOON, "its end on the hosts")
    assert world.reaches(host, source)
    assert world.reaches(other, source)


def test_the_operator_bans_and_lifts_by_hand_on_the_list(world: World) -> None:
    source, gateway = world.source(105), world.servers.hosts["web2"].gateway
    monitor, network = world.source(200), f"{world.network}.0/24"
    for words in (
        f"--ip {source} --reason 'sends spam'", f"--ip {gateway}", f"--ip {monitor}",
        f"--range {network}", f"--ip {world.address('web2')}",
    ):  # fmt: skip
        world.sh("web1", f"{_CSCLI} decisions add --duration 8h {words}")
    for host in SERVERS:
        _wait_for(world, host, source, "shared")
        # Only this one: management, monitors and the fleet never are, and networks no addresses.
        assert set(world.banned(host, "shared")) == {source}
        given, said = world.banned(host, "shared")[source]
        assert given <= 4 * 3600
        assert said == "central list: cscli: sends spam"
        assert world.reaches(host, monitor)
    world.sh("web1", f"{_CSCLI} decisions delete --all")
    wait(lambda: not _banned_anywhere(world, source), SOON, "its end on the hosts")
    for host in SERVERS:
        (row,) = [one for one in world.record(host) if one["subject"] == source]
        assert row["why"] == "lifted on the central list"


def test_one_host_takes_back_its_own_word_only(world: World) -> None:
    source = world.source(106)
    jail = next(
        name
        for name, found in json.loads(world.sh("web1", "cat /etc/ringfence/bans/bans.json"))[
            "jails"
        ].items()
        if found["kind"] == "ssh"
    )
    # As fail2ban tells it: both hosts see the same one.
    for host in SERVERS:
        since = int(world.sh(host, "date +%s"))
        ban = {"do": "ban", "jail": jail, "id": source, "since": since, "seconds": 3000}
        world.sh(host, f"ringfence-bans tell '{json.dumps(ban)}'")
        _wait_for(world, host, source, "ban")
    for host in SERVERS:
        _wait_for(world, host, source, "shared")
    ended = {"do": "ended", "jail": jail, "id": source}
    world.sh("web1", f"ringfence-bans tell '{json.dumps(ended)}'")
    wait(lambda: len(_decisions(world, source)) == 1, SOON, "one word less")
    assert _decisions(world, source)[0]["scenario"].startswith("web2: ")
    wait(lambda: source not in world.banned("web2", "shared"), SOON, "its end on web2")
    assert source not in world.banned("web1")
    assert source in world.banned("web1", "shared")
    assert source in world.banned("web2")
    world.apply_unban(source)
    wait(lambda: not _banned_anywhere(world, source), SOON, "its end on the hosts")


def test_strangers_are_not_answered_and_nobody_lets_himself_in(world: World) -> None:
    at = world.address("web1")
    ask = f"curl -ks -m 5 -o /dev/null -w '%{{http_code}}' https://{at}:{_PORT}/v1/decisions"
    assert world.servers.exec("attacker", "sh", "-c", f"{ask} || true").strip() == "000"
    # A host of the fleet is, and without a key it is told nothing.
    assert world.sh("web2", ask).strip() == "403"
    body = json.dumps({"machine_id": "web3", "password": "not-let-in-by-anybody"})
    world.sh(
        "web2",
        f"curl -ks -m 5 -A x/1 -H 'Content-Type: application/json' -d '{body}' "
        f"https://{at}:{_PORT}/v1/watchers",
    )
    assert "web3" in world.sh("web1", f"{_CSCLI} machines list")
    world.apply()
    assert "web3" not in world.sh("web1", f"{_CSCLI} machines list")
    assert world.sh("web1", f"{_CSCLI} machines list").count('"isValidated": true') == 2


def test_another_certificate_is_not_taken(world: World) -> None:
    world.sh(
        "web2",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x "
        f"-addext subjectAltName=IP:{world.address('web1')} -keyout /dev/null "
        "-out /etc/ringfence/bans/central.pem 2>/dev/null; systemctl restart ringfence-bans",
    )
    wait(lambda: "CERTIFICATE_VERIFY_FAILED" in _said(world, "web2"), SOON, "the refusal")
    done = world.apply()
    assert "changed=0 " in done.output  # web1
    wait(lambda: world.audit()["web2"]["bans_peers"] == "pass", LATER, lambda: world.said)


def test_bans_go_on_without_the_list_and_the_audit_says_so(world: World) -> None:
    good = world.audit()
    assert {(good[host]["bans_peers"], good[host]["bans_services"]) for host in SERVERS} == {
        ("pass", "pass")
    }
    source = world.source(107)
    world.sh("web1", f"systemctl stop {_UNIT}")
    world.sign_in("web2", source, "shop.example", POLICIES["shop"]["sign_in"]["attempts"])
    wait(lambda: source in world.banned("web2"), SOON, "the ban")
    wait(lambda: "is not reached" in _said(world, "web2"), SOON, "the complaint")
    world.sh("web2", _LONG_AGO)
    found = world.audit()
    assert found["web1"]["bans_services"] == "fail"
    assert found["web2"]["bans_peers"] == "fail"
    assert any(f"{_UNIT}.service is inactive" in line for line in world.said)
    assert any("the central list on web1 is not reached" in line for line in world.said)
    done = world.apply()
    assert re.search(r"web1 .*changed=[1-9]", done.output), done.output
    # What was not told is told when it is back.
    wait(lambda: source in world.banned("web1", "shared"), 2 * LATER, "the ban elsewhere")
    world.apply_unban(source)
    wait(lambda: not _banned_anywhere(world, source), SOON, "its end on the hosts")


def test_the_list_moves_to_another_host(world: World) -> None:
    world.central = "web2"
    world.apply()
    # It is let in to the other one now.
    assert _left(world, "web1") == [_SECRETS[0], _CERTIFICATE]
    assert world.sh("web2", f"systemctl is-active {_UNIT}").strip() == "active"
    source = world.source(108)
    world.sign_in("web1", source, "shop.example", POLICIES["shop"]["sign_in"]["attempts"])
    wait(lambda: source in world.banned("web2", "shared"), LATER, "the ban elsewhere")
    done = world.apply()
    assert done.output.count("changed=0 ") == len(SERVERS), done.output
    world.apply_unban(source)


def test_without_it_hosts_tell_each_other_and_nothing_of_it_is_left(world: World) -> None:
    world.central = ""
    world.apply()
    for host in SERVERS:
        assert _left(world, host) == []
    source = world.source(109)
    world.sign_in("web1", source, "shop.example", POLICIES["shop"]["sign_in"]["attempts"])
    wait(lambda: source in world.banned("web2", "shared"), LATER, "the ban elsewhere")
    done = world.apply()
    assert done.output.count("changed=0 ") == len(SERVERS), done.output
    world.central = "web2"
    world.apply()
    world.apply(enabled=False)
    for host in SERVERS:
        assert _left(world, host) == []


_LONG_AGO = (
    "python3 -c \"import sqlite3; c = sqlite3.connect('/var/lib/ringfence/bans/bans.sqlite'); "
    "c.execute('update notes set value = 1 where name = \\'heard central list\\''); c.commit()\""
)


def _decisions(world: World, address: str) -> list[dict[str, str]]:
    said = world.sh(world.central, f"{_CSCLI} decisions list --ip {address}")
    alerts = json.loads(said) or []
    return [row for alert in alerts for row in alert["decisions"]]


def _wait_for(world: World, host: str, source: str, kind: str) -> None:
    wait(lambda: source in world.banned(host, kind), SOON, f"{source} in {kind}4 of {host}")


def _banned_anywhere(world: World, source: str) -> bool:
    return any(
        source in world.banned(host) or source in world.banned(host, "shared") for host in SERVERS
    )


def _said(world: World, host: str) -> str:
    return world.sh(host, "journalctl -u ringfence-bans --no-pager -o cat")


def _left(world: World, host: str) -> list[str]:
    """What is there of the central list: files, units, a port."""
    paths = f"{_SECRETS[0]} {_CERTIFICATE} /etc/ringfence/bans-central"
    return world.sh(
        host,
        f"ls -d {paths} /var/lib/ringfence/bans-central /etc/systemd/system/{_UNIT}* 2>/dev/null; "
        f"systemctl list-unit-files --no-legend '{_UNIT}*'; ss -ltnH 'sport = :{_PORT}'; "
        "systemctl is-active crowdsec | grep -x active; true",
    ).split()
