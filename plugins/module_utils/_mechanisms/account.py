# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local accounts: what /etc/passwd, /etc/shadow and /etc/group say of them.

For the checks that look for offenders the value lists the accounts that may be exceptions.
Files with a line that cannot be understood are an error: nobody can tell what that line grants.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _nsswitch
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._settings_file import (
    ASSIGNMENTS,
    WORDS,
    last,
    settings,
    with_line,
)

# check: one of _CHECKS, or inactive_days (whose value is a number of days).
PARAMS = {"check": "str"}
VALUE = ("list", "int")

# What the programs that change accounts write to.
DATABASES = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow")
_USERADD = "/etc/default/useradd"
_INACTIVE = "inactive_days"
_NO_SIGN_IN = {"/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false"}
_WEAK_HASHES = ("$1$", "$md5", "$sha1$", "$3$", "_")
_FIRST_ORDINARY_UID = 1000
_NOBODY = 65534
_DAY = 86400


class _Account(NamedTuple):
    """A line of /etc/passwd, with what /etc/shadow holds for it (None where it has no line).

    `changed`: the day of the last new password, counted from 1970; None where there is none.
    """

    name: str
    password: str
    uid: int
    gid: int
    shell: str
    hash: str | None
    changed: int | None


class _Group(NamedTuple):
    """A line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


class _Accounts(NamedTuple):
    """All accounts and groups; `first_uid` is where ordinary accounts begin.

    `elsewhere`: of those named here and not in the files, what a directory service knows.
    """

    users: list[_Account]
    groups: list[_Group]
    first_uid: int
    shells: frozenset[str]
    elsewhere: frozenset[str] = frozenset()


def observe(host: Host, control: Control) -> Observation:
    if control.params["check"] == _INACTIVE:
        return _observe_inactive(host)
    check = _CHECKS.get(control.params["check"])
    if check is None:
        raise HostError(f"there is no account check {control.params['check']}")
    known = host.once("accounts", lambda: _read(host))
    found = sorted(set(check(known)))
    return Observation({"found": found}, ", ".join(found) or "none")


def judge(control: Control, observation: Observation) -> Verdict:
    if control.params["check"] == _INACTIVE:
        return _judge_inactive(control, observation)
    found = _offenders(control, observation)
    if not found:
        return Verdict(PASS)
    return Verdict(FAIL, f"{', '.join(found[:10])}: {_SAID[control.params['check']]}")


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    check = control.params["check"]
    if check == _INACTIVE:
        line = f"INACTIVE={control.value}"
        stage.edit(_USERADD, lambda text: with_line(text, ASSIGNMENTS, "INACTIVE", line))
        return
    if check not in _MENDS:
        raise HostError("this is for a person to decide: see the control's remedy")
    for name in _offenders(control, observation):
        _stage_command(stage, [part.replace("NAME", name) for part in _MENDS[check]])


def _stage_command(stage: Stage, argv: list[str]) -> None:
    def act(host: Host) -> None:
        host.output(argv)

    stage.step(act, paths=DATABASES)


def _offenders(control: Control, observation: Observation) -> list[str]:
    return [name for name in observation.state["found"] if name not in control.value]


def _observe_inactive(host: Host) -> Observation:
    found = last(settings(host.text(_USERADD) or "", ASSIGNMENTS), "INACTIVE")
    days = found.value if found else "-1"
    if not re.fullmatch(r"-?[0-9]+", days):
        raise HostError(f"{_USERADD}: INACTIVE is {days}, expected a number of days")
    return Observation({"days": int(days)}, days if int(days) >= 0 else "never")


def _judge_inactive(control: Control, observation: Observation) -> Verdict:
    days = observation.state["days"]
    if control.meets(days):
        return Verdict(PASS)
    said = "never locked" if days < 0 else f"locked {days} days"
    return Verdict(FAIL, f"new accounts are {said} after their password has expired")


def _read(host: Host) -> _Accounts:
    hashes = {row[0]: row for row in _table(host, "/etc/shadow", 9)}
    users = [_account(row, hashes.get(row[0])) for row in _table(host, "/etc/passwd", 7)]
    groups = [
        _Group(row[0], int(row[2]), tuple(name for name in row[3].split(",") if name))
        for row in _table(host, "/etc/group", 4)
    ]
    declared = last(settings(host.text("/etc/login.defs") or "", WORDS), "UID_MIN")
    first = int(declared.value) if declared and declared.value.isdecimal() else _FIRST_ORDINARY_UID
    listed = (line.strip() for line in (host.text("/etc/shells") or "").splitlines())
    shells = frozenset(line for line in listed if line.startswith("/"))
    missing = {name for group in groups for name in group.members} - {user.name for user in users}
    numbers = {str(user.gid) for user in users} - {str(group.gid) for group in groups}
    elsewhere = _asked(host, "passwd", missing, 0) | _asked(host, "group", numbers, 2)
    return _Accounts(users, groups, first, shells, elsewhere)


def _asked(host: Host, database: str, keys: set[str], place: int) -> frozenset[str]:
    """Those of `keys` that a directory service knows; `place`: where a row of it has the key."""
    if not keys or not _nsswitch.foreign(host, database):
        return frozenset()
    done = host.run(["getent", database, *sorted(keys)])
    if done.rc not in (0, 2):  # 2: some of them are not known
        raise HostError(f"getent {database}: {done.complaint()}")
    rows = [line.split(":") for line in done.out.splitlines()]
    return frozenset(row[place] for row in rows if len(row) > 2)


def _account(row: list[str], shadow: list[str] | None) -> _Account:
    secret = shadow[1] if shadow else None
    changed = int(shadow[2]) if shadow and shadow[2].isdecimal() else None
    return _Account(row[0], row[1], int(row[2]), int(row[3]), row[6], secret, changed)


def _table(host: Host, path: str, width: int) -> list[list[str]]:
    text = host.text(path)
    if text is None:
        raise HostError(f"there is no {path}")
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = line.split(":")
        numbers = row[2:4] if width == 7 else row[2:3] if width == 4 else []
        if len(row) != width or not row[0] or not all(part.isdecimal() for part in numbers):
            raise HostError(f"{path}:{number} cannot be understood: expected {width} fields")
        rows.append(row)
    return rows


def _uid_zero(known: _Accounts) -> Iterator[str]:
    return (user.name for user in known.users if user.uid == 0)


def _gid_zero(known: _Accounts) -> Iterator[str]:
    return (user.name for user in known.users if user.gid == 0)


def _empty_password(known: _Accounts) -> Iterator[str]:
    for user in known.users:
        if not user.password or (user.password == "x" and user.hash == ""):  # noqa: S105
            yield user.name


def _outside_shadow(known: _Accounts) -> Iterator[str]:
    """A hash in the world-readable file; "*" and "!" are no hashes."""
    return (user.name for user in known.users if user.password not in ("x", "", "*", "!", "!!"))


def _weak_hash(known: _Accounts) -> Iterator[str]:
    for user in known.users:
        secret = (user.hash or "").lstrip("!")
        traditional = len(secret) == 13 and not secret.startswith("$")
        if secret.startswith(_WEAK_HASHES) or traditional:
            yield user.name


def _system_accounts(known: _Accounts) -> Iterator[_Account]:
    for user in known.users:
        if user.uid != 0 and (user.uid < known.first_uid or user.uid == _NOBODY):
            yield user


def _system_shell(known: _Accounts) -> Iterator[str]:
    return (user.name for user in _system_accounts(known) if user.shell not in _NO_SIGN_IN)


def _system_password(known: _Accounts) -> Iterator[str]:
    for user in _system_accounts(known):
        if user.hash and not user.hash.startswith(("!", "*")):
            yield user.name


def _duplicate_uid(known: _Accounts) -> Iterator[str]:
    return _sharing([(user.name, user.uid) for user in known.users])


def _duplicate_gid(known: _Accounts) -> Iterator[str]:
    return _sharing([(group.name, group.gid) for group in known.groups])


def _duplicate_name(known: _Accounts) -> Iterator[str]:
    for names in ([user.name for user in known.users], [group.name for group in known.groups]):
        yield from (name for name in names if names.count(name) > 1)


def _sharing(rows: list[tuple[str, int]]) -> Iterator[str]:
    owners: dict[int, list[str]] = {}
    for name, number in rows:
        owners.setdefault(number, []).append(name)
    return (name for names in owners.values() if len(names) > 1 for name in names)


def _gid_zero_group(known: _Accounts) -> Iterator[str]:
    return (group.name for group in known.groups if group.gid == 0)


def _missing_group(known: _Accounts) -> Iterator[str]:
    there = {group.gid for group in known.groups}
    unknown = (user for user in known.users if user.gid not in there)
    return (user.name for user in unknown if str(user.gid) not in known.elsewhere)


def _missing_member(known: _Accounts) -> Iterator[str]:
    """Whoever makes an account of that name is in the group at once."""
    there = {user.name for user in known.users} | known.elsewhere
    for group in known.groups:
        yield from (name for name in group.members if name not in there)


def _shadow_member(known: _Accounts) -> Iterator[str]:
    for group in known.groups:
        if group.name == "shadow":
            yield from group.members
            yield from (user.name for user in known.users if user.gid == group.gid)


def _future_change(known: _Accounts) -> Iterator[str]:
    today = int(time.time()) // _DAY
    for user in known.users:
        if _usable(user) and user.changed is not None and user.changed > today:
            yield user.name


def _unlisted_shell(known: _Accounts) -> Iterator[str]:
    """sh is what an empty field stands for; a service's shell is for another check."""
    for user in known.users:
        ordinary = user.uid == 0 or (user.uid >= known.first_uid and user.uid != _NOBODY)
        if ordinary and (user.shell or "/bin/sh") not in known.shells | _NO_SIGN_IN:
            yield user.name


