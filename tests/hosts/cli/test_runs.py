# SPDX-License-Identifier: GPL-3.0-or-later
"""`audit`, `plan` and `apply` on real hosts: what is said, what is done, what is left."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.cli.calling import PROGRAM, Caller
from tests.hosts.playing import sh

pytestmark = pytest.mark.hosts

SSH = ("--family", "ssh")
_ROOT_LOGIN = "sshd -T | grep -i ^permitrootlogin"
_ARMED = "cat /var/lib/ringfence/guard/armed.json 2>/dev/null || true"
_DROP_INS = "ls /etc/ssh/sshd_config.d/; cat /etc/ssh/sshd_config.d/*ringfence* 2>/dev/null || true"


def test_an_audit_finds_worst_first_and_leaves_nothing_behind(ringfence: Caller) -> None:
    said = ringfence.on("audit", *SSH)
    assert said.code == 1, said.err
    severities = re.findall(r"^(CRITICAL|HIGH|MEDIUM|LOW)$", said.out, re.MULTILINE)
    assert severities == sorted(severities, key=["CRITICAL", "HIGH", "MEDIUM", "LOW"].index)
    assert "ssh_root_login  SSH refuses direct root login" in said.out
    assert said.out.rstrip().splitlines()[-1].startswith("Next: ringfence plan -i inv --family ssh")
    assert sorted(line.split()[1] for line in said.err.splitlines()) == ["web1:", "web2:", "web3:"]
    assert ringfence.left_behind() == []


def test_an_audit_as_json_is_in_the_evidence(ringfence: Caller) -> None:
    answer = ringfence.on("audit", *SSH, "--json").json
    assert {host["name"]: host["state"] for host in answer["hosts"]} == dict.fromkeys(
        ("web1", "web2", "web3"), "ok"
    )
    assert answer["totals"]["fail"] > 3
    report = ringfence.on("report", "--json", "--run", answer["run"]).json
    assert Path(report["files"][0]).stat().st_size > 10_000
    assert ringfence("verify").code == 0
    assert ringfence.on("status").code == 1


def test_a_plan_changes_nothing_and_says_what_apply_then_does(
    fleet: Fleet, ringfence: Caller
) -> None:
    before = [sh(fleet, host, _DROP_INS + ";" + _ROOT_LOGIN) for host in ("web1", "web3")]
    plan = ringfence.on("plan", *SSH, "--json")
    assert plan.code == 1
    assert before == [sh(fleet, host, _DROP_INS + ";" + _ROOT_LOGIN) for host in ("web1", "web3")]
    assert sh(fleet, "web1", _ARMED) == ""
    planned = changes(plan.json)
    page = ringfence.on("plan", *SSH, "--diff").out
    assert "access ssh_root_login  SSH refuses direct root login" in page
    assert "+PermitRootLogin no" in page
    applied = ringfence.on("apply", *SSH, "--json")
    assert applied.code == 0, applied.err
    assert changes(applied.json) == planned
    assert "no" in sh(fleet, "web3", _ROOT_LOGIN)


def changes(answer: dict[str, object]) -> set[tuple[str, str]]:
    hosts = answer["hosts"]
    assert isinstance(hosts, list)
    return {
        (host["name"], control["id"])
        for host in hosts
        for control in host["controls"]
        if control["status"] == "changed"
    }


def test_apply_goes_by_stages_and_has_nothing_to_do_the_second_time(ringfence: Caller) -> None:
    first = ringfence.on("apply", *SSH, "--canary", "web3", "--batch", "100%")
    assert first.code == 0, first.out + first.err
    stages = [line for line in first.err.splitlines() if line.startswith(("canary", "batch"))]
    assert stages == ["canary web3 (1 of 2)", "batch web1, web2 (2 of 2)"]
    assert first.err.index("web3: ") < first.err.index("web1: ")
    second = ringfence.on("apply", *SSH)
    assert second.code == 0
    assert "nothing had to change" in second.out
    assert ringfence.on("audit", *SSH).code == 0
    assert ringfence.on("plan", *SSH).code == 0
    assert ringfence("diff").code in (1, 3)
    assert ringfence.left_behind() == []


def test_the_printed_command_does_the_same(ringfence: Caller) -> None:
    said = ringfence.on("apply", *SSH, "--show-command")
    assert said.code == 0
    assert said.out.count("ansible-playbook ringfence.hosting.apply") == 3
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", said.out], cwd=ringfence.folder, env={**ringfence.environment, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert ringfence.on("audit", *SSH).code == 0


def test_a_canary_that_is_down_stops_everything(fleet: Fleet, ringfence: Caller) -> None:
    fleet.kill("web1")
    try:
        said = ringfence.on("apply", *SSH)
        assert said.code == 2
        assert "STOPPED after 0 of 3 hosts" in said.out
        assert "2 hosts untouched" in said.out
        assert "could not be reached: web1" in said.out
        assert "ringfence" not in sh(fleet, "web2", _DROP_INS)
    finally:
        fleet.revive("web1")
    ringfence.write_hosts(fleet.inventory.read_text())
    resumed = ringfence("apply", "--resume")
    assert resumed.code == 0, resumed.out + resumed.err
    assert "Done: 3 hosts" in resumed.out
    assert ringfence("apply", "--resume").code == 3


def test_a_host_that_is_down_does_not_stop_the_others(fleet: Fleet, ringfence: Caller) -> None:
    fleet.kill("web2")
    try:
        said = ringfence.on("apply", *SSH, "--batch", "100%")
        assert said.code == 2
        assert "no" in sh(fleet, "web3", _ROOT_LOGIN)
        assert "could not be reached: web2" in said.out
        assert "Next: ringfence apply --resume" in said.out
    finally:
        fleet.revive("web2")
    ringfence.write_hosts(fleet.inventory.read_text())
    resumed = ringfence("apply", "--resume")
    assert resumed.code == 0, resumed.out + resumed.err
    assert [line for line in resumed.err.splitlines() if line.startswith("canary")] == [
        "canary web2 (1 of 1)"
    ]


def test_a_host_that_fails_stops_the_batches_after_it(fleet: Fleet, ringfence: Caller) -> None:
    sh(fleet, "web2", "mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        said = ringfence.on("apply", *SSH, "--batch", "1")
        assert said.code == 2
        assert "STOPPED after 1 of 3 hosts" in said.out
        assert "web2 failed" in said.out
        assert "ringfence" not in sh(fleet, "web3", _DROP_INS)
    finally:
        sh(fleet, "web2", "mv /usr/bin/python3.away /usr/bin/python3")
    resumed = ringfence("apply", "--resume")
    assert resumed.code == 0, resumed.out + resumed.err
    stages = [line for line in resumed.err.splitlines() if line.startswith(("canary", "batch"))]
    assert stages == ["canary web2 (1 of 2)", "batch web3 (2 of 2)"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_change_leaves_nothing_half_done(
    fleet: Fleet, ringfence: Caller, number: signal.Signals
) -> None:
    before = sh(fleet, "web1", _DROP_INS + ";" + _ROOT_LOGIN)
    with watching(fleet, "web1") as comes_to_be_armed:
        process = ringfence.start("apply", "-i", "inv", *SSH, "--guard-timeout", "20")
        armed = comes_to_be_armed(process)
    process.send_signal(number)
    sent = time.monotonic()
    said = ringfence.ended(process, 60)
    assert armed, said
    assert time.monotonic() - sent < 20
    assert said.code == 2, said
    assert "INTERRUPTED after 0 of 3 hosts" in said.out
    assert "web1 may have been in mid-change" in said.out
    assert ringfence.left_behind() == []
    deadline = time.monotonic() + 60
    while sh(fleet, "web1", _ARMED) and time.monotonic() < deadline:
        time.sleep(1)
    assert sh(fleet, "web1", _DROP_INS + ";" + _ROOT_LOGIN) == before
    assert "ringfence" not in sh(fleet, "web2", _DROP_INS)
    resumed = ringfence("apply", "--resume")
    assert resumed.code == 0, resumed.out + resumed.err
    assert ringfence.on("audit", *SSH).code == 0


_WATCH = """
echo here
for _ in $(seq 6000); do
    [ -e /var/lib/ringfence/guard/armed.json ] && exec echo armed
    sleep 0.05
