# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what each site of a host asks for to jails: one for each policy, for the sites that have it.

A jail has one set of thresholds, and sites of a host may differ. So sites are grouped by what they
ask for: each keeps its own values, and a hundred sites of three tiers make three jails of a kind.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._sshd_log import JOURNAL_MATCH

Site = Mapping[str, Any]

KINDS = ("ssh", "wordpress", "joomla", "exploits", "gate", "users")
PREFIX = "ringfence"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_SITE = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9.-]{1,253}")
_DEFAULT_REPEAT = {"factor": 1, "at_most": "4w"}
_KEYS = ("attempts", "within", "ban")


class PolicyError(Exception):
    """What is wrong with what is asked for, in one line."""


class Jail(NamedTuple):
    """Thresholds in seconds, and the ids (`client/site`) of the sites that have them."""

    kind: str
    attempts: int
    within: int
    ban: int
    factor: int
    at_most: int
    share: bool
    sites: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Stands for its values, so that it stays the same whatever other sites ask for; short, for
        fail2ban warns of more than 25 characters."""
        values = ",".join(map(str, self[1:7]))
        return f"{PREFIX}-{self.kind}-{hashlib.sha256(values.encode()).hexdigest()[:5]}"


def seconds(duration: Any) -> int:
    """From `10m`. Raises PolicyError."""
    match = _DURATION.fullmatch(str(duration))
    if not match or not int(match[1]):
        raise PolicyError(f"found {duration!r}, expected a duration such as 10m, 4h or 2w")
    return int(match[1]) * _UNITS[match[2]]


def site_id(site: Site) -> str:
    """`client/site`. Raises PolicyError."""
    found = f"{site.get('client')}/{site.get('id')}"
    if not _SITE.fullmatch(found):
        raise PolicyError(f"found the site {found!r}, expected client/site in small letters")
    return found


def told_name(site: str) -> str:
    """The name of a site in logs: fail2ban takes what holds a slash for a network."""
    return site.replace("/", "__")


def wanted(site: Site) -> dict[str, Any]:
    """What a site asks for; empty where it asks for no bans."""
    asked: dict[str, Any] = (site.get("security") or {}).get("automatic_bans") or {}
    return asked if asked.get("enabled") else {}


def cms_of(site: Site) -> str:
    """wordpress, joomla, php, static."""
    return str((site.get("cms") or {}).get("name") or "php")


def has_gate(site: Site) -> bool:
    """Whether a gate stands before the admin area."""
    admin = ((site.get("security") or {}).get("second_factor") or {}).get("admin", "none")
    return admin in ("gate", "cms_and_gate")


def jails(sites: Sequence[Site], ssh: Mapping[str, Any] | None) -> list[Jail]:
    """Every jail of a host. `ssh`: thresholds for SSH, or None for the strictest of all sites.

    Raises PolicyError that names the site.
    """
    grouped: dict[Jail, list[str]] = {}
    for site in sites:
        asked, name = wanted(site), site_id(site)
        for kind, key in _asked_kinds(site, asked):
            try:
                jail = _jail(kind, asked[key], asked)
            except PolicyError as error:
                raise PolicyError(f"{name}: automatic_bans.{key}: {error}") from None
            grouped.setdefault(jail, []).append(name)
    found = [jail._replace(sites=tuple(sorted(names))) for jail, names in grouped.items()]
    found += _host_jails(sites, ssh)
    return sorted(found)


def _asked_kinds(site: Site, asked: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    cms = cms_of(site)
    if asked.get("sign_in") and cms in ("wordpress", "joomla"):
        yield cms, "sign_in"
    if asked.get("exploits"):
        yield "exploits", "exploits"
    if asked.get("users") and cms in ("wordpress", "joomla"):
        yield "users", "users"


def _jail(kind: str, threshold: Any, asked: Mapping[str, Any]) -> Jail:
    missing = [key for key in _KEYS if key not in threshold]
    if missing:
        raise PolicyError(f"{', '.join(missing)}: missing, expected all of {', '.join(_KEYS)}")
    repeat = {**_DEFAULT_REPEAT, **(asked.get("repeat") or {})}
    ban = seconds(threshold["ban"])
    longest = max(ban, seconds(repeat["at_most"]))
    # Accounts are of one site: no other host has them.
    share = bool(asked.get("share")) and kind != "users"
    factor = 1 if kind == "users" else int(repeat["factor"])
    return Jail(
        kind, int(threshold["attempts"]), seconds(threshold["within"]), ban, factor, longest, share
    )


def _host_jails(sites: Sequence[Site], ssh: Mapping[str, Any] | None) -> list[Jail]:
    """SSH and the gate are the host's, not a site's: the strictest of each value holds there."""
    asking = [site for site in sites if wanted(site).get("sign_in")]
    found = _strictest("gate", [site for site in asking if has_gate(site)])
    if ssh is None:
        return found + _strictest("ssh", asking)
    try:
        return found + ([_jail("ssh", ssh, {"share": True, **ssh})] if ssh else [])
    except PolicyError as error:
        raise PolicyError(f"automatic_bans_ssh: {error}") from None


def _strictest(kind: str, sites: Sequence[Site]) -> list[Jail]:
    found = [_jail(kind, wanted(site)["sign_in"], wanted(site)) for site in sites]
    if not found:
        return []
    return [
        Jail(
            kind,
            min(jail.attempts for jail in found),
            max(jail.within for jail in found),
            max(jail.ban for jail in found),
            max(jail.factor for jail in found),
            max(jail.at_most for jail in found),
            any(jail.share for jail in found),
        )
    ]


def never(
    sites: Sequence[Site], management: Iterable[str], fleet: Iterable[str], more: Iterable[str]
) -> list[str]:
    """Whom this host never bans, as networks without overlap: a ban shuts out of the whole host, so
    the exceptions of all its sites count, and the ranges of their CDNs. Raises PolicyError."""
    entries: list[tuple[str, Any]] = [("loopback", text) for text in ("127.0.0.0/8", "::1")]
    entries += [("automatic_bans_management", text) for text in management]
    entries += [("the fleet", text) for text in fleet]
    entries += [("automatic_bans_never", text) for text in more]
    for site in sites:
        listed = wanted(site).get("never") or []
        entries += [(f"{site_id(site)}: never", row.get("network")) for row in listed]
        ranges = (site.get("cdn") or {}).get("ranges") or []
        entries += [(f"{site_id(site)}: cdn.ranges", text) for text in ranges]
    networks = [_network(where, text) for where, text in entries]
    fours = [found for found in networks if isinstance(found, ipaddress.IPv4Network)]
    sixes = [found for found in networks if isinstance(found, ipaddress.IPv6Network)]
    shown = [_shown(found) for found in ipaddress.collapse_addresses(fours)]
    return shown + [_shown(found) for found in ipaddress.collapse_addresses(sixes)]


def _network(where: str, text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        found = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        raise PolicyError(
            f"{where}: found {text}, expected an address or a network such as 203.0.113.0/24"
        ) from None
    if not found.prefixlen:
        raise PolicyError(f"{where}: holds every address, so nobody could be banned")
    return found


def _shown(found: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    whole = found.prefixlen == found.max_prefixlen
    return str(found.network_address if whole else found)


def behind_cdn(sites: Sequence[Site]) -> bool:
    """Whether visitors of some site that asks for bans come through a CDN."""
    return any(wanted(site) and site.get("cdn") for site in sites)


# --- for the web servers

PROBE_LOG = "/var/log/ringfence/{server}-probes.log"
# What no visitor asks for, whatever is answered; and what somebody may have, so that only an answer
# of "not there" or "not for you" tells a scan. Matched without regard to case.
PROBES = (
    r"/\.(?:env|git/|svn/|hg/|aws/|ssh/|htpasswd)",
    r"/wp-config\.(?:php[.~]|bak|old|txt|save)",
    r"/configuration\.php[.~]",
    r"/vendor/phpunit/",
    r"/eval-stdin\.php",
    r"/etc/passwd",
    r"/proc/self/environ",
    r"(?:\.\.|%2e%2e)(?:/|%2f|%5c)",
    r"union(?:[+ ]|%20|/\*)+(?:all(?:[+ ]|%20|/\*)+)?select",
    r"information_schema",
    r"php://(?:input|filter)",
    r"allow_url_include",
    r"auto_prepend_file",
    r"base64_decode(?:\(|%28)",
    r"(?:\$|%24)(?:\{|%7b)jndi:",
    r"(?:<|%3c)script",
    r"/(?:uploads|images|media|cache|tmp)/[^?]*\.(?:php\d?|phtml|phar)(?:[/?]|$)",
    r"/_ignition/execute-solution",
    r"/boaform/",
    r"/hnap1",
    r"/cgi-bin/luci",
)
REFUSED_PROBES = (
    r"/(?:phpmyadmin|pma|myadmin|adminer|mysqladmin)(?:[/.?-]|$)",
    r"/(?:shell|c99|r57|wso|alfa|cmd|webshell|backdoor|up|upload|uploader|x|xx|1|0)\.php",
    r"/(?:backup|dump|database|db|site|www|public_html)\.(?:sql|zip|tar|tar\.gz|tgz|bak)",
    r"/(?:actuator|solr|jenkins|manager/html|console|owa|telescope)(?:/|$)",
    r"/xmlrpc\.php",
    r"/(?:phpinfo|info|test)\.php",
)
_REFUSED_STATUSES = "(?:403|404|410|444)"


def nginx_files(
    sites: Sequence[Site], unlogged: Mapping[str, Sequence[Mapping[str, Any]]], banned_in_web: bool
) -> dict[str, str]:
    """Drop-ins of nginx by path. `unlogged`: site -> server blocks without a log of their own, each
    with `key` (name:port) and `logs` (the arguments of the access_log that it inherits)."""
    mine = [site for site in sites if wanted(site) and site.get("web_server") == "nginx"]
    if not mine:
        return {}
    files = {"/etc/nginx/conf.d/ringfence_bans.conf": _nginx_http(unlogged, banned_in_web)}
    for site in mine:
        name = site_id(site)
        folder = told_name(name)
        text = _nginx_site(site, unlogged.get(name, ()), banned_in_web)
        files[f"/etc/nginx/ringfence/{folder}/bans.conf"] = text
    return files


_NOTE = "# Written by Ringfence; changes made here are lost.\n"


def _nginx_http(unlogged: Mapping[str, Sequence[Mapping[str, Any]]], banned_in_web: bool) -> str:
    probes = "".join(f'    "~*^\\d+ \\S+ .*{pattern}" 1;\n' for pattern in PROBES)
    probes += "".join(
        f'    "~*^{_REFUSED_STATUSES} \\S+ [^?]*{pattern}" 1;\n' for pattern in REFUSED_PROBES
    )
    text = (
        f"{_NOTE}log_format ringfence_probe escape=json "
        "'$time_iso8601 ringfence-probe address=$remote_addr vhost=$server_name "
        'status=$status request="$request_method $request_uri"\';\n'
        "# Only what looks like a scan is written, so that no flood of visits hides one.\n"
        'map "$status $request_method $request_uri" $ringfence_probe {\n'
        f"    default 0;\n{probes}}}\n"
        "map $uri $ringfence_xmlrpc {\n    default 0;\n"
        '    "~*/xmlrpc\\.php(?:/|$)" 1;\n}\n'
    )
    keys = sorted({str(block["key"]) for blocks in unlogged.values() for block in blocks})
    if keys:
        text += 'map "$server_name:$server_port" $ringfence_unlogged {\n    default 0;\n'
        text += "".join(f'    "{key}" 1;\n' for key in keys) + "}\n"
    if banned_in_web:
        text += (
            "geo $ringfence_banned {\n    default 0;\n"
            "    include /var/lib/ringfence/bans/web/nginx.conf;\n}\n"
        )
    return text


def _nginx_site(site: Site, unlogged: Sequence[Mapping[str, Any]], banned_in_web: bool) -> str:
    asked = wanted(site)
    text = _NOTE
    if banned_in_web:
        text += "if ($ringfence_banned) { return 403; }\n"
    if asked.get("xmlrpc") == "closed":
        text += "if ($ringfence_xmlrpc) { return 403; }\n"
    if asked.get("exploits"):
        text += (
            f"access_log {PROBE_LOG.format(server='nginx')} ringfence_probe if=$ringfence_probe;\n"
        )
        # One log of its own is enough for a block to lose those it would inherit.
        logs = sorted({str(log) for block in unlogged for log in block["logs"]})
        text += "".join(f"access_log {log} if=$ringfence_unlogged;\n" for log in logs)
    return text


def apache_files(sites: Sequence[Site], banned_in_web: bool) -> dict[str, str]:
    """Drop-ins of Apache by path."""
    mine = [site for site in sites if wanted(site) and site.get("web_server") == "apache"]
    if not mine:
        return {}
    files = {"/etc/apache2/conf-available/ringfence_bans.conf": _apache_server()}
    for site in mine:
        folder = told_name(site_id(site))
        text = _apache_site(site, banned_in_web)
        files[f"/etc/apache2/ringfence/{folder}/after/bans.conf"] = text
    return files


def _apache_server() -> str:
    always = "|".join(PROBES)
    refused = "|".join(REFUSED_PROBES)
    asked = "%{THE_REQUEST}"
    # The pattern's own delimiter must not be in it.
    expression = (
        f"{asked} =~ m#{always}#i || "
        f"(%{{REQUEST_STATUS}} =~ m#^{_REFUSED_STATUSES}$# && %{{REQUEST_URI}} =~ m#{refused}#i)"
    )
    log = PROBE_LOG.format(server="apache")
    form = (
        "%{%Y-%m-%dT%H:%M:%S%z}t ringfence-probe address=%a vhost=%v status=%>s "
        'request=\\"%m %U%q\\"'
    )
    escaped = expression.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'{_NOTE}LogFormat "{form}" ringfence_probe\n'
        "# Beside every log that a site has. Only what looks like a scan is written.\n"
        f'GlobalLog {log} ringfence_probe "expr={escaped}"\n'
    )


def _apache_site(site: Site, banned_in_web: bool) -> str:
    text = _NOTE
    if banned_in_web:
        text += (
            '<Location "/">\n    AuthMerging And\n    <RequireAll>\n        Require all granted\n'
            "        Include /var/lib/ringfence/bans/web/apache.conf\n"
            "    </RequireAll>\n</Location>\n"
        )
    if wanted(site).get("xmlrpc") == "closed":
        text += (
            '<LocationMatch "(?i)/xmlrpc\\.php(?:/|$)">\n    Require all denied\n</LocationMatch>\n'
        )
    return text


# --- for fail2ban

FILTERS = {
    "wordpress": (
        "prefregex = ^\\s*\\S+ ringfence-site\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$\n"
        "failregex = ^sign-in failed address=<HOST> site=<F-SITE>(?:<sites>)</F-SITE> user=\\S+$\n"
    ),
    "users": (
        "prefregex = ^\\s*\\S+ ringfence-site\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$\n"
        "failregex = ^sign-in failed address=\\S+ "
        "<F-ID>site=(?:<sites>) user=(?!-$)[A-Za-z0-9@._%%-]+</F-ID>$\n"
    ),
    "joomla": (
        "datepattern = ^%%Y-%%m-%%dT%%H:%%M:%%S%%z\n"
        "failregex = ^\\s+(?:INFO|WARNING|ERROR|NOTICE)\\s+<HOST>\\s+joomlafailure\\s\n"
    ),
    "gate": (
        "prefregex = ^\\s*\\S+ ringfence-gate\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$\n"
        "failregex = ^refused reason=\\S+ user=\\S+ address=<HOST>$\n"
    ),
    "exploits": (
        "datepattern = ^%%Y-%%m-%%dT%%H:%%M:%%S%%z\n"
        "failregex = ^\\s*ringfence-probe address=<HOST> vhost=<F-SITE>(?:<sites>)</F-SITE> \n"
    ),
}


def filter_text(kind: str) -> str:
    """A file of filter.d."""
    return f"{_NOTE}[Definition]\n{FILTERS[kind]}ignoreregex =\n\n[Init]\nsites = (?!)\n"


def fail2ban_text(listed: Sequence[Jail]) -> str:
    """A file of fail2ban.d: bans are remembered at least as long as the longest may last."""
    longest = max((jail.at_most for jail in listed), default=0)
    return f"{_NOTE}[DEFAULT]\ndbpurgeage = {longest + 86400}\n"


class Sources(NamedTuple):
    """Where a host's jails read. `uids`: site -> user number; `logs`: site -> Joomla's log."""

    uids: Mapping[str, int]
    logs: Mapping[str, str]
    probe_logs: Sequence[str]
    domains: Mapping[str, Sequence[str]]


def jails_text(listed: Sequence[Jail], sources: Sources, ignored: Sequence[str]) -> str:
    """The file of jail.d. Debian's own jail for SSH is off, for ours stands in its place."""
    text = f"{_NOTE}[sshd]\nenabled = false\n"
    for jail in listed:
        lines = _source_lines(jail, sources)
        if lines:
            text += f"\n[{jail.name}]\nenabled = true\n" + "\n".join(lines) + "\n"
            text += _threshold_lines(jail, ignored)
    return text


