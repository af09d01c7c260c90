# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Accounts of MariaDB: who gets in, from where, and what they may do beyond their own database.

What a site could miss is left to a person; what no site needs is taken away.
"""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _mariadb, _web
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: anonymous, password, remote_administrators, file, global, databases, remote_tls, test.
# The value: accounts that may (by name).
PARAMS = {"check": "str"}
VALUE = ("list",)

# PROCESS, SUPER, GRANT, RELOAD, SHUTDOWN and FILE: whoever has one of them rules or reads it all.
# So does who may write to every database, where the accounts are kept, or change accounts.
_ADMINISTRATION = (1 << 6) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10) | (1 << 15)
_ADMINISTRATION |= (1 << 1) | (1 << 2) | (1 << 25) | (1 << 30)
_EVERYBODY = ("", "PUBLIC")
_TEST = re.compile(r"test(?:$|\\_)")
_SYSTEM = "mysql"


class _Wrong(NamedTuple):
    """What is wrong, and the statements that mend it; none where a person decides."""

    said: str
    mend: tuple[str, ...] = ()


def observe(host: Host, control: Control) -> Observation:
    server = _mariadb.ask(host)
    check = control.params["check"]
    if check not in _CHECKS:
        raise HostError(f"there is no check {check}")
    found = _CHECKS[check](server, control)
    said = _web.shortened([wrong.said for wrong in found])
    return Observation({"found": found}, said or f"none of {len(server.accounts)} accounts")


def judge(_control: Control, observation: Observation) -> Verdict:
    found = observation.state["found"]
    if not found:
        return Verdict(PASS)
    return Verdict(FAIL, observation.shown, by_hand=not all(wrong.mend for wrong in found))


def plan(_control: Control, observation: Observation, stage: Stage) -> None:
    statements = [text for wrong in observation.state["found"] for text in wrong.mend]
    if not statements:
        raise HostError("a site may sign in that way: a person decides")
    stage.step(partial(_tell, statements=statements))


def _tell(host: Host, *, statements: list[str]) -> None:
    _mariadb.tell(host, *statements)


def _open_ones(server: _mariadb.Server, control: Control) -> list[_mariadb.Account]:
    """Accounts that somebody can sign in with and that are not allowed by name."""
    return [
        account
        for account in server.accounts
        if not account.locked and account.user not in control.value
    ]


def _anonymous(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    del control
    return [
        _Wrong(
            f"whoever gives no name gets in from {account.host}", (f"DROP USER {account.quoted}",)
        )
        for account in server.accounts
        if account.user == "" and not account.locked
    ]


def _password(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    found = []
    for account in _open_ones(server, control):
        if account.empty and account.user != "":
            found.append(_Wrong(f"{account.name} gets in without a password"))
        elif account.old:
            found.append(_Wrong(f"{account.name} has a password of the kind before MySQL 4.1"))
    return found


def _remote_administrators(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    return [
        _Wrong(f"{account.name} rules the server and may sign in from elsewhere")
        for account in _open_ones(server, control)
        if (account.access | account.lent) & _ADMINISTRATION and not account.local
    ]


def _file(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    found = []
    for account in _open_ones(server, control):
        said = f"{account.name} reads and writes files of the host"
        if account.lent & _mariadb.FILE:
            found.append(_Wrong(f"{said}, by a role"))
        elif account.access & _mariadb.FILE:
            found.append(_Wrong(said, (f"REVOKE FILE ON *.* FROM {account.quoted}",)))
    return found


def _global(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    """FILE by itself is another control's."""
    return [
        _Wrong(f"{account.name} has rights to all databases")
        for account in _open_ones(server, control)
        if (account.access | account.lent) & ~_mariadb.FILE
    ]


def _databases(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    return [
        _Wrong(
            f"{grant.user or '(nobody)'}@{grant.host} has rights to the database {grant.database}"
        )
        for grant in server.grants
        if _covers(grant.database, _SYSTEM) and grant.user not in control.value
    ]


def _covers(pattern: str, database: str) -> bool:
    """Whether a grant's database, a pattern of LIKE, is `database` among others."""
    words = re.findall(r"\\.|.", pattern, re.DOTALL)
    spelt = {"%": ".*", "_": "."}
    regex = "".join(spelt.get(word) or re.escape(word[-1]) for word in words)
    return re.fullmatch(regex, database, re.DOTALL) is not None


def _remote_tls(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    secured = server.variables.get("require_secure_transport", "").upper() == "ON"
    if secured or not server.listens_to_all:
        return []
    return [
        _Wrong(f"{account.name} may sign in from elsewhere without TLS")
        for account in _open_ones(server, control)
        if not account.local and not account.tls
    ]


def _test(server: _mariadb.Server, control: Control) -> list[_Wrong]:
    found = []
    for grant in server.grants:
        if grant.user not in _EVERYBODY or not _TEST.match(grant.database):
            continue
        if grant.database in control.value:
            continue
        user, where, name = (_mariadb.quoted(word) for word in grant)
        # not by REVOKE, which needs the account: that may be gone
        row = f"User = {user} AND Host = {where} AND Db = {name}"
        mend = (f"DELETE FROM mysql.db WHERE {row}", "FLUSH PRIVILEGES")  # noqa: S608 (quoted)
        found.append(_Wrong(f"everybody has rights to the database {grant.database}", mend))
    return found


_CHECKS = {
    "anonymous": _anonymous,
    "password": _password,
    "remote_administrators": _remote_administrators,
    "file": _file,
    "global": _global,
    "databases": _databases,
    "remote_tls": _remote_tls,
    "test": _test,
}
