# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes what one person has on a host: planned whole from what the collectors read, then done.

What is a person's alone is taken; what others use too (shared and service accounts, group rules of
sudo) is named, for a person to decide. Nothing is deleted but keys and rules: accounts are locked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _access,
    _access_cms,
    _access_keys,
    _mariadb,
    _sites,
    _validate,
    _vendor_host,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)

Row = Mapping[str, Any]

_SUDOERS = "/etc/sudoers"
_DROP_INS = "/etc/sudoers.d"
_KEY = "ssh_key"
_PRIVILEGED_CMS = {"wordpress": "administrator", "joomla": "Super Users"}


class OffboardError(Exception):
    """Why a person cannot be taken off a host, in one line; nothing was changed."""


@dataclass(frozen=True)
class Subject:
    """Who leaves. `accounts`: names of their own by system; `kept`: names that others use too."""

    person: str
    fingerprints: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    accounts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def own(self, system: str, name: str) -> bool:
        """Whether an account is this person's alone."""
        folded = name.casefold()
        return folded in self.accounts.get(system, ()) and folded not in self.kept.get(system, ())


@dataclass
class Plan:
    """What is to be done. `named`: what is left for a person to decide, a line each."""

    keys: dict[str, list[str]] = field(default_factory=dict)
    lock: dict[str, list[str]] = field(default_factory=dict)
    sudoers: dict[str, str | None] = field(default_factory=dict)
    database: list[tuple[str, str]] = field(default_factory=list)
    cms: list[dict[str, Any]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.keys or self.lock or self.sudoers or self.database or self.cms)

    def shown(self) -> list[str]:
        """Each thing that is to be done, a line each."""
        lines = [
            f"remove key {key} from {path}" for path, keys in sorted(self.keys.items())
            for key in keys
        ]  # fmt: skip
        lines += [f"lock account {name} and end its sessions" for name in sorted(self.lock)]
        lines += [f"remove the sudo rules in {path}" for path in sorted(self.sudoers)]
        lines += [f"lock MariaDB account {user}@{host}" for user, host in self.database]
        lines += [f"block {one['login']} of {one['site']} ({one['kind']})" for one in self.cms]
        return lines


def subject_of(said: Mapping[str, Any]) -> Subject:
    """The subject that the controller made of the register. Raises OffboardError."""
    person = str(said.get("person", ""))
    if not person:
        raise OffboardError("person: is missing, expected who leaves")
    fingerprints = frozenset(map(str, said.get("fingerprints") or ()))
    for text in fingerprints:
        if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", text):
            raise OffboardError(f"fingerprints: expected SHA256:…, got {text!r}")
    return Subject(
        person,
        fingerprints,
        frozenset(str(mail).casefold() for mail in said.get("emails") or ()),
        _folded(said.get("accounts") or {}),
        _folded(said.get("kept") or {}),
    )


def plan(host: Host, subject: Subject, user: str = "") -> Plan:
    """What this host has of the person. `user`: who the play comes in as.

    Raises OffboardError where it would shut out the play, or take the last way to root; HostError
    where the host cannot be read.
    """
    document = _access.collect(host, ["server", "database", "cms"], 1, 60)
    rows = document["rows"]
    made = Plan()
    failed = [one for one in document["coverage"] if one["state"] == "failed"]
    made.named += [f"{one['source']} could not be read: {one['message']}" for one in failed]
    server = [row for row in rows if row["system"].startswith("server")]
    _plan_server(host, made, subject, server, user)
    _require_root_left(subject, server)
    _plan_sudo(host, made, subject)
    _plan_database(made, subject, [row for row in rows if row["system"].startswith("database")])
    _plan_cms(made, subject, [row for row in rows if row["system"].startswith("cms")])
    _locate(host, made)
    made.named = list(dict.fromkeys(made.named))
    return made


def carry_out(host: Host, made: Plan) -> None:
    """Do it. Raises HostError; what was done stays done, and a second run does the rest."""
    complaint = _validate.complaint(
        host, "sudoers", {path: (text or "").encode() for path, text in made.sudoers.items()}
    )
    if complaint:
        raise HostError(f"sudo's rules were not changed: {complaint}")
    accounts = _vendor_host.read_accounts(host)
    for name, change in sorted(made.lock.items()):
        if change:
            host.output(["usermod", *change, name])
    for path, keys in sorted(made.keys.items()):
        text = host.text(path)
        if text is not None:
            left = without_keys(text, set(keys))
            replace_file(host, path, left.encode("utf-8", "surrogateescape"))
    for path, text in sorted(made.sudoers.items()):
        if text is None:
            os.unlink(host.real(path))
        else:
            replace_file(host, path, text.encode("utf-8", "surrogateescape"), 0o440)
    for name in made.lock:
        _vendor_host.end_sessions(host, name, accounts[name].uid)
    if made.database:
        _mariadb.tell(host, *_database_statements(made.database))
    for one in made.cms:
        _mariadb.tell(host, *cms_statements(one))


