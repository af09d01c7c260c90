# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit leaves a host as it found it: a manifest of every file, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.playing import play, sh

pytestmark = pytest.mark.hosts

# What signing in itself writes, whoever signs in and whatever for: the journal, who was here last,
# and the session's own files under /run.
_WRITTEN_BY_A_SIGN_IN = (
    "/var/log/journal",
    "/var/log/wtmp",
    "/var/log/lastlog",
    "/var/log/btmp",
    "/var/lib/lastlog",
    "/var/lib/wtmpdb",
    "/run",
)
_SKIPPED = " -o ".join(
    f"-path {path}" for path in (*_WRITTEN_BY_A_SIGN_IN, "/proc", "/sys", "/dev")
)
# Where Ansible unpacks a module for as long as it runs: its times move, nothing stays.
_UNPACKED_IN = ("/tmp ", "/var/tmp ")
# Everything but the time of the last read: type, mode, owner, size, both times, link, content.
_MANIFEST = (
    f"find / \\( {_SKIPPED} \\) -prune -o -printf '%p %y %m %u %g %s %T@ %C@ %i %l\\n' | sort; "
    f"find / \\( {_SKIPPED} \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"
)
# The host's own settings; kernel.* and the like are the controller's in a container.
_LIVE = "sysctl -a 2>/dev/null | grep '^net' | grep -v _count; nft list ruleset"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet("readonly", {"web1": "bookworm", "web2": "trixie"}) as started:
        yield started


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_every_file_is_as_it_was(fleet: Fleet, host: str, tmp_path: Path) -> None:
    # A first sign-in makes files of its own.
    play(fleet, "audit.yml", "-l", host, evidence_in=tmp_path)
    before = _manifest(fleet, host)
    settings = sh(fleet, host, _LIVE)
    done = play(fleet, "audit.yml", "-l", host, evidence_in=tmp_path)
    assert done.returncode == 0, done.output
    after = _manifest(fleet, host)
    assert len(before) > 5000
    assert sorted(set(before) ^ set(after)) == []
    assert sh(fleet, host, _LIVE) == settings


def test_the_manifest_would_show_a_change(fleet: Fleet) -> None:
    before = set(_manifest(fleet, "web1"))
    sh(fleet, "web1", "chmod 0640 /etc/hostname")
    assert any("/etc/hostname" in line for line in before ^ set(_manifest(fleet, "web1")))


def test_check_mode_changes_nothing_and_arms_nothing(fleet: Fleet, tmp_path: Path) -> None:
    before = _manifest(fleet, "web2")
    done = play(fleet, "apply.yml", "-l", "web2", "--check", "--diff", evidence_in=tmp_path)
    assert done.returncode == 0, done.output
    assert "+++ after: /etc/ssh/sshd_config.d/00-ringfence.conf" in done.output
    assert sorted(set(before) ^ set(_manifest(fleet, "web2"))) == []
    assert "ringfence" not in sh(fleet, "web2", "systemctl list-timers --all --no-pager")


def _manifest(fleet: Fleet, host: str) -> list[str]:
    lines = sh(fleet, host, _MANIFEST).splitlines()
    return [line for line in lines if not line.startswith(_UNPACKED_IN)]
