# SPDX-License-Identifier: GPL-3.0-or-later
"""A test host that is a controller: Ringfence is there as `make setup` leaves it.

What pip would fetch is taken from this machine's own .venv. Debian 13's Python is newer than
Ringfence is made for, so there a Python 3.11 is put beside it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fleet import Fleet
from tests.hosts.playing import ROOT

_PRODUCT = (
    *("ansible.cfg", "benchmarks", "collections", "controls", "galaxy.yml", "meta", "playbooks"),
    *("plugins", "pyproject.toml", "roles", "src", "tiers"),
)
_PYTHON = ("/usr/bin/python3.11", "/usr/lib/python3.11")
# This machine's checkout may be below /tmp, of which a unit sees one of its own.
PLACE = "/opt/ringfence"
_MOVE = f"""
mv {ROOT} {PLACE}
cd {PLACE}/.venv
grep -rlI {ROOT} bin lib/python3*/site-packages | xargs sed -i 's|{ROOT}|{PLACE}|g'
# The .venv asks for python3, which is another one on Debian 13.
ln -sf /usr/bin/python3.11 bin/python3
"""


def install(fleet: Fleet, host: str) -> None:
    """Put the program, its libraries and its Python below PLACE of a host."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_PRODUCT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    product = [str(ROOT / name) for name in listed.stdout.split("\0") if name]
    scripts = [ROOT / ".venv" / name for name in ("pyvenv.cfg", "bin/python", "bin/python3")]
    files = [*product, *map(str, scripts), *map(str, _libraries()), *_PYTHON]
    send(fleet, host, [name for name in files if Path(name).exists() or Path(name).is_symlink()])
    fleet.exec(host, "sh", "-ec", _MOVE)


def _libraries() -> Iterator[Path]:
    """The files of Ringfence's distribution and of all that it requires."""
    waiting, seen = ["ringfence"], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        wanted = [Requirement(text) for text in found.requires or ()]
        waiting += [
            one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
        yield from (Path(str(found.locate_file(file))).resolve() for file in found.files or ())


def send(fleet: Fleet, host: str, names: Iterable[str]) -> None:
    """Copy files and folders of this machine to the same places of a host, as root's."""
    listed = "\0".join(name.lstrip("/") for name in names).encode()
    packed = subprocess.run(
        ["tar", "-C", "/", "-c", "--owner=0", "--group=0", "--null", "-T", "-"],
        input=listed,
        capture_output=True,
        check=True,
    )
    subprocess.run(
        ["podman", "exec", "-i", fleet.container(host), "tar", "-C", "/", "-x"],
        input=packed.stdout,
        capture_output=True,
        check=True,
    )
