# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The firewall as data: from zones and services to the text that nft loads, and back from listings.

Nothing here touches a host. What is live is compared as nft's own text listing of the table, not as
its JSON: nft 1.0.6 garbles there that a table is dormant, and a person can read a text diff.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Ports = tuple[tuple[int, int], ...]
Blocks = dict[str, str]

TABLE = "inet ringfence"
MANAGEMENT = "management"
PUBLIC = "public"
ANY = "any"
LOG_PREFIX = "ringfence drop: "
# Sets that are filled at run time: their elements are no drift, and a reload keeps them.
FILLED_SETS = {
    "allow4": "type ipv4_addr; flags interval;",
    "allow6": "type ipv6_addr; flags interval;",
    "ban4": "type ipv4_addr; flags timeout;",
    "ban6": "type ipv6_addr; flags timeout;",
    "ban4_networks": "type ipv4_addr; flags interval,timeout;",
    "ban6_networks": "type ipv6_addr; flags interval,timeout;",
    "block4": "type ipv4_addr; flags interval;",
    "block6": "type ipv6_addr; flags interval;",
    "block4_addresses": "type ipv4_addr;",
    "block6_addresses": "type ipv6_addr;",
}
# By number, ICMP below too: names are looked up in /etc/protocols, which a small host lacks.
PROTOCOLS = {"ah": 51, "esp": 50, "gre": 47, "igmp": 2, "sctp": 132, "vrrp": 112}

_FAMILIES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_SERVICE_KEYS = ("tcp", "udp", "protocols", "zones", "limit")
_MAX_PER_MINUTE = 10_000
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_HEADER = "# Written by Ringfence. The next run puts back what is changed here by hand.\n"
# RFC 4890: without these, neighbours are not found, paths with a small MTU stall, and a host
# that was given its address by DHCP loses it. Neighbour discovery is only valid with hop limit 255.
_ESSENTIAL = """\
	chain essential {
		icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
		icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
		icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
		ip6 saddr { ::, fe80::/10 } icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept
		udp sport 67 udp dport 68 accept
		ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
	}
"""  # noqa: E501 - rules of nft, one a line


class DeclarationError(Exception):
    """What is wrong with the declared firewall, every problem in one line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Zone(NamedTuple):
    """Where connections come from: `networks` without overlap, or anywhere."""

    name: str
    networks: tuple[Network, ...] = ()
    anywhere: bool = False

    def holds(self, address: Address) -> bool:
        """Whether the address belongs to this zone."""
        return self.anywhere or any(
            address in network for network in self.networks if network.version == address.version
        )


class Service(NamedTuple):
    """What is reached: port ranges and protocol numbers, from which zones, how often.

    `limit` counts new connections a minute from one IPv4 address or IPv6 /64; 0 is no limit.
    """

    name: str
    zones: tuple[str, ...]
    tcp: Ports = ()
    udp: Ports = ()
    protocols: tuple[int, ...] = ()
    limit: int = 0


class Firewall(NamedTuple):
    """A whole declaration. `outbound` None: everything may leave. `log_rate`: lines a minute."""

    zones: dict[str, Zone]
    services: tuple[Service, ...]
    outbound: tuple[Service, ...] | None
    log_rate: int


# --- from a declaration


def parse(declared: dict[str, Any]) -> Firewall:
    """A declaration from `zones`, `services`, `outbound_policy`, `outbound_services`, `log_rate`.

    Raises DeclarationError that names each wrong place as the role's variable.
    """
    problems: list[str] = []
    zones = _zones(declared["zones"], problems)
    services = _services("firewall_services", declared["services"], zones, problems)
    outbound = None
    named = "firewall_outbound_services"
    if declared["outbound_policy"] == "drop":
        outbound = _services(named, declared["outbound_services"], zones, problems)
        problems += [
            f"{named}.{service.name}.limit: only what comes in is limited"
            for service in outbound
            if service.limit
        ]
    elif declared["outbound_services"]:
        problems.append(f"{named}: has no effect unless firewall_outbound_policy is drop")
    if not 0 <= declared["log_rate"] <= _MAX_PER_MINUTE:
        problems.append(
            f"firewall_log_rate: found {declared['log_rate']}, "
            f"expected 0 to {_MAX_PER_MINUTE} lines a minute"
        )
    if problems:
        raise DeclarationError(problems)
    return Firewall(zones, services, outbound, declared["log_rate"])


def network(text: Any) -> Network:
    """An address or a network, both IP versions. Raises ValueError that says what was expected."""
    if not isinstance(text, str):
        raise ValueError(f"found {text!r}, expected an address or a network as text")
    if "%" in text:
        raise ValueError(f"found {text}, expected an address without an interface")
    try:
        found = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"found {text}, expected an address or a network, "
            "such as 203.0.113.0/24 or 2001:db8::/48"
        ) from None
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(_MAPPED):
        inner = found.network_address.ipv4_mapped
        raise ValueError(
            f"found {text}, an IPv4 address inside IPv6, which no packet comes from: "
            f"write {inner}/{found.prefixlen - 96}"
        )
    if found.version == 6 and found.overlaps(_MAPPED) and found.prefixlen:
        raise ValueError(f"found {text}, which holds IPv4 addresses inside IPv6, {_MAPPED}")
    _require_network_address(text.strip(), found)
    return found


def _require_network_address(text: str, found: Network) -> None:
    address = ipaddress.ip_address(text.partition("/")[0])
    if address != found.network_address:
        raise ValueError(
            f"found {text}, which is an address inside a network: "
            f"write {found} for all of it, or {address}"
        )


def collapse(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Networks without overlap, neighbours joined, IPv4 first."""
    listed = list(networks)
    fours = [found for found in listed if isinstance(found, ipaddress.IPv4Network)]
    sixes = [found for found in listed if isinstance(found, ipaddress.IPv6Network)]
    return (*ipaddress.collapse_addresses(fours), *ipaddress.collapse_addresses(sixes))


