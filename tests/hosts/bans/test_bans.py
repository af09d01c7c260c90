# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on two hosting servers end in bans, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hosts.bans import probes
from tests.hosts.bans.conftest import (
    ATTACKER,
    AUDITED,
    EDGE,
    EDGE_PORTS,
    LATER,
    POLICIES,
    SERVERS,
    SOON,
    World,
    wait,
)
from tests.hosts.sites import visits
from tests.testinfra.readings.bans import READINGS

pytestmark = pytest.mark.hosts

_STATE = (
    "find /etc /usr/local /var/www -xdev -type f -o -type l | grep -v -e '/etc/.*-$' "
    "-e /administrator/ -e ld.so.cache -e mtab | sort | xargs -d '\\n' sha256sum 2>/dev/null; "
    "nft list tables; systemctl list-unit-files --no-legend 'ringfence*' || true"
)
_WEB = sorted(SERVERS)


@pytest.fixture(scope="module")
def before(world: World) -> dict[str, str]:
    return {host: world.sh(host, _STATE) for host in SERVERS}


@pytest.fixture(scope="module", autouse=True)
def applied(world: World, before: dict[str, str]) -> None:
    assert before
    for host in SERVERS:
        visits.begin(world.servers, host)
    world.apply("--check")
    for host in SERVERS:
        assert _changes(before[host], world.sh(host, _STATE)) == []
    world.apply()


def test_a_second_run_changes_nothing(world: World) -> None:
    done = world.apply()
    assert done.output.count("changed=0 ") == len(SERVERS), done.output


@pytest.mark.parametrize(
    ("host", "other", "number"), [("web1", "web2", 100), ("web2", "web1", 101)]
)
def test_the_last_allowed_failure_bans_nobody_and_the_next_one_does_so_everywhere(
    world: World, host: str, other: str, number: int
) -> None:
    source, attempts = world.source(number), POLICIES["shop"]["sign_in"]["attempts"]
    assert world.sign_in(host, source, "shop.example", attempts - 1) == [200] * (attempts - 1)
    wait(lambda: world.failures(host, source) == attempts - 1, SOON, "fail2ban counts")
    assert source not in world.banned(host)
    assert world.reaches(host, source)
    world.sign_in(host, source, "shop.example", 1)
    here = wait(lambda: source in world.banned(host), SOON, "the ban")
    there = wait(lambda: source in world.banned(other, "shared"), SOON, "the ban elsewhere")
    print(f"{host}: banned after {here:.1f} s, on {other} after {here + there:.1f} s")
    given, reason = world.banned(host)[source]
    assert 3500 < given <= 3600
    assert reason == "acme/shop: bad sign-ins to WordPress"
    assert world.banned(other, "shared")[source][1] == f"{host}: bad sign-ins to WordPress"
    assert not world.reaches(host, source)
    assert not world.reaches(other, source)
    world.apply_unban(source)
    _require_lifted(world, source)
    assert world.reaches(host, source)
    assert world.reaches(other, source)


def test_a_site_keeps_its_own_thresholds(world: World) -> None:
    source = world.source(102)
    world.sign_in("web1", source, "shop.example", 2)
    wait(lambda: world.failures("web1", source) == 2, SOON, "fail2ban counts")
    assert source not in world.banned("web1")
    other = world.source(103)
    world.sign_in("web1", other, "blog.example", 2)
    wait(lambda: other in world.banned("web1"), SOON, "the ban")


@pytest.mark.parametrize(("host", "number"), [("web1", 123), ("web2", 124)])
def test_who_guesses_at_ssh_is_banned_as_the_strictest_site_asks(
    world: World, host: str, number: int
) -> None:
    source, other = world.source(number), next(name for name in _WEB if name != host)
    guess = (
        f"ssh -F /dev/null -b {source} -o BatchMode=yes -o ConnectTimeout=10 "
        "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        f"guest@{world.address(host)} true 2>&1 || true"
    )

    def log() -> str:
        return world.sh(
            host,
            f"journalctl -q --no-pager -o verbose --since -5min | grep -C 40 {source};"
            " tail -30 /var/log/fail2ban.log",
        )

    # Anybody may log as sshd, and counts for nothing.
    forged = f"Invalid user guest from {world.source(109)} port 22"
    for name in ("sshd", "sshd-session"):
        world.sh(host, f"runuser -u nobody -- logger -t {name} '{forged}'")
    assert "Permission denied" in world.sh(ATTACKER, guess)
    wait(lambda: world.failures(host, source) == 1, SOON, log)
    assert world.failures(host, world.source(109)) == 0
    assert source not in world.banned(host)
    world.sh(ATTACKER, guess)
    wait(lambda: source in world.banned(host), SOON, "the ban")
    given, reason = world.banned(host)[source]
    assert 3500 < given <= 3600
    assert reason == f"{host}: bad sign-ins over SSH"
    assert not world.reaches(host, source), "from the whole host"
    wait(lambda: source in world.banned(other, "shared"), SOON, "the ban elsewhere")
    _lift(world, source)


