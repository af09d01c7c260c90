# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Accounts of a third party's people: what was granted, and what a host is to have of it.

Nothing here reads or changes a host. A grant holds from its first to its last day, both whole, UTC.
Each grant carries its own end into authorized_keys (expiry-time) and sudoers (NOTAFTER), so that
access ends at that very moment, whatever becomes of timers and runs.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

GROUP = "ringfence-vendors"
KEYS = "/etc/ssh/ringfence-vendors"
SSHD = "/etc/ssh/sshd_config.d/00-ringfence-vendor-access.conf"
SUDOERS = "/etc/sudoers.d/ringfence-vendor-access"
LOGS = "/var/log/sudo-io"
AGEING = "/etc/tmpfiles.d/ringfence-vendor-access.conf"

_HEADER = "# Ringfence writes this file (role vendor_access); changes to it are lost.\n"
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COMMAND = re.compile(r"/[^\s,:=\\!]+( .*)?")
_EPOCH = date(1970, 1, 1)
_KEYS_KNOWN = {
    *("account", "person", "name", "third_party", "keys", "sudo", "from", "start", "end"),
    *("second_factor", "in_force"),
}


class VendorError(Exception):
    """What cannot be granted or taken, in one line."""


@dataclass(frozen=True)
class Key:
    """A public key (kind and blob, no comment) and its own last day."""

    text: str
    expires: date | None = None


