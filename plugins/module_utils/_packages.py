# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How apt-get is called, whoever calls it: nobody is asked, and nothing is left half installed."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# A file that an administrator changed is kept as it is: nobody is there to be asked.
KEEP = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
_APT_GET = (
    "apt-get",
    "-qq",
    "-o",
    "DPkg::Lock::Timeout=120",
    *KEEP,
    "--no-install-recommends",
    "-y",
)
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
    "UCF_FORCE_CONFFOLD": "1",
}
# What fetches may hang; what unpacks is not cut off, or packages are left half installed.
FETCH_SECONDS = 900
UNPACK_SECONDS = 4 * 3600


def install(host: Host, names: Sequence[str]) -> None:
    """Install packages. Raises HostError.

    Where they cannot be fetched, once more with new lists: these may name a version that is gone.
    """
    try:
        fetch(host, names)
    except HostError:
        refresh(host)
        fetch(host, names)
    unpack(host, "install", names)


def refresh(host: Host) -> None:
    """Have apt fetch its lists. Raises HostError."""
    host.output(["apt-get", "-qq", "update"], timeout=FETCH_SECONDS, environment=ENVIRONMENT)


def fetch(host: Host, names: Sequence[str]) -> None:
    """Have what an installation needs on disk. Raises HostError."""
    argv = [*_APT_GET, "--download-only", "install", *names]
    host.output(argv, timeout=FETCH_SECONDS, environment=ENVIRONMENT)


def simulated(host: Host, verb: str, names: Sequence[str]) -> str:
    """What apt-get -s prints that it would do. Raises HostError."""
    argv = [*_APT_GET, "-s", verb, *names]
    return host.output(argv, timeout=FETCH_SECONDS, environment=ENVIRONMENT)


def unpack(host: Host, verb: str, names: Sequence[str]) -> None:
    """Have apt-get install or remove packages. Raises HostError."""
    argv = [*_APT_GET, verb, *names]
    host.output(argv, timeout=UNPACK_SECONDS, environment=ENVIRONMENT)
