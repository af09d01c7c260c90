# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are patched in batches: shown first, then done, and stopped by the first that suffers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.playing import Done, evidence, play, sh
from tests.hosts.updates.repository import Repository

pytestmark = pytest.mark.hosts

HOSTS = {"first": "bookworm", "second": "trixie"}
_ONE_BY_ONE = ("-e", '{"updates_serial": [1], "updates_health_seconds": 6}', "--diff")
_VERSION = "dpkg-query -W -f '${Version}' ringfence-demo"


@dataclass
class Story:
    """What each run said and left behind."""

    shown: Done
    after_shown: dict[str, str]
    done: Done
    after_done: dict[str, str]
    recorded: dict[str, dict[str, str]]
    started_again: dict[str, bool]
    again: Done
    stopped: Done
    after_stopped: dict[str, str]
    locked: Done


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("updates")
    with Fleet(f"updates-{os.getpid()}", HOSTS) as fleet:
        yield tell(fleet, list(HOSTS), folder)


def tell(fleet: Fleet, hosts: list[str], folder: Path) -> Story:
    """The whole story on two hosts, `hosts[0]` in the first batch."""
    repository = Repository(folder)
    repository.publish(fleet, hosts, "1", "infinity")
    for host in hosts:
        repository.use(fleet, host)
        sh(
            fleet,
            host,
            "apt-get -qq update && apt-get -qq install -y ringfence-demo > /dev/null && "
            "systemctl -q enable --now ringfence-demo",
        )
    begun = {host: _main_process(fleet, host) for host in hosts}
    repository.publish(fleet, hosts, "2", "infinity")
    for host in hosts:
        sh(fleet, host, "apt-get -qq update")

    def run(name: str, *options: str) -> Done:
        return play(fleet, "updates.yml", *_ONE_BY_ONE, *options, evidence_in=folder / name)

    def versions() -> dict[str, str]:
        return {host: sh(fleet, host, _VERSION) for host in hosts}

    shown = run("shown", "--check")
    after_shown = versions()
    done = run("done")
    after_done = versions()
    document = evidence(folder / "done")
    recorded = {
        row["name"]: next(r for r in row["results"] if r["id"] == "updates_security_pending")
        for row in document["hosts"]
    }
    started_again = {host: _main_process(fleet, host) != begun[host] for host in hosts}
    again = run("again")
    repository.publish(fleet, hosts, "3", "not-a-number")
    stopped = run("stopped")
    after_stopped = versions()
    sh(
        fleet,
        hosts[1],
        "systemd-run -q --collect --unit=lock-holder python3 -c "
        '\'import fcntl, time; f = open("/var/lib/dpkg/lock-frontend", "w"); '
        "fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(60)'; sleep 1",
    )
    locked = run("locked", "--limit", hosts[1], "-e", "updates_lock_timeout=4")
    sh(fleet, hosts[1], "systemctl stop lock-holder")
    return Story(
        shown, after_shown, done, after_done, recorded, started_again, again, stopped,
        after_stopped, locked,
    )  # fmt: skip


def _main_process(fleet: Fleet, host: str) -> str:
    return sh(fleet, host, "systemctl show -P MainPID ringfence-demo").strip()


def test_check_shows_and_changes_nothing(story: Story) -> None:
    assert story.shown.returncode == 0, story.shown.output
    assert "-ringfence-demo 1\n+ringfence-demo 2" in story.shown.output
    assert set(story.after_shown.values()) == {"1"}


def test_security_updates_are_installed_and_recorded(story: Story) -> None:
    assert story.done.returncode == 0, story.done.output
    assert set(story.after_done.values()) == {"2"}
    for row in story.recorded.values():
        assert row["status"] == "changed"
        assert "ringfence-demo 1 -> 2" in row["message"]


def test_a_service_that_runs_the_old_file_is_restarted(story: Story) -> None:
    assert set(story.started_again.values()) == {True}


def test_a_second_run_changes_nothing(story: Story) -> None:
    assert story.again.returncode == 0, story.again.output
    assert story.again.output.count("changed=0") == len(HOSTS)


def test_a_host_that_suffers_stops_those_after_it(story: Story) -> None:
    assert story.stopped.returncode != 0
    assert "ringfence-demo.service does not run any more" in story.stopped.output
    assert list(story.after_stopped.values()) == ["3", "2"]


def test_a_lock_is_waited_for_and_then_told_of(story: Story) -> None:
    assert story.locked.returncode != 0
    assert "another program is at work on packages" in story.locked.output
