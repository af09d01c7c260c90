# SPDX-License-Identifier: GPL-3.0-or-later
"""Built from a clean copy, installed elsewhere, run by name from a folder that knows nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.playing import ROOT

pytestmark = pytest.mark.hosts

_BIN = ROOT / ".venv" / "bin"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(f"installed-{os.getpid()}", {"web1": "bookworm"}) as started:
        yield started


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of collections that holds ours, as ansible-galaxy put it there."""
    copy, target = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("installed")
    _run([str(ROOT / "tools/clean_copy.sh"), str(copy)], ROOT)
    _run([str(_BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(target)], copy)
    archive = str(next(target.glob("ringfence-hosting-*.tar.gz")))
    _run(
        [str(_BIN / "ansible-galaxy"), "collection", "install", "-p", str(target), archive], target
    )
    return target


def test_the_archive_holds_the_product_only(installed: Path) -> None:
    archive = next(installed.glob("*.tar.gz"))
    names = _run(["tar", "-tzf", str(archive)], installed).splitlines()
    assert "controls/ssh.yml" in names
    assert "plugins/modules/control_apply.py" in names
    others = ("tests/unit", "tests/fleet", ".venv", "collections/", "src/", ".git/", "evidence/")
    assert [name for name in names if name.startswith(others)] == []


@pytest.mark.parametrize("options", [[], ["--check", "--diff"]], ids=["for real", "check mode"])
def test_playbooks_run_by_name(
    installed: Path, fleet: Fleet, tmp_path: Path, options: list[str]
) -> None:
    name = "ringfence.hosting.apply" if options else "ringfence.hosting.audit"
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "ANSIBLE_CALLBACKS_ENABLED": "ringfence.hosting.evidence",
        "ANSIBLE_NOCOLOR": "1",
        "RINGFENCE_EVIDENCE_DIR": str(tmp_path / "evidence"),
    }
    command = [str(_BIN / "ansible-playbook"), "-i", str(fleet.inventory), name, *options]
    output = _run(command, tmp_path, environment)
    assert "pass=" in output
    assert "ssh_root_login" in output


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        # ssh may leave the one we have in a mode that Ansible refuses
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