def _password_without_shell(known: _Accounts) -> Iterator[str]:
    for user in known.users:
        if user.uid != 0 and _usable(user) and (user.shell or "/bin/sh") not in known.shells:
            yield user.name


def _usable(user: _Account) -> bool:
    return bool(user.hash) and not str(user.hash).startswith(("!", "*"))


_CHECKS: dict[str, Callable[[_Accounts], Iterator[str]]] = {
    "uid_zero": _uid_zero,
    "gid_zero": _gid_zero,
    "empty_password": _empty_password,
    "outside_shadow": _outside_shadow,
    "weak_hash": _weak_hash,
    "system_shell": _system_shell,
    "system_password": _system_password,
    "duplicate_uid": _duplicate_uid,
    "duplicate_gid": _duplicate_gid,
    "duplicate_name": _duplicate_name,
    "gid_zero_group": _gid_zero_group,
    "missing_group": _missing_group,
    "missing_member": _missing_member,
    "shadow_member": _shadow_member,
    "future_change": _future_change,
    "unlisted_shell": _unlisted_shell,
    "password_without_shell": _password_without_shell,
}
_SAID = {
    "uid_zero": "has the powers of root",
    "gid_zero": "has root's group as its own",
    "empty_password": "can sign in without a password",
    "outside_shadow": "has its password hash where every account can read it",
    "weak_hash": "has a password hash that is quick to break",
    "system_shell": "is a system account with a shell",
    "system_password": "is a system account with a password",
    "duplicate_uid": "the same user number stands for several of these names",
    "duplicate_gid": "the same group number stands for several of these names",
    "duplicate_name": "the name is there more than once",
    "gid_zero_group": "has the number of root's group",
    "missing_group": "has a group of its own that does not exist",
    "missing_member": "is in a group and does not exist",
    "shadow_member": "can read all password hashes, as a member of the group shadow",
    "future_change": "has a password that was last changed in the future, so it never expires",
    "unlisted_shell": "has a shell that /etc/shells does not know",
    "password_without_shell": "has a password though its shell is no shell to sign in with",
}
_MENDS = {
    "empty_password": ["usermod", "--lock", "--", "NAME"],
    "system_password": ["usermod", "--lock", "--", "NAME"],
    "system_shell": ["usermod", "--shell", "/usr/sbin/nologin", "--", "NAME"],
    "outside_shadow": ["pwconv"],
}
