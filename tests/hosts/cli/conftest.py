# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts for the command line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.cli.calling import Caller
from tests.hosts.playing import sh

HOSTS = {"web1": "bookworm", "web2": "bookworm", "web3": "trixie"}
# What the family ssh writes, so that each test begins with hosts as they came.
_UNDO = "rm -f /etc/ssh/sshd_config.d/*ringfence*; systemctl reload ssh"


@pytest.fixture(scope="session")
def started() -> Iterator[Fleet]:
    with Fleet(f"cli-{os.getpid()}", HOSTS) as fleet:
        yield fleet


@pytest.fixture
def fleet(started: Fleet) -> Fleet:
    for host in HOSTS:
        sh(started, host, _UNDO)
    return started


@pytest.fixture
def ringfence(fleet: Fleet, tmp_path: Path) -> Iterator[Caller]:
    # Near the root, as a user's is: the sockets of connections must fit in it.
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as temporary:
        yield Caller(fleet, tmp_path, Path(temporary))
