# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts behind the firewall, one of each release, and one that looks at them from outside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import Fleet
from tests.hosts.firewall import probes
from tests.hosts.playing import Done, play, sh

HERE = Path(__file__).parent
# All that the firewall is on a host, told by other programs than ours.
STATE = """
(nft -s -t list table inet ringfence | sort
for chain in essential prerouting input zone_management zone_public
do nft -s list chain inet ringfence $chain; done
nft list set inet ringfence zone_management4
cat /etc/ringfence/*
stat -c '%a %n' /etc/ringfence/*
cat /etc/systemd/system/ringfence-firewall.service /etc/systemd/system/nftables.service.d/*
systemctl is-enabled ringfence-firewall
systemctl is-active ringfence-firewall) 2>&1 || true
"""
TARGETS = {"old": "bookworm", "new": "trixie"}
OUTSIDER = "outsider"
# Open on the hosts, whatever the firewall says; 8000 to 8002 are never declared.
TCP, UDP = (80, 443, 3306, 8000, 8001, 8002), (443, 5353)
PUBLIC_ONLY = {
    "web": {"tcp": [80, 443], "udp": [443], "zones": ["public"]},
    "ssh": {"tcp": [22], "zones": ["management"]},
}


@dataclass
class Target:
    """A host behind the firewall, with what a test asks of it."""

    fleet: Fleet
    name: str
    evidence: Path
    usual: str | None = None  # its state with the usual firewall

    @property
    def address(self) -> str:
        return self.fleet.hosts[self.name].address

    @property
    def address6(self) -> str:
        return self.fleet.hosts[self.name].address6

    @property
    def management(self) -> str:
        return self.fleet.hosts[self.name].gateway

    @property
    def outsider(self) -> str:
        return self.fleet.hosts[OUTSIDER].address

    @property
    def outsider6(self) -> str:
        return self.fleet.hosts[OUTSIDER].address6

    def apply(self, *options: str, **changed: Any) -> Done:
        """Run the role with the usual variables, save those `changed`."""
        variables = {
            "firewall_zones": {"management": [self.management]},
            "firewall_services": PUBLIC_ONLY,
            "firewall_guard_timeout": 60,
        }
        return self.play(str(HERE / "apply.yml"), {**variables, **changed}, *options)

    def load(self, **changed: Any) -> Done:
        """Run the role, which must succeed."""
        done = self.apply(**changed)
        assert done.returncode == 0, done.output
        return done

    def play(self, name: str, variables: dict[str, Any], *options: str) -> Done:
        """Run a playbook on this host only."""
        extra = ["-l", self.name, "-e", json.dumps(variables), *options]
        return play(self.fleet, name, *extra, evidence_in=self.evidence)

    def fill(self, **options: Any) -> Done:
        """Run ringfence.hosting.firewall_set, which must succeed."""
        done = self.play(str(HERE / "fill.yml"), {"fill": options})
        assert done.returncode == 0, done.output
        return done

    def info(self, *lists: str) -> dict[str, Any]:
        """What ringfence.hosting.firewall_info says."""
        done = self.play(str(HERE / "info.yml"), {"lists": list(lists)})
        assert done.returncode == 0, done.output
        line = next(line for line in done.output.splitlines() if "INFO=" in line)
        found: dict[str, Any] = json.loads(
            json.loads('"' + line.split("INFO=", 1)[1].rstrip('",') + '"')
        )
        return found

    def sh(self, script: str) -> str:
        return sh(self.fleet, self.name, script)

    def from_outside(self, probe: str, *arguments: object) -> str:
        """What a probe on the outsider prints."""
        texts = map(str, arguments)
        return self.fleet.exec(OUTSIDER, "python3", "-c", probe, *texts).strip()

    def beside(self, probe: str, *arguments: object) -> Future[str]:
        """A probe that runs while the test goes on."""
        pool = ThreadPoolExecutor(max_workers=1)
        return pool.submit(self.from_outside, probe, *arguments)

    def scan(self, address: str, first: int = 1, last: int = 65535) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.from_outside(probes.SCAN, address, first, last))
        return found

    def reaches(self, port: int, address: str = "") -> bool:
        """Whether the outsider reaches a TCP port."""
        found: list[int] = self.scan(address or self.address, port, port)["open"]
        return found == [port]

    def listen(self) -> None:
        """Start what answers on all ports, also after a reboot of the host."""
        self.fleet.exec(self.name, "sh", "-c", 'printf %s "$1" > /opt/echo.py', "sh", probes.ECHO)
        tcp, udp = (",".join(map(str, ports)) for ports in (TCP, UDP))
        self.sh(
            "systemctl reset-failed echo 2>/dev/null; systemctl is-active -q echo || "
            f"systemd-run -q --unit=echo python3 /opt/echo.py {tcp} {udp}; "
            "for i in 1 2 3 4 5 6 7 8 9 10; do ss -ltn | grep -q :8002 && exit 0; sleep 0.3; done; "
            "exit 1"
        )


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with Fleet(f"firewall-{os.getpid()}", {**TARGETS, OUTSIDER: "bookworm"}) as started:
        yield started


@pytest.fixture(scope="module", params=sorted(TARGETS, reverse=True))
def target(
    request: pytest.FixtureRequest, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    found = Target(fleet, request.param, tmp_path_factory.mktemp("evidence"))
    found.listen()
    yield found
    # A set that was swapped while it was long can keep a thread of Linux 6.18 at work for as long
    # as it is there, empty or not: all that comes after would share the processor with it.
    found.sh("nft delete table inet ringfence 2>/dev/null || true")


@pytest.fixture
def firewall(target: Target) -> Target:
    """The target with the usual firewall, loaded and empty lists."""
    target.sh(_EMPTY)
    if target.usual is None or target.sh(STATE) != target.usual:
        target.load()
        target.usual = target.sh(STATE)
    return target


_SETS = (
    "ban4 ban6 ban4_networks ban6_networks block4 block6 block4_addresses block6_addresses "
    "allow4 allow6"
)
_EMPTY = (
    f"for s in {_SETS}; do nft flush set inet ringfence $s 2>/dev/null; done; "
    "rm -f /var/lib/ringfence/firewall/*"
)
