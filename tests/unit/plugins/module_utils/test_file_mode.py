# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes of files that are there only once the packages of a run are installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control, Stage
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import file_mode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in (("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), ("etc/group", "root:x:0:\n")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    return tmp_path


def put(path: Path) -> Path:
    path.touch()
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("pattern", "mode"), [("/bin/*-as", 0o750), ("/bin/old-as", 0o755)])
def test_what_a_package_of_the_same_run_brings_is_mended_where_a_pattern_names_it(
    root: Path, pattern: str, mode: int
) -> None:
    host = Host(str(root))
    control = Control("it", "file_mode", {"paths": [pattern]}, "0750")
    old = put(root / "bin/old-as")
    stage = Stage(host)
    stage.begin(control)
    file_mode.plan(control, file_mode.observe(host, control), stage)

    new, other = put(root / "bin/new-as"), put(root / "bin/new-ld")
    (root / "bin/link-as").symlink_to("new-ld")
    for step in stage.steps:
        step.act(host)

    assert old.stat().st_mode & 0o777 == 0o750
    assert new.stat().st_mode & 0o777 == mode
    assert other.stat().st_mode & 0o777 == 0o755
