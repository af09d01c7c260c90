# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of odd configurations: what the program itself lets through, ours never calls a pass.

sshd is asked by `sshd -T -C` for each of some connections, sudo by trying to become root without
a password, nginx by its answers, PHP by its own parser; all on real hosts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.command import podman
from tests.hosts.playing import ROOT, sh
from tests.hosts.sites import Servers

pytestmark = pytest.mark.hosts

HOSTS = {"bookworm": "bookworm", "trixie": "trixie"}
_UTILS = "ansible_collections/ringfence/hosting/plugins/module_utils"
# Kind -> how many configurations, and in how many of those the original must show each answer for
# the test to say anything.
_KINDS = {"sshd": (80, 10), "sudo": (80, 5), "nginx": (60, 5), "php": (150, 0)}
_READY = f"""
mkdir -p /root/{_UTILS} && rm -rf /root/{_UTILS}
id -u eve > /dev/null 2>&1 && exit
groupadd admins && useradd -u 1776 eve && useradd -u 1777 -G admins ann
"""

Rows = list[tuple[dict[str, Any], bool | None, str]]


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[tuple[str, str], Rows]]:
    name, none = f"originals-{os.getpid()}", dict.fromkeys(HOSTS, "none")
    with Servers(name, HOSTS, none) as servers:
        yield {(host, kind): _tried(servers, host, kind) for host in HOSTS for kind in _KINDS}


def _tried(servers: Servers, host: str, kind: str) -> Rows:
    container = servers.container(host)
    sh(servers, host, _READY)
    podman("cp", str(ROOT / "plugins" / "module_utils"), f"{container}:/root/{_UTILS}")
    podman("cp", str(Path(__file__).parent / "on_host.py"), f"{container}:/root/on_host.py")
    said = servers.exec(
        host, "python3", "/root/on_host.py", kind, str(_KINDS[kind][0]), timeout=600
    )
    found: Rows = json.loads(said)
    return found


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", _KINDS)
def test_what_the_original_lets_through_is_no_pass(
    rows: dict[tuple[str, str], Rows], host: str, kind: str
) -> None:
    wrong = [row for row in rows[host, kind] if row[1] is True and row[2] in ("pass", "read")]
    assert wrong == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["sshd", "sudo", "nginx"])
def test_what_the_original_refuses_is_no_pass(
    rows: dict[tuple[str, str], Rows], host: str, kind: str
) -> None:
    assert [row for row in rows[host, kind] if row[1] is None and row[2] == "pass"] == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", _KINDS)
def test_enough_of_both_was_tried(rows: dict[tuple[str, str], Rows], host: str, kind: str) -> None:
    tried, least = _KINDS[kind]
    answers = [row[1] for row in rows[host, kind]]
    assert len(answers) == tried
    assert answers.count(True) >= least
    assert answers.count(False) >= least
    if kind == "php":
        assert answers.count(False) >= 50
    else:
        assert sum(row[2] == "pass" for row in rows[host, kind]) >= 3
