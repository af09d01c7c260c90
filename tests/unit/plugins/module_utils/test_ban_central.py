# SPDX-License-Identifier: GPL-3.0-or-later
"""The central list, but for its service: tests/hosts/bans/test_central.py has that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ringfence.hosting.plugins.module_utils import _ban_central, _bans
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent import (
    agent,
    central,
    kernel,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.central import (
    CentralError,
    Decision,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import Ban, Store
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

from tests.unit.plugins.module_utils.ban_cases import LIMITS, NOW, ban


def row(**more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "id": 7, "origin": "crowdsec", "type": "ban", "scope": "Ip", "value": "192.0.2.9",
        "duration": "59m59.5s", "scenario": "web2: scans for holes",
    }  # fmt: skip
    return {**given, **more}


def listed(
    key: str, address: str = "192.0.2.9", until: int = NOW + 60, source: str = "web2"
) -> Any:
    return Decision(key, address, until, source, "scans")


def compared(
    rows: list[Decision],
    live: list[Ban] | None = None,
    seen: set[str] | None = None,
    already: int = 0,
) -> central.Taken:
    return central.compare(
        rows, live or [], seen or set(), LIMITS, already, "web1", NOW, lambda a: a == "192.0.2.200"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h2m3.5s", 3723.5), ("21m56.793678316s", 1316.793678316), ("-37m3s", -2223.0),
        ("12.5ms", 0.0125), ("167h59m59.999999999s", 604799.999999999), ("0s", 0.0), ("3µs", 3e-6),
    ],
)  # fmt: skip
def test_durations_are_read_as_the_list_writes_them(text: str, expected: float) -> None:
    assert central.seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "-", "5", "s", "1d", "1h 2m", "1h;2m", "inf", "--1s"])
def test_other_durations_are_none(text: str) -> None:
    with pytest.raises(CentralError, match="no duration"):
        central.seconds(text)


def test_a_row_of_the_list_is_a_ban_with_who_made_it() -> None:
    assert central.decision(row(), NOW) == Decision(
        "7/192.0.2.9", "192.0.2.9", NOW + 3599, "web2", "scans for holes"
    )
    by_hand = central.decision(row(origin="cscli", scenario="web2: x"), NOW)
    assert by_hand is not None
    assert (by_hand.source, by_hand.reason) == (central.NAME, "cscli: web2: x")


@pytest.mark.parametrize(
    "bad",
    [
        None, 1, [], {}, row(type="captcha"), row(scope="Range", value="192.0.2.0/24"),
        row(value="192.0.2.0/24"), row(value="::/0"), row(value="127.0.0.1"), row(value="::1"),
        row(value="::"), row(value="224.0.0.1"), row(value=None), row(duration="soon"),
        row(id="x; flush"), row(scope="Country", value="DE"),
    ],
)  # fmt: skip
def test_what_is_no_ban_of_a_single_address_is_left_out(bad: Any) -> None:
    assert central.decision(bad, NOW) is None


def test_a_reason_from_the_list_cannot_break_out() -> None:
    found = central.decision(row(scenario='web2: x" }; flush ruleset\x1b'), NOW)
    assert found is not None
    assert found.reason == "x? }; flush ruleset?"


def test_what_is_told_names_no_site_and_comes_back_as_it_was() -> None:
    (alert,) = central.alerts([ban()], "web1", NOW)
    assert "acme" not in json.dumps(alert)
    (told,) = alert["decisions"]
    back = central.decision({**told, "id": 1}, NOW)
    assert back == Decision("1/192.0.2.1", "192.0.2.1", NOW + 60, "web1", "bad sign-ins")


def test_bans_of_others_are_taken_once_and_for_a_while_only() -> None:
    found = compared([listed("1/a", until=NOW + 10**6)])
    (taken,) = found.bans
    assert (taken.source, taken.jail, taken.until) == ("web2", central.JAIL, NOW + 600)
    assert taken.state == "1/a"
    # Still listed when its time here is over: not taken again.
    again = compared([listed("1/a", until=NOW + 10**6)], seen=found.keys)
    assert (again.bans, again.ended, again.keys) == ([], [], found.keys)


@pytest.mark.parametrize(
    "one",
    [listed("1/a", source="web1"), listed("1/a", until=NOW), listed("1/a", until=NOW - 5)],
    ids=["our own", "over", "long over"],
)
def test_bans_that_are_not_for_us_are_left(one: Decision) -> None:
    assert compared([one]).bans == []


def test_who_is_never_banned_is_not_and_it_is_said_once() -> None:
    found = compared([listed("1/a", "192.0.2.200"), listed("2/b")])
    assert [one.subject for one in found.bans] == ["192.0.2.9"]
    assert "1 who are never banned" in found.complaint
    assert compared([listed("1/a", "192.0.2.200")], seen=found.keys).complaint == ""


def test_so_many_an_hour_and_the_rest_when_there_is_room() -> None:
    rows = [listed(f"{n}/a", f"192.0.2.{n}", NOW + 100 + n) for n in range(1, 6)]
    found = compared(rows, already=1)
    assert [one.subject for one in found.bans] == ["192.0.2.1", "192.0.2.2"]
    assert "3 beyond 3 an hour" in found.complaint
    assert len(compared(rows, seen=found.keys).bans) == 3


def test_what_is_lifted_on_the_list_is_lifted_here() -> None:
    live = [
        ban(f"192.0.2.{n}", jail=central.JAIL, source="web2", state=f"{n}/a", until=NOW + 60)
        for n in (1, 2)
    ]
    ending = ban("192.0.2.3", jail=central.JAIL, source="web2", state="3/a", until=NOW + 5)
    found = compared([listed("2/a", "192.0.2.2")], [*live, ending], {"1/a", "2/a", "3/a"})
    assert [one.subject for one in found.ended] == ["192.0.2.1"]
    assert found.keys == {"2/a"}


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "bans.sqlite"))


def thread() -> central.Central:
    settings = {"server": "web9", "address": "192.0.2.99", "port": 2243}
    return central.Central("web1", settings, {"j"}, print)


def test_what_is_taken_back_waits_until_the_list_answers(kept: Store) -> None:
    made = thread()
    made.withdraw(kept, "192.0.2.1", "web1: bad sign-ins")
    made.withdraw(kept, "192.0.2.1")
    made.withdraw(kept, "192.0.2.1", "web1: bad sign-ins")
    # All of an address, once that was asked for.
    assert kept.notes_of("withdraw ") == [("withdraw 192.0.2.1", "*")]
    kept.forget("withdraw 192.0.2.1", "another")
    assert kept.noted("withdraw 192.0.2.1") == "*"
    kept.forget("withdraw 192.0.2.1", "*")
    assert kept.notes_of("withdraw ") == []


class Said:
    """A line on which it was said what is new and what is no more."""

    def __init__(self, *answers: tuple[list[Any], list[Any]]) -> None:
        self.answers = list(answers)
        self.asked: list[bool] = []

    def pull(self, *, whole: bool) -> tuple[list[Any], list[Any]]:
        self.asked.append(whole)
        return self.answers.pop(0)


def test_the_list_is_asked_for_whole_and_then_for_what_changed(kept: Store) -> None:
    made = thread()
    assert made.take() is None
    gone = row(id=1, value="192.0.2.1", duration="-1s")
    said: Any = Said(
        ([row(id=1, value="192.0.2.1"), row(id=2, value="192.0.2.2")], []), ([], []), ([], [gone])
    )
    found = []
    for _turn in range(3):
        made._pull(said, kept)
        rows = made.take()
        found.append(None if rows is None else sorted(one.address for one in rows))
    assert said.asked == [True, False, False]
    assert found == [["192.0.2.1", "192.0.2.2"], None, ["192.0.2.2"]]


def test_a_list_read_before_somebody_was_let_in_again_does_not_ban_anew(kept: Store) -> None:
    made = thread()
    said: Any = Said(([row(id=1)], []), ([row(id=1)], []))
    made._pull(said, kept)
    made.withdraw(kept, "192.0.2.9")
    assert made.take() == []
    made._pull(said, kept)
    assert made.take() == []


def test_the_list_tells_nothing_to_the_vendor_and_reads_no_logs() -> None:
    found = yaml.safe_load(_ban_central.settings_text("192.0.2.1", 2243))
    assert "online_client" not in found["api"]["server"]
    assert "crowdsec_service" not in found
    assert found["api"]["server"]["listen_uri"] == "0.0.0.0:2243"
    assert found["api"]["server"]["tls"]["cert_file"] == _ban_central.CERTIFICATE
    assert found["prometheus"] == {"enabled": False}
    assert " -no-cs" in _ban_central.UNIT_TEXT
    six = yaml.safe_load(_ban_central.settings_text("2001:db8::1", 2243))
    assert six["api"]["server"]["listen_uri"] == "[::]:2243"
    # Nothing is decided by it.
    assert yaml.safe_load(_ban_central.PROFILES)["filters"] == ["false"]


def asked(**more: Any) -> dict[str, Any]:
    listed = {
        "server": "web1", "address": "192.0.2.1", "port": 2243, "serve": False,
        "from": ["192.0.2.1"], "others": 1, "certificate": "",
    }  # fmt: skip
    return {"central": {**listed, **more}, "secret": {}, "check": False}


SECRET = {"machine": "web2", "password": "s3cret-word", "key": "s3cret-key"}


def test_a_host_that_is_not_let_in_is_told_so(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    with pytest.raises(_bans.BansError, match="is not let in to the list on web1 yet"):
        _bans._central_files(host, asked())
    assert _bans._central_files(host, {**asked(), "check": True})
    assert _bans._central_files(host, {"central": None}) == {}


def test_a_host_keeps_what_it_was_let_in_with_and_shows_it_to_nobody(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    given = {**asked(certificate="PEM\n", serve=True), "secret": SECRET}
    files = _bans._central_files(host, given)
    assert {path: mode for path, (_text, mode, _group) in files.items()} == {
        central.SECRET: 0o600, central.CERTIFICATE: 0o644, _ban_central.CLIENT: 0o600,
    }  # fmt: skip
    made = _bans.Plan()
    _bans._plan_files(host, made, files)
    assert "s3cret" not in str(made.diff)
    assert made.restart_agent
    for path, (text, mode, _group) in files.items():
        at = tmp_path / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
        at.chmod(mode)
    assert _bans.look(host, [])["central"] == "web1"
    assert _bans._central_files(host, asked(serve=True)) == files
    # What it was let in to one list with is nothing to another.
    with pytest.raises(_bans.BansError, match="is not let in"):
        _bans._central_files(host, asked(server="web3"))
    # Off: both go, and neither is shown.
    gone = _bans.Plan()
    _bans._plan_files(host, gone, {})
    assert {path: text for path, (text, _m, _g) in gone.files.items()} == {
        central.SECRET: None, central.CERTIFICATE: None,
    }  # fmt: skip
    assert "s3cret" not in str(gone.diff)
    assert "s3cret" not in str(_bans.plan_absent(host).diff)


@pytest.mark.parametrize(
    ("serve", "ports"), [(True, [2243]), (False, [])], ids=["keeps it", "another host"]
)
def test_the_port_of_the_list_answers_the_fleet_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: bool, ports: list[int]
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(agent, "Store", lambda: Store(str(tmp_path / "bans.sqlite")))
    monkeypatch.setattr(kernel, "load", loaded.append)
    settings: dict[str, Any] = {
        "host": "web1", "sites": {}, "jails": {}, "never": [], "web": [], "peers": [], "port": 0,
        "central": _bans._central_settings(asked(serve=serve)["central"]),
    }  # fmt: skip
    agent.Agent(settings)._load_table()
    found = [port for port in (2242, 2243) if f"tcp dport {port} counter drop" in loaded[0]]
    assert found == ports
    assert ("ip saddr 192.0.2.1 tcp dport 2243 accept" in loaded[0]) is serve


@pytest.mark.parametrize(
    ("machines", "bouncers", "here", "lacking", "fresh", "out"),
    [
        pytest.param({}, {}, ["a", "b"], ["a", "b"], ["a", "b"], ([], []), id="the first run"),
        pytest.param({"a": True, "b": True}, {"a": True, "b": True}, ["a", "b"], [], [], ([], []),
                     id="all is well"),
        pytest.param({"a": True}, {"a": True}, ["a"], [], [], ([], []),
                     id="b is not in this run and could not be handed anything"),
        pytest.param({"a": True, "b": True}, {"a": True, "b": True}, ["a", "b"], ["b"], ["b"],
                     (["b"], ["b"]), id="b lost what it had"),
        pytest.param({"a": True, "b": True}, {"a": True}, ["a", "b"], [], ["b"], (["b"], []),
                     id="b is half let in"),
        pytest.param({"a": True, "b": True, "c": True}, {"a": True, "b": True, "c": True},
                     ["a", "b"], [], [], (["c"], ["c"]), id="c has left"),
        pytest.param({"a": True, "b": True, "x": False}, {"a": True, "b": True}, ["a", "b"], [],
                     [], (["x"], []), id="a stranger asked"),
        pytest.param({"a": True, "b": False}, {"a": True}, ["a", "b"], ["b"], ["b"], (["b"], []),
                     id="a stranger asked as b"),
        pytest.param({"a": True, "b": False}, {"a": True}, ["a"], [], [], (["b"], []),
                     id="a stranger asked as b, which is not in this run"),
    ],
)  # fmt: skip
def test_who_is_let_in_and_who_goes(
    machines: dict[str, bool], bouncers: dict[str, bool], here: list[str], lacking: list[str],
    fresh: list[str], out: tuple[list[str], list[str]],
) -> None:  # fmt: skip
    known = {"machines": machines, "bouncers": bouncers}
    assert _ban_central.membership(known, ["a", "b"], here, lacking) == (
        fresh, {"machines": out[0], "bouncers": out[1]},
    )  # fmt: skip