def _zones(declared: dict[str, Any], problems: list[str]) -> dict[str, Zone]:
    zones = {PUBLIC: Zone(PUBLIC, anywhere=True), MANAGEMENT: Zone(MANAGEMENT)}
    for name, listed in declared.items():
        where = f"firewall_zones.{name}"
        if not _named(where, name, problems):
            continue
        if listed == ANY:
            zones[name] = Zone(name, anywhere=True)
        elif isinstance(listed, list):
            zones[name] = Zone(name, _networks(where, listed, problems))
        elif listed is not None or name != MANAGEMENT:
            problems.append(f"{where}: found {listed!r}, expected a list of addresses, or {ANY}")
    if MANAGEMENT not in declared or declared[MANAGEMENT] in ([], None):
        problems.append(
            f"firewall_zones.{MANAGEMENT}: is empty, expected the addresses that "
            "administrators connect from, for they are never banned or blocked"
        )
    elif declared[MANAGEMENT] == ANY:
        problems.append(
            f"firewall_zones.{MANAGEMENT}: found {ANY}, expected addresses: "
            "nobody could be banned or blocked"
        )
    return zones


def _named(where: str, name: Any, problems: list[str]) -> bool:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return True
    problems.append(
        f"{where}: found the name {name!r}, expected a small letter, "
        "then small letters, digits and _, 31 at most"
    )
    return False


def _networks(where: str, listed: list[Any], problems: list[str]) -> tuple[Network, ...]:
    found = []
    for number, text in enumerate(listed):
        try:
            found.append(network(text))
        except ValueError as error:
            problems.append(f"{where}[{number}]: {error}")
    collapsed = collapse(found)
    if any(not each.prefixlen for each in collapsed):
        problems.append(f"{where}: holds every address, expected networks, or the word {ANY}")
    return collapsed


def _services(
    where: str, declared: dict[str, Any], zones: dict[str, Zone], problems: list[str]
) -> tuple[Service, ...]:
    services = []
    for name, body in declared.items():
        place = f"{where}.{name}"
        if not _named(place, name, problems):
            continue
        if isinstance(body, dict):
            services.append(_service(place, name, body, zones, problems))
        else:
            problems.append(f"{place}: found {body!r}, expected {', '.join(_SERVICE_KEYS)}")
    # The order has no effect, and moving a service in a file shall change no host.
    return tuple(sorted(services))


