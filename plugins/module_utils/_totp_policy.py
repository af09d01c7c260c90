# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who must give a code over SSH, who is exempt, and the files that say so to sshd and to PAM."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._totp import (
    Limits,
    TotpError,
    checked_name,
    shown,
)

EVERYONE = "*"
STATE_FOLDER = "/var/lib/ringfence/second-factor"
SSHD_CONFIG = "/etc/ssh/sshd_config"
# sshd keeps the first value it meets, in Match blocks too: this name sorts before every other
# drop-in of ours. Match blocks end with the file they stand in, so nothing after it is caught.
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/00-ringfence-second-factor.conf"
SSHD_STACK = "/etc/pam.d/sshd"
CODE_STACK = "/etc/pam.d/ringfence-second-factor"
# From the networks that are kept for documentation: no host has them, so no Match block that
# means a real place can mean them.
NOWHERE = ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1")
METHODS_WITH_CODE = "publickey,keyboard-interactive:pam"

_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_CODE_STACK_NAME = "ringfence-second-factor"
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_EXEMPTION_KEYS = ("account", "reason", "owner", "expires", "sources")
_INCLUDE_OF_SSHD = re.compile(r"(?m)^(@include[ \t]+)(common-auth|ringfence-second-factor)\b")
_OTHER_FACTOR = re.compile(r"(?m)^[ \t]*-?auth\b.*\bpam_(google_authenticator|oath|duo|u2f)\.so")
_MODULE = (
    f"pam_google_authenticator.so secret={STATE_FOLDER}/${{USER}} user=root "
    # Left on, three codes of a wrong clock in a row would move the window there for good.
    "noskewadj"
)
_CODE_REQUIRED = (
    f"    AuthenticationMethods {METHODS_WITH_CODE}\n"
    "    PubkeyAuthentication yes\n"
    "    KbdInteractiveAuthentication yes\n"
    "    PasswordAuthentication no\n"
)
_KEY_ALONE = (
    "    AuthenticationMethods publickey\n"
    "    PubkeyAuthentication yes\n"
    "    KbdInteractiveAuthentication no\n"
    "    PasswordAuthentication no\n"
)


@dataclass(frozen=True)
class Exemption:
    """An account that needs no code when it comes from `sources`, up to and with `expires`."""

    account: str
    reason: str
    owner: str
    expires: date
    sources: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    def holds(self, today: date) -> bool:
        """Whether it has not expired."""
        return today <= self.expires

    def covers(self, address: str) -> bool:
        """Whether `address` lies in one of the sources; a zone (`%eth0`) does not count."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.sources)

    def places(self) -> str:
        """The sources in one line."""
        return ", ".join(str(network) for network in self.sources)


@dataclass(frozen=True)
class Policy:
    """`groups`: Unix groups whose members must, or (EVERYONE,); empty where nobody must."""

    groups: tuple[str, ...]
    exemptions: tuple[Exemption, ...]
    limits: Limits = field(default_factory=Limits)

    @property
    def everyone(self) -> bool:
        """Whether every account must."""
        return self.groups == (EVERYONE,)

    def named(self) -> tuple[str, ...]:
        """Accounts with an exemption, expired or not: elsewhere they must, in a group or not."""
        return tuple(sorted({exemption.account for exemption in self.exemptions}))

    def wants(self, account: str, groups: Iterable[str]) -> bool:
        """Whether `account` must give a code where no exemption covers it."""
        if not self.groups:
            return False
        return self.everyone or account in self.named() or not set(self.groups).isdisjoint(groups)

    def exemption(self, account: str, address: str, today: date) -> Exemption | None:
        """The exemption that lets `account` in from `address` without a code."""
        for exemption in self.exemptions:
            mine = exemption.account == account and exemption.holds(today)
            if mine and exemption.covers(address):
                return exemption
        return None

    def is_exempt(self, account: str, today: date) -> bool:
        """Whether an exemption lets `account` in from somewhere without a code."""
        return any(e.account == account and e.holds(today) for e in self.exemptions)

    def elsewhere(self, account: str, today: date) -> str:
        """An address that no exemption of `account` covers; "" where they cover all."""
        free = (address for address in NOWHERE if not self.exemption(account, address, today))
        return next(free, "")


def read_policy(groups: list[str], exemptions: list[dict[str, Any]], limits: Limits) -> Policy:
    """The policy of the role's variables. Raises TotpError: variable, place, what was expected."""
    if EVERYONE in groups and len(groups) > 1:
        raise TotpError("ssh_second_factor_groups: '*' is everybody and stands alone")
    for name in groups:
        if name != EVERYONE and not _GROUP.fullmatch(name):
            raise TotpError(
                f"ssh_second_factor_groups: {shown(name)}: expected a Unix group's name or '*'"
            )
    _require_range("ssh_second_factor_attempts", limits.attempts, 1, 100)
    _require_range("ssh_second_factor_seconds", limits.seconds, 1, 3600)
    read = tuple(_exemption(number, row) for number, row in enumerate(exemptions))
    return Policy(tuple(dict.fromkeys(groups)), read, limits)