@dataclass(frozen=True)
class Grant:
    """One grant of people.yml for one account. `end`: the last day, None where it has none."""

    account: str
    person: str
    name: str
    third_party: str
    keys: tuple[Key, ...] = ()
    sudo: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None

    def in_force(self, today: date) -> bool:
        """Whether it holds on a day."""
        return (self.start is None or self.start <= today) and not self.ended(today)

    def ended(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.end is not None and self.end < today


@dataclass
class State:
    """What was made on this host: `accounts` name -> {uid, person, third_party}, kept for ever.

    `revoked`: third party -> the day that all its access was taken at once.
    `rows`: the grants as they were last given, for the timer.
    """

    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """Account -> its grants in force; and accounts of ours that are to have nothing."""

    open: Mapping[str, tuple[Grant, ...]]
    closed: tuple[str, ...]
    revoked: Mapping[str, str]


def read_grants(rows: Iterable[Mapping[str, Any]]) -> list[Grant]:
    """The grants of `people`, an entry each. Raises VendorError with place and expectation."""
    return [_grant(f"people[{number}]", row) for number, row in enumerate(rows)]


def wanted(
    grants: Iterable[Grant],
    state: State,
    today: date,
    revoke: Iterable[str] = (),
    reinstate: Iterable[str] = (),
) -> Wanted:
    """Who is to have access today. Raises VendorError where two people would share an account."""
    revoke, reinstate = set(revoke), set(reinstate)
    both = sorted(revoke & reinstate)
    if both:
        raise VendorError(f"{both[0]}: is to be revoked and reinstated at once, expected one")
    known = {row["third_party"] for row in state.accounts.values()} | set(state.revoked)
    given = list(grants)
    known |= {grant.third_party for grant in given}
    revoked = {n: day for n, day in state.revoked.items() if n not in reinstate}
    # A party that has nothing here needs no note that it was revoked.
    revoked |= {name: revoked.get(name, str(today)) for name in revoke if name in known}
    chosen: dict[str, list[Grant]] = {}
    for grant in given:
        if grant.in_force(today) and grant.third_party not in revoked:
            mine = chosen.setdefault(grant.account, [])
            if mine and mine[0].person != grant.person:
                who = f"{mine[0].person} and {grant.person}"
                raise VendorError(f"{grant.account}: granted to {who}, expected one person each")
            mine.append(grant)
    closed = tuple(sorted(name for name in state.accounts if name not in chosen))
    return Wanted({n: tuple(chosen[n]) for n in sorted(chosen)}, closed, revoked)


def last_day(grants: Iterable[Grant]) -> date | None:
    """The last day of the longest of these grants; None where one has no end."""
    ends = [grant.end for grant in grants]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def shadow_day(end: date | None) -> str:
    """The day in /etc/shadow on which an account is expired; "" where never.

    PAM refuses from that day on, so it is the day after the last one.
    """
    return "" if end is None else str((end - _EPOCH).days + 1)


def authorized_keys(grants: Iterable[Grant], today: date) -> str:
    """The keys of an account. A key is bound to its grant's addresses and to the earlier end."""
    lines: dict[str, None] = {}  # two grants may give the very same line
    for grant in grants:
        for key in grant.keys:
            ends = [end for end in (grant.end, key.expires) if end is not None]
            if ends and min(ends) < today:
                continue
            options = []
            if grant.sources:
                options.append(f'from="{",".join(grant.sources)}"')
            if ends:
                options.append(f'expiry-time="{min(ends):%Y%m%d}235959Z"')
            line = f"{','.join(options)} {key.text}" if options else key.text
            lines[f"{line} {grant.person}@{grant.third_party}\n"] = None
    return _HEADER + "".join(lines)


def sshd_drop_in(accounts: Iterable[str]) -> str | None:
    """What sshd is told of all accounts that were ever made; None where there are none.

    The keys lie where their holder cannot write: nobody can add one without addresses and end.
    """
    names = ",".join(sorted(accounts))
    if not names:
        return None
    return (
        f"{_HEADER}Match User {names}\n"
        f"    AuthorizedKeysFile {KEYS}/%u\n"
        "    AuthorizedKeysCommand none\n"
        "    TrustedUserCAKeys none\n"
        "    PasswordAuthentication no\n"
        "    HostbasedAuthentication no\n"
        "    DisableForwarding yes\n"
        "    PermitUserRC no\n"
    )


def sudoers(open_: Mapping[str, Iterable[Grant]]) -> str | None:
    """Who may run what as root, each command logged; None where nobody may.

    log_output keeps what was shown, log_subcmds each program that a program started. What is typed
    is not kept (log_input): passwords would be in it.
    """
    parts = []
    for account, grants in open_.items():
        rules = "".join(_rule(account, grant) for grant in grants if grant.sudo)
        if rules:
            parts.append(
                f"Defaults:{account} use_pty, log_output, log_subcmds, !authenticate\n"
                f'Defaults:{account} iolog_dir="{LOGS}/%{{user}}", iolog_file="%Y%m%d-%{{seq}}"\n'
                f"{rules}"
            )
    return _HEADER + "\n".join(parts) if parts else None


def ageing(accounts: Iterable[str], before: str, days: int) -> str:
    """What systemd-tmpfiles, once a day, removes of sudo's records; 0 days: nothing, ever.

    By the time of writing alone: whoever reads a record does not prolong it. `before`: this file as
    it is, whose accounts stay in it, for a record outlives its account. Records of other accounts
    in the same folder are not ours.
    """
    found = re.findall(rf"(?m)^#?e {re.escape(LOGS)}/(\S+) ", before)
    mark = "" if days else "#"  # kept there, so that the names are known when days are given again
    lines = [f"{mark}e {LOGS}/{n} - - - mM:{days}d\n" for n in sorted({*accounts, *found})]
    return _HEADER + "".join(lines)


def comment_of(grants: Iterable[Grant]) -> str:
    """The GECOS of an account: who it is, and of whom."""
    grant = next(iter(grants))
    plain = "".join(c for c in grant.name if c.isprintable() and c not in ":,=\\" and c.isascii())
    return f"{plain.strip() or grant.person} ({grant.third_party})"


def told(open_: Mapping[str, tuple[Grant, ...]], today: date) -> list[str]:
    """What an operator should know of grants that were carried out as they are."""
    found = []
    for account, grants in open_.items():
        where = f"{account} ({grants[0].person}, {grants[0].third_party})"
        if not any(grant.keys for grant in grants):
            found.append(f"{where}: people.yml has no public_key of this person: nobody signs in")
        elif authorized_keys(grants, today) == _HEADER:
            found.append(f"{where}: every key of this person has expired: nobody signs in")
        if any(not grant.sources for grant in grants):
            found.append(f"{where}: a grant has no `from`: its keys open from anywhere")
        if last_day(grants) is None:
            found.append(f"{where}: a grant has no end")
    return found


def day_of(value: Any, where: str) -> date | None:
    """A date as YYYY-MM-DD; None for nothing. Raises VendorError."""
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise VendorError(f"{where}: expected a date such as 2027-01-31, got {value!r}") from None


def _grant(where: str, row: Mapping[str, Any]) -> Grant:
    if not isinstance(row, Mapping):
        raise VendorError(f"{where}: expected a mapping")
    for key in row:
        if key not in _KEYS_KNOWN:
            raise VendorError(
                f"{where}.{key}: is not known, expected {', '.join(sorted(_KEYS_KNOWN))}"
            )
    account = str(row.get("account", ""))
    if not _NAME.fullmatch(account) or account == "root":
        raise VendorError(f"{where}.account: expected a name such as sc_sam, got {account!r}")
    for key in ("person", "third_party"):
        if not _WORD.fullmatch(str(row.get(key, ""))):
            raise VendorError(f"{where}.{key}: expected an id, got {row.get(key, '')!r}")
    return Grant(
        account,
        str(row["person"]),
        str(row.get("name") or row["person"]),
        str(row["third_party"]),
        tuple(_key(f"{where}.keys[{n}]", key) for n, key in enumerate(row.get("keys") or [])),
        tuple(_command(f"{where}.sudo[{n}]", text) for n, text in enumerate(row.get("sudo") or [])),
        tuple(_network(f"{where}.from[{n}]", net) for n, net in enumerate(row.get("from") or [])),
        day_of(row.get("start"), f"{where}.start"),
        day_of(row.get("end"), f"{where}.end"),
    )


def _key(where: str, row: Any) -> Key:
    said = row if isinstance(row, Mapping) else {"public_key": row}
    words = str(said.get("public_key", "")).split()
    try:
        blob = base64.b64decode(words[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        sound = blob[4 : 4 + length].decode("ascii") == words[0]
    except (IndexError, binascii.Error, UnicodeDecodeError):
        sound = False
    if not sound:
        raise VendorError(f"{where}.public_key: expected a public key such as ssh-ed25519 AAAA…")
    return Key(" ".join(words[:2]), day_of(said.get("expires"), f"{where}.expires"))


def _command(where: str, text: Any) -> str:
    said = str(text)
    if said != "ALL" and not (_COMMAND.fullmatch(said) and said.isprintable()):
        raise VendorError(f"{where}: expected ALL or a program's whole path, got {said!r}")
    return said


def _network(where: str, text: Any) -> str:
    try:
        return str(ipaddress.ip_network(str(text)))
    except ValueError:
        raise VendorError(f"{where}: expected a network or an address, got {text!r}") from None


def _rule(account: str, grant: Grant) -> str:
    times = f"NOTBEFORE={grant.start:%Y%m%d}000000Z " if grant.start else ""
    times += f"NOTAFTER={grant.end:%Y%m%d}235959Z " if grant.end else ""
    whom = "(ALL:ALL)" if "ALL" in grant.sudo else "(root)"
    commands = ["ALL"] if "ALL" in grant.sudo else [_escaped(text) for text in grant.sudo]
    return f"{account} ALL={whom} {times}NOPASSWD: {', '.join(commands)}\n"


def _escaped(command: str) -> str:
    program, _space, arguments = command.partition(" ")
    return " ".join(filter(None, (program, re.sub(r"([,:=\\#])", r"\\\1", arguments))))
