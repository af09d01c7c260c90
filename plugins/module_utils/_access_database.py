# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who can get at MariaDB: accounts, from which hosts, by which way, and with which grants.

Asked of the server itself, over its socket, in a transaction that reads. Password hashes are
looked at to tell "none" from "some", and never leave this process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._access_row import (
    Row,
    coverage,
    row,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_SERVERS = ("/usr/sbin/mariadbd", "/usr/sbin/mysqld")
_BUILT_IN = frozenset({"mariadb.sys", "mysql", "root", "debian-sys-maint"})
_POWERS = frozenset(
    {
        *("ALL PRIVILEGES", "SUPER", "CREATE USER", "FILE", "SET USER", "SHUTDOWN", "RELOAD"),
        *("PROCESS", "REPLICATION MASTER ADMIN", "REPLICATION SLAVE ADMIN", "BINLOG ADMIN"),
        *("INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "GRANT OPTION", "PROXY"),
    }
)
_LOCAL = ("localhost", "127.0.0.1", "::1")
_NAME = r"(?:`(?:``|[^`])*`|\*)"
_GRANT = re.compile(
    rf"GRANT (?P<what>.+?) ON (?P<kind>(?:PROCEDURE|FUNCTION|PACKAGE BODY|PACKAGE) )?"
    rf"(?P<object>{_NAME}(?:[.@]{_NAME})?) TO (?P<rest>.*)",
    re.DOTALL,
)
_ROLE = re.compile(r"GRANT (?P<role>`(?:``|[^`])*`) TO (?P<rest>.*)", re.DOTALL)
_SECRET = re.compile(r"'(?:''|\\.|[^'\\])*'")
_TLS = ("", "", "any certificate", "chosen certificates")

ACCOUNTS = (
    "SELECT JSON_OBJECT('user', User, 'host', Host, 'priv', JSON_COMPACT(Priv))"
    " FROM mysql.global_priv ORDER BY User, Host"
)
_SETTINGS = (
    "SELECT JSON_OBJECT('version', VERSION(), 'tls', IF(@@global.require_secure_transport, 1, 0),"
    " 'databases', (SELECT JSON_ARRAYAGG(SCHEMA_NAME) FROM information_schema.SCHEMATA))"
)


@dataclass(frozen=True)
class Privileges:
    """A line of SHOW GRANTS: `object` as it spells it, a role's name where it grants a role."""

    names: tuple[str, ...]
    object: str
    grant_option: bool = False
    role: bool = False

    def shown(self) -> str:
        """`SELECT, INSERT ON `shop`.*`, as SHOW GRANTS says it."""
        if self.role:
            return f"role {self.object}"
        more = " WITH GRANT OPTION" if self.grant_option else ""
        return f"{', '.join(self.names)} ON {self.object}{more}"


@dataclass
class Account:
    """An account or a role of the server. `ways`: the plugins that let it in."""

    user: str
    host: str
    ways: list[str] = field(default_factory=list)
    open: bool = False  # no password is asked for
    locked: bool = False
    is_role: bool = False
    tls: str = ""
    changed: str = ""
    grants: list[Privileges] = field(default_factory=list)


def collect(host: Host) -> tuple[list[Row], list[dict[str, Any]], dict[str, Any]]:
    """(rows, coverage, facts) of the host's MariaDB."""
    if not any(host.exists(path) for path in _SERVERS):
        return [], [coverage("mariadb", "absent")], {}
    try:
        settings = json.loads(query(host, _SETTINGS)[0])
        accounts = read(host)
    except (HostError, ValueError, KeyError, IndexError, TypeError) as error:
        return [], [coverage("mariadb", "failed", str(error))], {}
    found = [*rows(accounts, settings)]
    return found, [coverage("mariadb", "read", count=len(accounts))], {
        "mariadb": {"version": settings["version"], "tls_for_all": bool(settings["tls"])}
    }  # fmt: skip


def query(
    host: Host, *statements: str, client: str = "", database: str = "", force: bool = False
) -> list[str]:
    """The lines that statements answer, unescaped JSON in each. Raises HostError.

    `client`: text of an option file with a password, which is passed by a pipe; else root's own.
    """
    argv = ["mariadb"]
    if client:
        argv.append("--defaults-file=/dev/stdin")
    argv += ["--batch", "--raw", "--skip-column-names", "--connect-timeout=5"]
    argv += ["--default-character-set=utf8mb4", *(["--force"] if force else [])]
    whole = "; ".join(("SET SESSION TRANSACTION READ ONLY", *statements))
    argv += ["--execute", whole, *([database] if database else [])]
    done = host.run(argv, stdin=client or None)
    if done.rc != 0 and not force:
        raise HostError(f"mariadb: {done.complaint()}")
    return done.out.splitlines()


def read(host: Host) -> list[Account]:
    """Every account and role with its grants. Raises HostError, ValueError, KeyError."""
    accounts = [_account(json.loads(line)) for line in query(host, ACCOUNTS)]
    statements = []
    for number, account in enumerate(accounts):
        statements += [f"SELECT '#{number}#'", f"SHOW GRANTS FOR {_quoted(account)}"]
    current: list[Privileges] = []
    for line in query(host, *statements, force=True):
        mark = re.fullmatch(r"#(\d+)#", line)
        if mark:
            current = accounts[int(mark[1])].grants
            continue
        found = parse_grant(line)
        if found is not None:
            current.append(found)
    for account in accounts:
        if not account.grants:
            raise HostError(f"SHOW GRANTS says nothing of {account.user}@{account.host}")
    return accounts


def _account(said: Mapping[str, Any]) -> Account:
    private = said["priv"]
    private = json.loads(private) if isinstance(private, str) else private
    top = {"plugin": private.get("plugin", "mysql_native_password"), **private}
    ways = [{**top, **way} if not way.get("plugin") else way for way in private.get("auth_or", [])]
    usable = [way for way in ways or [top] if _usable(way)]
    changed = int(private.get("password_last_changed") or 0)
    return Account(
        said["user"],
        said["host"],
        ways=sorted({str(way.get("plugin")) for way in usable}),
        open=any(_is_open(way) for way in usable),
        locked=bool(private.get("account_locked")),
        is_role=bool(private.get("is_role")),
        tls=_TLS[min(int(private.get("ssl_type") or 0), 3)]
        or ("any" if private.get("ssl_type") else ""),
        changed=datetime.fromtimestamp(changed, UTC).date().isoformat() if changed else "",
    )


def _usable(way: Mapping[str, Any]) -> bool:
    """MariaDB spells "by no password" as a hash that is none."""
    return way.get("plugin") == "unix_socket" or way.get("authentication_string") != "invalid"


def _is_open(way: Mapping[str, Any]) -> bool:
    if way.get("plugin") in ("unix_socket", "pam", "gssapi", "ed25519"):
        return False
    return not way.get("authentication_string")


def _quoted(account: Account) -> str:
    def text(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        return f"'{escaped}'"

    return text(account.user) if account.is_role else f"{text(account.user)}@{text(account.host)}"


def parse_grant(line: str) -> Privileges | None:
    """A line of SHOW GRANTS without what it says of passwords; None where it grants nothing."""
    bare = _SECRET.sub("''", line)
    match = _GRANT.fullmatch(bare)
    if match is None:
        role = _ROLE.fullmatch(bare)
        if role is None:
            return None
        return Privileges((), _unquoted(role["role"]), " WITH ADMIN OPTION" in role["rest"], True)
    names = tuple(name.strip() for name in re.split(r",\s*(?![^(]*\))", match["what"]))
    return Privileges(
        names, (match["kind"] or "") + match["object"], "WITH GRANT OPTION" in match["rest"]
    )


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`")


def rows(accounts: Iterable[Account], settings: Mapping[str, Any]) -> Iterator[Row]:
    """A row an account that can sign in."""
    accounts = list(accounts)
    roles = {account.user: account for account in accounts if account.is_role}
    databases = {str(name).lower() for name in settings.get("databases") or []}
    for account in accounts:
        if account.is_role:
            continue
        yield _row(account, [*_effective(account, roles)], databases, bool(settings.get("tls")))


def _effective(account: Account, roles: Mapping[str, Account]) -> Iterator[tuple[str, Privileges]]:
    """(the role it comes by or "", what is granted), over any number of roles."""
    seen: set[str] = set()
    waiting = [("", account)]
    while waiting:
        through, one = waiting.pop(0)
        for grant in one.grants:
            if not grant.role:
                yield through, grant
            elif grant.object in roles and grant.object not in seen:
                seen.add(grant.object)
                waiting.append((grant.object, roles[grant.object]))


def _row(
    account: Account, granted: list[tuple[str, Privileges]], databases: set[str], tls_for_all: bool
) -> Row:
    said = [grant for _role, grant in granted if grant.names != ("USAGE",)]
    why = [f"role {role}: {grant.shown()}" if role else grant.shown()
           for role, grant in granted if _is_power(grant)]  # fmt: skip
    local = account.host in _LOCAL or account.ways == ["unix_socket"]
    flags = []
    if account.locked or not account.ways:
        flags.append("locked")
    if account.open and not account.locked:
        flags.append("password_empty")
    if not said:
        flags.append("grants_nothing")
    gone = sorted(_databases(said) - databases) if databases else []
    if gone:
        flags.append("database_gone")
    if not local and not account.tls and not tls_for_all:
        flags.append("remote_without_tls")
    built_in = account.user in _BUILT_IN and ("locked" in flags or account.ways == ["unix_socket"])
    return row(
        "database", f"{account.user}@{account.host}", account.user,
        account_type="service", roles=sorted({role for role, _grant in granted if role}),
        privileged=bool(why), grant_path=why or [grant.shown() for grant in said],
        credential_type="unix_socket" if account.ways == ["unix_socket"] else (
            "password" if account.ways else "none"),
        flags=flags, source="mariadb",
        details={
            "place": "mariadb", "host": account.host, "plugins": account.ways,
            "grants": [grant.shown() for grant in account.grants],
            "tls": account.tls or ("any" if tls_for_all else "none"),
            "databases": sorted(_databases(said)), "databases_gone": gone,
            "built_in": built_in, "remote": not local, "password_changed": account.changed,
        },
    )  # fmt: skip


def _is_power(grant: Privileges) -> bool:
    """It reaches beyond data of its own: the whole server, or the tables of rights."""
    if grant.names == ("PROXY",):
        return True
    if grant.object not in ("*.*", "`mysql`.*"):
        return False
    names = {name.partition(" (")[0] for name in grant.names}
    return grant.grant_option or bool(names & _POWERS) or grant.object == "`mysql`.*"


def _databases(grants: Iterable[Privileges]) -> set[str]:
    """The databases that are named in full; a pattern or all of them is none.

    An underscore stands for any character there, and is yet meant as itself by all who write one.
    """
    found = set()
    for grant in grants:
        match = re.match(r"(?:\w+ (?:BODY )?)?`((?:``|[^`])*)`\.", grant.object)
        if match and not re.search(r"(?<!\\)%", match[1]):
            found.add(match[1].replace("\\", "").lower())
    return found