done
"""


@contextlib.contextmanager
def watching(fleet: Fleet, host: str) -> Iterator[Callable[[subprocess.Popen[str]], bool]]:
    """Says whether a guard is armed before a run ends.

    It is looked for on the host itself: while podman makes an image for other tests, a new command
    would come too late.
    """
    command = ["podman", "exec", fleet.container(host), "sh", "-c", _WATCH]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        told = watcher.stdout
        assert told is not None
        assert told.readline() == "here\n"

        def is_armed(process: subprocess.Popen[str]) -> bool:
            while process.poll() is None:
                if select.select([told], [], [], 0.1)[0]:
                    return told.readline() == "armed\n"
            return False

        try:
            yield is_armed
        finally:
            watcher.kill()


def test_resuming_at_once_waits_for_the_guard(fleet: Fleet, ringfence: Caller) -> None:
    with watching(fleet, "web1") as comes_to_be_armed:
        process = ringfence.start("apply", "-i", "inv", *SSH, "--guard-timeout", "20")
        assert comes_to_be_armed(process)
    process.send_signal(signal.SIGINT)
    ringfence.ended(process, 60)
    resumed = ringfence("apply", "--resume")
    assert resumed.code == 0, resumed.out + resumed.err
    assert "web1 may still put back what was cut off: waiting" in resumed.err
    assert "permitrootlogin no" in sh(fleet, "web1", _ROOT_LOGIN)
    time.sleep(25)
    assert "permitrootlogin no" in sh(fleet, "web1", _ROOT_LOGIN)


def test_an_unknown_host_key_is_refused(fleet: Fleet, ringfence: Caller) -> None:
    text = fleet.inventory.read_text()
    known = re.search(r"UserKnownHostsFile=\S*?([^\s\"']+known_hosts)", text)
    assert known
    ringfence.write_hosts(text.replace(known[1], str(ringfence.folder / "none")))
    said = ringfence.on("audit", *SSH)
    assert said.code == 2
    assert "Host key verification failed" in said.out
    assert "NOT CHECKED: web1, web2, web3" in said.out
    assert not (ringfence.folder / "none").exists()


def test_one_host_that_cannot_be_asked_is_never_clean(fleet: Fleet, ringfence: Caller) -> None:
    ringfence.on("apply", *SSH)
    sh(fleet, "web2", "mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        said = ringfence.on("audit", *SSH, "--json")
        assert said.code == 2
        states = {host["name"]: host["state"] for host in said.json["hosts"]}
        assert states == {"web1": "ok", "web2": "error", "web3": "ok"}
    finally:
        sh(fleet, "web2", "mv /usr/bin/python3.away /usr/bin/python3")


def test_a_window_is_honoured_and_may_be_overruled_with_a_reason(
    fleet: Fleet, ringfence: Caller
) -> None:
    write_register(ringfence.inventory)
    refused = ringfence.on("apply", *SSH)
    assert refused.code == 3
    assert "outside the change window: web2: acme: closed; opens" in refused.err
    assert "ringfence" not in sh(fleet, "web1", _DROP_INS)
    why = "the auditors are at the door"
    forced = ringfence.on("apply", *SSH, "--outside-window", "--why", why)
    assert forced.code == 0, forced.out + forced.err
    states = list((ringfence.evidence / "rollouts").glob("*.json"))
    assert len(states) == 1
    assert why in states[0].read_text()


def write_register(folder: Path) -> None:
    """A client on web2 whose window opens in three days."""
    from datetime import UTC, datetime, timedelta

    day = f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()
    (folder / "ringfence.yml").write_text("plugin: ringfence.hosting.clients\n")
    (folder / "clients").mkdir()
    (folder / "clients/acme.yml").write_text(
        "id: acme\nname: Acme\ntier: standard\n"
        "controller: {name: Acme Ltd, country: GB, contact: {name: A, email: a@acme.example}}\n"
        "change_window:\n  timezone: UTC\n"
        f"  windows: [{{days: [{day}], from: '00:00', to: '00:01'}}]\n"
        "sites:\n"
        "  - {id: a, host: web2, domains: [a.example], root: /srv/a, web_server: nginx}\n"
    )
