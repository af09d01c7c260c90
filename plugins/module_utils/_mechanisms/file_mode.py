# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files: mode bits and owners. The value is the most that is allowed; less is as good.

A link, or a path below one, is reported and never followed: its owner decides where it leads.
"""

from __future__ import annotations

import glob
import os
from functools import partial
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
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

# paths: shell patterns. groups: those allowed, the first is the one set. missing: what no match is,
# fail or not_applicable (the default). doors: patterns of what others come in by through a path.
PARAMS = {
    "paths": "list",
    "owner": "str?",
    "groups": "list?",
    "missing": "str?",
    "doors": "list?",
}
VALUE = ("mode",)


class _Names(NamedTuple):
    """The host's own users and groups: name -> number."""

    users: dict[str, int]
    groups: dict[str, int]


class _Found(NamedTuple):
    """A path, what it is, what is wrong with it ("" for nothing), and whether a person mends it."""

    path: str
    attributes: Attributes
    wrong: str
    left: bool


def observe(host: Host, control: Control) -> Observation:
    names = host.once("user and group numbers", lambda: _names(host))
    found = []
    for pattern in control.params["paths"]:
        for path in _matches(host, pattern):
            attributes = host.attributes(path)
            if attributes is not None:
                found.append(_examined(host, control, path, attributes, names))
    bad = [f"{item.path} {_text(item.attributes, names)}" for item in found if item.wrong]
    state = {"found": found, "bad": [item for item in found if item.wrong], "names": names}
    return Observation(state, "; ".join(bad[:5]) if bad else _summary(found, names))


def judge(control: Control, observation: Observation) -> Verdict:
    if not observation.state["found"]:
        none = f"no {' or '.join(control.params['paths'])}"
        fails = control.params.get("missing") == FAIL
        return Verdict(FAIL if fails else NOT_APPLICABLE, f"there is {none}")
    bad = observation.state["bad"]
    if not bad:
        return Verdict(PASS)
    others = and_others(len(bad))
    return Verdict(FAIL, f"{bad[0].path} {bad[0].wrong}{others}")


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    names = observation.state["names"]
    able = [item for item in observation.state["bad"] if not item.left]
    for item in able:
        _stage_mend(control, stage, item, names)
    if able and any(glob.has_magic(pattern) for pattern in control.params["paths"]):
        stage.step(partial(_mend_newcomers, control=control, known={item.path for item in able}))


def _stage_mend(control: Control, stage: Stage, item: _Found, names: _Names) -> None:
    uid, gid, mode = _wanted(control, item.attributes, names)

    def mend(host: Host) -> None:
        _set(host, item.path, uid, gid, mode)

    stage.step(mend, paths=(item.path,))


def _mend_newcomers(host: Host, control: Control, known: set[str]) -> None:
    """What a package of this very run has brought, after it was looked which files there are."""
    names = _names(host)
    for pattern in control.params["paths"]:
        for path in set(_matches(host, pattern)) - known:
            attributes = host.attributes(path)
            if attributes is None:
                continue
            found = _examined(host, control, path, attributes, names)
            if found.wrong and not found.left:
                _set(host, path, *_wanted(control, attributes, names))


def _wanted(control: Control, before: Attributes, names: _Names) -> tuple[int, int, int]:
    """User, group and mode: what is allowed of those before stays."""
    uid = _number(control.params.get("owner"), names.users, before.uid)
    groups = control.params.get("groups", [])
    allowed = [names.groups[name] for name in groups if name in names.groups]
    if groups and not allowed:
        raise HostError(f"the host has no group {' or '.join(groups)}")
    gid = before.gid if before.gid in allowed or not allowed else allowed[0]
    return uid, gid, before.mode & int(control.value, 8)


def _set(host: Host, path: str, uid: int, gid: int, mode: int) -> None:
    """By descriptor, so that a link put there in the meantime is refused, not followed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(host.real(path), flags)
        try:
            found = os.fstat(descriptor)
            if (found.st_uid, found.st_gid) != (uid, gid):
                os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(f"{path} cannot be changed: {error.strerror}") from error


def _matches(host: Host, pattern: str) -> list[str]:
    if glob.has_magic(pattern):
        return host.glob(pattern)
    return [pattern] if host.exists(pattern) else []


def _examined(
    host: Host, control: Control, path: str, attributes: Attributes, names: _Names
) -> _Found:
    linked = "is a link" if attributes.kind == "link" else _linked_parent(host, path)
    if linked:
        wrong = f"{linked}, which is not followed: look at it by hand"
        return _Found(path, attributes, wrong, True)
    wrong = _wrong(control, attributes, names)
    door = next(iter(_doors(host, control, path)), "") if wrong else ""
    if door:
        return _Found(path, attributes, f"{wrong}; others come in by {door}: move that first", True)
    return _Found(path, attributes, wrong, False)


def _doors(host: Host, control: Control, path: str) -> list[str]:
    found = [name for pattern in control.params.get("doors", []) for name in host.glob(pattern)]
    return [name for name in found if name.startswith(f"{path}/")]


def _wrong(control: Control, attributes: Attributes, names: _Names) -> str:
    excess = attributes.mode & ~int(control.value, 8)
    if excess:
        return f"is {attributes.mode:04o}, expected at most {control.value}"
    owner, groups = control.params.get("owner"), control.params.get("groups")
    if owner and attributes.uid != names.users.get(owner):
        return f"belongs to {_name(attributes.uid, names.users)}, expected {owner}"
    if groups and attributes.gid not in [names.groups.get(name) for name in groups]:
        return f"has group {_name(attributes.gid, names.groups)}, expected {' or '.join(groups)}"
    return ""


def _linked_parent(host: Host, path: str) -> str:
    parent = os.path.dirname(path)
    while parent not in ("/", ""):
        attributes = host.once(f"attributes of {parent}", partial(host.attributes, parent))
        if attributes is not None and attributes.kind == "link":
            return f"lies below the link {parent}"
        parent = os.path.dirname(parent)
    return ""


def _names(host: Host) -> _Names:
    return _Names(_numbers(host, "/etc/passwd"), _numbers(host, "/etc/group"))


def _numbers(host: Host, path: str) -> dict[str, int]:
    text = host.text(path)
    if text is None:
        raise HostError(f"there is no {path}")
    rows = [line.split(":") for line in text.splitlines()]
    return {row[0]: int(row[2]) for row in rows if len(row) > 2 and row[2].isdecimal()}


def _number(name: str | None, numbers: dict[str, int], otherwise: int) -> int:
    if name is None:
        return otherwise
    if name not in numbers:
        raise HostError(f"the host has no user {name}")
    return numbers[name]


def _name(number: int, numbers: dict[str, int]) -> str:
    return next((name for name, known in numbers.items() if known == number), str(number))


def _summary(found: list[_Found], names: _Names) -> str:
    if not found:
        return "none"
    most = max(found, key=lambda item: item.attributes.mode)
    return f"{most.path} {_text(most.attributes, names)}" + (
        f" (the most open of {len(found)})" if len(found) > 1 else ""
    )


def _text(attributes: Attributes, names: _Names) -> str:
    user, group = _name(attributes.uid, names.users), _name(attributes.gid, names.groups)
    return f"{attributes.mode:04o} {user}:{group}"
