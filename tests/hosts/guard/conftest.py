# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts to be locked out of, and the matrix of faults, measured once for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pytest

from tests.fleet import Fleet
from tests.hosts.guard import matrix
from tests.hosts.playing import sh

RELEASES = ("bookworm", "trixie")
HOSTS = {f"{release}-{number}": release for release in RELEASES for number in (1, 2)}
CASES = {
    f"{fault.name}-{release}": (fault, release) for fault in matrix.FAULTS for release in RELEASES
}

# A ruleset as a host has it, with a set that fills itself, and a table of a container engine.
_FIREWALL = """
cat > /etc/nftables.conf <<END
flush ruleset
table inet site {
  set banned {
    type ipv4_addr
    flags timeout
  }
  chain input {
    type filter hook input priority 0; policy accept;
    ip saddr @banned drop
    tcp dport { 22, 80, 443 } counter accept
  }
}
table inet netavark {
  chain forward {
    type filter hook forward priority 0; policy accept;
  }
}
END
systemctl -q enable --now nftables
"""

Outcomes = dict[str, "matrix.Outcome | Exception"]


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with Fleet(f"guard-{os.getpid()}", HOSTS) as started:
        for host in HOSTS:
            sh(started, host, _FIREWALL)
            mark = 'import os; os.setxattr("/etc/ssh/sshd_config", "user.kept", b"yes")'
            sh(started, host, f"python3 -c '{mark}'")
            sh(started, host, "mkdir -p -m 700 ~/.ssh; cp ~ops/.ssh/authorized_keys ~/.ssh")
        yield started


@pytest.fixture(scope="session")
def outcomes(
    fleet: Fleet, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Outcomes:
    """Case -> what was measured, for the cases selected. A free host takes the next one."""
    free: dict[str, Queue[str]] = {release: Queue() for release in RELEASES}
    for host, release in HOSTS.items():
        free[release].put(host)
    evidence = tmp_path_factory.mktemp("evidence")
    seconds = matrix.guard_seconds(fleet, evidence)
    found: Outcomes = {}

    def work(case: str, folder: Path) -> None:
        fault, release = CASES[case]
        host = free[release].get()
        try:
            found[case] = matrix.measure(fleet, host, fault, seconds, folder)
        except Exception as error:  # told by the tests of this case, not by all of them
            found[case] = error
        finally:
            free[release].put(host)

    names = " ".join(item.name for item in request.session.items)
    with ThreadPoolExecutor(max_workers=len(HOSTS)) as pool:
        for case in CASES:
            if f"[{case}]" in names:
                pool.submit(work, case, evidence / case)
    return found


@pytest.fixture(params=CASES)
def outcome(outcomes: Outcomes, request: pytest.FixtureRequest) -> matrix.Outcome:
    found = outcomes[request.param]
    if isinstance(found, Exception):
        raise found
    return found
