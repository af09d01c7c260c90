# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's files in folders of a site whose owner puts links and pipes in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_files
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def test_a_file_is_written_read_and_removed_with_its_folders(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    (tmp_path / "site").mkdir()
    _site_files.write(host, "/site", "a/b/x.php", b"new")
    _site_files.write(host, "/site", "a/b/x.php", b"newer")
    assert _site_files.read(host, "/site", "a/b/x.php") == "newer"
    assert (tmp_path / "site/a/b/x.php").stat().st_mode & 0o777 == 0o644
    assert sorted(os.listdir(tmp_path / "site/a/b")) == ["x.php"]
    _site_files.write(host, "/site", "a/old/y.php", b"")
    _site_files.move(host, "/site", "a/b", "a/old")
    assert sorted(os.listdir(tmp_path / "site/a/old")) == ["x.php"]
    _site_files.remove(host, "/site", "a")
    _site_files.remove(host, "/site", "a")
    assert os.listdir(tmp_path / "site") == []


@pytest.mark.parametrize("link", ["wp-content", "wp-content/plugins"])
def test_a_link_on_the_way_leads_nowhere(tmp_path: Path, link: str) -> None:
    host, other = Host(str(tmp_path)), tmp_path / "other"
    (other / "plugins/two-factor").mkdir(parents=True)
    (other / "two-factor").mkdir()
    place = tmp_path / "site" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(other)
    path = "wp-content/plugins/two-factor"
    with pytest.raises(HostError, match="expected a folder, no link"):
        _site_files.write(host, "/site", f"{path}/x.php", b"x")
    assert _site_files.read(host, "/site", f"{path}/x.php") is None
    _site_files.remove(host, "/site", path)
    assert (other / "two-factor").is_dir()
    assert (other / "plugins/two-factor").is_dir()
    assert not list(other.rglob("x.php"))


def test_a_link_a_pipe_and_a_folder_are_no_file(tmp_path: Path) -> None:
    host, secret = Host(str(tmp_path)), tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/link").symlink_to(secret)
    (tmp_path / "site/folder").mkdir()
    os.mkfifo(tmp_path / "site/pipe")
    for name in ("link", "pipe", "folder", "none"):
        assert _site_files.read(host, "/site", name) is None
    _site_files.write(host, "/site", "link", b"ours")
    assert secret.read_text() == "secret"
    assert _site_files.read(host, "/site", "link") == "ours"