def _service(
    where: str, name: str, body: dict[str, Any], zones: dict[str, Zone], problems: list[str]
) -> Service:
    unknown = body.keys() - set(_SERVICE_KEYS)
    for key in sorted(map(str, unknown)):
        expected = _nearest(key, _SERVICE_KEYS) or ", ".join(_SERVICE_KEYS)
        problems.append(f"{where}.{key}: is not known, expected {expected}")
    tcp = _ports(f"{where}.tcp", body.get("tcp", []), problems)
    udp = _ports(f"{where}.udp", body.get("udp", []), problems)
    protocols = _protocols(f"{where}.protocols", body.get("protocols", []), problems)
    if not unknown and not any(body.get(key) for key in ("tcp", "udp", "protocols")):
        problems.append(f"{where}: opens nothing, expected ports in tcp or udp, or protocols")
    limit = body.get("limit", 0)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= _MAX_PER_MINUTE:
        problems.append(
            f"{where}.limit: found {limit!r}, "
            f"expected 0 to {_MAX_PER_MINUTE} new connections a minute"
        )
    named = _zone_names(f"{where}.zones", body.get("zones", []), zones, problems)
    return Service(name, named, tcp, udp, protocols, limit)


def _zone_names(
    where: str, listed: Any, zones: dict[str, Zone], problems: list[str]
) -> tuple[str, ...]:
    if not isinstance(listed, list) or not listed:
        problems.append(f"{where}: found {listed!r}, expected a list with at least one zone")
        return ()
    for name in listed:
        if name not in zones:
            expected = _nearest(str(name), zones) or ", ".join(sorted(zones))
            problems.append(f"{where}: there is no zone {name}, expected {expected}")
    return tuple(sorted({str(name) for name in listed}))


def _ports(where: str, listed: Any, problems: list[str]) -> Ports:
    if not isinstance(listed, list):
        problems.append(f"{where}: found {listed!r}, expected a list of ports")
        return ()
    found = []
    for number, each in enumerate(listed):
        try:
            found.append(_port_range(each))
        except ValueError as error:
            problems.append(f"{where}[{number}]: {error}")
    return _joined(found)


def _port_range(found: Any) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", str(found))
    if not match or isinstance(found, (bool, float)):
        raise ValueError(f"found {found!r}, expected a port, or a range such as 8000-8010")
    low, high = int(match[1]), int(match[2] or match[1])
    for port in (low, high):
        if not 1 <= port <= 65535:
            raise ValueError(f"port {port} is out of range, expected 1 to 65535")
    if low > high:
        raise ValueError(f"found {found}, expected the lower port first")
    return low, high


def _joined(ranges: Iterable[tuple[int, int]]) -> Ports:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def _protocols(where: str, listed: Any, problems: list[str]) -> tuple[int, ...]:
    if not isinstance(listed, list):
        problems.append(f"{where}: found {listed!r}, expected a list of {', '.join(PROTOCOLS)}")
        return ()
    for name in listed:
        if name not in PROTOCOLS:
            problems.append(f"{where}: found {name!r}, expected {', '.join(PROTOCOLS)}")
    return tuple(sorted({PROTOCOLS[name] for name in listed if name in PROTOCOLS}))


def _nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


# --- what a declaration means


def admits(firewall: Firewall, address: Address, port: int) -> bool:
    """Whether a new TCP connection from `address` to `port` of the host is let in."""
    return any(
        firewall.zones[zone].holds(address)
        for service in firewall.services
        for zone in service.zones
        if any(low <= port <= high for low, high in service.tcp)
    )


def opens(firewall: Firewall, protocol: str, port: int) -> bool:
    """Whether a `tcp` or `udp` port is let in from anywhere at all."""
    return any(
        low <= port <= high
        for service in firewall.services
        for low, high in (service.tcp if protocol == "tcp" else service.udp)
    )


# --- to nft's language


def render(firewall: Firewall) -> str:
    """The text that nft loads, at boot as well: one transaction, which keeps filled sets as they
    are where the table is already there."""
    zones = _used_zones(firewall)
    sets = {**FILLED_SETS, **_zone_sets(zones), **_limit_sets(firewall)}
    lines = [f"table {TABLE} {{"]
    lines += [f"\tset {name} {{ {body} }}" for name, body in sorted(sets.items())]
    lines += ["}", f"flush table {TABLE}"]
    lines += [f"flush set {TABLE} {name}" for name in sorted(_zone_sets(zones))]
    lines += [f"table {TABLE} {{", _ESSENTIAL.rstrip("\n")]
    lines += _prerouting()
    lines += _input(firewall)
    if firewall.outbound is not None:
        lines += _output(firewall)
    lines += [*_zone_chains(firewall.services, "zone", "saddr"), "}"]
    for zone in zones:
        lines += _zone_elements(zone)
    return _HEADER + "\n".join(lines) + "\n"


