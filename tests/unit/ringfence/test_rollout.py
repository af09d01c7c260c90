# SPDX-License-Identifier: GPL-3.0-or-later
"""Stages: which hosts when, when to stop, and what is left to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringfence import rollout as stages
from ringfence.errors import BadInputError
from ringfence.results import HostResult
from ringfence.rollout import Folder, Rollout

HOSTS = [f"web{number}" for number in range(1, 11)]
REFUSED = "ssh: connect to host web2 port 22: Connection refused"


def begun(batches: list[list[str]]) -> Rollout:
    return Rollout.begin(batches, {"guard_timeout": 60}, None)


def ok(name: str) -> HostResult:
    return HostResult(name, "ok", begun=True)


@pytest.mark.parametrize(
    ("canaries", "size", "groups", "expected"),
    [
        ([], "100%", {}, [["web1"], HOSTS[1:]]),
        ([], "3", {}, [["web1"], HOSTS[1:4], HOSTS[4:7], HOSTS[7:]]),
        (["web9"], "100%", {}, [["web9"], [*HOSTS[:8], "web10"]]),
        (["web9", "web2", "web9"], "50", {}, [["web9", "web2"], ["web1", *HOSTS[2:8], "web10"]]),
        ([], "100%", {"canary": ["web3", "elsewhere"]}, [["web3"], [*HOSTS[:2], *HOSTS[3:]]]),
        (["web1"], "100%", {"canary": ["web3"]}, [["web1"], HOSTS[1:]]),
        ([], "100%", {"canary": ["elsewhere"]}, [["web1"], HOSTS[1:]]),
    ],
)
def test_batches(
    canaries: list[str], size: str, groups: dict[str, list[str]], expected: list[list[str]]
) -> None:
    assert stages.plan(HOSTS, canaries, size, groups) == expected


def test_every_host_is_in_exactly_one_batch() -> None:
    for size in ("1", "3", "10%", "33%", "100%", "1000"):
        batches = stages.plan(HOSTS, [], size, {})
        assert [name for batch in batches for name in batch] == HOSTS


def test_one_host_is_one_batch() -> None:
    assert stages.plan(["web1"], [], "10%", {}) == [["web1"]]


@pytest.mark.parametrize(
    ("size", "total", "expected"),
    [("1", 5, 1), ("10%", 100, 10), ("10%", 3, 1), ("100%", 3, 3), (" 25% ", 8, 2), ("99%", 1, 1)],
)
def test_batch_size(size: str, total: int, expected: int) -> None:
    assert stages.batch_size(size, total) == expected


@pytest.mark.parametrize("size", ["0", "0%", "101%", "-1", "ten", "", "1.5", "%", "10 %x", "1e3"])
def test_a_batch_size_that_is_none(size: str) -> None:
    with pytest.raises(BadInputError, match="expected a number of hosts or a share"):
        stages.batch_size(size, 10)


def test_a_canary_must_be_one_of_the_hosts() -> None:
    with pytest.raises(BadInputError, match="--canary db1: is not one of the chosen hosts"):
        stages.plan(HOSTS, ["db1"], "10%", {})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HostResult("w", "ok", begun=True), "applied"),
        (HostResult("w", "ok", failed=True), "failed"),
        (HostResult("w", "ok", controls={"a": {"id": "a", "status": "error"}}), "failed"),
        (HostResult("w", "ok", controls={"a": {"id": "a", "status": "fail"}}), "applied"),
        (HostResult("w", "error", "no python"), "failed"),
        (HostResult("w", "unreachable", REFUSED), "unreachable"),
        (HostResult("w", "unreachable", "Permission denied (publickey)."), "unreachable"),
        (HostResult("w", "unreachable", "Shared connection to web2 closed."), "failed"),
        (HostResult("w", "unreachable", "client_loop: send disconnect: Broken pipe"), "failed"),
        (HostResult("w", "not_run", begun=True), "started"),
        (HostResult("w", "not_run"), "pending"),
    ],
)
def test_what_came_of_a_host(host: HostResult, expected: str) -> None:
    state = begun([["w"]])
    state.note(["w"], {"w": host})
    assert state.hosts["w"] == expected


@pytest.mark.parametrize(
    ("states", "canary", "expected"),
    [
        (["applied", "applied"], True, []),
        (["applied", "failed"], False, ["b"]),
        (["applied", "started"], False, ["b"]),
        (["applied", "pending"], False, ["b"]),
        (["applied", "unreachable"], False, []),
        (["applied", "unreachable"], True, ["b"]),
        (["unreachable", "unreachable"], False, ["a", "b"]),
        (["failed", "unreachable"], False, ["a"]),
    ],
)
def test_what_stops_a_rollout(states: list[str], canary: bool, expected: list[str]) -> None:
    state = begun([["a", "b"]])
    state.hosts = dict(zip("ab", states, strict=True))
    assert stages.failed(state, ["a", "b"], canary=canary) == expected


def test_one_host_that_is_down_does_not_stop_batches_of_one() -> None:
    state = begun([["a"], ["b"]])
    state.hosts = {"a": "applied", "b": "unreachable"}
    assert stages.failed(state, ["b"], canary=False) == []


def test_resuming_begins_with_what_failed_and_ends_with_what_was_down() -> None:
    state = begun([["a"], ["b", "c"], ["d", "e"], ["f"]])
    state.hosts = {
        "a": "applied", "b": "failed", "c": "unreachable", "d": "started", "e": "pending",
        "f": "pending",
    }  # fmt: skip
    assert state.remaining() == [["b", "d"], ["e"], ["f"], ["c"]]


def test_a_state_survives_being_written(tmp_path: Path) -> None:
    folder, state = Folder(tmp_path), begun([["a"], ["b"]])
    state.hosts["a"] = "applied"
    folder.save(state)
    assert folder.unfinished() == state
    path = folder.path / f"{state.id}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_only_the_newest_rollout_is_resumed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    older, newer = begun([["a"]]), begun([["a"]])
    older.id, newer.id = "20250101T000000Z-ffffff", "20260101T000000Z-000000"
    newer.status = stages.DONE
    folder.save(older)
    folder.save(newer)
    assert folder.unfinished() is None


def test_nothing_to_resume(tmp_path: Path) -> None:
    assert Folder(tmp_path).unfinished() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 99}', '{"schema": 1, "x": 2}'])
def test_a_state_that_is_none(tmp_path: Path, text: str) -> None:
    folder = Folder(tmp_path)
    folder.path.mkdir()
    (folder.path / "20260101T000000Z-000000.json").write_text(text)
    with pytest.raises(BadInputError, match="is not the state of a rollout"):
        folder.unfinished()


def test_one_rollout_at_a_time(tmp_path: Path) -> None:
    with (
        Folder(tmp_path).lock(),
        pytest.raises(BadInputError, match="another rollout is going on"),
        Folder(tmp_path).lock(),
    ):
        pass
    with Folder(tmp_path).lock():
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("")
    with pytest.raises(BadInputError, match="cannot be made"), Folder(tmp_path / "evidence").lock():
        pass


def test_what_was_cut_off_is_left_alone_until_its_guard_has_ended() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    state = begun([["a"], ["b"]])
    state.hosts["a"] = stages.STARTED
    state.interrupt(now)
    assert state.unsettled(now) == 75
    assert state.unsettled(now + timedelta(seconds=70)) == 5
    assert state.unsettled(now + timedelta(hours=1)) == 0


def test_after_a_kill_the_whole_time_is_waited_for() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    state = begun([["a"]])
    state.hosts["a"] = stages.STARTED
    assert state.unsettled(now) == 75


def test_nothing_is_waited_for_where_nobody_was_cut_off() -> None:
    state = begun([["a"]])
    state.interrupt(datetime.now(UTC))
    assert state.unsettled(datetime.now(UTC)) == 0


def test_the_state_is_json_that_people_can_read(tmp_path: Path) -> None:
    folder, state = Folder(tmp_path), begun([["a"]])
    folder.save(state)
    data = json.loads((folder.path / f"{state.id}.json").read_text())
    assert data["hosts"] == {"a": "pending"}
    assert data["schema"] == 1
