# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which addresses a site answers: from the register to files of nginx and Apache.

In this order, for a visitor's address (behind a CDN: the one that the CDN names):

1. management comes in, whatever any list says;
2. who is denied, blocked or on a feed is refused;
3. with `allow_only`, who is not on it is refused; a list that has become empty lets nobody in;
4. without it, the country decides where countries are declared; an address of no known country is
   not among those of `allow_only`;
5. in the admin area 3 and 4 once more, by `admin_allow_only` and `admin_countries`.

Challenges of certificate authorities (/.well-known/acme-challenge/) are never refused: they come
from everywhere, and a site whose certificate cannot be renewed is down for all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _expire_addresses,
    _nftables,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils import address_sources, site_files

Site = dict[str, Any]
FEATURE = "addresses"
DATA = f"/etc/ringfence/sites/{FEATURE}"
HTTP_FILE = f"/etc/nginx/conf.d/ringfence_{FEATURE}.conf"
APACHE_MODULES = ("alias", "authz_core", "authz_host")
EVER = datetime.max.replace(tzinfo=UTC)

_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_CHALLENGE = r"^/+\.well-known/acme-challenge/[A-Za-z0-9_-]+$"
_KNOWN_ADMIN = {"wordpress": ("/wp-login.php", "/wp-admin/"), "joomla": ("/administrator/",)}
# What visitors' pages call, too.
_OPEN_ADMIN = {"wordpress": ("/wp-admin/admin-ajax.php",)}
_WEB_PATH = re.compile(r"/[A-Za-z0-9_.~/%@+-]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_A_LINE = 400
_DEFAULT_HEADER = "X-Forwarded-For"


class AddressError(Exception):
    """What is asked and cannot be made, in one line."""


class Entry(NamedTuple):
    """A network, until when it is listed, and why."""

    network: _nftables.Network
    until: datetime = EVER
    why: str = ""


@dataclass(frozen=True)
class Sources:
    """Lists from elsewhere. Country code -> networks; name of a feed -> networks."""

    countries: Mapping[str, Sequence[_nftables.Network]] = field(default_factory=dict)
    feeds: Mapping[str, Sequence[_nftables.Network]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """Who may come in. `allow` None: no such list; `countries` None: not asked."""

    deny: tuple[Entry, ...] = ()
    feeds: tuple[str, ...] = ()
    allow: tuple[Entry, ...] | None = None
    countries: tuple[str, tuple[str, ...]] | None = None

    @property
    def empty(self) -> bool:
        return not (self.deny or self.feeds) and self.allow is None and self.countries is None


@dataclass(frozen=True)
class Plan:
    """What a site is to have: rules for all of it, for its admin area, and its CDN."""

    site: Site
    rules: Rules
    admin: Rules
    admin_paths: tuple[str, ...] = ()
    open_paths: tuple[str, ...] = ()
    ranges: tuple[_nftables.Network, ...] = ()
    header: str = ""

    @property
    def name(self) -> str:
        return f"{self.site['client']}__{self.site['id']}"

    @property
    def mark(self) -> str:
        """What its variables begin with: nginx takes no long names."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        return f"ringfence_{digest[:10]}"

    @property
    def asks(self) -> bool:
        return bool(self.ranges) or not (self.rules.empty and self.admin.empty)


# --- from the register


def planned(site: Site, blocked: Iterable[Mapping[str, Any]], now: datetime) -> Plan:
    """What a site asks. `blocked`: entries of the list of blocks that concern it.

    `site` is one of ringfence_sites; its `cms.path` is the folder of the CMS, where there is one.
    Raises AddressError.
    """
    asked = (site.get("security") or {}).get("addresses") or {}
    reference = f"{site['client']}/{site['id']}"
    deny = [*_entries(reference, asked.get("deny"), now), *_blocked(reference, blocked, now)]
    rules = Rules(
        tuple(reduced(deny)),
        tuple(asked.get("feeds") or ()),
        _listed(reference, asked, "allow_only", now),
        _countries(asked.get("countries")),
    )
    admin = Rules(
        allow=_listed(reference, asked, "admin_allow_only", now),
        countries=_countries(asked.get("admin_countries")),
    )
    paths, opened = admin_paths(site)
    if not admin.empty and not paths:
        raise AddressError(
            f"{reference}: admin_allow_only or admin_countries is asked for, and no path of an "
            "admin area is known: expected cms.admin_paths"
        )
    cdn = site.get("cdn") or {}
    ranges = _nftables.collapse(_network(reference, text) for text in cdn.get("ranges") or ())
    header = str(cdn.get("header") or _DEFAULT_HEADER)
    if not _HEADER_NAME.fullmatch(header):
        raise AddressError(f"{reference}: cdn.header: found {header}, expected a header's name")
    return Plan(site, rules, admin, paths, opened, ranges, header if ranges else "")


def admin_paths(site: Site) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of a site's admin area, and those below them that visitors need."""
    cms = site.get("cms") or {}
    folder = str(cms.get("path") or "").rstrip("/")
    known = [folder + path for path in _KNOWN_ADMIN.get(cms.get("name", ""), ())]
    opened = [folder + path for path in _OPEN_ADMIN.get(cms.get("name", ""), ())]
    paths = list(dict.fromkeys([*known, *(cms.get("admin_paths") or ())]))
    for path in paths:
        if not _WEB_PATH.fullmatch(path):
            raise AddressError(
                f"{site['client']}/{site['id']}: cms.admin_paths: found {path}, "
                "expected letters, digits and _ . ~ / @ + -"
            )
    return tuple(paths), tuple(opened)


def _listed(
    reference: str, asked: Mapping[str, Any], key: str, now: datetime
) -> tuple[Entry, ...] | None:
    if asked.get(key) is None:
        return None
    return tuple(reduced(_entries(reference, asked[key], now)))


def _entries(reference: str, rows: Any, now: datetime) -> Iterator[Entry]:
    for row in rows or ():
        until = ends(row.get("expires"))
        if until > now:
            yield Entry(_network(reference, row["network"]), until, str(row.get("reason", "")))


def _blocked(reference: str, rows: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Entry]:
    for row in rows:
        until = ends(row.get("expires"))
        if until > now and not row.get("ended"):
            yield Entry(_network(reference, row["network"]), until, str(row.get("reason", "")))


def ends(text: Any) -> datetime:
    """When an entry ends: a day, which still counts, or a moment; EVER for nothing."""
    if not text:
        return EVER
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    if isinstance(text, date) or re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(text)):
        day = text if isinstance(text, date) else date.fromisoformat(str(text))
        return datetime.combine(day + timedelta(days=1), time(), UTC)
    found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _network(reference: str, text: Any) -> _nftables.Network:
    try:
        return _nftables.network(text)
    except ValueError as error:
        raise AddressError(f"{reference}: {error}") from None


def _countries(asked: Mapping[str, Any] | None) -> tuple[str, tuple[str, ...]] | None:
    for kind in ("allow_only", "deny"):
        if asked and asked.get(kind) is not None:
            return kind, tuple(asked[kind])
    return None


def reduced(entries: Iterable[Entry]) -> list[Entry]:
    """Entries without those that lie in another which is listed at least as long."""
    found: dict[tuple[int, int], dict[int, Entry]] = {}
    kept = []
    for entry in sorted(entries, key=lambda row: (row.network.prefixlen, -_seconds(row.until))):
        network = entry.network
        bits, number = network.max_prefixlen, int(network.network_address)
        above = (
            holders[masked]
            for (version, length), holders in found.items()
            if version == network.version
            for masked in (number >> (bits - length) << (bits - length),)
            if masked in holders
        )
        if any(each.until >= entry.until for each in above):
            continue
        key = (network.version, network.prefixlen)
        found.setdefault(key, {})[number] = entry
        kept.append(entry)
    return sorted(kept, key=lambda row: (row.network.version, int(row.network.network_address),
                                         row.network.prefixlen))  # fmt: skip


def _seconds(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


# --- to files


def rendered(
    plans: Sequence[Plan], management: Sequence[_nftables.Network], sources: Sources
) -> dict[str, str]:
    """Path -> text of all files on a host whose sites are `plans`. Raises AddressError."""
    asking = [plan for plan in plans if plan.asks]
    _require_sources(asking, sources)
    kinds = {
        kind: [p for p in asking if p.site["web_server"] == kind] for kind in ("nginx", "apache")
    }
    files: dict[str, str] = {}
    files |= _nginx(kinds["nginx"], management, sources)
    files |= _apache(kinds["apache"], management, sources)
    return files


def _require_sources(plans: Sequence[Plan], sources: Sources) -> None:
    for plan in plans:
        where = f"{plan.site['client']}/{plan.site['id']}"
        for name in plan.rules.feeds:
            if name not in sources.feeds:
                raise AddressError(f"{where}: there is no feed {name}")
        for code in _codes(plan):
            if code not in sources.countries:
                raise AddressError(f"{where}: the country data know no {code}")


def _codes(plan: Plan) -> list[str]:
    asked = [rules.countries[1] for rules in (plan.rules, plan.admin) if rules.countries]
    return sorted({code for codes in asked for code in codes})


def lines(entries: Iterable[Entry], row: str) -> str:
    """A list file: `row` with % for the network; above it until when, where it ends."""
    found = [_HEADER]
    for entry in entries:
        if entry.until != EVER:
            found.append(f"# until {entry.until:%Y-%m-%dT%H:%M:%SZ}\n")
        found.append(row.replace("%", str(entry.network)) + "\n")
    return "".join(found)


def _plain(networks: Iterable[_nftables.Network], row: str) -> str:
    return _HEADER + "".join(f"{row.replace('%', str(each))}\n" for each in networks)


# --- nginx


def _nginx(
    plans: Sequence[Plan], management: Sequence[_nftables.Network], sources: Sources
) -> dict[str, str]:
    files: dict[str, str] = {}
    ruled = [plan for plan in plans if not (plan.rules.empty and plan.admin.empty)]
    for plan in plans:
        path = f"/etc/nginx/ringfence/{plan.name}/{FEATURE}.conf"
        files[path] = _HEADER + "".join(_nginx_server(plan, plan in ruled))
    if not ruled:
        return files
    parts = [_HEADER]
    parts += ["geo $ringfence_management {\n    default 0;\n"]
    parts += [f"    {network} 1;\n" for network in management]
    parts += ["}\n", "map $uri $ringfence_challenge {\n    volatile;\n    default 0;\n"]
    parts += [f'    "~{_CHALLENGE}" 1;\n', "}\n"]
    codes = sorted({code for plan in ruled for code in _codes(plan)})
    if codes:
        parts.append(_geo("country", f"{DATA}/countries.geo", default="--"))
        files[f"{DATA}/countries.geo"] = _HEADER + "".join(
            f"{network} {code};\n" for code in codes for network in sources.countries[code]
        )
    for name in sorted({feed for plan in ruled for feed in plan.rules.feeds}):
        parts.append(_geo(f"feed_{name}", f"{DATA}/feed_{name}.geo"))
        files[f"{DATA}/feed_{name}.geo"] = _plain(sources.feeds[name], "% 1;")
    for plan in ruled:
        parts += _nginx_maps(plan, files)
    files[HTTP_FILE] = "".join(parts)
    return files


def _geo(name: str, path: str, default: str = "0") -> str:
    return f"geo $ringfence_{name} {{\n    default {default};\n    include {path};\n}}\n"


def _nginx_server(plan: Plan, ruled: bool) -> Iterator[str]:
    for network in plan.ranges:
        yield f"set_real_ip_from {network};\n"
    if plan.ranges:
        yield f"real_ip_header {plan.header};\nreal_ip_recursive on;\n"
    if ruled:
        yield f"if (${plan.mark}_refused) {{\n    return 403;\n}}\n"


def _nginx_maps(plan: Plan, files: dict[str, str]) -> Iterator[str]:
    """Variables that end in MARK_refused, which is 1 for whom the site does not answer."""
    mark = plan.mark
    yield f"# {plan.site['client']}/{plan.site['id']}\n"
    denied = "".join(f"$ringfence_feed_{name}" for name in plan.rules.feeds)
    if plan.rules.deny:
        yield _list(plan, "deny", plan.rules.deny, files)
        denied += f"${mark}_deny"
    yield from _allowed(plan, "site", plan.rules, files)
    yield from _allowed(plan, "admin", plan.admin, files)
    key = f"$ringfence_challenge$ringfence_management ${mark}_admin_area:"
    key += f"{denied or '0'}:${mark}_site:${mark}_admin"
    yield f"map $uri ${mark}_admin_area {{\n    volatile;\n    default 0;\n"
    for path in plan.open_paths:
        yield f'    "~^/+{_words(path)}$" 0;\n'
    for path in plan.admin_paths:
        yield f'    "~*^/+{_inside(path)}" 1;\n'
    yield "}\n"
    yield f'map "{key}" ${mark}_refused {{\n    volatile;\n    default 1;\n'
    yield '    "~^(?:1.|.1) " 0;\n    "~^00 0:0+:1:" 0;\n    "~^00 1:0+:1:1$" 0;\n}\n'


def _inside(path: str) -> str:
    """A pattern for what follows the first slash: a file, or a folder and all that is in it."""
    return f"{_words(path)}(?:/|$)" if path.strip("/") else ""


def _words(path: str) -> str:
    return re.escape(path.strip("/")).replace("\\-", "-").replace("\\~", "~")


def _allowed(plan: Plan, area: str, rules: Rules, files: dict[str, str]) -> Iterator[str]:
    """The variable MARK_AREA: whether allow list and countries let somebody in."""
    variable = f"${plan.mark}_{area}"
    if rules.allow is not None:
        yield _list(plan, area, rules.allow, files)
    elif rules.countries is not None:
        kind, codes = rules.countries
        inside, outside = (1, 0) if kind == "allow_only" else (0, 1)
        rows = "".join(f"    {code} {inside};\n" for code in codes)
        yield f"map $ringfence_country {variable} {{\n    default {outside};\n{rows}}}\n"
    else:
        yield f'map "" {variable} {{\n    default 1;\n}}\n'


def _list(plan: Plan, kind: str, entries: Sequence[Entry], files: dict[str, str]) -> str:
    path = f"{DATA}/{plan.name}_{kind}.geo"
    files[path] = lines(entries, "% 1;")
    return f"geo ${plan.mark}_{kind} {{\n    default 0;\n    include {path};\n}}\n"


# --- Apache


def _apache(
    plans: Sequence[Plan], management: Sequence[_nftables.Network], sources: Sources
) -> dict[str, str]:
    files: dict[str, str] = {}
    for plan in plans:
        folder = f"/etc/apache2/ringfence/{plan.name}"
        if plan.ranges:
            files[f"{folder}/before/{FEATURE}.conf"] = _HEADER + _remote_ip(plan)
        sections = [*_apache_sections(plan, management, files)]
        if sections:
            files[f"{folder}/after/{FEATURE}.conf"] = _HEADER + "".join(sections)
        for code in _codes(plan):
            path = f"{DATA}/country_{code}.require"
            files[path] = _many(sources.countries[code])
        for name in plan.rules.feeds:
            files[f"{DATA}/feed_{name}.require"] = _many(sources.feeds[name])
    return files


def _many(networks: Sequence[_nftables.Network]) -> str:
    """Long lists: Apache reads lines in a time that grows with the square of their number."""
    rows = (networks[at : at + _A_LINE] for at in range(0, len(networks), _A_LINE))
    return _HEADER + "".join(f"Require ip {' '.join(map(str, row))}\n" for row in rows)


def _remote_ip(plan: Plan) -> str:
    rows = "".join(f"RemoteIPInternalProxy {network}\n" for network in plan.ranges)
    return f"RemoteIPHeader {plan.header}\n{rows}"


def _apache_sections(
    plan: Plan, management: Sequence[_nftables.Network], files: dict[str, str]
) -> Iterator[str]:
    if not plan.rules.empty:
        condition = f"%{{REQUEST_URI}} !~ m#{_CHALLENGE}#"
        yield _section(condition, _apache_rules(plan, "site", plan.rules, management, files))
    if not plan.admin.empty:
        inside = "|".join(_inside(path) for path in plan.admin_paths)
        condition = f"%{{REQUEST_URI}} =~ m#^/+(?:{inside})#i"
        for path in plan.open_paths:
            condition += f" && %{{REQUEST_URI}} !~ m#^/+{_words(path)}$#"
        yield _section(condition, _apache_rules(plan, "admin", plan.admin, management, files))


def _section(condition: str, rules: str) -> str:
    # Satisfy: a site's own .htaccess may say Any, which would let in whom Allow lets in.
    return (
        f'<If "{condition}">\n'
        "<IfModule mod_access_compat.c>\nSatisfy All\n</IfModule>\n"
        f"AuthMerging And\n{rules}</If>\n"
    )


def _apache_rules(
    plan: Plan,
    area: str,
    rules: Rules,
    management: Sequence[_nftables.Network],
    files: dict[str, str],
) -> str:
    """A section that is never empty: Apache takes an empty one for none at all."""
    parts = ["<RequireAny>\n"]
    parts += [f"Require ip {network}\n" for network in management]
    parts += ["<RequireAll>\nRequire all granted\n"]
    denied = [f"Include {DATA}/feed_{name}.require\n" for name in rules.feeds]
    if rules.deny:
        denied.append(_apache_list(plan, "deny", rules.deny, files))
    allowed: list[str] = []
    if rules.allow is not None:
        allowed = [_apache_list(plan, area, rules.allow, files)]
    elif rules.countries is not None:
        kind, codes = rules.countries
        named = [f"Include {DATA}/country_{code}.require\n" for code in codes]
        if kind == "allow_only":
            allowed = named
        else:
            denied += named
    parts.append(f"<RequireNone>\nRequire all denied\n{''.join(denied)}</RequireNone>\n")
    if rules.allow is not None or (rules.countries and rules.countries[0] == "allow_only"):
        parts.append(f"<RequireAny>\nRequire all denied\n{''.join(allowed)}</RequireAny>\n")
    parts.append("</RequireAll>\n</RequireAny>\n")
    return "".join(parts)


def _apache_list(plan: Plan, kind: str, entries: Sequence[Entry], files: dict[str, str]) -> str:
    path = f"{DATA}/{plan.name}_{kind}.require"
    files[path] = lines(entries, "Require ip %")
    return f"Include {path}\n"


# --- when entries end


def moments(files: Mapping[str, str]) -> list[str]:
    """Every moment at which an entry of `files` ends, as it is written there, sorted."""
    found = {m for text in files.values() for m in re.findall(r"(?m)^# until (\S+)$", text)}
    return sorted(found)


_SCRIPT = f"/usr/local/lib/ringfence/site_{FEATURE}.py"
_UNIT = f"/etc/systemd/system/ringfence-site-{FEATURE}"
_SERVICE = f"""\
{_HEADER}[Unit]
Description=Ringfence: entries of address lists that have ended

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {_SCRIPT}
"""


class Wanted(NamedTuple):
    """The files of a host, what each site asks, and who asks for something, as client__site."""

    files: site_files.Wanted
    asking: frozenset[str]
    plans: tuple[Plan, ...]


def wanted(
    sites: Sequence[Site],
    blocked: Sequence[Mapping[str, Any]],
    management: Sequence[Any],
    sources: address_sources.Folder,
    now: datetime,
) -> Wanted:
    """All that the feature wants on the host of `sites`. Raises AddressError, SourceError.

    `blocked`: the entries of the list of blocks; each counts for the sites that it names.
    """
    plans = [planned(site, _concerning(site, blocked), now) for site in sites]
    ours = _nftables.collapse(_network("management", text) for text in management)
    asking = [plan for plan in plans if plan.asks]
    codes = {code for plan in asking for code in _codes(plan)}
    feeds = {name for plan in asking for name in plan.rules.feeds}
    lists = Sources(sources.countries(codes), {name: sources.feed(name, now) for name in feeds})
    files = rendered(plans, ours, lists)
    times = moments(files)
    if times:
        files[_SCRIPT] = Path(_expire_addresses.__file__).read_text("utf-8")
        files[f"{_UNIT}.service"] = _SERVICE
        files[f"{_UNIT}.timer"] = _timer(times)
    apache = any(path.startswith("/etc/apache2/") for path in files)
    modules = [*APACHE_MODULES] if apache else []
    if any(plan.ranges and plan.site["web_server"] == "apache" for plan in plans):
        modules.append("remoteip")
    return Wanted(
        site_files.Wanted(FEATURE, files, modules),
        frozenset(plan.name for plan in asking),
        tuple(plans),
    )


def _concerning(site: Site, blocked: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The blocks of a site: of itself, of its client, and of the fleet where a CDN hides the
    address from the host's firewall."""
    scopes = {f"site {site['client']}/{site['id']}", f"client {site['client']}"}
    if (site.get("cdn") or {}).get("ranges"):
        scopes.add("fleet")
    return (row for row in blocked if row["scope"] in scopes)


def _timer(times: Sequence[str]) -> str:
    rows = "".join(f"OnCalendar={t.replace('T', ' ').replace('Z', ' UTC')}\n" for t in times)
    return (
        f"{_HEADER}[Unit]\nDescription=Ringfence: when entries of address lists end\n\n"
        f"[Timer]\n{rows}AccuracySec=1s\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )
