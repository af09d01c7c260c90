# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the walk over the file systems on a tree of a million files on a real disk.

Usage: python -m bench.walk [--files N] [--rounds N] [--folder WHERE] [--out FOLDER]

The walk runs as an audit runs it, in a process of its own held to one core. The first round begins
with the kernel's caches dropped where that is allowed. `find` with the same questions runs beside
it, as a measure that everybody knows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[1]
_A_FOLDER = 250
_BAR_SECONDS = 10.0


def main() -> int:
    """Make the tree, measure, print, write the JSON. Returns 1 where the bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.walk", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))  # noqa: S108
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args()
    init_plugin_loader([str(ROOT / "collections")])
    tree = Path(tempfile.mkdtemp(prefix="ringfence-walk-", dir=options.folder))
    try:
        _make(tree, options.files)
        rows = [_measure(tree, number == 0) for number in range(options.rounds)]
    finally:
        shutil.rmtree(tree)
    result = _result(rows, options)
    print(json.dumps(result, indent=1))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "walk.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if result["met"] else 1


def _make(tree: Path, files: int) -> None:
    """Folders as web sites have them: four deep, some files odd; all files are empty."""
    for number in range(-(-files // _A_FOLDER)):
        folder = tree / f"site{number % 40}" / f"year{number // 40 % 10}" / f"upload{number}"
        folder.mkdir(parents=True)
        for name in range(min(_A_FOLDER, files - number * _A_FOLDER)):
            os.close(os.open(folder / f"picture-{name:04d}.jpg", os.O_CREAT | os.O_WRONLY, 0o644))
    odd = tree / "site0" / "year0" / "upload0"
    (odd / "picture-0001.jpg").chmod(0o666)
    (odd / "picture-0002.jpg").chmod(0o4755)
    odd.chmod(0o777)


def _measure(tree: Path, cold: bool) -> dict[str, Any]:
    dropped = _drop_caches() if cold else False
    walked = _in_a_child(lambda: _walk(tree))
    questions = ["-perm", "/6002", "-o", "-nouser", "-o", "-nogroup"]
    found = _in_a_child(lambda: _find(["find", str(tree), "-xdev", "(", *questions, ")"]))
    return {"cold": dropped, "walk": walked, "find": found}


def _walk(tree: Path) -> int:
    from ansible_collections.ringfence.hosting.plugins.module_utils import _walk

    kinds = (_walk.OPEN_FILES, _walk.OPEN_FOLDERS, _walk.SETUID, _walk.UNOWNED)
    scope = _walk.Scope(
        root="",
        starts=(str(tree),),
        mounts=frozenset(),
        left_out=frozenset(),
        users=frozenset({os.getuid()}),
        groups=frozenset({os.getgid()}),
        excepted=dict.fromkeys(kinds, ()),
        seconds=600.0,
    )
    found = _walk.walk(scope)
    if found.stopped or {kind: found.counts.get(kind, 0) for kind in kinds[:3]} != {
        _walk.OPEN_FILES: 1,
        _walk.OPEN_FOLDERS: 1,
        _walk.SETUID: 1,
    }:
        sys.exit(f"the walk did not find what was put there: {found.counts}")
    return found.files


def _find(argv: list[str]) -> int:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if not stat.S_ISLNK(os.lstat(line).st_mode)]
    if len(lines) != 3:
        sys.exit(f"find did not find what was put there: {lines[:5]}")
    return len(lines)


def _in_a_child(work: Callable[[], int]) -> dict[str, Any]:
    """Seconds and peak memory of a process of its own on one core."""
    reader, writer = os.pipe()
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        with suppress(OSError):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        count = work()
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        row = {
            "files": count,
            "wall_s": round(time.perf_counter() - started, 2),
            "user_s": round(sum(used.ru_utime for used in both), 2),
            "system_s": round(sum(used.ru_stime for used in both), 2),
            "memory_mib": max(used.ru_maxrss for used in both) // 1024,
        }
        os.write(writer, json.dumps(row).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    if not data:
        sys.exit("the measured process broke off")
    found: dict[str, Any] = json.loads(data)
    return found


def _drop_caches() -> bool:
    with suppress(OSError):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("2\n", encoding="ascii")
        return True
    return False


def _result(rows: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    warm = [row["walk"] for row in rows if not row["cold"]] or [row["walk"] for row in rows]
    seconds = statistics.median(row["user_s"] + row["system_s"] for row in warm)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, Linux {platform.release()}",
        "files": options.files,
        "rounds": rows,
        "median_cpu_s": round(seconds, 2),
        "bar_cpu_s": _BAR_SECONDS,
        "met": seconds <= _BAR_SECONDS,
    }


if __name__ == "__main__":
    raise SystemExit(main())
