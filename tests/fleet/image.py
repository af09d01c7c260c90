# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the image of a test host once and finds it again by its content."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fleet.bootstrap import (
    RELEASES,
    Bootstrap,
    bootstrap,
    content_digest,
    package_list,
    recipe,
)
from tests.fleet.command import LIMITS, FleetError, podman

REPOSITORY = "localhost/ringfence/debian"
_START = 'CMD ["/lib/systemd/systemd"]'


def ensure_image(
    release: str,
    *,
    base: str | None = None,
    rebuild: bool = False,
    say: Callable[[str], None] = print,
) -> str:
    """The name of an image for `release`, built when there is none of this content.

    `base` names an image to start from instead of building one from packages.
    Raises FleetError when it cannot be built.
    """
    if release not in RELEASES:
        raise FleetError(f"release {release!r}: expected one of {', '.join(RELEASES)}")
    origin, digest, build = _from_image(release, base) if base else _from_packages(release)
    name = f"{REPOSITORY}:{release}-{digest}"
    with lock(f"image-{release}"):
        if _image_id(name) and not rebuild:
            return name
        say(f"building {name} from {origin} …")
        began = time.monotonic()
        replaced = _image_id(name)
        build(name)
        if replaced:
            _try_remove(replaced)
        say(f"built {name} in {time.monotonic() - began:.0f} s")
    return name


def remove_outdated() -> list[str]:
    """Remove images that no recipe of today would use and no host runs from."""
    current = {f"{REPOSITORY}:{release}-{_container(release).digest}" for release in RELEASES}
    names = podman("images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY).split()
    return [name for name in names if name not in current and _try_remove(name)]


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Only one process of this machine at a time builds the thing of this name."""
    path = Path(tempfile.gettempdir()) / f"ringfence-{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _container(release: str) -> Bootstrap:
    packages = package_list(release, recipe("packages.txt"))
    return bootstrap(release, packages, recipe("prepare.sh"))


def _from_packages(release: str) -> tuple[str, str, Callable[[str], None]]:
    root = _container(release)

    def build(name: str) -> None:
        with tempfile.TemporaryDirectory(prefix="ringfence-", dir="/var/tmp") as folder:
            tarball = Path(folder) / "root.tar"
            root.build(tarball)
            podman("import", "--quiet", "--change", _START, str(tarball), name, timeout=600)

    return root.origin, root.digest, build


def _from_image(release: str, base: str) -> tuple[str, str, Callable[[str], None]]:
    packages = " ".join(package_list(release, recipe("packages.txt")))
    image_id = podman("image", "inspect", "--format", "{{.Id}}", base).strip()
    script = "\n".join(
        (
            "set -eu; export DEBIAN_FRONTEND=noninteractive",
            "apt-get -qq update",
            f"apt-get -qq install --no-install-recommends {packages} >/dev/null",
            recipe("prepare.sh"),
        )
    )

    def build(name: str) -> None:
        container = podman("create", *LIMITS, "-i", "--network", "host", base, "sh", "-s").strip()
        try:
            podman("start", "--attach", "--interactive", container, stdin=script, timeout=1200)
            podman("commit", "--quiet", "--change", _START, container, name, timeout=600)
        finally:
            podman("rm", "--force", container)

    return base, content_digest(image_id, script), build


def _image_id(name: str) -> str:
    return podman("images", "--quiet", "--filter", f"reference={name}").strip()


def _try_remove(image: str) -> bool:
    try:
        podman("image", "rm", image)
    except FleetError:  # a host still runs from it
        return False
    return True