def _used_zones(firewall: Firewall) -> list[Zone]:
    """Those with addresses that a rule names, in the order of their names."""
    services = (*firewall.services, *(firewall.outbound or ()))
    named = {MANAGEMENT, *(zone for service in services for zone in service.zones)}
    zones = (firewall.zones[name] for name in sorted(named))
    return [zone for zone in zones if not zone.anywhere]


def _zone_sets(zones: list[Zone]) -> dict[str, str]:
    return {
        f"zone_{zone.name}{version}": f"type {kind}; flags interval;"
        for zone in zones
        for version, (_family, kind) in _FAMILIES.items()
    }


def _limit_sets(firewall: Firewall) -> dict[str, str]:
    return {
        f"limit_{service.name}{version}": (
            f"type {kind}; size 65535; flags dynamic,timeout; timeout 2m;"
        )
        for service in firewall.services
        if service.limit
        for version, (_family, kind) in _FAMILIES.items()
    }


def _zone_elements(zone: Zone) -> Iterator[str]:
    for version in _FAMILIES:
        listed = [each for each in zone.networks if each.version == version]
        if listed:
            yield f"add element {TABLE} zone_{zone.name}{version} {{"
            yield from (f"\t{_element(each)}," for each in listed)
            yield "}"


def _element(found: Network) -> str:
    whole = found.prefixlen == found.max_prefixlen
    return str(found.network_address if whole else found)


def _prerouting() -> Iterator[str]:
    """Who is banned or blocked. In prerouting, so that containers behind the host are covered too;
    after connection tracking, so that answers to what the host itself began still come in."""
    yield "\tchain prerouting {"
    yield "\t\ttype filter hook prerouting priority mangle; policy accept;"
    yield '\t\tiifname "lo" accept'
    yield "\t\tct direction reply accept"
    yield "\t\tjump essential"
    for name in (f"zone_{MANAGEMENT}", "allow"):
        for version, (family, _kind) in _FAMILIES.items():
            yield f"\t\t{family} saddr @{name}{version} accept"
    for version, (family, _kind) in _FAMILIES.items():
        for name in ("ban{}", "ban{}_networks", "block{}", "block{}_addresses"):
            yield f"\t\t{family} saddr @{name.format(version)} counter drop"
    yield "\t}"


def _input(firewall: Firewall) -> Iterator[str]:
    yield "\tchain input {"
    yield "\t\ttype filter hook input priority filter; policy drop;"
    yield '\t\tiifname "lo" accept'
    yield "\t\tct state established,related accept"
    yield "\t\tjump essential"
    yield "\t\tct state invalid counter drop"
    yield "\t\ticmp type echo-request limit rate 20/second burst 20 packets accept"
    yield "\t\ticmpv6 type echo-request limit rate 20/second burst 20 packets accept"
    yield from _jumps(firewall, firewall.services, "zone", "saddr")
    if firewall.log_rate:
        yield f'\t\tlimit rate {firewall.log_rate}/minute log prefix "{LOG_PREFIX}" level info'
    yield "\t\tcounter drop"
    yield "\t}"


def _output(firewall: Firewall) -> Iterator[str]:
    services = firewall.outbound or ()
    yield "\tchain output {"
    yield "\t\ttype filter hook output priority filter; policy drop;"
    yield '\t\toifname "lo" accept'
    yield "\t\tct state established,related accept"
    yield "\t\tmeta l4proto { 1, 58 } accept"
    yield "\t\tudp sport 68 udp dport 67 accept"
    yield "\t\tip6 daddr { fe80::/10, ff02::1:2 } udp sport 546 udp dport 547 accept"
    yield from _jumps(firewall, services, "to", "daddr")
    yield "\t\tcounter drop"
    yield "\t}"
    yield from _zone_chains(services, "to", "daddr")