@pytest.mark.parametrize("host", _WEB)
def test_who_comes_back_is_banned_for_longer(world: World, host: str) -> None:
    source = world.source(104)
    world.sign_in(host, source, "blog.example", 2)
    wait(lambda: source in world.banned(host), SOON, "the first ban")
    assert world.banned(host)[source][0] <= 15
    # The ban of another test on the other host is not shared: blog does not ask for it.
    wait(lambda: world.reaches(host, source), LATER, "the end of the first ban")
    world.sign_in(host, source, "blog.example", 2)
    longer = 15 * POLICIES["blog"]["repeat"]["factor"] - 30
    wait(lambda: world.banned(host).get(source, (0, ""))[0] > longer, LATER, "the longer ban")
    _lift(world, source)


@pytest.mark.parametrize(("host", "number"), [("web1", 105), ("web2", 106)])
def test_behind_a_cdn_only_the_attacker_is_shut_out(world: World, host: str, number: int) -> None:
    bad, good, port = world.source(number), world.source(110), EDGE_PORTS[host]
    edge = world.address(EDGE)

    def through(source: str) -> int:
        found: int = world.attack(probes.GET, edge, port, source, "shop.example", "/robots.txt")
        return found

    assert (through(bad), through(good)) == (200, 200)
    world.attack(probes.SIGN_IN, edge, port, bad, "shop.example", "nobody", 4)
    wait(lambda: through(bad) == 403, SOON, "403 for the attacker")
    assert through(good) == 200
    assert edge not in world.banned(host)
    forged = world.servers.exec(
        ATTACKER, "curl", "-ks", "-o", "/dev/null", "-w", "%{http_code}", "--interface", bad,
        "-H", f"X-Forwarded-For: {good}", "--connect-to", f"shop.example:443:{edge}:{port}",
        "https://shop.example/robots.txt",
    )  # fmt: skip
    assert forged == "403"
    _lift(world, bad)
    wait(lambda: through(bad) == 200, SOON, "an end to it")


@pytest.mark.parametrize(("host", "number"), [("web1", 107), ("web2", 108)])
def test_xmlrpc_is_closed_and_scans_are_banned(world: World, host: str, number: int) -> None:
    source = world.source(number)
    for path in ("/", "/opening-hours/", "/wp-login.php", "/nowhere"):
        assert world.get(host, source, "shop.example", path) in (200, 404)
    assert world.get(host, source, "blog.example", "/xmlrpc.php") == 405
    assert world.get(host, source, "shop.example", "/xmlrpc.php") == 403
    assert world.get(host, source, "shop.example", "//xmlrpc.php?x") == 403
    wait(lambda: world.failures(host, source) == 2, SOON, "fail2ban counts")
    assert source not in world.banned(host)
    assert world.get(host, source, "shop.example", "/.env") in (403, 404)
    wait(lambda: source in world.banned(host), SOON, "the ban")
    assert world.banned(host)[source][0] > 7100
    assert world.banned(host)[source][1] == "acme/shop: scans for holes"
    own = "nginx" if host == "web1" else "apache2"
    assert source in world.sh(host, f"cat /var/log/{own}/shop.access.log")
    _lift(world, source)


def test_who_is_never_banned_is_not(world: World) -> None:
    monitor = world.source(200)
    world.sign_in("web1", monitor, "shop.example", 6)
    for address in (monitor, world.servers.hosts["web1"].gateway, world.address("web2")):
        message = {"do": "ban", "jail": "by hand", "id": address, "since": 2**31, "seconds": 60}
        said = world.sh("web1", f"ringfence-bans tell '{json.dumps(message)}'")
        assert json.loads(said) == {"never": True}
    assert not {monitor, world.address("web2")} & set(world.banned("web1"))
    # Even where somebody puts them on the list.
    world.sh("web1", f"nft add element inet ringfence_bans ban4 '{{ {monitor} timeout 60s }}'")
    assert world.reaches("web1", monitor)
    world.sh("web1", f"nft delete element inet ringfence_bans ban4 '{{ {monitor} }}'")


