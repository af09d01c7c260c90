# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bans in the kernel: a table of nftables of its own, which stands beside any firewall."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping

from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import (
    Ban,
    banned_network,
    plain,
)

TABLE = "inet ringfence_bans"
OWN, SHARED = "ban", "shared"
_NFT = "/usr/sbin/nft"
_TIMEOUT = 60
_COMMENT = 120

# Who is never banned comes first, so that no element of any set can shut them out. After connection
# tracking: answers to what the host itself began still come in. IPv6 is looked up by its /64.
_RULES = """\
table {table} {{
    set never4 {{ type ipv4_addr; flags interval; auto-merge; }}
    set never6 {{ type ipv6_addr; flags interval; auto-merge; }}
    set ban4 {{ type ipv4_addr; flags timeout; }}
    set ban6 {{ type ipv6_addr; flags timeout; }}
    set shared4 {{ type ipv4_addr; flags timeout; }}
    set shared6 {{ type ipv6_addr; flags timeout; }}
}}
flush table {table}
flush set {table} never4
flush set {table} never6
table {table} {{
    chain prerouting {{
        type filter hook prerouting priority mangle - 1; policy accept;
        iifname "lo" accept
        ct direction reply accept
        icmpv6 type {{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} accept
        ip saddr @never4 accept
        ip6 saddr @never6 accept
        ip saddr @ban4 counter drop
        ip6 saddr and ffff:ffff:ffff:ffff:: @ban6 counter drop
        ip saddr @shared4 counter drop
        ip6 saddr and ffff:ffff:ffff:ffff:: @shared6 counter drop
    }}
{guard}}}
"""  # noqa: E501 - rules of nft, one a line
# The port by which peers tell of bans answers peers only, whatever else lets it in.
_PEERS = """\
    chain input {{
        type filter hook input priority filter - 1; policy accept;
        iifname "lo" accept
        {rules}
        tcp dport {port} counter drop
    }}
"""


class KernelError(Exception):
    """What nft refused, in one line."""


def table(never: Iterable[str], peers: Iterable[str] = (), port: int = 0) -> str:
    """The text that makes the table, and keeps the bans of one that is there."""
    guard = ""
    if port:
        allowed = [
            f"{_family(address)} saddr {address} tcp dport {port} accept" for address in peers
        ]
        guard = _PEERS.format(port=port, rules="\n\t\t".join(allowed) or "# no peers")
    text = _RULES.format(table=TABLE, guard=guard)
    for version, name in (("4", "never4"), ("6", "never6")):
        listed = [entry for entry in never if (":" in entry) == (version == "6")]
        if listed:
            text += f"add element {TABLE} {name} {{\n" + ",\n".join(listed) + "\n}\n"
    return text


def elements(bans: Iterable[Ban], host: str, now: int) -> str:
    """The text that brings bans into their sets, each with the time it has left."""
    longest: dict[tuple[str, str], Ban] = {}
    for ban in bans:
        key = (set_of(ban, host), key_of(ban.subject))
        if key not in longest or longest[key].until < ban.until:
            longest[key] = ban
    text = ""
    for (name, element), ban in longest.items():
        left = max(1, ban.until - now)
        said = plain(f"{ban.site or ban.source}: {ban.reason}", _COMMENT)
        # An element that is there keeps its time unless it is taken out first.
        text += f"add element {TABLE} {name} {{ {element} }}\n"
        text += f"delete element {TABLE} {name} {{ {element} }}\n"
        text += f'add element {TABLE} {name} {{ {element} timeout {left}s comment "{said}" }}\n'
    return text


def removal(subjects: Iterable[str]) -> str:
    """The text that takes addresses out of all sets."""
    text = ""
    for subject in subjects:
        key = key_of(subject)
        for kind in (OWN, SHARED):
            name = f"{kind}{'6' if ':' in key else '4'}"
            text += f"add element {TABLE} {name} {{ {key} }}\n"
            text += f"delete element {TABLE} {name} {{ {key} }}\n"
    return text


def set_of(ban: Ban, host: str) -> str:
    """The set that a ban belongs to: this host's own, or those that peers told of."""
    kind = OWN if ban.source == host else SHARED
    return f"{kind}{'6' if ':' in ban.subject else '4'}"


def key_of(subject: str) -> str:
    """An address as its set holds it."""
    return banned_network(subject).partition("/")[0]


def load(text: str) -> None:
    """Give it to nft, as one transaction. Raises KernelError."""
    if not text:
        return
    try:
        done = subprocess.run(
            [_NFT, "-f", "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"nft: {error}") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise KernelError(f"nft: {lines[0]}")


def is_loaded() -> bool:
    """Whether the table with its chain is there."""
    command = [_NFT, "list", "chain", *TABLE.split(), "prerouting"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"@never4 accept" in done.stdout


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"


def wanted_sets(bans: Iterable[Ban], host: str) -> Mapping[str, set[str]]:
    """Set -> addresses that should be in it."""
    found: dict[str, set[str]] = {}
    for ban in bans:
        found.setdefault(set_of(ban, host), set()).add(key_of(ban.subject))
    return found
