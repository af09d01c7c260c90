# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made from those of the test hosts: a folder with a build.sh, run once a content."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.fleet.bootstrap import content_digest
from tests.fleet.command import LIMITS, FleetError, podman
from tests.fleet.image import lock

_INSIDE = "/opt/recipe"


def ensure_layer(
    repository: str, release: str, base: str, recipe: Path, *, say: Callable[[str], None] = print
) -> str:
    """The name of `base` with the build.sh of `recipe` run in it, as root and with a network.

    It is built when there is none of this content. `repository` ends in a name of its own, such as
    localhost/ringfence/sites. Raises FleetError with the last line of what went wrong.
    """
    files = sorted(path for path in recipe.rglob("*") if path.is_file())
    contents = [
        part for path in files for part in (str(path.relative_to(recipe)), path.read_bytes())
    ]
    name = f"{repository}:{release}-{content_digest(base, *contents)}"
    with lock(f"{repository.rpartition('/')[2]}-{release}"):
        if podman("images", "--quiet", "--filter", f"reference={name}").strip():
            return name
        say(f"building {name} …")
        began = time.monotonic()
        _build(base, recipe, files, name)
        _remove_others(repository, release, name)
        say(f"built {name} in {time.monotonic() - began:.0f} s")
    return name


def _build(base: str, recipe: Path, files: list[Path], name: str) -> None:
    command = ["sh", "-c", f"cd {_INSIDE} && sh ./build.sh"]
    container = podman("create", *LIMITS, "--network", "host", base, *command).strip()
    try:
        podman("cp", "-", f"{container}:/", stdin=_archive(recipe, files))
        podman("start", "--attach", container, timeout=1200)
        start = 'CMD ["/lib/systemd/systemd"]'
        podman("commit", "--quiet", "--change", start, container, name, timeout=600)
    finally:
        podman("rm", "--force", container)


def _archive(recipe: Path, files: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in files:
            # Nothing but names and contents: the same recipe is the same image everywhere.
            entry = tarfile.TarInfo(f"{_INSIDE}/{path.relative_to(recipe)}")
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def _remove_others(repository: str, release: str, keep: str) -> None:
    """Images of former recipes, except those that a host still runs from."""
    pattern = f"reference={repository}:{release}-*"
    for name in podman(
        "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", pattern
    ).split():
        if name != keep:
            with contextlib.suppress(FleetError):
                podman("image", "rm", name)