def _threshold_lines(jail: Jail, ignored: Sequence[str]) -> str:
    lines = [f"maxretry = {jail.attempts}", f"findtime = {jail.within}", f"bantime = {jail.ban}"]
    if jail.factor > 1:
        lines += [
            "bantime.increment = true",
            f"bantime.formula = ban.Time * {jail.factor} ** min(ban.Count, 20)",
            f"bantime.maxtime = {jail.at_most}",
            "bantime.overalljails = true",
        ]
    lines += [f"ignoreip = {' '.join(ignored)}", "action = ringfence_bans.py"]
    return "\n".join(lines) + "\n"


def _source_lines(jail: Jail, sources: Sources) -> list[str]:
    if jail.kind == "ssh":
        match = " ".join(JOURNAL_MATCH)
        return ["backend = systemd", "filter = sshd", f"journalmatch = {match}"]
    if jail.kind == "gate":
        match = "_SYSTEMD_UNIT=ringfence-gate.service"
        return ["backend = systemd", _filter(jail, ""), f"journalmatch = {match}"]
    if jail.kind == "exploits":
        logs = "\n    ".join(sources.probe_logs)
        named = _any_domain(jail, sources)
        return ["backend = pyinotify", _filter(jail, named), f"logpath = {logs}"]
    if jail.kind == "joomla":
        paths = [sources.logs[name] for name in jail.sites if name in sources.logs]
        if not paths:
            return []
        return ["backend = pyinotify", _filter(jail, ""), "logpath = " + "\n    ".join(paths)]
    # A line counts only where the kernel says that it comes from the site's own user.
    mine = [name for name in jail.sites if name in sources.uids]
    if not mine:
        return []
    matches = [f"SYSLOG_IDENTIFIER=ringfence-site _UID={sources.uids[name]}" for name in mine]
    unique = " + ".join(dict.fromkeys(matches))
    return [
        "backend = systemd",
        _filter(jail, "|".join(map(told_name, mine))),
        f"journalmatch = {unique}",
    ]


def _filter(jail: Jail, sites: str) -> str:
    options = f'[sites="{sites}"]' if sites else ""
    return f"filter = {PREFIX}-{jail.kind}{options}"


def _any_domain(jail: Jail, sources: Sources) -> str:
    domains = [name for site in jail.sites for name in sources.domains.get(site, ())]
    good = sorted({name for name in domains if _DOMAIN.fullmatch(name)})
    return "|".join(re.escape(name).replace("\\*", "\\S+") for name in good)