def test_a_peer_can_ban_addresses_for_a_while_and_nothing_else(world: World) -> None:
    victim = world.source(111)
    rows = [
        {"address": victim, "seconds": 10**8, "reason": 'x"; flush ruleset'},
        {"address": world.servers.hosts["web2"].gateway, "seconds": 60, "reason": "lock out"},
        {"address": f"{world.network}.0/24", "seconds": 60, "reason": "everybody"},
    ]
    ssh = (
        "ssh -F /dev/null -T -i /etc/ringfence/bans/share_key -p 2242 -o BatchMode=yes "
        "-o UserKnownHostsFile=/etc/ringfence/bans/known_hosts "
        f"ringfence-bans@{world.address('web2')}"
    )
    world.sh("web1", f"echo '{json.dumps({'bans': rows})}' | {ssh}")
    wait(lambda: victim in world.banned("web2", "shared"), SOON, "the peer's ban")
    assert set(world.banned("web2", "shared")) & {r["address"] for r in rows} == {victim}
    assert world.banned("web2", "shared")[victim][0] <= 4 * 3600
    assert world.sh("web2", "nft list tables").strip()
    # It runs no other command, whatever is asked for, and lets nobody else in.
    assert "uid=" not in world.sh("web1", f"echo '{{}}' | {ssh} id 2>&1 || true")
    forward = f"timeout 20 {ssh} -o ExitOnForwardFailure=yes -N -R 9998:127.0.0.1:22"
    assert world.sh("web1", f"{forward} < /dev/null > /dev/null 2>&1; echo $?").strip() == "255"
    greet = f"exec 3<>/dev/tcp/{world.address('web2')}/2242 && head -c 3 <&3"
    answers = [world.sh(h, f"timeout 5 bash -c '{greet}' || true") for h in ("web1", ATTACKER)]
    assert answers == ["SSH", ""]
    _lift(world, victim)


@pytest.mark.parametrize(("host", "first"), [("web1", 112), ("web2", 116)])
def test_a_user_is_blocked_and_a_live_session_ends(world: World, host: str, first: int) -> None:
    address = world.address(host)

    def session(password: str) -> Any:
        return world.attack(
            probes.SESSION, address, 443, world.source(110), "shop.example", "boss", password
        )

    status, cookies, _blocked = session("sign-in-shop")
    assert status == 302

    def admin() -> Any:
        return world.attack(probes.ADMIN, address, 443, world.source(110), "shop.example", cookies)

    assert admin() == 200
    # From several addresses, none of which fails often enough by itself.
    for number in range(first, first + 3):
        world.sign_in(host, world.source(number), "shop.example", 3 if number < first + 2 else 2,
                      "boss")  # fmt: skip
    wait(lambda: admin() == 302, SOON, "the end of the session")
    assert session("sign-in-shop")[::2] == [200, True]
    row = next(row for row in world.record(host) if row["kind"] == "user")
    assert (row["subject"], row["site"]) == ("boss", "acme/shop")
    world.apply_unban("boss", "acme/shop")
    assert session("sign-in-shop")[0] == 302


def test_the_name_that_was_typed_is_logged_only_where_there_is_such_a_user(world: World) -> None:
    world.sign_in("web1", world.source(119), "shop.example", 1, "hunter2 my password")
    logged = world.sh("web1", "journalctl -t ringfence-site --no-pager -o cat")
    assert "hunter2" not in logged
    assert "user=-" in logged


@pytest.mark.parametrize(("host", "number"), [("web1", 120), ("web2", 121)])
def test_joomla(world: World, host: str, number: int) -> None:
    source = world.source(number)
    world.sh(host, probes.JOOMLA_FAILURES.format(address=source, count=3))
    wait(lambda: source in world.banned(host), SOON, "the ban")
    assert world.banned(host)[source][1] == "acme/plain: bad sign-ins to Joomla"
    _lift(world, source)
    world.sh(host, probes.JOOMLA_ACTIONS)
    ask = (
        'mariadb -N joomla -e "SELECT id FROM j_users WHERE block=1; SELECT userid FROM j_session"'
    )
    wait(lambda: world.sh(host, ask).split() == ["8", "7", "9"], SOON, "o'hara is out")
    world.apply_unban("o'hara", "acme/plain")
    assert world.sh(host, ask).split() == ["7", "9"]


def test_bans_outlast_restarts_and_a_flushed_ruleset(world: World) -> None:
    source = world.source(122)
    world.sign_in("web1", source, "shop.example", 4)
    wait(lambda: source in world.banned("web1"), SOON, "the ban")
    world.sh("web1", "systemctl restart fail2ban ringfence-bans; nft flush ruleset")
    wait(lambda: source in _quietly(world), SOON, "the table is made again")
    assert world.banned("web1")[source][0] <= 3600
    _lift(world, source)


