# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Updates of packages: what would be installed, and installing it without ever asking anybody."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Completed,
    Host,
    HostError,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._packages import (
    ENVIRONMENT,
    FETCH_SECONDS,
    KEEP,
    UNPACK_SECONDS,
)

CONTROL = "updates_security_pending"
# A source that cannot be reached is an error: what it has is not known.
_REFRESH = ["apt-get", "-qq", "update", "-o", "APT::Update::Error-Mode=any"]
_PLANNED = re.compile(r"^Inst (\S+)(?: \[(\S+)\])? \((\S+) ([^)]*)\)", re.MULTILINE)
_REMOVED = re.compile(r"^Remv (\S+)", re.MULTILINE)
_LOCKED = re.compile(r"could not get lock|unable to (?:lock|acquire)|is another process", re.I)
_PAUSE_SECONDS = 3
_SHOWN = 40


class Update(NamedTuple):
    """A package, the version that is installed ("" for none) and the one that comes."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.name} {self.old or '(new)'} -> {self.new}"


def run(
    host: Host, *, only_security: bool, refresh: bool, lock_seconds: int, check: bool
) -> dict[str, Any]:
    """Install what waits, or with `check` say what would be. Returns the module's result.

    `failed` and `msg` are in it where something is left undone.
    """
    deadline = time.monotonic() + lock_seconds
    answer: dict[str, Any] = {"repaired": _repair(host, deadline, check)}
    if refresh and not check:
        _patiently(host, _REFRESH, deadline, FETCH_SECONDS)
    before = host.installed_packages()
    wanted = plan(host, only_security)
    held = set(host.output(["apt-mark", "showhold"]).split())
    done, trouble = wanted, ""
    if wanted and not check:
        trouble = _install(host, wanted, deadline)
        host.forget()
        done = changes(before, host.installed_packages())
    left = [] if check else plan(host, only_security)
    answer |= {
        "changed": bool(done) or bool(answer["repaired"]),
        "updates": [update._asdict() for update in done],
        "held": sorted(held),
        "diff": _diff(done),
    }
    answer |= _as_control(host, done, left, trouble, check)
    if trouble or left:
        names = ", ".join(update.name for update in left[:_SHOWN])
        answer |= {"failed": True, "msg": trouble or f"still not installed: {names}"}
    return answer


def plan(host: Host, only_security: bool) -> list[Update]:
    """What apt would install. Raises HostError where that would remove anything."""
    argv = ["apt-get", "-s", *KEEP, "upgrade", "--with-new-pkgs", "-y"]
    said = host.output(argv, environment=ENVIRONMENT, timeout=FETCH_SECONDS)
    found = parse(said)
    if only_security:
        chosen = [update.name for update, origin in found if is_security(origin)]
        if not chosen:
            return []
        argv = ["apt-get", "-s", *KEEP, "install", "--only-upgrade", "-y", *_exact(found, chosen)]
        said = host.output(argv, environment=ENVIRONMENT, timeout=FETCH_SECONDS)
        found = parse(said)
    removed = _REMOVED.findall(said)
    if removed:
        raise HostError(f"apt would remove {', '.join(removed)}: update this host by hand")
    return sorted(update for update, _origin in found)


def parse(said: str) -> list[tuple[Update, str]]:
    """Each package that `apt-get -s` would install, with its origins."""
    return [(Update(name, old, new), origin) for name, old, new, origin in _PLANNED.findall(said)]


def is_security(origin: str) -> bool:
    """Whether one of the origins, as apt-get -s prints them, is a security archive."""
    return "Debian-Security" in origin or bool(re.search(r"/\S*-security\b", origin))


def changes(before: dict[str, str], after: dict[str, str]) -> list[Update]:
    """What dpkg says is another version than it was."""
    return [
        Update(name, before.get(name, ""), version)
        for name, version in sorted(after.items())
        if before.get(name) != version
    ]


def _exact(found: list[tuple[Update, str]], names: list[str]) -> list[str]:
    return [f"{update.name}={update.new}" for update, _origin in found if update.name in names]


def _install(host: Host, wanted: list[Update], deadline: float) -> str:
    """What went wrong, in one line; empty where nothing did."""
    targets = [f"{update.name}={update.new}" for update in wanted]
    argv = ["apt-get", "-q", "-y", *KEEP, "--no-install-recommends", "--no-remove"]
    try:
        _patiently(host, [*argv, "install", *targets], deadline, UNPACK_SECONDS)
    except HostError as error:
        # What is half installed is brought to an end, so that the next run finds a sound dpkg.
        ended = host.run(_CONFIGURE, environment=ENVIRONMENT, timeout=UNPACK_SECONDS)
        after = "" if ended.rc == 0 else f"; dpkg --configure -a: {ended.complaint()}"
        return f"{error}{after}"
    return ""


_CONFIGURE = ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"]


def _repair(host: Host, deadline: float, check: bool) -> str:
    """An update that was cut off is brought to its end. Returns what was wrong, or ""."""
    left = host.run(["dpkg", "--audit"])
    if left.rc == 0 and not left.out.strip():
        return ""
    wrong = left.complaint()
    if not check:
        _patiently(host, _CONFIGURE, deadline, UNPACK_SECONDS)
    return wrong


def _patiently(host: Host, argv: list[str], deadline: float, seconds: int) -> None:
    """Run it for at most `seconds`; while another holds apt's locks, again. Raises HostError."""
    while True:
        done = host.run(argv, environment=ENVIRONMENT, timeout=seconds)
        if done.rc == 0:
            return
        if not _LOCKED.search(done.err):
            raise HostError(f"{' '.join(argv[:1])}: {_error(done)}")
        if time.monotonic() > deadline:
            raise HostError(f"another program is at work on packages: {_error(done)}")
        time.sleep(_PAUSE_SECONDS)


def _error(done: Completed) -> str:
    """The line that says why, not that dpkg said so."""
    lines = [line.strip() for line in f"{done.err}\n{done.out}".splitlines() if line.strip()]
    chosen = [line for line in lines if line.startswith(("dpkg: error", "E: ", "W: "))]
    return (chosen or lines or [f"exit code {done.rc}"])[0]


def _diff(done: list[Update]) -> dict[str, str]:
    return {
        "before_header": "packages",
        "after_header": "packages",
        "before": "".join(f"{update.name} {update.old}\n" for update in done if update.old),
        "after": "".join(f"{update.name} {update.new}\n" for update in done),
    }


def _as_control(
    host: Host, done: list[Update], left: list[Update], trouble: str, check: bool
) -> dict[str, Any]:
    """The result as controls tell theirs, so that it is evidence like any other."""
    status = "error" if trouble else "fail" if left else "changed" if done else "pass"
    listed = ", ".join(str(update) for update in done[:_SHOWN])
    more = f" and {len(done) - _SHOWN} more" if len(done) > _SHOWN else ""
    row = {
        "id": CONTROL,
        "status": status,
        "expected": 0,
        "observed": f"{len(done if check else left)} waiting",
        "message": "; ".join(part for part in (trouble, f"{listed}{more}") if part),
    }
    statuses = ("pass", "fail", "changed", "not_applicable", "waived", "manual", "error")
    return {
        "counts": {name: int(name == status) for name in statuses},
        "controls": [] if status == "pass" else [row],
        "ok_ids": [CONTROL] if status == "pass" else [],
        "values": {CONTROL: 0},
        "host": host.facts(),
        "mode": "check" if check else "apply",
    }
