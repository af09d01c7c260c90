# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who can get at a server: its accounts, how they get in, and what they become there.

A row is a way in: a key, a password, or, for an account with neither, the power it has all the
same (sudo, a group as good as root, jobs of cron). System accounts with none of these are counted
and no more. No hash, no key's secret half and no recovery code ever leaves the host.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _access_keys,
    _access_signins,
    _access_sudo,
    _nsswitch,
    _totp_host,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._access_keys import Key
from ansible_collections.ringfence.hosting.plugins.module_utils._access_row import (
    Row,
    coverage,
    row,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._access_sudo import Grant, Principal
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import file_walk
from ansible_collections.ringfence.hosting.plugins.module_utils._totp_host import Account, Sshd

# Whoever is in one of these becomes root without being asked for anything.
ROOT_GROUPS = {
    "disk": "reads and writes the disks themselves",
    "docker": "starts containers that mount the whole host",
    "incus-admin": "starts containers that mount the whole host",
    "kmem": "reads the kernel's memory",
    "libvirt": "starts machines on the host's disks",
    "lxd": "starts containers that mount the whole host",
    "root": "writes what belongs to root's group",
    "shadow": "reads everybody's password hash",
}
# These say less, and are told: they read every log.
READING_GROUPS = ("adm", "systemd-journal")
_NO_SHELL = re.compile(r"(?:.*/)?(?:nologin|false|sync|shutdown|halt)|")
_HASHES = (
    *(("$y$", "yescrypt"), ("$gy$", "yescrypt"), ("$7$", "scrypt"), ("$2", "bcrypt")),
    *(("$6$", "sha512"), ("$5$", "sha256"), ("$1$", "md5")),
)
WEAK_HASHES = ("md5", "des")
_HUMAN_IDS = range(1000, 60000)
_ELSEWHERE = "192.0.2.1"
_LISTED = 20


@dataclass(frozen=True)
class Login:
    """A line of the account database with what shadow says of its password.

    `password`: set, locked, empty or none. `scheme`: what the hash is made with. Days are dates.
    """

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str
    groups: frozenset[str]
    gids: frozenset[int]
    password: str
    scheme: str
    changed: str
    expires: str

    @property
    def interactive(self) -> bool:
        """It has a shell to sign in to."""
        return not _NO_SHELL.fullmatch(self.shell)

    def as_account(self) -> Account:
        """The same, as the second factor's code looks at it."""
        return Account(self.name, self.uid, self.home, self.groups, self.password == "set")  # noqa: S105


@dataclass
class _Server:
    """What was read of the host, and what came of each source."""

    host: Host
    logins: dict[str, Login] = field(default_factory=dict)
    grants: dict[str, list[Grant]] = field(default_factory=dict)
    asked_nothing: set[str] = field(default_factory=set)
    writable: dict[str, bool] = field(default_factory=dict)
    jobs: dict[str, list[str]] = field(default_factory=dict)
    sign_ins: _access_signins.SignIns = field(default_factory=_access_signins.SignIns)
    covered: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    alike: bool = True
    sudo_known: bool = True

    def attempt(self, source: str, work: Any) -> None:
        """Read a source; what it could not tell is kept as such."""
        try:
            count = work()
        except (HostError, OSError, ValueError, KeyError) as error:
            self.covered.append(coverage(source, "failed", str(error)))
            if source == "sudo":
                self.sudo_known = False
        else:
            self.covered.append(
                coverage(source, "read" if count is not None else "absent", count=count)
            )

    def sshd(self, name: str) -> dict[str, list[str]]:
        """sshd's options for an account; one question for all where nothing sets them apart."""
        key = "" if self.alike else name
        if key not in self.options:
            self.options[key] = Sshd(self.host).effective(name, _ELSEWHERE)
        return self.options[key]


def collect(
    host: Host, days: int = 400, seconds: int = 60
) -> tuple[list[Row], list[dict[str, Any]], dict[str, Any]]:
    """(rows, coverage, facts) of the host. `days`: how far back the journal is asked."""
    walk = _walk_control()
    file_walk.prepare(host, [*walk, _search_control(seconds)])
    server = _Server(host)
    server.attempt("accounts", lambda: _read_accounts(server))
    _note_directories(server)
    server.attempt("sudo", lambda: _read_sudo(server))
    server.attempt("cron", lambda: _read_jobs(server))
    names = {login.uid: login.name for login in reversed(server.logins.values())}
    server.sign_ins = _access_signins.read(host, names, days)
    server.covered += server.sign_ins.coverage
    rows = [*_sshd_rows(server)]
    for login in server.logins.values():
        rows += _account_rows(server, login)
    rows += _setuid_rows(server, walk[0])
    facts = {
        "host": host.facts(),
        "accounts": len(server.logins),
        "sign_ins_since": server.sign_ins.since,
        "cron": server.jobs,
        "groups": _root_groups(server),
    }
    return rows, server.covered, facts


def _read_accounts(server: _Server) -> int:
    server.logins = _logins(server.host)
    if not server.logins:
        raise HostError("getent passwd tells of no account")
    return len(server.logins)


def _logins(host: Host) -> dict[str, Login]:
    groups = _database(host, "group", 4)
    by_number = {row_[2]: row_[0] for row_ in groups}
    numbers = {row_[0]: int(row_[2]) for row_ in groups}
    members: dict[str, set[str]] = {}
    for entry in groups:
        for member in filter(None, entry[3].split(",")):
            members.setdefault(member, set()).add(entry[0])
    shadow = {entry[0]: entry for entry in _database(host, "shadow", 2)}
    found = {}
    for name, _x, uid, gid, gecos, home, *rest in _database(host, "passwd", 7):
        names = members.get(name, set()) | ({by_number[gid]} if gid in by_number else set())
        state, scheme = _password(shadow.get(name, ["", "*"])[1])
        entry = [*shadow.get(name, []), *[""] * 9]
        found[name] = Login(
            name, int(uid), int(gid), gecos, home, rest[0], frozenset(names),
            frozenset({int(gid), *(numbers[one] for one in names)}),
            state, scheme, _day(entry[2]), _day(entry[7]),
        )  # fmt: skip
    return found


def _database(host: Host, name: str, fields: int) -> list[list[str]]:
    rows = [line.split(":") for line in host.output(["getent", name]).splitlines()]
    return [entry for entry in rows if len(entry) >= fields and entry[0]]


def _password(typed: str) -> tuple[str, str]:
    """(state, scheme) of what stands in shadow."""
    if not typed:
        return "empty", ""
    bare = typed.lstrip("!")
    if len(bare) < 3 or bare[0] in "*x":
        return "none", ""
    scheme = next((name for mark, name in _HASHES if bare.startswith(mark)), "des")
    return ("locked" if bare != typed else "set"), scheme


def _day(days: str) -> str:
    """Days since 1970 as a date; empty where there are none."""
    with suppress(ValueError, OverflowError):
        if int(days) > 0:
            return (date(1970, 1, 1) + timedelta(days=int(days))).isoformat()
    return ""


def _note_directories(server: _Server) -> None:
    """Accounts that come from elsewhere are not in the list, and that must be said."""
    foreign = _nsswitch.foreign(server.host, "passwd")
    if foreign:
        server.covered.append(
            coverage("directory", "not_collected", f"accounts of {', '.join(foreign)} (nsswitch)")
        )


def _read_sudo(server: _Server) -> int | None:
    host = server.host
    if "sudo" not in host.capabilities():
        return None
    rules = _access_sudo.read(host, os.uname().nodename, _addresses(host))
    for login in server.logins.values():
        who = Principal(login.name, login.uid, login.groups, login.gids)
        server.grants[login.name] = rules.of(who)
        if rules.asks_nobody(who):
            server.asked_nothing.add(login.name)
    everything = [grant for grants in server.grants.values() for grant in grants]
    for program in _access_sudo.programs(everything):
        server.writable[program] = _others_write(host, program)
    if rules.unresolved:
        said = f"who is in {', '.join(sorted(rules.unresolved))} cannot be told on the host"
        server.covered.append(coverage("sudo groups", "not_collected", said))
    _note_rules_from_elsewhere(server)
    return len(everything)


def _note_rules_from_elsewhere(server: _Server) -> None:
    foreign = _nsswitch.foreign(server.host, "sudoers")
    if foreign:
        said = f"rules of {', '.join(foreign)} (nsswitch)"
        server.covered.append(coverage("sudo directory", "not_collected", said))


def _addresses(host: Host) -> list[str]:
    with suppress(HostError, ValueError, KeyError, TypeError):
        said = json.loads(host.output(["ip", "-j", "address"]))
        return [info["local"] for link in said for info in link["addr_info"] if "local" in info]
    return []


def _others_write(host: Host, path: str) -> bool:
    """Whether somebody other than root can change a program, or put another in its place."""
    for place in (path, os.path.dirname(path)):
        try:
            found = os.stat(host.real(place))
        except OSError:
            continue
        group = found.st_mode & stat.S_IWGRP and found.st_gid != 0
        if found.st_uid != 0 or group or found.st_mode & stat.S_IWOTH:
            return True
    return False


def _read_jobs(server: _Server) -> int | None:
    host, found = server.host, server.jobs
    for name in host.names("/var/spool/cron/crontabs"):
        found.setdefault(name, []).append(f"/var/spool/cron/crontabs/{name}")
    for path in ["/etc/crontab", *(f"/etc/cron.d/{name}" for name in host.names("/etc/cron.d"))]:
        for owner in _job_owners(host.text(path) or ""):
            if path not in found.setdefault(owner, []):
                found[owner].append(path)
    for name in host.names("/var/lib/systemd/linger"):
        found.setdefault(name, []).append("systemd: its services run without a sign-in")
    return len(found) if host.exists("/etc/crontab") or found else None


def _job_owners(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#") or re.match(r"\s*\w+\s*=", line):
            continue
        place = 1 if words[0].startswith("@") else 5
        if len(words) > place + 1:
            yield words[place]


def _root_groups(server: _Server) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for login in server.logins.values():
        for name in login.groups & {*ROOT_GROUPS, *READING_GROUPS, "sudo"}:
            if login.uid != 0:
                found.setdefault(name, []).append(login.name)
    return {name: sorted(found[name]) for name in sorted(found)}


def _sshd_rows(server: _Server) -> Iterator[Row]:
    """Ways in that the files of no account show: certificates, and keys from a program."""
    host = server.host
    if "sshd" not in host.capabilities():
        server.covered.append(coverage("sshd", "absent"))
        return
    try:
        server.alike = not _totp_host.has_other_matches(host, "")
        options = server.sshd("root")
    except HostError as error:
        server.covered.append(coverage("sshd", "failed", str(error)))
        return
    server.covered.append(coverage("sshd", "read"))
    command = _option(options, "authorizedkeyscommand")
    if command:
        command = program_of(command)
        said = f"keys come from {command}, which was not run"
        server.covered.append(coverage("AuthorizedKeysCommand", "not_collected", said))
        yield row(
            "server", "*", "*", credential_type="authorized_keys_command", privileged=None,
            source="sshd", details={"credential": command, "remote": True},
        )  # fmt: skip
    authorities = _option(options, "trustedusercakeys")
    if authorities:
        yield from _authority_rows(server, authorities)


def _authority_rows(server: _Server, path: str) -> Iterator[Row]:
    said = "who holds a certificate is known to its authority alone"
    server.covered.append(coverage("certificates", "not_collected", said))
    try:
        keys, _odd = _access_keys.read(server.host, path)
    except HostError as error:
        server.covered.append(coverage("TrustedUserCAKeys", "failed", str(error)))
        return
    for key in keys:
        yield row(
            "server", "*", "*", credential_type="ssh_certificate_authority", privileged=None,
            key_fingerprint=key.fingerprint, source="sshd",
            details={"file": path, "remote": True, **_strength(key)},
        )  # fmt: skip


def _account_rows(server: _Server, login: Login) -> Iterator[Row]:
    power = _power(server, login)
    remote, mfa = _reach(server, login)
    common = {**_common(server, login), **power["details"]}
    ways = 0
    for key, path, odd in _keys(server, login):
        ways += 1
        yield _key_row(server, login, key, {
            **power, "details": {**common, **_of_key(key, path), "remote": remote["publickey"]},
            "flags": [*power["flags"], *odd, *_refused(remote)],
            "mfa": _key_mfa(key, mfa),
        })  # fmt: skip
    if login.password in ("set", "empty"):
        ways += 1
        yield row("server", login.uid, login.name, **{
            **power, **_times(server, login), "credential_type": "password", "source": "shadow",
            "mfa": mfa, "stop": login.expires,
            "flags": [*power["flags"], *_password_flags(login), *_refused(remote)],
            "details": {**common, "remote": remote["password"],
                        "password_changed": login.changed, "password_hash": login.scheme},
        })  # fmt: skip
    person = login.uid in _HUMAN_IDS and login.interactive
    power_without_way = login.uid != 0 and (power["privileged"] or power["grant_path"])
    if not ways and (person or power_without_way or _own_jobs(server, login)):
        yield row("server", login.uid, login.name, **{
            **power, **_times(server, login), "credential_type": "none", "source": "passwd",
            "mfa": mfa, "stop": login.expires, "details": {**common, "remote": False},
        })  # fmt: skip


def _common(server: _Server, login: Login) -> dict[str, Any]:
    jobs = server.jobs.get(login.name, [])
    enrolled = None
    with suppress(Exception):
        enrolled = _totp_host.state_of(server.host, login.name) is not None
    return {
        "uid": login.uid,
        "shell": login.shell,
        "gecos": login.gecos.partition(",")[0],
        "groups": sorted(login.groups),
        "password": login.password,
        "sources": server.sign_ins.addresses.get(login.name, []),
        "cron": jobs[:_LISTED],
        "code_enrolled": enrolled,
    }


def _power(server: _Server, login: Login) -> dict[str, Any]:
    """roles, privileged, grant_path, flags and details of what an account may do."""
    grants = server.grants.get(login.name, [])
    flags, path = [], []
    if login.uid == 0:
        path.append("user id 0")
        if login.name != "root":
            flags.append("uid_0")
    for name in sorted(login.groups & ROOT_GROUPS.keys()):
        if login.uid != 0:
            path.append(f"group {name}: {ROOT_GROUPS[name]}")
            flags.append("root_group")
    why = _access_sudo.becomes_root(grants, server.writable)
    if why and login.uid != 0:
        path.append(f"sudo {why}")
    through = _access_sudo.reachable(server.grants, login.name)
    if "root" in through and not why and login.uid != 0:
        path.append(f"sudo through {', '.join(sorted(through - {'root'}))}")
    certain = bool(path)
    limited = [grant for grant in grants if login.uid != 0]
    if limited and not why:
        path += [f"sudo {grant.shown()}" for grant in limited[:_LISTED]]
    if any(grant.nopasswd for grant in limited) or (limited and login.name in server.asked_nothing):
        flags.append("nopasswd")
    return {
        "roles": sorted(login.groups & {*ROOT_GROUPS, *READING_GROUPS, "sudo"}),
        "privileged": True if certain else (False if server.sudo_known else None),
        "grant_path": path,
        "flags": flags,
        "account_type": "human" if login.uid in _HUMAN_IDS or login.uid == 0 else "service",
        "details": {"sudo": [grant.shown() for grant in limited[:_LISTED]]},
    }


def _reach(server: _Server, login: Login) -> tuple[dict[str, Any], str]:
    """(how sshd lets the account in from elsewhere, whether it asks for a second factor)."""
    nothing = {"publickey": False, "password": False, "admitted": None}
    if "sshd" not in server.host.capabilities():
        return {**nothing, "admitted": False}, "unknown"
    try:
        options = server.sshd(login.name)
    except HostError:
        return {"publickey": None, "password": None, "admitted": None}, "unknown"
    admitted = _totp_host.admitted(login.as_account(), options)
    ways = [way.split(",") for way in " ".join(options.get("authenticationmethods", [])).split()]
    mfa = "yes" if ways and all(len({w.partition(":")[0] for w in way}) > 1 for way in ways) else (
        "no")  # fmt: skip
    typed = "yes" in (*options.get("passwordauthentication", []),
                      *options.get("kbdinteractiveauthentication", []))  # fmt: skip
    if login.uid == 0 and options.get("permitrootlogin") != ["yes"]:
        typed = False
    key = admitted and options.get("pubkeyauthentication") == ["yes"]
    if login.uid == 0 and options.get("permitrootlogin") == ["no"]:
        key = False
    shell = bool(login.shell)
    return {"publickey": key and shell, "password": admitted and typed, "admitted": admitted}, mfa


def _option(options: Mapping[str, list[str]], name: str) -> str:
    """The value of an option of sshd; empty where it is none."""
    said = " ".join(options.get(name, []))
    return "" if said == "none" else said


def _refused(remote: Mapping[str, Any]) -> list[str]:
    return ["refused_by_sshd"] if remote["admitted"] is False else []


def _key_mfa(key: Key, mfa: str) -> str:
    """A key in hardware that asks for a PIN is two factors by itself."""
    return "yes" if key.type.startswith("sk-") and "verify-required" in key.options else mfa


def _keys(server: _Server, login: Login) -> Iterator[tuple[Key, str, list[str]]]:
    try:
        options = server.sshd(login.name) if "sshd" in server.host.capabilities() else {}
    except HostError:
        options = {}
    patterns = options or {"authorizedkeysfile": [".ssh/authorized_keys .ssh/authorized_keys2"]}
    for path in dict.fromkeys(_totp_host.key_files(login.as_account(), patterns)):
        try:
            keys, odd = _access_keys.read(server.host, path, login.home)
        except HostError as error:
            server.covered.append(coverage("authorized_keys", "failed", str(error)))
            continue
        for key in keys:
            yield key, path, odd


def _of_key(key: Key, path: str) -> dict[str, Any]:
    names = ("from", "command", "principals", "environment", "expiry-time", "tunnel", "permitopen")
    said: dict[str, Any] = {n: list(key.options[n]) for n in names if n in key.options}
    said |= {name: True for name in key.options if name not in names}
    # What is passed to a program, or put into its environment, may be a secret.
    if "command" in said:
        said["command"] = [program_of(command) for command in said["command"]]
    if "environment" in said:
        said["environment"] = [pair.partition("=")[0] for pair in said["environment"]]
    return {
        "file": path,
        "key_comment": key.comment,
        "key_options": said,
        "from": [part for value in key.options.get("from", ()) for part in value.split(",")],
        "command": program_of(next(iter(key.options.get("command", ())), "")),
        **_strength(key),
    }


def program_of(command: str) -> str:
    """The program of a command line; its arguments are not told."""
    program, blank, _arguments = command.strip().partition(" ")
    return f"{program} …" if blank else program


def _strength(key: Key) -> dict[str, Any]:
    return {"key_type": key.type, "key_bits": key.bits, "key_comment": key.comment}


def _key_row(server: _Server, login: Login, key: Key, known: dict[str, Any]) -> Row:
    kind = "ssh_certificate_authority" if key.authority else "ssh_key"
    flags = [*known["flags"], *(["forced_command"] if "command" in key.options else [])]
    until = next(iter(key.options.get("expiry-time", ())), "")
    stop = f"{until[:4]}-{until[4:6]}-{until[6:8]}" if re.match(r"\d{8}", until) else login.expires
    return row("server", login.uid, login.name, **{
        **known, **_times(server, login), "flags": flags, "credential_type": kind,
        "key_fingerprint": key.fingerprint, "stop": stop, "source": "authorized_keys",
        "last_key_use": server.sign_ins.keys.get((login.name, key.fingerprint), ""),
    })  # fmt: skip


def _times(server: _Server, login: Login) -> dict[str, str]:
    return {"last_login": server.sign_ins.last.get(login.name, "")}


def _password_flags(login: Login) -> list[str]:
    if login.password == "empty":  # noqa: S105
        return ["password_empty"]
    return ["password_weak_hash"] if login.scheme in WEAK_HASHES else []


def _own_jobs(server: _Server, login: Login) -> bool:
    """It has a crontab of its own; what packages put into cron.d is theirs."""
    jobs = server.jobs.get(login.name, [])
    return any(path.startswith(("/var/spool", "systemd:")) for path in jobs)


def _walk_control() -> list[Control]:
    params = {"check": "setuid_unpackaged", "known": []}
    return [Control("access_setuid", "file_walk", params, value=[])]


def _search_control(seconds: int) -> Control:
    return Control("access_search", "file_walk", {"check": "search"}, value=seconds)


def _setuid_rows(server: _Server, control: Control) -> Iterator[Row]:
    try:
        state = file_walk.observe(server.host, control).state
    except HostError as error:
        server.covered.append(coverage("setuid files", "failed", str(error)))
        return
    wrong = state["wrong"]
    missing = state["incomplete"] or (state["count"] > len(wrong) and "there are too many")
    found = "failed" if missing else "read"
    server.covered.append(coverage("setuid files", found, str(missing or ""), len(wrong)))
    # Of accounts that share a number the first one is meant, as everywhere.
    names = {login.uid: login.name for login in reversed(server.logins.values())}
    for finding in wrong:
        path = file_walk.printable(finding.path)
        by_user = bool(finding.mode & stat.S_ISUID)
        owner = names.get(finding.uid, str(finding.uid)) if by_user else f"group {finding.gid}"
        yield row(
            "server", path, owner, credential_type="setuid_file", source="file system",
            privileged=by_user and finding.uid == 0, flags=["setuid_unpackaged"],
            account_type="service", grant_path=[f"whoever can run {path} acts as {owner}"],
            details={"mode": f"{stat.S_IMODE(finding.mode):04o}", "credential": path},
        )  # fmt: skip
