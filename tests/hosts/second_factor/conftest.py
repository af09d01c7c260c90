# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts, a release each, and the role applied to them with the variables of a test."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import Fleet
from tests.hosts.playing import Done, play

RELEASES = {"old": "bookworm", "new": "trixie"}

Apply = Callable[..., Done]


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with Fleet(f"factor-{os.getpid()}", RELEASES) as started:
        for name, host in started.hosts.items():
            _forgive(started, name, host.gateway)
        yield started


def _forgive(fleet: Fleet, host: str, address: str) -> None:
    """OpenSSH 9.8 and later refuse an address that fails too often; these tests fail on purpose."""
    options = fleet.exec(host, "sshd", "-T")
    if "persourcepenalties" not in options:
        return
    path = "/etc/ssh/sshd_config.d/50-tests.conf"
    script = f"echo PerSourcePenaltyExemptList {address} > {path}; systemctl reload ssh"
    fleet.exec(host, "sh", "-c", script)


@pytest.fixture(scope="session", params=RELEASES)
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def role(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("play") / "role.yml"
    path.write_text(
        "- hosts: all\n  gather_facts: false\n  roles: [ringfence.hosting.ssh_second_factor]\n"
    )
    return path


@pytest.fixture(scope="session")
def apply(fleet: Fleet, role: Path, tmp_path_factory: pytest.TempPathFactory) -> Apply:
    """`apply(host, *options, **variables of the role)`."""
    evidence = tmp_path_factory.mktemp("evidence")

    def run(host: str, *options: str, **variables: Any) -> Done:
        named = {f"ssh_second_factor_{name}": value for name, value in variables.items()}
        extra = ["--limit", host, "-e", json.dumps(named), *options]
        return play(fleet, str(role), *extra, evidence_in=evidence)

    return run


@pytest.fixture(scope="session")
def exempt_ops(fleet: Fleet) -> list[dict[str, Any]]:
    """The exemption that the automation itself needs, from where this machine comes."""
    host = next(iter(fleet.hosts.values()))
    return [exemption("ops", host.gateway)]


def exemption(account: str, *sources: str, expires: str = "2099-12-31") -> dict[str, Any]:
    """A well-formed exemption."""
    return {
        "account": account,
        "reason": "signs in unattended",
        "owner": "platform@agency.example",
        "expires": expires,
        "sources": list(sources),
    }


def wipe(fleet: Fleet, host: str, apply: Apply) -> None:
    """No requirement, nobody enrolled, no account but ops: a host that was never touched."""
    done = apply(host, groups=[])
    assert done.returncode == 0, done.output
    made = "getent passwd | awk -F: '$3 > 1000 && $3 < 60000 { print $1 }'"
    script = (
        f"rm -rf /var/lib/ringfence/second-factor*; for n in $({made}); do userdel -rf $n; done"
    )
    fleet.exec(host, "sh", "-c", script)
