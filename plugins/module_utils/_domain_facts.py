# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the registry (RDAP) and the DNS say of domains, and whether origins hide behind their CDN.

Where a registrar's own interface was asked as well, the registry's word on the transfer lock and
the expiry counts, and the registrar's stands in where the registry is silent. Unknown stays None.
Sources: RFC 9083 (RDAP answers), RFC 9224 (which server knows a top-level domain).
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row as shape
from ansible_collections.ringfence.hosting.plugins.module_utils import _rest

try:
    import dns.exception
    import dns.flags
    import dns.name
    import dns.resolver
except ImportError:  # told by the module
    HAS_DNSPYTHON = False
else:
    HAS_DNSPYTHON = True

BOOTSTRAP = "https://data.iana.org/rdap/dns.json"
_LOCKS = ("client transfer prohibited", "server transfer prohibited")
_AT_ONCE = 8


class DomainError(Exception):
    """Why something cannot be told, in one line."""


@dataclass(frozen=True)
class Asking:
    """Whom to ask. `rdap`: one server for all, else the bootstrap file tells; `resolver`: address
    and port of a resolver, else the system's."""

    rdap: str = ""
    bootstrap: str = BOOTSTRAP
    resolver: tuple[str, int] | None = None
    seconds: float = 10.0


def resolver_of(text: str) -> tuple[str, int] | None:
    """ADDRESS or ADDRESS:PORT; None for the system's. Raises ValueError."""
    if not text:
        return None
    address, _colon, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "53")
    try:
        return str(ipaddress.ip_address(address)), int(port)
    except ValueError:
        raise ValueError(f"found {text}, expected an address such as 192.0.2.53") from None


class Names:
    """The DNS, by one resolver."""

    def __init__(self, asking: Asking) -> None:
        self._resolver = dns.resolver.Resolver(configure=asking.resolver is None)
        if asking.resolver:
            self._resolver.nameservers = [asking.resolver[0]]
            self._resolver.port = asking.resolver[1]
        self._resolver.lifetime = asking.seconds

    def apex(self, host: str) -> str:
        """The zone that a name lies in: the domain that was registered. Raises DomainError."""
        try:
            zone = dns.resolver.zone_for_name(host, resolver=self._resolver)
        except dns.exception.DNSException as error:
            raise DomainError(f"DNS: {_said(error)}") from None
        text = zone.to_text(omit_final_dot=True).lower()
        if text.count(".") == 0:
            raise DomainError(f"DNS: there is no domain {host}")
        return str(text)

    def texts(self, name: str, kind: str) -> list[str]:
        """The records of a name, as text; none where it has none. Raises DomainError."""
        try:
            answer = self._resolver.resolve(name, kind)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            return []
        except dns.exception.DNSException as error:
            raise DomainError(f"DNS: {_said(error)}") from None
        return sorted(record.to_text() for record in answer)


class Registry:
    """RDAP, each server found once."""

    def __init__(self, asking: Asking, wait: Callable[[float], None] | None = None) -> None:
        self._asking = asking
        self._more = {"wait": wait} if wait else {}
        self._servers: dict[str, str] | None = None

    def domain(self, name: str) -> dict[str, Any]:
        """What the registry says of a domain. Raises RestError, DomainError."""
        api = _rest.Api(self._server(name), {}, self._asking.seconds, **self._more)  # type: ignore[arg-type]
        found = api.get(f"/domain/{name}")
        if not isinstance(found, dict) or found.get("objectClassName") != "domain":
            raise DomainError("the registry's answer is about no domain")
        return found

    def prepare(self) -> None:
        """Read the list of servers, once, before many ask. Raises RestError."""
        if self._asking.rdap or self._servers is not None:
            return
        head, _slash, tail = self._asking.bootstrap.rpartition("/")
        found = _rest.Api(head, {}, self._asking.seconds, **self._more).get(f"/{tail}")  # type: ignore[arg-type]
        self._servers = {
            zone.lower(): next(url for url in urls if url.startswith("https"))
            for zones, urls in found["services"]
            for zone in zones
            if any(url.startswith("https") for url in urls)
        }

    def _server(self, name: str) -> str:
        if self._asking.rdap:
            return self._asking.rdap
        self.prepare()
        top = name.rpartition(".")[2]
        if top not in (self._servers or {}):
            raise DomainError(f"no registry of .{top} answers by RDAP")
        return (self._servers or {})[top]