def drop_in(policy: Policy, today: date) -> str | None:
    """What sshd is told; None where nobody must."""
    if not policy.groups:
        return None
    # Compiled in, UsePAM is off; without it the code would never be asked for.
    parts = [_HEADER, "UsePAM yes\n"]
    for exemption in policy.exemptions:
        if exemption.holds(today):
            places = ",".join(str(network) for network in exemption.sources)
            parts += [
                f"\n# Until {exemption.expires}, owner {exemption.owner}: {exemption.reason}\n",
                f"Match User {exemption.account} Address {places}\n{_KEY_ALONE}",
            ]
    if policy.everyone:
        return "".join([*parts, f"\nMatch User *\n{_CODE_REQUIRED}"])
    if policy.exemptions:
        parts.append(f"\nMatch User {','.join(policy.named())}\n{_CODE_REQUIRED}")
    parts.append(f"\nMatch Group {','.join(policy.groups)}\n{_CODE_REQUIRED}")
    return "".join(parts)


def code_stack(policy: Policy) -> str | None:
    """What PAM asks when sshd calls it; None where nobody must."""
    if not policy.groups:
        return None
    if policy.everyone:
        return f"{_HEADER}auth required {_MODULE}\n"
    others = f"user notingroup {':'.join(policy.groups)}"
    if policy.exemptions:
        others += f" user notin {':'.join(policy.named())}"
    return (
        f"{_HEADER}"
        # Only who is surely not meant goes past the code: an error leads to it, not around it.
        f"auth [success=1 user_unknown=1 default=ignore] pam_succeed_if.so quiet {others}\n"
        f"auth [success=done new_authtok_reqd=done default=die] {_MODULE}\n"
        "@include common-auth\n"
    )


def sshd_stack(text: str, *, required: bool) -> str:
    """/etc/pam.d/sshd with its one line of authentication pointed at the code, or back.

    Raises TotpError where that line is not there, or where something else asks for a code already.
    """
    other = _OTHER_FACTOR.search(text)
    if other and required:
        raise TotpError(
            f"{SSHD_STACK}: pam_{other[1]}.so is in it already: take that line out first"
        )
    found = _INCLUDE_OF_SSHD.findall(text)
    if len(found) != 1:
        if not found and not required:
            return text
        raise TotpError(
            f"{SSHD_STACK}: expected one line '@include common-auth', found {len(found)}: "
            "it was changed by hand and is left alone"
        )
    name = _CODE_STACK_NAME if required else "common-auth"
    return _INCLUDE_OF_SSHD.sub(rf"\g<1>{name}", text)


def _exemption(number: int, row: Any) -> Exemption:
    where = f"ssh_second_factor_exemptions[{number}]"
    if not isinstance(row, dict):
        raise TotpError(f"{where}: expected a mapping with {', '.join(_EXEMPTION_KEYS)}")
    where += f" ({row['account']!a})" if row.get("account") else ""
    for key in _EXEMPTION_KEYS:
        if not row.get(key):
            raise TotpError(f"{where}.{key}: is missing")
    for key in row:
        if key not in _EXEMPTION_KEYS:
            raise TotpError(
                f"{where}: {shown(str(key))}: expected only {', '.join(_EXEMPTION_KEYS)}"
            )
    try:
        checked_name(str(row["account"]))
    except TotpError as error:
        raise TotpError(f"{where}.{error}") from error
    return Exemption(
        str(row["account"]),
        _one_line(where, row, "reason"),
        _one_line(where, row, "owner"),
        _day(where, row["expires"]),
        _networks(where, row["sources"]),
    )


def _one_line(where: str, row: dict[str, Any], key: str) -> str:
    text = str(row[key]).strip()
    if not text or not text.isprintable():
        raise TotpError(f"{where}.{key}: expected one printable line, got {shown(str(row[key]))}")
    return text


def _day(where: str, found: Any) -> date:
    try:
        plain = isinstance(found, date) and not isinstance(found, datetime)
        return found if plain else date.fromisoformat(str(found))
    except ValueError as error:
        raise TotpError(
            f"{where}.expires: expected a date such as 2027-01-31, got {shown(str(found))}"
        ) from error


def _networks(where: str, found: Any) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    if not isinstance(found, list):
        raise TotpError(f"{where}.sources: expected a list of networks, got {shown(str(found))}")
    networks = []
    for source in found:
        try:
            networks.append(ipaddress.ip_network(str(source)))
        except ValueError as error:
            raise TotpError(
                f"{where}.sources: expected a network such as 192.0.2.0/28 or an address, "
                f"got {shown(str(source))}{_meant(source)}"
            ) from error
    return tuple(networks)


def _meant(source: Any) -> str:
    try:
        return f" (did you mean {ipaddress.ip_network(str(source), strict=False)}?)"
    except ValueError:
        return ""


def _require_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise TotpError(f"{name}: expected {lowest} to {highest}, got {value}")