def _jumps(
    firewall: Firewall, services: tuple[Service, ...], prefix: str, side: str
) -> Iterator[str]:
    named = {zone for service in services for zone in service.zones}
    # Management first, anywhere last.
    order = sorted(named, key=lambda n: (firewall.zones[n].anywhere, n != MANAGEMENT, n))
    for name in order:
        if firewall.zones[name].anywhere:
            yield f"\t\tjump {prefix}_{name}"
            continue
        for version, (family, _kind) in _FAMILIES.items():
            yield f"\t\t{family} {side} @zone_{name}{version} jump {prefix}_{name}"


def _zone_chains(services: tuple[Service, ...], prefix: str, side: str) -> Iterator[str]:
    for name in sorted({zone for service in services for zone in service.zones}):
        yield f"\tchain {prefix}_{name} {{"
        for service in services:
            if name in service.zones:
                yield from _service_rules(service, limited=side == "saddr" and name != MANAGEMENT)
        yield "\t}"


def _service_rules(service: Service, *, limited: bool) -> Iterator[str]:
    for match in _matches(service):
        if service.limit and limited:
            yield from _limit_rules(service, match)
        yield f'\t\t{match} accept comment "{service.name}"'


def _limit_rules(service: Service, match: str) -> Iterator[str]:
    rate = f"limit rate over {service.limit}/minute burst {service.limit} packets"
    # Whoever has one IPv6 address has the whole /64.
    sources = {4: "ip saddr", 6: "ip6 saddr and ffff:ffff:ffff:ffff::"}
    for version, (family, _kind) in _FAMILIES.items():
        yield (
            f"\t\t{match} {family} saddr != @zone_{MANAGEMENT}{version} "
            f"update @limit_{service.name}{version} {{ {sources[version]} {rate} }} counter drop"
        )


def _matches(service: Service) -> Iterator[str]:
    for protocol, ports in (("tcp", service.tcp), ("udp", service.udp)):
        if ports:
            shown = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ports)
            yield f"{protocol} dport {{ {shown} }}"
    if service.protocols:
        yield f"meta l4proto {{ {', '.join(map(str, service.protocols))} }}"


# --- from nft's listings


def blocks(listing: str) -> Blocks:
    """The parts of one table's listing by their headings, as "chain input"; "" holds its flags."""
    found: Blocks = {}
    heading = ""
    for line in listing.splitlines():
        if not line.startswith("\t"):
            continue
        if not line.startswith("\t\t") and line.endswith("{"):
            heading = line.strip(" \t{")
        found[heading] = found.get(heading, "") + line + "\n"
        if line == "\t}":
            heading = ""
    return found


def zone_sets(found: Blocks) -> list[str]:
    """Names of the sets whose elements are declared."""
    return sorted(name[4:] for name in found if name.startswith("set zone_"))


def listing(found: Blocks) -> str:
    """Blocks as text in an order of their own, for a diff."""
    return "\n".join(found[heading] for heading in sorted(found))


def mending(live: Blocks, wanted: Blocks) -> tuple[list[str], list[str]]:
    """Commands that remove what the text to load cannot overwrite, and the filled sets among it.

    The text that is loaded right after, in the same transaction, brings back what is declared.
    """
    doomed = [heading for heading in live if heading and _is_in_the_way(heading, live, wanted)]
    if not doomed:
        return [], []
    # Maps may hold jumps to chains; chains hold no reference once the table is flushed.
    doomed.sort(key=lambda heading: (not heading.startswith("map "), heading))
    commands = [f"table {TABLE}", f"flush table {TABLE}"]
    for heading in doomed:
        kind, _space, name = heading.rpartition(" ")
        commands.append(f"delete {kind} {TABLE} {name}")
    return commands, sorted(h[4:] for h in doomed if h.removeprefix("set ") in FILLED_SETS)


def _is_in_the_way(heading: str, live: Blocks, wanted: Blocks) -> bool:
    if heading not in wanted:
        return True
    if heading.startswith("chain "):
        return _hook(live[heading]) != _hook(wanted[heading])
    return _without_elements(live[heading]) != _without_elements(wanted[heading])


def _hook(block: str) -> str:
    match = re.search(r"^\t\ttype .*? hook .*?;", block, re.MULTILINE)
    return match[0] if match else ""


def _without_elements(block: str) -> str:
    return re.sub(r"^\t\telements = \{.*?\}\n", "", block, flags=re.MULTILINE | re.DOTALL)
