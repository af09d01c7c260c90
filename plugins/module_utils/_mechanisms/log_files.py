# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modes and owners of all files below a log folder: one look, bounded, that follows no link.

The value is the most that a file may allow. Owners are judged and never changed: a site's own
programs may have to write there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

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

# public: files that everybody may read and their group write (who was signed in, when): names, or
# where there is a slash in it, paths from the folder on.
PARAMS = {"folder": "str", "public": "list"}
VALUE = ("mode",)

_MOST_FILES = 50_000
_PUBLIC_MODE = 0o664
_NO_SHELL = ("nologin", "false", "sync", "")


def observe(host: Host, control: Control) -> Observation:
    found = list(_files(host, control.params["folder"]))
    people = _people(host)
    open_files = [(path, seen) for path, seen in found if seen.mode & ~_most(control, path)]
    owned = [f"{path} belongs to {people[s.uid]}" for path, s in found if s.uid in people]
    state = {"files": len(found), "open": open_files, "owned": owned}
    shown = [f"{path} is {seen.mode:04o}" for path, seen in open_files] + owned
    return Observation(state, "; ".join(shown[:5]) or f"{len(found)} files, none too open")


def judge(_control: Control, observation: Observation) -> Verdict:
    wrong = [f"{path} is {seen.mode:04o}" for path, seen in observation.state["open"]]
    wrong += [f"{said}, who can sign in" for said in observation.state["owned"]]
    if not wrong:
        return Verdict(PASS)
    others = and_others(len(wrong))
    # An owner stays, and a program that writes meanwhile may leave another open file.
    return Verdict(FAIL, f"{wrong[0]}{others}", True)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if not observation.state["open"]:
        return

    def narrow(host: Host) -> None:
        # Looked at again: packages that this run installed have written to the log since.
        for path, seen in list(_files(host, control.params["folder"])):
            if seen.mode & ~_most(control, path):
                _chmod(host, path, seen.mode & _most(control, path))

    stage.step(narrow)


def _chmod(host: Host, path: str, mode: int) -> None:
    """By descriptor: a link that took the file's place is refused. Rotated away is fine."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(host.real(path), flags)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostError(f"{path} cannot be changed: {error.strerror}") from error


def _files(host: Host, folder: str) -> Iterator[tuple[str, Attributes]]:
    """Plain files below `folder`. Raises HostError where there are too many to look at."""
    waiting, count = [folder], 0
    while waiting:
        current = waiting.pop()
        for name in host.names(current):
            path = f"{current}/{name}"
            seen = host.attributes(path)
            if seen is None:
                continue
            count += 1
            if count > _MOST_FILES:
                raise HostError(f"{folder} holds more than {_MOST_FILES} files: not looked at all")
            if seen.kind == "directory":
                waiting.append(path)
            elif seen.kind == "file":
                yield path, seen


def _most(control: Control, path: str) -> int:
    name, inside = path.rpartition("/")[2], path.removeprefix(f"{control.params['folder']}/")
    public = control.params["public"]
    if any(fnmatchcase(inside if "/" in pattern else name, pattern) for pattern in public):
        return _PUBLIC_MODE
    return int(control.value, 8)


def _people(host: Host) -> dict[int, str]:
    """Number -> name of the accounts, root apart, that have a shell."""
    text = host.text("/etc/passwd")
    if text is None:
        raise HostError("there is no /etc/passwd")
    rows = [line.split(":") for line in text.splitlines()]
    return {
        int(row[2]): row[0]
        for row in rows
        if len(row) > 6
        and row[2].isdecimal()
        and row[2] != "0"
        and row[6].rpartition("/")[2] not in _NO_SHELL
    }
