# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The database server MariaDB, asked over its socket as root: accounts, grants, variables.

One question a run for all who ask. No password is in an argument, and no hash leaves this module:
of an account is kept whether it has a password, not which.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _web
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Stage
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

DROP_IN = "/etc/mysql/mariadb.conf.d/zz-ringfence.cnf"
SERVICE = "mariadb"
LOCAL = ("localhost", "127.0.0.1", "::1")

# Bits of an account's global privileges.
FILE = 1 << 9

_CLIENT = ["mariadb", "--batch", "--raw", "--skip-column-names", "--protocol=socket"]
_DEFAULTS = ["my_print_defaults", "--mysqld"]
# Backslashes mean themselves then, whatever the server is set to.
_SESSION = "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';\n"
_QUESTION = (
    _SESSION
    + """
SELECT JSON_ARRAY('account', User, Host, Priv) FROM mysql.global_priv;
SELECT JSON_ARRAY('grant', User, Host, Db) FROM mysql.db;
SELECT JSON_ARRAY('role', User, Host, Role) FROM mysql.roles_mapping;
SELECT JSON_ARRAY('variable', LOWER(VARIABLE_NAME), VARIABLE_VALUE)
  FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME IN (
  'bind_address', 'general_log', 'have_ssl', 'have_symlink', 'local_infile', 'log_warnings',
  'require_secure_transport', 'secure_file_priv', 'server_audit_events', 'server_audit_excl_users',
  'server_audit_incl_users', 'server_audit_logging', 'server_audit_output_type', 'skip_networking',
  'tls_version');
SELECT JSON_ARRAY('end');
"""
)
_BY_PASSWORD = ("mysql_native_password", "mysql_old_password", "ed25519", "parsec")


@dataclass(frozen=True)
class Account:
    """An account. `access`: bits of its global privileges. `empty`: gets in without a password.

    `old`: by a hash of before 4.1. `tls`: must come by TLS. `lent`: bits of the roles it may take,
    PUBLIC among them, which everybody has.
    """

    user: str
    host: str
    access: int
    locked: bool
    empty: bool
    old: bool
    tls: bool
    lent: int = 0

    @property
    def name(self) -> str:
        return f"{self.user or '(nobody)'}@{self.host}"

    @property
    def local(self) -> bool:
        return self.host in LOCAL

    @property
    def quoted(self) -> str:
        return f"{quoted(self.user)}@{quoted(self.host)}"


class Grant(NamedTuple):
    """Who may do something with which database; `database` may be a pattern."""

    user: str
    host: str
    database: str


@dataclass(frozen=True)
class Server:
    """What the running server says of itself."""

    accounts: tuple[Account, ...]
    grants: tuple[Grant, ...]
    variables: dict[str, str]

    @property
    def listens_to_all(self) -> bool:
        """Whether somebody else than the host itself can reach it."""
        if self.variables.get("skip_networking", "").upper() == "ON":
            return False
        return any(word not in LOCAL for word in addresses(self.variables.get("bind_address", "")))


def addresses(text: str) -> list[str]:
    """The addresses of bind_address; none at all means all there are."""
    return [word.strip() for word in text.split(",") if word.strip()] or ["*"]


def quoted(text: str) -> str:
    """A string of SQL, for a session without backslash escapes. Raises HostError."""
    if "\0" in text or "\n" in text:
        raise HostError("a name of the database holds a character that cannot be written")
    return "'" + text.replace("'", "''") + "'"


def ask(host: Host) -> Server:
    """What the server says, asked once a run. Raises HostError where it does not answer."""
    return host.once("mariadb", lambda: _answer(host.output(_CLIENT, stdin=_QUESTION)))


def persisted(host: Host) -> dict[str, str]:
    """Option -> value as the server's files will have it at its next start, `-` in names."""
    return host.once("mariadb options", lambda: _options(host.output(_DEFAULTS)))


def tell(host: Host, *statements: str) -> None:
    """Have the server carry out statements. Raises HostError with what it said against them."""
    said = _SESSION + "".join(f"{statement};\n" for statement in statements)
    done = host.run(_CLIENT, stdin=said)
    if done.rc != 0:
        # The client first repeats the statement.
        wrong = [line for line in done.err.splitlines() if line.startswith("ERROR")]
        raise HostError(f"MariaDB: {wrong[0] if wrong else done.complaint()}")


def stage_options(stage: Stage, part: str, options: dict[str, str]) -> None:
    """Stage options in our drop-in, as a part of it."""
    body = "[mariadbd]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
    stage.edit(DROP_IN, _web.set_part(part, body), validator="mariadb")


def _answer(text: str) -> Server:
    accounts: list[Account] = []
    grants: list[Grant] = []
    variables: dict[str, str] = {}
    roles: dict[str, int] = {}
    members: dict[tuple[str, str], set[str]] = {}
    whole = False
    for line in text.splitlines():
        try:
            row = json.loads(line)
            kind = row[0]
            if kind == "account":
                found = _account(str(row[1]), str(row[2]), dict(row[3]))
                if dict(row[3]).get("is_role"):
                    roles[found.user] = found.access
                else:
                    accounts.append(found)
            elif kind == "role":
                members.setdefault((str(row[1]), str(row[2])), set()).add(str(row[3]))
            elif kind == "grant":
                grants.append(Grant(str(row[1]), str(row[2]), str(row[3])))
            elif kind == "variable":
                variables[str(row[1])] = str(row[2])
            elif kind == "end":
                whole = True
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise HostError("MariaDB's answer cannot be understood") from error
    if not whole or not accounts:
        raise HostError("MariaDB's answer breaks off")
    lent = (replace(one, lent=_lent(one, roles, members)) for one in accounts)
    return Server(tuple(lent), tuple(grants), variables)


def _lent(account: Account, roles: dict[str, int], members: dict[tuple[str, str], set[str]]) -> int:
    """Bits of the roles that an account may take, and of those that these may take in turn."""
    waiting = ["PUBLIC", *members.get((account.user, account.host), ())]
    seen: set[str] = set()
    bits = 0
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            bits |= roles.get(name, 0)
            waiting += members.get((name, ""), ())
    return bits


def _account(user: str, host: str, privileges: dict[str, Any]) -> Account:
    # Of several ways in, {} stands for the one that is written beside them.
    ways = [way or privileges for way in privileges.get("auth_or", [])] or [privileges]
    kinds = [(str(way.get("plugin", _BY_PASSWORD[0])), str(_secret(way))) for way in ways]
    return Account(
        user=user,
        host=host,
        access=int(privileges.get("access", 0)),
        locked=bool(privileges.get("account_locked", False)),
        empty=any(plugin in _BY_PASSWORD and not secret for plugin, secret in kinds),
        old=any(plugin == "mysql_old_password" for plugin, _secret in kinds),
        tls=int(privileges.get("ssl_type", 0)) > 0,
    )


def _secret(way: dict[str, Any]) -> str:
    return str(way.get("authentication_string") or "")


def _options(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("--"):
            continue
        name, equals, value = line[2:].partition("=")
        name = name.replace("_", "-").removeprefix("loose-")
        for prefix, meant in (("skip-", "OFF"), ("disable-", "OFF"), ("enable-", "ON")):
            if not equals and name.startswith(prefix) and name != "skip-networking":
                name, value, equals = name.removeprefix(prefix), meant, "="
        found[name] = value if equals else "ON"
    return found
