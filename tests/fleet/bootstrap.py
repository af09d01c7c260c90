# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the root of a Debian host from this machine's own package sources."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.command import run
from tests.fleet.sources import (
    Source,
    apt_options,
    machine_codename,
    read_machine_sources,
    sources_for,
)

RELEASES = ("bookworm", "trixie")
_RECIPE = Path(__file__).parent / "recipe"
_CA_FOLDER = Path("/usr/local/share/ca-certificates")
# Manuals and translations take a third of an image and no test reads them; lists are
# kept, so that a role can install a package without `apt-get update`.
_OPTIONS = (
    "--mode=root",
    "--variant=minbase",
    "--quiet",
    "--skip=cleanup/apt/lists",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)


@dataclass(frozen=True)
class Bootstrap:
    """All that decides what a root holds.

    `script` runs inside it once its `packages` are installed; `early` runs on this machine
    with the root as its argument, before they are.
    """

    release: str
    packages: tuple[str, ...]
    script: str
    early: str
    sources: tuple[Source, ...]
    apt_options: tuple[str, ...]
    authorities: tuple[Path, ...]

    @property
    def digest(self) -> str:
        """Changes with anything that would make another root."""
        return content_digest(
            self.release,
            *_OPTIONS,
            *map(str, self.sources),
            *self.apt_options,
            *self.packages,
            self.script,
            self.early,
            *(path.read_bytes() for path in self.authorities),
        )

    @property
    def origin(self) -> str:
        """The mirror that the packages come from."""
        return self.sources[0].uri

    def build(self, target: Path) -> None:
        """Make the root: in the folder `target`, or as a tar file where its name says so.

        Raises FleetError with apt's last word when it fails.
        """
        with tempfile.TemporaryDirectory(prefix="ringfence-", dir="/var/tmp") as folder:
            authorities = Path(folder) / "authorities.tar"
            script, early = Path(folder) / "prepare.sh", Path(folder) / "early.sh"
            authorities.write_bytes(
                _tar({str(_CA_FOLDER / path.name): path for path in self.authorities})
            )
            script.write_text(self.script, encoding="utf-8")
            early.write_text(self.early, encoding="utf-8")
            run(
                [
                    "mmdebstrap",
                    *_OPTIONS,
                    f"--format={'tar' if target.suffix == '.tar' else 'directory'}",
                    *(f"--aptopt={option.rstrip(';')}" for option in self.apt_options),
                    f"--include={','.join(self.packages)}",
                    f'--essential-hook=sh {early} "$1"',
                    f"--customize-hook=tar-in {authorities} /",
                    f'--customize-hook=chroot "$1" sh -s < {script}',
                    self.release,
                    str(target),
                    *map(str, self.sources),
                ],
                timeout=1800,
            )


def bootstrap(release: str, packages: tuple[str, ...], script: str, early: str = "") -> Bootstrap:
    """A root for `release` from the package sources and settings of this machine.

    Raises FleetError when this is no Debian machine.
    """
    return Bootstrap(
        release=release,
        packages=packages,
        script=script,
        early=early,
        sources=tuple(sources_for(release, read_machine_sources(), machine_codename())),
        apt_options=tuple(apt_options(run(["apt-config", "dump"]))),
        authorities=tuple(sorted(_CA_FOLDER.glob("*.crt"))),
    )


def recipe(name: str) -> str:
    """A file of the recipe folder."""
    return (_RECIPE / name).read_text(encoding="utf-8")


def package_list(release: str, text: str) -> tuple[str, ...]:
    """The packages that a host of `release` has, from the text of a package file.

    A line is a package's name, and after it the releases that have it (default: all).
    """
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return tuple(words[0] for words in lines if words and (not words[1:] or release in words[1:]))


def content_digest(*parts: str | bytes) -> str:
    """Twelve hexadecimal digits that change with any part, its place or its length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()[:12]


def _tar(files: dict[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for target, path in files.items():
            entry = tarfile.TarInfo(target.lstrip("/"))
            data = path.read_bytes()
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
