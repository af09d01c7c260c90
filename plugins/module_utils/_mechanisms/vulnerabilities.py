# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Known vulnerabilities of what is installed, by the security tracker's data brought to the host.

The controller fetches the data and brings each host those of its release
(playbooks/vulnerability_data.yml): {schema, release, date, sha256, packages: {source package:
[[CVE, version that mends it or "", urgency], …]}}.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _apt
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    MANUAL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# days: how old the data may be; older data are an error. The value: how many may go unmended.
PARAMS = {"days": "int"}
VALUE = ("int",)

DATA = "/var/lib/ringfence/vulnerabilities.json"
_SHOWN = 10
_FORMAT = "${db:Status-Status} ${Package} ${source:Package} ${source:Version}\n"
# What Debian signs is a source of its own; the tracker knows the one that it was built from.
_SIGNED_KERNEL = re.compile(r"linux-signed-\w+")
_SIGNED_GRUB = re.compile(r"grub-efi-\w+-signed")
_KERNEL = "linux"
_IMAGE = re.compile(r"linux-image-[0-9].*")


def observe(host: Host, control: Control) -> Observation:
    text = host.text(DATA)
    if text is None:
        return Observation({"data": False}, "no data of the security tracker were brought here")
    document = _document(text)
    _check(host, document, control.params["days"])
    fixable, open_ones = _found(_installed(host), document["packages"])
    listed = [f"{cve} in {name} {seen} (mended by {by})" for cve, name, seen, by in fixable]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    shown = f"{', '.join(listed[:_SHOWN])}{more}" or "none that an update mends"
    day = document["date"][:10]
    return Observation(
        {"data": True, "count": len(fixable)},
        f"{shown}; {open_ones} without an update yet (data of {day})",
    )


def judge(control: Control, observation: Observation) -> Verdict:
    if not observation.state["data"]:
        return Verdict(MANUAL, f"{observation.shown}: run playbooks/vulnerability_data.yml")
    if control.meets(observation.state["count"]):
        return Verdict(PASS)
    return Verdict(FAIL, observation.shown)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: hosts are updated by playbooks/updates.yml."""


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
        shape = (document["schema"], document["release"], document["date"])
        whole = shape[0] == 1 and isinstance(document["packages"], dict)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HostError(f"{DATA} is not what playbooks/vulnerability_data.yml writes") from error
    if not whole:
        raise HostError(f"{DATA} is not of schema 1")
    return dict(document)


def _check(host: Host, document: dict[str, Any], days: int) -> None:
    """Raises HostError for data of another release and for old ones."""
    codename = _apt.codename(host)
    if document["release"] != codename:
        raise HostError(f"{DATA} is of {document['release']}, the host is {codename or 'unknown'}")
    try:
        made = datetime.fromisoformat(str(document["date"]).replace("Z", "+00:00"))
    except ValueError as error:
        raise HostError(f"{DATA} has no date that can be understood") from error
    old = (datetime.now(UTC) - (made if made.tzinfo else made.replace(tzinfo=UTC))).days
    if old > days:
        raise HostError(f"the security tracker's data are {old} days old, at most {days} are good")


def _installed(host: Host) -> dict[str, str]:
    """Source package -> the oldest of its versions that is installed; of kernels the newest.

    Kernels of before stay installed beside it; whether the newest runs is for another control.
    """
    listing = host.output(["dpkg-query", "-W", "-f", _FORMAT])
    rows = [row for row in (line.split(" ") for line in listing.split("\n")) if len(row) == 4]
    found: dict[str, str] = {}
    for _status, package, source, version in (row for row in rows if row[0] == "installed"):
        name, version = _as_tracked(source, version)
        if name == _KERNEL and not _IMAGE.fullmatch(package):
            continue  # headers and tools of it run in no kernel
        wanted = 1 if name == _KERNEL else -1
        if name not in found or _apt.compare(version, found[name]) * wanted > 0:
            found[name] = version
    if not any(row[0] == "installed" for row in rows):
        raise HostError("dpkg-query tells of no installed package")
    return found


def _as_tracked(source: str, version: str) -> tuple[str, str]:
    """Name and version under which the tracker knows a source package."""
    if _SIGNED_KERNEL.fullmatch(source):  # 6.1.192+2 is made of 6.1.192-2
        start, plus, end = version.rpartition("+")
        return _KERNEL, f"{start}-{end}" if plus else version
    if _SIGNED_GRUB.fullmatch(source):  # 1+2.06+13+deb12u2 is made of 2.06-13+deb12u2
        parts = version.split("+", 2)
        return "grub2", "-".join(parts[1:]) if len(parts) == 3 else version
    return source, version


def _found(
    installed: dict[str, str], packages: dict[str, Any]
) -> tuple[list[tuple[str, str, str, str]], int]:
    """What an update mends (CVE, package, its version, the mending one), and how many none does."""
    fixable, unmended = [], 0
    for name in sorted(set(installed) & set(packages)):
        for cve, mended, _urgency in packages[name]:
            if not mended:
                unmended += 1
            elif _apt.compare(installed[name], mended) < 0:
                fixable.append((cve, name, installed[name], mended))
    return fixable, unmended