def domains(
    wanted: Iterable[Mapping[str, Any]],
    asking: Asking,
    registered: Sequence[Mapping[str, Any]] = (),
    wait: Callable[[float], None] | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Facts of the domains that hold the names of sites, and the coverage of each source.

    `wanted`: rows with `name` (of a site) and `client`; `registered`: what registrars' interfaces
    said (`domain`, `transfer_lock`, `auto_renew`, `expires`).
    """
    names, registry = Names(asking), Registry(asking, wait)
    zones, covered = _zones(wanted, names)
    try:
        registry.prepare()
    except (_rest.RestError, KeyError, TypeError, ValueError, StopIteration) as error:
        said = f"the list of registries cannot be read: {error}"
        covered.append(shape.coverage("registries", "failed", said))
    by_registrar = {str(one["domain"]): one for one in registered}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = pool.map(lambda zone: _domain(zone, names, registry), sorted(zones))
        found = []
        for zone, (facts, one_covered) in zip(sorted(zones), told, strict=True):
            covered += one_covered
            clients = zones[zone]
            client = next(iter(clients)) if len(clients) == 1 else ""
            found.append(_with(facts, by_registrar.get(zone), client))
    return found, covered


def _zones(
    wanted: Iterable[Mapping[str, Any]], names: Names
) -> tuple[dict[str, set[str]], list[dict[str, Any]]]:
    zones: dict[str, set[str]] = {}
    covered = []
    for one in wanted:
        try:
            zones.setdefault(names.apex(one["name"]), set()).add(str(one.get("client") or ""))
        except DomainError as error:
            covered.append(shape.coverage(f"domain of {one['name']}", "failed", str(error)))
    return zones, covered


def _domain(
    zone: str, names: Names, registry: Registry
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    facts: dict[str, Any] = {"domain": zone}
    covered = []
    looks: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        (f"registry of {zone}", lambda: _by_registry(registry.domain(zone))),
        (f"DNS of {zone}", lambda: _by_dns(zone, names)),
    ]
    for source, look in looks:
        try:
            told = look()
        except (_rest.RestError, DomainError) as error:
            covered.append(shape.coverage(source, "failed", str(error)))
        except (KeyError, TypeError, ValueError, AttributeError):
            covered.append(shape.coverage(source, "failed", "an answer of another shape"))
        else:
            facts = {**told, **{key: value for key, value in facts.items() if value is not None}}
            covered.append(shape.coverage(source, "read", count=1))
    return facts, covered


def _by_registry(said: Mapping[str, Any]) -> dict[str, Any]:
    status = [str(one).lower() for one in said.get("status") or []]
    ends = [e["eventDate"] for e in said.get("events") or [] if e["eventAction"] == "expiration"]
    signed = (said.get("secureDNS") or {}).get("delegationSigned")
    return {
        # A registry that lists no status at all says nothing of a lock.
        "transfer_lock": any(lock in status for lock in _LOCKS) if status else None,
        "dnssec": signed,
        "expires": str(ends[0])[:10] if ends else None,
        "registrar": _registrar(said),
    }


def _registrar(said: Mapping[str, Any]) -> str | None:
    for entity in said.get("entities") or []:
        if "registrar" in (entity.get("roles") or []):
            card = (entity.get("vcardArray") or [None, []])[1]
            return next((str(row[3]) for row in card if row[0] == "fn"), None)
    return None


def _by_dns(zone: str, names: Names) -> dict[str, Any]:
    spf = [text for text in names.texts(zone, "TXT") if text.strip('"').startswith("v=spf1")]
    return {
        "dnssec": bool(names.texts(zone, "DS")) and bool(names.texts(zone, "DNSKEY")),
        "name_servers": names.texts(zone, "NS"),
        "caa": names.texts(zone, "CAA"),
        "spf": bool(spf),
        "dmarc": bool(names.texts(f"_dmarc.{zone}", "TXT")),
    }


def _with(
    facts: Mapping[str, Any], registered: Mapping[str, Any] | None, client: str
) -> dict[str, Any]:
    whole = {"transfer_lock": None, "dnssec": None, "expires": None, "auto_renew": None, **facts}
    for key in ("transfer_lock", "expires", "auto_renew"):
        if whole[key] in (None, "") and registered and registered.get(key) not in (None, ""):
            whole[key] = registered[key]
    return whole | ({"client": client} if client else {})


def origins(
    sites: Iterable[Mapping[str, Any]], seconds: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Whether each site behind a CDN answers at its own address too: a request is sent there.

    `sites`: rows with `site`, `client`, `name`, `address` and, for others than 443, `port`. Told as
    seen from here: an address that the site lets in on purpose sees it open.
    """
    listed = list(sites)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda one: _reachable(one, seconds), listed))
    found = [
        {"site": one["site"], "address": one["address"], "reachable": seen, "client": one["client"]}
        for one, seen in zip(listed, answers, strict=True)
    ]
    return found, [shape.coverage("origins behind a CDN", "read", count=len(found))]


def _reachable(one: Mapping[str, Any], seconds: float) -> bool | None:
    # Who asks around the CDN looks at no certificate either.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = _AtAddress(
        one["name"], one["address"], int(one.get("port", 443)), seconds, context
    )
    try:
        connection.request("GET", "/", headers={"User-Agent": "ringfence"})
        status = connection.getresponse().status
    except (ConnectionRefusedError, ConnectionResetError, TimeoutError, ssl.SSLError):
        return False
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if status in (401, 403, 421):
        return False
    return True if status < 500 else None


class _AtAddress(http.client.HTTPSConnection):
    """A connection to an address under another name."""

    def __init__(
        self, name: str, address: str, port: int, seconds: float, context: ssl.SSLContext
    ) -> None:
        super().__init__(name, port, timeout=seconds, context=context)
        self._address, self._context_ = address, context

    def connect(self) -> None:
        """Connect to the address, and greet by the name."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._context_.wrap_socket(plain, server_hostname=self.host)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
