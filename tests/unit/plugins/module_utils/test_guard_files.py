# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of files, on real files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard_files as files

LONG_AGO = 1_000_000_000_123_456_789


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with everything that makes copying hard."""
    root = tmp_path / "etc"
    (root / "empty").mkdir(parents=True)
    (root / "odd \udcff name").write_bytes(b"\x00\xff odd bytes without a newline")
    (root / "plain.conf").write_text("old\n")
    (root / "secret").write_text("s3cret")
    (root / "secret").chmod(0o600)
    (root / "nothing").touch()
    (root / "link").symlink_to("plain.conf")
    (root / "dangling").symlink_to("nowhere")
    (root / "elsewhere").symlink_to("../outside")
    (tmp_path / "outside").write_text("target\n")
    os.mkfifo(root / "pipe")
    os.utime(root / "plain.conf", ns=(LONG_AGO, LONG_AGO))
    os.utime(root, ns=(LONG_AGO, LONG_AGO))
    return root


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """All below `root` that a snapshot must keep, read without the code under test."""
    shown: dict[str, tuple[object, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        info = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        kept = (stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        # The time of a link cannot be told apart from that of a new one by any program we guard.
        time = None if path.is_symlink() else info.st_mtime_ns
        shown[str(path)] = (*kept, time, content)
    return shown


def snapshot(tmp_path: Path, *paths: Path) -> tuple[list[files.Entry], Path]:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    return files.capture(files.survey(map(str, paths)), blobs), blobs


def _replace(root: Path) -> None:
    fresh = root / "fresh"
    fresh.write_text("new\n")
    fresh.rename(root / "plain.conf")


def _turn(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("secret")


def _empty(root: Path) -> None:
    for path in root.iterdir():
        if not path.is_dir():
            path.unlink()


def _swap_kinds(root: Path) -> None:
    (root / "plain.conf").unlink()
    (root / "plain.conf").mkdir()
    (root / "plain.conf/inside").touch()
    (root / "empty").rmdir()
    (root / "empty").symlink_to("/")
    (root / "link").unlink()
    (root / "link").write_text("no link any more")


CHANGES: dict[str, Callable[[Path], object]] = {
    "written in place": lambda root: (root / "plain.conf").write_text("new\n"),
    "replaced": _replace,
    "longer": lambda root: (root / "secret").write_bytes(b"x" * 3_000_000),
    "mode": lambda root: (root / "secret").chmod(0o644),
    "mode of a folder": lambda root: (root / "empty").chmod(0o700),
    "owner": lambda root: os.chown(root / "plain.conf", 12345, 23456),
    "time": lambda root: (root / "plain.conf").touch(),
    "removed": lambda root: (root / "odd \udcff name").unlink(),
    "folder removed": lambda root: (root / "empty").rmdir(),
    "new file": lambda root: (root / "empty/new").write_text("new"),
    "new tree": lambda root: (root / "a/b/c").mkdir(parents=True),
    "new link": lambda root: (root / "new").symlink_to("/etc/passwd"),
    "link turned": _turn,
    "through a link": lambda root: (root / "elsewhere").write_text("changed outside"),
    "kinds swapped": _swap_kinds,
    "all gone": _empty,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_comes_back(
    tree: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    before = picture(tree) | picture(tmp_path / "outside")
    before = {path: row for path, row in before.items() if not path.endswith("/pipe")}
    entries, blobs = snapshot(tmp_path, tree)
    assert files.changed(entries) == []
    change(tree)
    assert files.changed(entries)
    done = files.put_back(entries, blobs)
    assert done["errors"] == []
    after = picture(tree) | picture(tmp_path / "outside")
    assert {path: row for path, row in after.items() if not path.endswith("/pipe")} == before
    assert files.changed(entries) == []


def test_only_what_differs_is_touched(tree: Path, tmp_path: Path) -> None:
    entries, blobs = snapshot(tmp_path, tree)
    kept = (tree / "secret").stat()
    (tree / "plain.conf").write_text("new\n")
    (tree / "extra").touch()
    done = files.put_back(entries, blobs)
    assert (done["restored"], done["removed"]) == (
        [str(tree / "plain.conf")],
        [str(tree / "extra")],
    )
    assert (tree / "secret").stat().st_ino == kept.st_ino
    assert files.put_back(entries, blobs) == {"restored": [], "removed": [], "errors": []}


def test_what_was_not_there_is_removed_with_its_new_parents(tmp_path: Path) -> None:
    entries, blobs = snapshot(tmp_path, tmp_path / "new/deep/file.conf")
    (tmp_path / "new/deep").mkdir(parents=True)
    (tmp_path / "new/deep/file.conf").touch()
    assert files.put_back(entries, blobs)["removed"] == [str(tmp_path / "new")]
    assert not (tmp_path / "new").exists()


def test_extended_attributes_come_back(tree: Path, tmp_path: Path) -> None:
    path = tree / "plain.conf"
    try:
        os.setxattr(path, "user.kept", b"\x00old")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")
    entries, blobs = snapshot(tmp_path, tree)
    os.setxattr(path, "user.kept", b"new")
    os.setxattr(path, "user.new", b"x")
    assert files.put_back(entries, blobs)["restored"] == [str(path)]
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == {
        "user.kept": b"\x00old"
    }


def test_a_folder_swapped_for_a_link_does_not_lead_us_elsewhere(tmp_path: Path) -> None:
    home, victim = tmp_path / "home", tmp_path / "victim"
    home.mkdir()
    victim.mkdir()
    (home / "keys").write_text("old")
    (victim / "keys").write_text("root's own")
    entries, blobs = snapshot(tmp_path, home / "keys")
    (home / "keys").unlink()
    home.rmdir()
    home.symlink_to(victim)
    assert files.put_back(entries, blobs)["errors"]
    assert (victim / "keys").read_text() == "root's own"


def test_a_path_reached_through_a_link_is_guarded_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("old")
    (tmp_path / "alias").symlink_to("real")
    entries, blobs = snapshot(tmp_path, tmp_path / "alias/file")
    (tmp_path / "real/file").write_text("new")
    assert files.put_back(entries, blobs)["restored"] == [str(tmp_path / "real/file")]


def test_one_path_that_fails_does_not_stop_the_others(tree: Path, tmp_path: Path) -> None:
    entries, blobs = snapshot(tmp_path, tree)
    plain = next(entry for entry in entries if entry["path"].endswith("plain.conf"))
    (blobs / plain["blob"]).unlink()
    assert not files.intact(entries, blobs)
    (tree / "plain.conf").write_text("new\n")
    (tree / "secret").write_text("new")
    done = files.put_back(entries, blobs)
    assert done["restored"] == [str(tree / "secret")]
    assert [error.split(":")[0] for error in done["errors"]] == [str(tree / "plain.conf")]


def test_a_snapshot_that_was_altered_is_not_intact(tree: Path, tmp_path: Path) -> None:
    entries, blobs = snapshot(tmp_path, tree)
    assert files.intact(entries, blobs)
    next(blobs.iterdir()).write_text("altered")
    assert not files.intact(entries, blobs)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("etc/ssh", "expected an absolute path"),
        ("/", "expected a path below /"),
        ("/etc/..", "expected a path below /"),
        ("/proc/sys/net", "only files on disk"),
        ("/var/run/x", "only files on disk"),
        ("/etc/a\0b", "expected an absolute path"),
    ],
)
def test_a_path_that_cannot_be_guarded_is_refused(path: str, said: str) -> None:
    with pytest.raises(files.SnapshotError, match=said):
        files.survey([path])


def test_sizes_are_told_by_file_system(tmp_path: Path) -> None:
    (tmp_path / "five").write_text("12345")
    (tmp_path / "link").symlink_to("five")
    paths = [str(tmp_path), str(tmp_path / "five"), str(tmp_path / "link"), "/nowhere"]
    assert files.sizes(paths) == {tmp_path.stat().st_dev: 5}
