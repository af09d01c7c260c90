# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make the backups of a host."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_set

_PART = "/etc/systemd/system/ringfence-backup@_server.service.d/server.conf"
_SITE = {"site": "web1", "paths": ["/etc"], "optional": ["/var/spool/cron"], "server": True}


def _job(client: str, **more: Any) -> dict[str, Any]:
    return {
        "client": client,
        "repository": "s3:x/y",
        "password": "p",
        "access_key": "a",
        "secret_key": "s",
        "every": 86400,
        "sites": [_SITE],
        **more,
    }


def test_only_the_backup_of_the_server_may_ask_the_kernel_for_its_rules() -> None:
    assert _PART not in _backup_set.wanted([_job("acme")]).files
    text = _backup_set.wanted([_job("_server")]).files[_PART]
    assert "CapabilityBoundingSet=CAP_NET_ADMIN\nRestrictAddressFamilies=AF_NETLINK\n" in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_takes_the_units_as_they_are(tmp_path: Path) -> None:
    asked = _backup_set.wanted([_job("_server"), _job("acme")])
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folder = Path("/etc/systemd/system")
    for path, text in asked.files.items():
        if path.startswith(f"{folder}/"):
            target = tmp_path / "units" / Path(path).relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text.replace(_backup_set.PROGRAM, str(program)))
    units = tmp_path / "units"
    names = ["ringfence-backup@_server.service", "ringfence-backup-_server.timer"]
    (units / names[0]).symlink_to(_backup_set.SERVICE)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(units / name) for name in names)],
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "ringfence" in done.stderr) == (0, False), done.stderr
