# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups are no longer kept: what we say is what restic says, whatever the hosts' zones."""

from __future__ import annotations

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import clock
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups, restic_program

pytestmark = pytest.mark.hosts

_ZONES = ("UTC", "Europe/Berlin", "America/New_York")
_KEEPS = (
    {"hourly": 3},
    {"daily": 14, "weekly": 4, "monthly": 3},
    {"hourly": 24, "daily": 30, "weekly": 12, "monthly": 12},
    {"weekly": 2, "yearly": 1},
    {"yearly": 9},
)


class _Repository:
    def __init__(self, folder: Path) -> None:
        (folder / "file").write_text("one")
        self.file = str(folder / "file")
        self.said = {
            **os.environ,
            "RESTIC_REPOSITORY": str(folder / "repository"),
            "RESTIC_PASSWORD": "no-secret",
            "RESTIC_CACHE_DIR": str(folder / "cache"),
        }
        self("init")

    def __call__(self, *words: str, zone: str = "UTC") -> str:
        command = [restic_program.program(), *words]
        return run(
            command, env={**self.said, "TZ": zone}, capture_output=True, text=True, check=True
        ).stdout

    def back_up(self, moment: datetime, zone: str) -> None:
        self("backup", "--quiet", f"--time={moment:%Y-%m-%d %H:%M:%S}", self.file, zone=zone)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> _Repository:
    made, chance = _Repository(tmp_path_factory.mktemp("pruning")), random.Random(5)  # noqa: S311
    end = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    ages = [2.0**power + chance.random() for power in range(14)]  # hours: up to two years
    ages += [1.2, 23.9, 24.1, 47.0, 167.9, 168.3]
    with ThreadPoolExecutor(2) as pool:
        for age in ages:
            pool.submit(made.back_up, end - timedelta(hours=age), chance.choice(_ZONES))
    return made


@pytest.mark.parametrize("keep", _KEEPS)
def test_no_longer_kept_is_what_restic_would_forget(
    repository: _Repository, keep: dict[str, int]
) -> None:
    rows = json.loads(repository("snapshots", "--json"))
    assert len(rows) == 20
    words = [f"--keep-{period}={count}" for period, count in keep.items()]
    (group,) = json.loads(
        repository("forget", "--dry-run", "--no-lock", "--json", "--group-by=tags", *words)
    )
    gone = sorted(clock(row["time"]) for row in group["remove"] or [])
    made = sorted(clock(row["time"]) for row in rows)
    assert backups.unkept(made, keep) == gone
    assert 0 < len(gone) < len(made)
