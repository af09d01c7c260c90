# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _ban_files
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent import (
    kernel,
    share,
    store,
    users,
    web,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import Store

from tests.unit.plugins.module_utils.ban_cases import LIMITS, NOW, ban


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "bans.sqlite"))


def test_a_ban_is_made_longer_and_never_shorter(kept: Store) -> None:
    first = kept.add(ban())
    longer = kept.add(ban(since=NOW + 5, until=NOW + 500))
    shorter = kept.add(ban(since=NOW + 6, until=NOW + 10))
    assert (first.id, longer.until, shorter.until) == (longer.id, NOW + 500, NOW + 500)
    assert len(kept.live(NOW + 100)) == 1


def test_a_ban_that_is_over_or_lifted_is_a_new_one_next_time(kept: Store) -> None:
    first = kept.add(ban())
    second = kept.add(ban(since=NOW + 100, until=NOW + 200))
    kept.end([second], NOW + 110, "mistake")
    third = kept.add(ban(since=NOW + 120, until=NOW + 300))
    assert len({first.id, second.id, third.id}) == 3
    assert [row.id for row in kept.live(NOW + 130)] == [third.id]


@pytest.mark.parametrize(
    ("asked", "lifted"),
    [
        (ban(), True),
        (ban(since=NOW + 30, until=NOW + 900), True),
        (ban(since=NOW + 31), False),  # made after the lift
        (ban("192.0.2.2"), False),
        (ban(jail="another rule"), False),
        (ban(source="web2"), False),
        (ban(site="acme/blog"), True),  # an address is out for the whole host
        (ban("mallory", kind=store.USER), True),
        (ban("mallory", kind=store.USER, site="acme/blog"), False),
    ],
)
def test_what_was_lifted_is_known_when_it_is_brought_back(
    kept: Store, asked: store.Ban, lifted: bool
) -> None:
    rows = [kept.add(ban()), kept.add(ban("mallory", kind=store.USER))]
    assert not kept.was_lifted(asked)
    kept.end(rows, NOW + 30, "mistake")
    assert kept.was_lifted(asked) is lifted


def test_a_peer_is_told_once_and_again_when_a_ban_grows(kept: Store) -> None:
    kept.add(ban())
    kept.add(ban("192.0.2.2", source="web2"))
    kept.add(ban("192.0.2.3", jail="not shared"))
    rows = kept.to_send("web2", "web1", {"j"}, NOW)
    assert [row.subject for row in rows] == ["192.0.2.1"]
    kept.sent("web2", rows)
    assert kept.to_send("web2", "web1", {"j"}, NOW) == []
    kept.add(ban(since=NOW + 1, until=NOW + 900))
    assert [row.until for row in kept.to_send("web2", "web1", {"j"}, NOW + 2)] == [NOW + 900]


def test_the_record_is_read_without_being_made(tmp_path: Path, kept: Store) -> None:
    kept.add(ban())
    assert len(store.read(str(tmp_path / "bans.sqlite"), NOW)[0]) == 1
    assert store.read(str(tmp_path / "none.sqlite"), NOW) == ([], {})
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "junk.sqlite").write_bytes(b"junk" * 500)
    with pytest.raises(OSError, match=r"junk\.sqlite"):
        store.read(str(tmp_path / "junk.sqlite"), NOW)


def told(*rows: Any) -> bytes:
    return json.dumps({"bans": rows}).encode()


def row(address: Any = "192.0.2.9", seconds: Any = 100, reason: Any = "scan") -> dict[str, Any]:
    return {"address": address, "seconds": seconds, "reason": reason}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'{"bans": 1}', b"\xff\xfe", b"[" * 60_000, told(*[row()] * 201)],
)
def test_a_peer_that_says_nonsense_bans_nobody(data: bytes) -> None:
    found, complaint = share.taken("web2", data, LIMITS, 0, NOW)
    assert found == []
    assert complaint.startswith("web2 says")


@pytest.mark.parametrize(
    "bad",
    [
        1, None, [], {}, row("192.0.2.0/24"), row("::/0"), row("127.0.0.1"), row("::1"), row("x"),
        row(3232235777), row(seconds=0), row(seconds=-1), row(seconds="9"), row(seconds=True),
        row(seconds=1.5), row(reason=None), row("::"), row("224.0.0.1"), row("224.0.0.1; drop"),
    ],
)  # fmt: skip
def test_a_peer_bans_single_addresses_only(bad: Any) -> None:
    found, complaint = share.taken("web2", told(bad, row()), LIMITS, 0, NOW)
    assert [one.subject for one in found] == ["192.0.2.9"]
    assert "1 no bans" in complaint


def test_a_peer_bans_for_a_while_only_so_many_and_in_our_words() -> None:
    rows = [row(f"192.0.2.{n}", 10**9, 'x" }\nadd rule\x1b') for n in range(5)]
    found, complaint = share.taken("web2", told(*rows), LIMITS, 1, NOW)
    assert len(found) == 2
    assert "3 beyond 3 an hour" in complaint
    assert {one.until for one in found} == {NOW + 600}
    assert found[0].reason == "x? }?add rule?"
    assert found[0].source == "web2"