def test_a_ban_lifted_while_fail2ban_is_away_does_not_come_back(world: World) -> None:
    source = world.source(125)
    world.sign_in("web1", source, "shop.example", 4)
    wait(lambda: source in world.banned("web1"), SOON, "the ban")
    world.sh("web1", "systemctl stop fail2ban")
    try:
        lift = json.dumps({"do": "unban", "subject": source, "why": "test"})
        assert source in world.sh("web1", f"ringfence-bans tell '{lift}'")
    finally:
        world.sh("web1", "systemctl start fail2ban")
    restored = f"grep 'Restore Ban {source}' /var/log/fail2ban.log || true"
    wait(lambda: world.sh("web1", restored), SOON, "fail2ban brings it back")
    ask = f"fail2ban-client banned || echo {source} for all that is known"
    wait(lambda: source not in world.sh("web1", ask), SOON, "fail2ban forgets it")
    assert source not in world.banned("web1")
    _lift(world, source)  # on the peer
    world.sign_in("web1", source, "shop.example", 4)
    wait(lambda: source in world.banned("web1"), SOON, "a ban for new guesses")
    _lift(world, source)


def test_bans_are_evidence_with_their_reason_and_how_they_ended(world: World) -> None:
    rows, holds = world.listed()
    assert holds
    for host in SERVERS:
        kept = {(row["kind"], row["subject"], row["site"]) for row in rows[host]}
        assert kept == {(row["kind"], row["subject"], row["site"]) for row in world.record(host)}
        assert all(row["reason"] and row["since"] and row["until"] for row in rows[host])
        assert {"bad sign-ins over SSH", "scans for holes"} <= {row["reason"] for row in rows[host]}
        lifted = [row for row in rows[host] if row["lifted"]]
        assert {row["why"] for row in lifted} == {"test"}


@pytest.mark.parametrize("host", _WEB)
def test_no_visit_was_refused_by_all_of_this(world: World, host: str) -> None:
    """The set-up, bans, blocked users, reloads of the web server for the visitors of a CDN."""
    visits.require_all_answered(world.servers, host)


def test_controls_hold_until_something_is_wrong(world: World) -> None:
    good = dict.fromkeys(READINGS, "pass")
    # A peer that was not up yet is called again within a minute.
    wait(lambda: world.audit() == dict.fromkeys(SERVERS, good), AUDITED, lambda: world.said)
    world.sh("web1", "\n".join(reading.wrong for reading in READINGS.values()))
    found = world.audit()
    assert found["web1"] == dict.fromkeys(READINGS, "fail"), world.said
    assert set(found["web2"].values()) == {"pass"}, world.said
    world.apply()
    world.sh("web1", "systemctl restart ringfence-bans")
    wait(lambda: world.audit()["web1"] == good, AUDITED, lambda: world.said)
    for name, reading in READINGS.items():
        assert world.sh("web1", f"{{ {reading.read}; }} || true").strip() == reading.right, name


def test_what_was_put_there_goes_with_the_last_site_that_asks(
    world: World, before: dict[str, str]
) -> None:
    for host in SERVERS:
        visits.begin(world.servers, host)
    world.apply(enabled=False)
    for host in SERVERS:
        visits.require_all_answered(world.servers, host)
        assert _changes(before[host], world.sh(host, _STATE)) == []
    done = world.apply(enabled=False)
    assert done.output.count("changed=0 ") == len(SERVERS), done.output
    assert world.get("web1", world.source(110), "shop.example") == 200


def _changes(before: str, after: str) -> list[str]:
    return sorted(set(before.splitlines()) ^ set(after.splitlines()))


def _quietly(world: World) -> dict[str, tuple[int, str]]:
    try:
        return world.banned("web1")
    except Exception:
        return {}


def _lift(world: World, source: str) -> None:
    """At the console of each host, which takes no playbook.

    A ban that is still on its way to a peer arrives after the first lift, so it is lifted again.
    """
    message = json.dumps({"do": "unban", "subject": source, "why": "test"})

    def gone() -> bool:
        for host in SERVERS:
            said = world.sh(
                host, f"ringfence-bans tell '{message}'; fail2ban-client unban {source}"
            )
            assert '"lifted"' in said
        return not _lies_on(world, source)

    wait(gone, LATER, "an end to the ban")


def _require_lifted(world: World, source: str) -> None:
    assert _lies_on(world, source) == []


def _lies_on(world: World, source: str) -> list[str]:
    """The servers that keep the address out, by a ban of their own or a peer's."""
    return [
        host
        for host in SERVERS
        if source in world.banned(host) or source in world.banned(host, "shared")
    ]
