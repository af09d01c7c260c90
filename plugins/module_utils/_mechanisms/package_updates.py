# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far behind a host is: security updates that wait, age of the lists, strays, support."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase

from ansible_collections.ringfence.hosting.plugins.module_utils import _apt
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: pending, lists, strays, support, ended (support of single packages). days: how old lists
# may be before what waits is unknown.
# releases: "12 2026-06-10 2028-06-30": a release, the last day of support and that of LTS.
PARAMS = {"check": "str", "days": "int?", "releases": "list?"}
VALUE = ("int", "list", "str")

# Touched by each fetch, whether it brought anything new or not.
_STAMPS = (
    f"{_apt.LISTS}/partial",
    "/var/lib/apt/periodic/update-success-stamp",
    "/var/lib/apt/periodic/update-stamp",
)
# Of the package debian-security-support.
_SUPPORT = "/usr/share/debian-security-support"
_ENDED_LISTS = ("security-support.deb", "security-support-ended.deb")
_SHOWN = 10
_DAY = 86400


def observe(host: Host, control: Control) -> Observation:
    return _OBSERVE[control.params["check"]](host, control)


def judge(control: Control, observation: Observation) -> Verdict:
    return _JUDGE[control.params["check"]](control, observation)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: hosts are updated by playbooks/updates.yml, in batches and looked after."""


def pending(host: Host) -> list[tuple[str, str, str]]:
    """Package, installed version and the one that waits, of each security update that waits."""
    return host.once("security updates", lambda: list(_pending(host)))


def _pending(host: Host) -> list[tuple[str, str, str]]:
    installed = host.installed_packages()
    lists = [
        data
        for release in _apt.releases(host)
        if release.is_security
        for data in _apt.package_lists(host, f"{release.prefix}_")
    ]
    known = _apt.newest([_only(data, installed) for data in lists])
    return [
        (name, installed[name], known[name])
        for name in sorted(known)
        if name in installed and _apt.compare(installed[name], known[name]) < 0
    ]


def _only(data: bytes, installed: dict[str, str]) -> bytes:
    """The paragraphs of packages that are installed: few of many thousands."""
    names = {name.encode() for name in installed}
    kept = []
    for paragraph in data.split(b"\n\n"):
        start = 9 if paragraph.startswith(b"Package: ") else paragraph.find(b"\nPackage: ") + 10
        if start > 8 and paragraph[start : (paragraph + b"\n").find(b"\n", start)] in names:
            kept.append(paragraph)
    return b"\n\n".join(kept)


def age(host: Host) -> float | None:
    """Days since the lists were last fetched; None where they never were."""
    seen = []
    if not any("_Packages" in name for name in host.names(_apt.LISTS)):
        return None
    for path in _STAMPS:
        with suppress(FileNotFoundError, NotADirectoryError):
            seen.append(os.stat(host.real(path)).st_mtime)
    return (time.time() - max(seen)) / _DAY if seen else None


def _stale(host: Host, days: int) -> str:
    """Why the lists say nothing of today; empty where they do."""
    old = age(host)
    if old is None:
        return "the lists of packages were never fetched"
    if old > days:
        return f"the lists of packages are {old:.0f} days old"
    security = [release for release in _apt.releases(host) if release.is_security]
    if not security:
        return "no list of security updates was fetched"
    if any(release.expired(datetime.now(UTC)) for release in security):
        return "the list of security updates is past its own last day: fetching it fails"
    return ""


def _observe_pending(host: Host, control: Control) -> Observation:
    stale = _stale(host, control.params["days"])
    waiting = [] if stale else pending(host)
    listed = [f"{name} {old} (waiting: {new})" for name, old, new in waiting[:_SHOWN]]
    more = len(waiting) - _SHOWN
    shown = ", ".join(listed) + (f" and {more} more" if more > 0 else "")
    return Observation({"stale": stale, "count": len(waiting)}, stale or shown or "none waits")


def _judge_pending(control: Control, observation: Observation) -> Verdict:
    stale, count = observation.state["stale"], observation.state["count"]
    if stale:
        return Verdict(FAIL, f"what waits is not known: {stale}")
    if control.meets(count):
        return Verdict(PASS)
    return Verdict(FAIL, f"{count} security updates wait: {observation.shown}")


def _observe_lists(host: Host, control: Control) -> Observation:
    old = age(host)
    shown = "never fetched" if old is None else f"{old:.1f} days old"
    return Observation({"stale": _stale(host, control.value)}, shown)


def _judge_lists(_control: Control, observation: Observation) -> Verdict:
    stale = observation.state["stale"]
    return Verdict(FAIL, stale) if stale else Verdict(PASS)


def _observe_strays(host: Host, control: Control) -> Observation:
    known = host.once("names in lists", lambda: _apt.names_in(_apt.package_lists(host)))
    installed = host.installed_packages()
    if not known:
        raise HostError("there are no lists of packages to compare with")
    strays = [
        name
        for name in sorted(set(installed) - known)
        if not any(fnmatchcase(name, pattern) for pattern in control.value)
    ]
    listed = ", ".join(f"{name} {installed[name]}" for name in strays[:_SHOWN])
    more = f" and {len(strays) - _SHOWN} more" if len(strays) > _SHOWN else ""
    return Observation({"strays": strays}, f"{listed}{more}" or "none")


def _judge_strays(_control: Control, observation: Observation) -> Verdict:
    if not observation.state["strays"]:
        return Verdict(PASS)
    return Verdict(FAIL, f"no source has, and so nobody updates: {observation.shown}")


def _observe_support(host: Host, control: Control) -> Observation:
    release = _release(host)
    for row in control.params["releases"]:
        name, full, extended = row.split()
        if name == release:
            return _supported(release, date.fromisoformat(full), date.fromisoformat(extended))
    return Observation({"seen": "none"}, f"release {release}, of which nothing is known")


def _release(host: Host) -> str:
    lines = dict(
        line.partition("=")[::2] for line in (host.text("/etc/os-release") or "").splitlines()
    )
    release = lines.get("VERSION_ID", "").strip("\"'")
    if not release:
        raise HostError("/etc/os-release does not say which release this is")
    return release


def _supported(release: str, full: date, extended: date) -> Observation:
    today = datetime.now(UTC).date()
    if today <= full:
        return Observation({"seen": "full"}, f"release {release}, supported until {full}")
    if today <= extended:
        said = f"release {release}, by the LTS team until {extended}"
        return Observation({"seen": "lts"}, said)
    return Observation({"seen": "none"}, f"release {release}, supported until {extended}")


def _judge_support(control: Control, observation: Observation) -> Verdict:
    if control.meets(observation.state["seen"]):
        return Verdict(PASS)
    return Verdict(FAIL, observation.shown)


def _observe_ended(host: Host, control: Control) -> Observation:
    release = _release(host)
    lists = {path: host.text(f"{_SUPPORT}/{path}{release}") for path in _ENDED_LISTS}
    path, text = next(((p, t) for p, t in lists.items() if t is not None), ("", None))
    if text is None:
        return Observation({"known": False}, f"there is no list for release {release}")
    installed = sorted(_apt.source_packages(host) - set(control.value))
    ended = [
        f"{name} (since {since})"
        for pattern, since in _ended(text, path)
        for name in installed
        if pattern.fullmatch(name)
    ]
    more = f" and {len(ended) - _SHOWN} more" if len(ended) > _SHOWN else ""
    shown = f"{', '.join(ended[:_SHOWN])}{more}" or "none"
    return Observation({"known": True, "count": len(ended)}, shown)


def _ended(text: str, path: str) -> Iterator[tuple[re.Pattern[str], date]]:
    """Names of source packages, and since when, of what has lost its support by today.

    A line: pattern, last version, day, reason; since Debian 13 what the line says, such as
    non-supported, stands behind the pattern.
    """
    today = datetime.now(UTC).date()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if path == _ENDED_LISTS[0]:
            if words[1:2] != ["non-supported"]:
                continue
            del words[1]
        try:
            since = date.fromisoformat(words[2])
            name = re.compile(words[0])
        except (IndexError, ValueError, re.error) as error:
            raise HostError(f"{path}:{number} cannot be understood") from error
        if since <= today:
            yield name, since


def _judge_ended(_control: Control, observation: Observation) -> Verdict:
    if not observation.state["known"]:
        said = f"what has lost its support is not known: {observation.shown}"
        return Verdict(FAIL, f"{said}; install debian-security-support")
    if not observation.state["count"]:
        return Verdict(PASS)
    return Verdict(FAIL, f"no update comes any more for {observation.shown}")


_OBSERVE: dict[str, Callable[[Host, Control], Observation]] = {
    "pending": _observe_pending,
    "lists": _observe_lists,
    "strays": _observe_strays,
    "support": _observe_support,
    "ended": _observe_ended,
}
_JUDGE: dict[str, Callable[[Control, Observation], Verdict]] = {
    "pending": _judge_pending,
    "lists": _judge_lists,
    "strays": _judge_strays,
    "support": _judge_support,
    "ended": _judge_ended,
}