def guarded_paths(made: Plan) -> list[str]:
    """Files whose change could shut somebody out."""
    return sorted({*made.keys, *made.sudoers})


def without_keys(text: str, fingerprints: set[str]) -> str:
    """authorized_keys without the lines of these keys; every other byte stays."""
    lines = text.splitlines(keepends=True)
    gone = {key.line for key in _access_keys.parse(text) if key.fingerprint in fingerprints}
    return "".join(line for number, line in enumerate(lines, start=1) if number not in gone)


def without_rules(text: str, names: set[str]) -> tuple[str, list[str]]:
    """A sudoers file without the rules that are of these accounts alone; and the lines, as they
    are, that speak of them and of others too."""
    kept, shared = [], []
    for line in _logical_lines(text):
        bare = line.strip()
        first = re.split(r"[\s=]", bare, maxsplit=1)[0]
        mine = first in names and not bare.startswith("#")
        scoped = re.match(r"Defaults:(\S+)", bare)
        mine = mine or bool(scoped and set(scoped[1].split(",")) <= names)
        if mine:
            continue
        kept.append(line)
        if not bare.startswith("#") and any(
            re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", bare) for name in names
        ):
            shared.append(" ".join(bare.split()))
    return "".join(kept), shared


def cms_statements(one: Mapping[str, Any]) -> list[str]:
    """SQL that takes a user's way in: role, password, sessions, passwords of applications."""
    base, number = f"`{one['database']}`.`{one['prefix']}", int(one["id"])
    if one["kind"] == "joomla":
        return [
            f"UPDATE {base}users` SET block = 1 WHERE id = {number}",  # noqa: S608
            f"DELETE FROM {base}session` WHERE userid = {number}",  # noqa: S608
        ]
    meta, prefix = f"{base}usermeta`", _mariadb.quoted(one["prefix"] + "capabilities")
    level = _mariadb.quoted(one["prefix"] + "user_level")
    gone = "'session_tokens', '_application_passwords'"
    return [
        f"UPDATE {meta} SET meta_value = 'a:0:{{}}' WHERE user_id = {number}"  # noqa: S608
        f" AND meta_key = {prefix}",
        f"UPDATE {meta} SET meta_value = '0' WHERE user_id = {number}"  # noqa: S608
        f" AND meta_key = {level}",
        f"DELETE FROM {meta} WHERE user_id = {number} AND meta_key IN ({gone})",  # noqa: S608
        # No hash begins so: no password fits.
        f"UPDATE {base}users` SET user_pass = CONCAT('!', user_pass),"  # noqa: S608
        f" user_activation_key = '' WHERE ID = {number} AND user_pass NOT LIKE '!%'",
    ]


def _plan_server(host: Host, made: Plan, subject: Subject, rows: list[Row], user: str) -> None:
    for row in rows:
        print_, path = row.get("key_fingerprint", ""), row.get("details", {}).get("file", "")
        if print_ not in subject.fingerprints or not path:
            continue
        if row["username"] == user:
            raise OffboardError(
                f"{user}: this play comes in by it and {subject.person} has a key there, expected "
                "another account to sign in with; nothing was changed"
            )
        if print_ not in made.keys.setdefault(path, []):
            made.keys[path].append(print_)
    for name, account in _vendor_host.read_accounts(host).items():
        if not subject.own("server", name):
            if name.casefold() in subject.kept.get("server", ()):
                made.named.append(f"account {name} is used by others too: it stays")
            continue
        if account.uid == 0:
            made.named.append(f"account {name} is root's (user id 0): it stays")
            continue
        if name == user:
            raise OffboardError(
                f"{name}: this play comes in by it, expected another account to sign in with; "
                "nothing was changed"
            )
        change = _vendor_host.closing_options(account)
        groups = _extra_groups(host, name)
        change += ["--groups", ""] if groups else []
        if change or _vendor_host.processes_of(account.uid):
            made.lock[name] = change


def _require_root_left(subject: Subject, rows: list[Row]) -> None:
    """Somebody must still come in over SSH and become root, if the person can now."""

    today = date.today().isoformat()

    def ways(mine: bool) -> Iterator[Row]:
        for row in rows:
            if row.get("privileged") and row.get("credential_type") in (_KEY, "password"):
                own = row.get("key_fingerprint") in subject.fingerprints
                own = own or subject.own("server", row["username"])
                if row.get("stop") and str(row["stop"]) < today:
                    continue  # an account or key that has run out lets nobody in
                if own is mine and row.get("details", {}).get("remote") is not False:
                    yield row

    if next(ways(True), None) is not None and next(ways(False), None) is None:
        raise OffboardError(
            f"{subject.person} is the last who can become root here, expected another one who can; "
            "nothing was changed"
        )


