# SPDX-License-Identifier: GPL-3.0-or-later
"""The journey of controls over real hosts: broken, audited, applied, read, applied again.

Before it is applied it is announced: by `--check`, on a host where everything is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fleet import Fleet
from tests.hosts.playing import Done, evidence, play, sh, statuses
from tests.testinfra.readings import Reading

# Not the guard is tried here: a busy machine may take its time.
_PATIENT = ("-e", "ringfence_guard_timeout=600")
_WAITING = "apt-get -qq update && apt-get -qq -s upgrade --with-new-pkgs"
_UPGRADE = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y upgrade --with-new-pkgs"
# What an agency would declare of the account that automation signs in with.
OPERATOR = ("-e", '{"sudo_passwordless_rules": ["ops"], "ssh_allow_groups": ["ops"]}')

Statuses = dict[str, dict[str, str]]


@dataclass
class Journey:
    """Statuses by host at each stop, what was read after applying, and how the runs ended."""

    fresh: Statuses
    broken: Statuses
    announced: Statuses
    applied: Statuses
    mended: Statuses
    again: Statuses
    read: dict[str, dict[str, str]]
    runs: dict[str, Done]


def bring_up_to_date(fleet: Fleet, hosts: Iterable[str]) -> None:
    """Install what came out since the image was made, and restart where there was anything.

    An update in mid-journey would leave services that run what it replaced.
    """
    for host in hosts:
        if "Inst " in sh(fleet, host, _WAITING):
            sh(fleet, host, _UPGRADE)
            fleet.reboot(host)


def travel(
    fleet: Fleet,
    hosts: Mapping[str, str],
    shown: Mapping[str, Reading],
    folder: Path,
    *options: str,
) -> Journey:
    """All stops on `hosts` (name -> release); the evidence of each is left below `folder`.

    `options` are given to each playbook.
    """
    runs: dict[str, Done] = {}

    def stop(name: str, playbook: str, *more: str) -> Statuses:
        runs[name] = play(
            fleet, playbook, *_PATIENT, *OPERATOR, *options, *more, evidence_in=folder / name
        )
        return {host: statuses(evidence(folder / name), host) for host in hosts}

    fresh = stop("fresh", "audit.yml")
    for host in hosts:
        sh(fleet, host, "\n".join(reading.wrong for reading in shown.values()))
        sh(fleet, host, "systemctl restart ssh")
    broken = stop("broken", "audit.yml")
    announced = stop("announced", "apply.yml", "--check", "--diff")
    applied = stop("applied", "apply.yml")
    for host in hosts:
        sh(fleet, host, "\n".join(r.by_hand for r in shown.values() if r.by_hand))
    read = {host: {name: _read(fleet, host, r) for name, r in shown.items()} for host in hosts}
    mended = stop("mended", "audit.yml")
    again = stop("again", "apply.yml")
    return Journey(fresh, broken, announced, applied, mended, again, read, runs)


def _read(fleet: Fleet, host: str, reading: Reading) -> str:
    """What a reading prints; its exit code says nothing (grep -c of nothing is 1)."""
    return sh(fleet, host, f"{{ {reading.read}; }} 2>/dev/null || true").strip()
