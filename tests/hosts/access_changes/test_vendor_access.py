# SPDX-License-Identifier: GPL-3.0-or-later
"""A third party's person signs in with a real ssh and sudo, and no more when the access ends."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fleet import Fleet
from tests.hosts.access_changes import CLIENT
from tests.hosts.cli.calling import PROGRAM, answered, environment
from tests.hosts.playing import ROOT
from tests.hosts.second_factor.people import enrol, sign_in

pytestmark = pytest.mark.hosts

HOSTS = ("old", "new")
_STATE = (
    "find /etc /var/lib/ringfence -path '*/guard/*' -prune -o -type f -printf "
    "'%p %T@ %s %m\\n' | sort"
)
_SECONDS = 60


@dataclass
class Place:
    """Two hosts, a register beside them, and the keys of its people."""

    fleet: Fleet
    folder: Path
    keys: Path
    gateway: str

    def register(self, **sam: Any) -> None:
        """people.yml, in which sam's grant has also what is given here."""
        public = (self.keys / "sam.pub").read_text().strip()
        grant = {
            "system": "server", "scope": {"hosts": list(HOSTS)}, "account": "sc_sam",
            "sudo": ["/usr/bin/systemctl status cron.service"], "from": [f"{self.gateway}/32"],
            "start": "2026-01-01", "end": "2099-12-31", "granted_by": "ada", **sam,
        }  # fmt: skip
        people = [
            {"id": "ada", "name": "Ada Test"},
            {"id": "sam", "name": "Sam Vale", "third_party": "care",
             "keys": [{"public_key": public}], "access": [grant]},
        ]  # fmt: skip
        self.write("people.yml", {"people": people})

    def write(self, name: str, said: dict[str, Any]) -> None:
        path = self.folder / "inv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(said, sort_keys=False))

    def call(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        return answered(self.folder, "vendor-access", *arguments)

    def ask_for_codes(self) -> None:
        """SSH asks those for a code of whom the register says so."""
        path = self.folder / "codes.yml"
        role = "ringfence.hosting.ssh_second_factor"
        path.write_text(f"- hosts: all\n  gather_facts: false\n  roles: [{role}]\n")
        self.play("-e", '{"ssh_second_factor_groups": []}', playbook=str(path))

    def play(self, *options: str, playbook: str = "playbooks/vendor_access.yml") -> str:
        """All that a playbook, called without the command, printed."""
        program = str(PROGRAM.with_name("ansible-playbook"))
        place = ["-i", str(self.folder / "inv"), playbook]
        evidence = {"RINGFENCE_EVIDENCE_DIR": str(self.folder / "evidence"), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(
            [program, *place, *options], cwd=ROOT, env=environment() | evidence,
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ssh(self, host: str, account: str, *command: str) -> subprocess.CompletedProcess[str]:
        """What the person's own ssh says, with the one key."""
        return subprocess.run(
            [*self.ssh_command(host, account), *command],
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip

    def ssh_command(self, host: str, account: str, key: str = "") -> list[str]:
        name = key or ("kim" if account == "kim" else "sam")
        config = self.keys / f"{name}.ssh_config"
        own = self.fleet.inventory.with_name("id_ed25519")
        text = self.fleet.ssh_config.read_text().replace(str(own), str(self.keys / name))
        config.write_text(text)
        options = ["-F", str(config), "-o", "ControlPath=none", "-o", "BatchMode=yes"]
        options += ["-o", "ConnectionAttempts=10"]  # sshd may be in the middle of a reload
        return ["ssh", *options, "-l", account, host]

    def comes_in(self, host: str, account: str) -> bool:
        done = self.ssh(host, account, "id", "-un")
        return done.returncode == 0 and done.stdout.strip() == account

    def sh(self, host: str, script: str) -> str:
        return self.fleet.exec(host, "sh", "-c", script)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, keys = tmp_path_factory.mktemp("vendors"), tmp_path_factory.mktemp("keys")
    for name in ("sam", "kim"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True
        )
    releases = {"old": "bookworm", "new": "trixie"}
    with Fleet(f"vendors-{os.getpid()}", releases) as fleet:
        tree = yaml.safe_load(Path(fleet.inventory).read_text())
        values = next(iter(tree["all"]["hosts"].values()))
        gateway = values.get("fleet_gateway") or tree["all"]["vars"]["fleet_gateway"]
        for values in tree["all"]["hosts"].values():
            values.pop("ansible_control_path_dir", None)
        here = Place(fleet, folder, keys, gateway)
        here.write("hosts.yml", tree)
        here.write("ringfence.yml", {"plugin": "ringfence.hosting.clients"})
        here.write("clients/acme.yml", CLIENT)
        party = {"id": "care", "name": "Care GmbH", "role": "sub_processor",
                 "services": ["server management"], "country": "DE"}  # fmt: skip
        here.write("third_parties.yml", {"third_parties": [party]})
        here.register()
        public = (keys / "kim.pub").read_text().strip()
        for host in HOSTS:
            here.sh(
                host,
                "useradd -m -s /bin/bash kim && install -d -o kim -m 700 /home/kim/.ssh && "
                f"echo '{public}' > /home/kim/.ssh/authorized_keys && "
                "chown kim /home/kim/.ssh/authorized_keys",
            )
        yield here


def test_a_name_that_is_taken_is_refused_and_nothing_changed(place: Place) -> None:
    place.register(account="kim")
    before = [place.sh(host, "cat /etc/passwd /etc/shadow") for host in HOSTS]
    code, answer = place.call()
    assert code == 2
    for host, text in zip(HOSTS, before, strict=True):
        assert "kim: is an account of this host that was not made here" in answer["not_done"][host]
        assert place.sh(host, "cat /etc/passwd /etc/shadow") == text
        assert place.comes_in(host, "kim")
    place.register()


def test_a_preview_shows_all_and_changes_nothing(place: Place) -> None:
    before = [place.sh(host, f"{_STATE}; cat /etc/passwd") for host in HOSTS]
    said = place.play("--check", "--diff")
    assert "+sc_sam ALL=(root) NOTBEFORE=20260101000000Z NOTAFTER=20991231235959Z" in said
    assert "expiry-time=" in said
    assert "useradd" in said
    assert [place.sh(host, f"{_STATE}; cat /etc/passwd") for host in HOSTS] == before


def test_the_person_comes_in_and_a_second_run_changes_nothing(place: Place) -> None:
    code, answer = place.call()
    assert code == 0, answer
    for host in HOSTS:
        assert answer["hosts"][host]["open"]["sc_sam"]["end"] == "2099-12-31"
        assert place.comes_in(host, "sc_sam")
        before = place.sh(host, _STATE)
        code, again = place.call("--host", host)
        assert code == 0, again
        assert place.sh(host, _STATE) == before


_STATE = (
    "find /etc /var/lib/ringfence/vendor-access -newermt 2000-01-01 -type f "
    "-printf '%p %T@ %s %m\\n' | sort"
)


def test_sudo_runs_what_was_granted_and_keeps_it(place: Place) -> None:
    for host in HOSTS:
        done = place.ssh(host, "sc_sam", "sudo -n /usr/bin/systemctl status cron.service")
        assert "cron.service" in done.stdout, done.stderr
        refused = place.ssh(host, "sc_sam", "sudo -n /usr/bin/id")
        assert refused.returncode != 0
        said = place.sh(host, "sudoreplay -d /var/log/sudo-io/sc_sam -l")
        assert "/usr/bin/systemctl status cron.service" in said


def test_nobody_adds_a_key_of_their_own_and_no_port_goes_through(place: Place) -> None:
    public = (place.keys / "kim.pub").read_text().strip()
    for host in HOSTS:
        added = f"mkdir -p -m 700 .ssh; echo '{public}' > .ssh/authorized_keys"
        assert place.ssh(host, "sc_sam", added).returncode == 0
        with_it = [*place.ssh_command(host, "sc_sam", "kim"), "id"]
        done = subprocess.run(with_it, capture_output=True, timeout=_SECONDS, check=False)
        assert done.returncode == 255
        forward = [*place.ssh_command(host, "sc_sam"), "-W", "127.0.0.1:22"]
        done = subprocess.run(
            forward, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        assert b"administratively prohibited" in done.stderr


def test_sshd_itself_ends_a_key_on_its_day(place: Place) -> None:
    path = "/etc/ssh/ringfence-vendors/sc_sam"
    for host in HOSTS:
        place.sh(host, f"sed -i 's/expiry-time=\"2099/expiry-time=\"2020/' {path}")
        assert not place.comes_in(host, "sc_sam")
    code, _answer = place.call()
    assert code == 0
    assert all(place.comes_in(host, "sc_sam") for host in HOSTS)


def test_addresses_bind(place: Place) -> None:
    place.register(**{"from": ["203.0.113.0/24"]})
    assert place.call("--host", "old")[0] == 0
    assert not place.comes_in("old", "sc_sam")
    place.register()
    assert place.call("--host", "old")[0] == 0
    assert place.comes_in("old", "sc_sam")


def _gone(place: Place, host: str) -> None:
    """All that the person had, tried for real; and who is somebody else has it still."""
    assert not place.comes_in(host, "sc_sam")
    assert place.sh(host, "getent shadow sc_sam").split(":")[1].startswith("!")
    assert "not allowed to run sudo" in place.sh(host, "sudo -l -U sc_sam")
    assert place.sh(host, "test -d /home/sc_sam && echo kept").strip() == "kept"
    assert place.sh(host, "pgrep -u sc_sam || echo nothing").strip() == "nothing"
    assert place.sh(host, "visudo -c -q && sshd -t && echo sound").strip() == "sound"
    assert place.comes_in(host, "kim")


def _busy(place: Place, host: str) -> subprocess.Popen[bytes]:
    session = subprocess.Popen([*place.ssh_command(host, "sc_sam"), "sleep 600"])
    until = time.monotonic() + _SECONDS
    while "sleep" not in place.sh(host, "pgrep -l -u sc_sam || true"):
        assert time.monotonic() < until
        time.sleep(0.2)
    return session


def test_a_code_is_asked_for_after_the_key_where_the_grant_says_so(place: Place) -> None:
    place.register(second_factor=True)
    assert place.call()[0] == 0
    tokens = {host: enrol(place.fleet, host, "sc_sam") for host in HOSTS}
    place.ask_for_codes()
    for host in HOSTS:
        assert not place.comes_in(host, "sc_sam")
        done = sign_in(place.fleet, host, "sc_sam", tokens[host].code(+1), key=place.keys / "sam")
        assert (done.came_in, done.asked) == (True, 1), done.said
        assert place.comes_in(host, "kim")
    place.register()
    assert place.call()[0] == 0
    place.ask_for_codes()
    assert all(place.comes_in(host, "sc_sam") for host in HOSTS)


def test_revoked_at_once_until_reinstated(place: Place) -> None:
    sessions = [_busy(place, host) for host in HOSTS]
    code, answer = place.call("revoke", "care")
    assert code == 0, answer
    assert answer["still_granted"] == ["sam"]
    for host, session in zip(HOSTS, sessions, strict=True):
        assert answer["hosts"][host]["closed_now"] == ["sc_sam"]
        assert session.wait(_SECONDS) != 0
        _gone(place, host)
    code, answer = place.call()  # the register still grants it
    assert code == 0
    assert answer["hosts"]["old"]["open"] == {}
    _gone(place, "old")
    code, answer = place.call("reinstate", "care")
    assert code == 0, answer
    assert all(place.comes_in(host, "sc_sam") for host in HOSTS)


def test_the_host_ends_it_by_itself(place: Place) -> None:
    path = "/var/lib/ringfence/vendor-access/state.json"
    for host in HOSTS:
        assert (
            place.sh(host, "systemctl is-active ringfence-vendor-access.timer").strip() == "active"
        )
        place.sh(host, f"sed -i 's/2099-12-31/2020-12-31/' {path}")
        place.sh(host, "systemctl start ringfence-vendor-access.service")
        _gone(place, host)


def test_what_ended_in_the_register_goes_with_the_next_run(place: Place) -> None:
    assert place.call()[0] == 0
    assert all(place.comes_in(host, "sc_sam") for host in HOSTS)
    place.register(end=str((datetime.now(UTC) - timedelta(days=1)).date()))
    code, answer = place.call()
    assert code == 0, answer
    for host in HOSTS:
        assert answer["hosts"][host]["removed"] == {"sc_sam": "/home/sc_sam"}
        _gone(place, host)