def test_what_is_told_names_no_site() -> None:
    text = share.message([ban()], NOW)
    assert json.loads(text) == {
        "bans": [{"address": "192.0.2.1", "seconds": 60, "reason": "bad sign-ins"}]
    }


def test_only_plain_files_of_known_peers_are_heard(tmp_path: Path) -> None:
    (tmp_path / "web2.1.json").write_bytes(b"one")
    (tmp_path / "stranger.1.json").write_bytes(b"two")
    (tmp_path / "web2.2.json").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "web2.3.json")
    found = list(share.spooled({"web2"}, str(tmp_path)))
    assert ("web2", b"one") in found
    assert {data for _peer, data in found} <= {b"one", b""}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("subject", "network"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")],
)
def test_an_ipv6_address_stands_for_its_network(subject: str, network: str) -> None:
    assert store.banned_network(subject) == network


def test_elements_have_the_time_they_have_left_and_a_reason_that_cannot_break_out() -> None:
    rows = [
        ban(reason='x" } ; flush ruleset'),
        ban(until=NOW + 90),
        ban("2001:db8::1", source="web2"),
    ]
    text = kernel.elements(rows, "web1", NOW)
    assert "ban4 { 192.0.2.1 timeout 90s" in text
    assert "shared6 { 2001:db8:: timeout 60s" in text
    assert 'flush ruleset"' not in text
    assert all(line.count('"') in (0, 2) for line in text.splitlines())


def test_never_comes_before_every_ban() -> None:
    text = kernel.table(["192.0.2.0/24", "2001:db8::/48"], ["192.0.2.7"], 2242)
    chain = text[text.index("chain prerouting") :]
    assert chain.index("@never4 accept") < chain.index("@ban4") < chain.index("@shared4")
    assert chain.index("@never6 accept") < chain.index("@ban6") < chain.index("@shared6")
    assert "ip saddr 192.0.2.7 tcp dport 2242 accept" in text
    assert "tcp dport 2242 counter drop" in text


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("nginx", "192.0.2.1 1;\n2001:db8::/64 1;\n"),
        ("apache", "Require not ip 192.0.2.1\nRequire not ip 2001:db8::/64\n"),
    ],
)
def test_what_the_web_server_includes(server: str, expected: str) -> None:
    assert web.text(server, ["2001:db8::9", "192.0.2.1", "192.0.2.1"]) == expected


SITE = {
    "id": "acme/shop", "cms": "joomla", "domain": "shop.example", "folder": "/srv", "user": "acme",
    "database": {"name": "shop", "prefix": "j_"}, "php": "/usr/bin/php",
}  # fmt: skip


@pytest.mark.parametrize(
    ("database", "said"),
    [
        ({"name": "shop", "prefix": "j_`; DROP"}, "prefix"),
        ({"name": "", "prefix": "j_"}, "database is not known"),
        ({"name": "-e x", "prefix": "j_"}, "database is not known"),
    ],
)
def test_odd_names_of_tables_reach_no_sql(database: dict[str, str], said: str) -> None:
    with pytest.raises(users.UserError, match=said):
        users.block({**SITE, "database": database}, "ann", NOW)


def test_a_users_name_is_quoted_whatever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(_site: dict[str, Any], statement: str) -> str:
        asked.append(statement)
        return "7\t0\n" if statement.startswith("SELECT") else ""

    monkeypatch.setattr(users, "_sql", answer)
    state = users.block(SITE, "x' OR 1=1 -- ü", NOW)
    assert json.loads(state) == {"id": 7, "blocked_before": False}
    assert not any("OR 1=1" in statement for statement in asked)
    assert any("DELETE FROM `j_session` WHERE userid = 7" in s for s in asked)


def test_who_was_blocked_before_stays_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(users, "_sql", lambda _site, statement: asked.append(statement) or "")
    users.unblock(SITE, "ann", json.dumps({"id": 7, "blocked_before": True}))
    assert asked == []
    users.unblock(SITE, "ann", json.dumps({"id": 7, "blocked_before": False}))
    assert "block = 0 WHERE id = 7" in asked[0]


def test_wordpress_never_runs_as_root() -> None:
    with pytest.raises(users.UserError, match="does not run as root"):
        users.block({**SITE, "cms": "wordpress", "user": "root"}, "ann", NOW)


def test_the_agent_is_sent_whole_and_needs_nothing_of_the_collection() -> None:
    texts = _ban_files.program()
    assert {path.rpartition("/")[2] for path in texts} == {
        "__init__.py", "agent.py", "central.py", "kernel.py", "share.py", "store.py", "users.py",
        "web.py", "ringfence-bans",
    }  # fmt: skip
    assert not any("ansible_collections" in text for text in texts.values())
    for path, text in texts.items():
        compile(text, path, "exec")


def test_a_peers_key_may_run_one_command_from_its_addresses() -> None:
    peer = {"name": "web2", "key": "ssh-ed25519 AAAA", "from": ["192.0.2.2", "2001:db8::2"]}
    (line,) = _ban_files.authorized_keys([peer]).splitlines()[1:]
    assert line == (
        'restrict,from="192.0.2.2,2001:db8::2",'
        'command="/usr/local/sbin/ringfence-bans receive web2" ssh-ed25519 AAAA'
    )
