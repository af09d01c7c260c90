# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The home folders of root and of accounts that can sign in, and the dot files in them.

Only the first level is looked at. What users own is theirs to rename at any moment: nothing is
followed, and modes are only taken away by descriptor.
"""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Attributes,
    Host,
    HostError,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._settings_file import (
    WORDS,
    last,
    settings,
)

# check: present, owner or trust_files, whose value lists accounts that are excepted; mode or
# dot_files, whose value is the most that is allowed.
PARAMS = {"check": "str"}
VALUE = ("list", "mode")

_NO_SIGN_IN = {"/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync"}
_FIRST_ORDINARY_UID = 1000
_NOBODY = 65534
_TRUST_FILES = {".rhosts", ".shosts", ".forward", ".netrc"}
_PRIVATE = {".bash_history", ".mysql_history", ".netrc", ".my.cnf", ".pgpass"}


class _Home(NamedTuple):
    """Whose it is, where, what is there (None for nothing), and the dot entries in it."""

    user: str
    uid: int
    path: str
    attributes: Attributes | None
    dots: dict[str, Attributes]


class _Found(NamedTuple):
    """What is wrong: of which account, in words; `path` and `mode` where a mode mends it."""

    user: str
    said: str
    path: str = ""
    uid: int = 0
    mode: int = 0


def observe(host: Host, control: Control) -> Observation:
    homes = host.once("homes", partial(_homes, host))
    check = control.params["check"]
    if check not in _CHECKS:
        raise HostError(f"there is no check of homes called {check}")
    found = [item for home in homes for item in _CHECKS[check](control, home)]
    if isinstance(control.value, list):
        found = [item for item in found if item.user not in control.value]
    shown = "; ".join(item.said for item in found[:5]) or f"{len(homes)} home folders"
    return Observation({"found": found}, shown)


def judge(_control: Control, observation: Observation) -> Verdict:
    found = observation.state["found"]
    if not found:
        return Verdict(PASS)
    others = and_others(len(found))
    by_hand = any(not item.path for item in found)
    return Verdict(FAIL, f"{found[0].said}{others}", by_hand=by_hand)


def plan(_control: Control, observation: Observation, stage: Stage) -> None:
    able = [item for item in observation.state["found"] if item.path]
    if not able:
        raise HostError("this is for a person to decide: see the control's remedy")
    for item in able:
        stage.step(partial(_close, item=item))


def _close(host: Host, item: _Found) -> None:
    """Take mode bits away; refused where somebody has put something else there meanwhile."""
    folder, name = os.path.split(host.real(item.path))
    try:
        below = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=below)
        finally:
            os.close(below)
        try:
            now = os.fstat(descriptor)
            if now.st_uid != item.uid or not stat.S_ISREG(now.st_mode) or now.st_nlink != 1:
                raise HostError(f"{item.path} is not what it was: look at it by hand")
            os.fchmod(descriptor, stat.S_IMODE(now.st_mode) & item.mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(f"{item.path} cannot be changed: {error.strerror}") from error


def _present(_control: Control, home: _Home) -> list[_Found]:
    if home.attributes is None:
        return [_Found(home.user, f"{home.user} has no home folder: {home.path} is not there")]
    if home.attributes.kind != "directory":
        kind = home.attributes.kind
        return [_Found(home.user, f"the home {home.path} of {home.user} is no folder but a {kind}")]
    return []


def _owner(_control: Control, home: _Home) -> list[_Found]:
    if home.attributes is None or home.attributes.uid == home.uid:
        return []
    return [_Found(home.user, f"the home {home.path} of {home.user} belongs to somebody else")]


def _mode(control: Control, home: _Home) -> list[_Found]:
    if home.attributes is None or not home.attributes.mode & ~int(control.value, 8):
        return []
    mode = f"{home.attributes.mode:04o}"
    return [_Found(home.user, f"{home.path} is {mode}, expected at most {control.value}")]


def _dot_files(control: Control, home: _Home) -> list[_Found]:
    found = []
    for name, attributes in home.dots.items():
        path = f"{home.path}/{name}"
        if attributes.kind != "file":
            continue
        if attributes.uid != home.uid:
            found.append(_Found(home.user, f"{path} does not belong to {home.user}"))
            continue
        most = int(control.value, 8) & (0o600 if name in _PRIVATE else 0o777)
        if attributes.mode & ~most:
            said = f"{path} is {attributes.mode:04o}, expected at most {most:04o}"
            found.append(_Found(home.user, said, path, home.uid, most))
    return found


def _trust_files(_control: Control, home: _Home) -> list[_Found]:
    return [
        _Found(home.user, f"{home.path}/{name} is there")
        for name in home.dots
        if name in _TRUST_FILES
    ]


_CHECKS = {
    "present": _present,
    "owner": _owner,
    "mode": _mode,
    "dot_files": _dot_files,
    "trust_files": _trust_files,
}


def _homes(host: Host) -> list[_Home]:
    text = host.text("/etc/passwd")
    if text is None:
        raise HostError("there is no /etc/passwd")
    declared = last(settings(host.text("/etc/login.defs") or "", WORDS), "UID_MIN")
    first = int(declared.value) if declared and declared.value.isdecimal() else _FIRST_ORDINARY_UID
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = line.split(":")
        if len(row) != 7 or not row[2].isdecimal() or not row[5].startswith("/"):
            raise HostError(f"/etc/passwd:{number} cannot be understood: expected 7 fields")
        uid = int(row[2])
        if (uid == 0 or (uid >= first and uid != _NOBODY)) and row[6] not in _NO_SIGN_IN:
            found.append(_home(host, row[0], uid, row[5].rstrip("/")))
    return found


def _home(host: Host, user: str, uid: int, path: str) -> _Home:
    if "\0" in path:
        raise HostError(f"the home of {user} cannot be understood")
    attributes = host.attributes(path) if path else None
    dots = {}
    if attributes is not None and attributes.kind == "directory":
        for name in host.names(path):
            seen = host.attributes(f"{path}/{name}") if name.startswith(".") else None
            if seen is not None:
                dots[name] = seen
    return _Home(user, uid, path or "/", attributes, dots)