def _plan_sudo(host: Host, made: Plan, subject: Subject) -> None:
    names = {
        name for name in _vendor_host.read_accounts(host) if subject.own("server", name)
    } or set(subject.accounts.get("server", ()))
    if not names:
        return
    for path in (_SUDOERS, *(f"{_DROP_INS}/{name}" for name in host.names(_DROP_INS))):
        text = host.text(path)
        if text is None:
            continue
        left, shared = without_rules(text, names)
        made.named += [f"{path}: {line}" for line in shared]
        if left == text:
            continue
        bare = [line for line in left.splitlines() if line.strip() and line.strip()[0] != "#"]
        made.sudoers[path] = left if bare or path == _SUDOERS else None


def _plan_database(made: Plan, subject: Subject, rows: list[Row]) -> None:
    for row in rows:
        name, details = row["username"], row.get("details", {})
        if name.casefold() in subject.kept.get("database", ()):
            made.named.append(f"MariaDB account {row['account_id']} is used by others too")
        elif subject.own("database", name) and "locked" not in row.get("flags", []):
            if details.get("built_in"):
                made.named.append(f"MariaDB account {row['account_id']} is the server's own")
            else:
                made.database.append((name, details["host"]))


def _plan_cms(made: Plan, subject: Subject, rows: list[Row]) -> None:
    users: dict[tuple[str, str], dict[str, Any]] = {}
    mine: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["details"]["place"], row["account_id"])
        user = users.setdefault(key, {"row": row, "administers": False})
        heads = (_PRIVILEGED_CMS.get(row["source"], ""), "super_admin")
        user["administers"] |= bool({*heads} & set(row.get("roles", ())))
        email = str(row.get("details", {}).get("email", "")).casefold()
        if "blocked" not in row.get("flags", []) and (
            subject.own("cms", row["username"]) or email in subject.emails
        ):
            mine[key] = row
    for key, row in mine.items():
        site = row["details"]["place"]
        others = any(
            user["administers"]
            for other, user in users.items()
            if other[0] == key[0] and other not in mine
        )
        if users[key]["administers"] and not others:
            made.named.append(f"{row['username']} is the last administrator of {site}: it stays")
            continue
        if "super_admin" in row.get("roles", ()):
            made.named.append(f"{row['username']} of {site} stays in the network's site_admins")
        made.cms.append(
            {"kind": row["source"], "site": site, "login": row["username"],
             "id": row["account_id"], "root": row["details"]["root"]}
        )  # fmt: skip


def _locate(host: Host, made: Plan) -> None:
    """Where each user's row lies; one whose database is on another host is left, and named."""
    folders = {
        (site["domains"][0], site["root"]): site["root"].rstrip("/") + site["cms"].get("path", "")
        for site in (_sites.discover(host)["sites"] if made.cms else ())
    }
    for one in [*made.cms]:
        found = _access_cms.configuration(host, one["kind"], folders[one["site"], one["root"]])
        name = found.host.removeprefix("p:").partition(":")[0]
        if name not in ("localhost", "127.0.0.1", "") or "`" in found.database:
            made.named.append(
                f"{one['login']} of {one['site']}: its database is on {name}: block it"
            )
            made.cms.remove(one)
            continue
        one |= {"database": found.database, "prefix": found.prefix}


def _extra_groups(host: Host, name: str) -> list[str]:
    lines = [line.split(":") for line in (host.text("/etc/group") or "").splitlines()]
    return [one[0] for one in lines if len(one) == 4 and name in one[3].split(",")]


def _database_statements(accounts: list[tuple[str, str]]) -> list[str]:
    told = [f"{_mariadb.quoted(user)}@{_mariadb.quoted(host)}" for user, host in accounts]
    locks = [f"ALTER USER {account} ACCOUNT LOCK" for account in told]
    return locks + [f"KILL USER {_mariadb.quoted(user)}" for user, _host in accounts]


def _folded(said: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    return {
        str(system): frozenset(str(name).casefold() for name in names or ())
        for system, names in said.items()
    }


def _logical_lines(text: str) -> list[str]:
    """Lines with those that a backslash joins to them."""
    found: list[str] = []
    joined = False
    for line in text.splitlines(keepends=True):
        if joined:
            found[-1] += line
        else:
            found.append(line)
        joined = line.rstrip("\r\n").endswith("\\")
    return found
