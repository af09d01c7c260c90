# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates that certbot issues and renews, for the sites that ask for it.

The authority asks each domain for a file. It lies in a folder of root's own, which a drop-in of the
site's web server shows at that one address: nothing is written into a site's folders. Which
certificate a site shows is its own configuration's word: what that names is told, not changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _certificates,
    _site_config,
    _x509,
)
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_hooks as hooks
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

FEATURE = "certificate"
ISSUER = "certbot"
FOLDER = "/var/lib/ringfence-acme"
LIVE = "/etc/letsencrypt/live"

_CHALLENGES = "/.well-known/acme-challenge/"
_SECONDS = 300
_UNITS = {"nginx": "nginx.service", "apache": "apache2.service"}
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_NGINX = f"""{_HEADER}location ^~ {_CHALLENGES} {{
    root {FOLDER};
    default_type text/plain;
    auth_basic off;
    allow all;
}}
"""
_APACHE = f"""{_HEADER}Alias "{_CHALLENGES}" "{FOLDER}{_CHALLENGES}"
<Directory "{FOLDER}{_CHALLENGES}">
    Options None
    AllowOverride None
    Require all granted
    ForceType text/plain
</Directory>
"""
# certbot tells what the authority found in lines such as `  Detail: 192.0.2.1: Fetching ...`.
_DETAIL = re.compile(r"^\s*Detail: (.+)$", re.MULTILINE)


class Authority(NamedTuple):
    """`server`: address of its directory. `email`: whom it writes to, "" for nobody."""

    server: str
    email: str
    terms_agreed: bool


def run(
    host: Host, sites: list[dict[str, Any]], authority: Authority, *, check: bool
) -> dict[str, Any]:
    """Issue what is missing (with `check` only say what). Returns the module's result.

    Keys: changed, diff, issued (site -> domains), failed_sites (lines), elsewhere (lines: where a
    site's configuration names another certificate). Raises ConfigError and HostError.
    """
    asking = [site for site in sites if site.get("certificate") == ISSUER]
    if asking and not check:
        _make_folder(host)
    placed = _site_config.run(host, _payload(sites, asking), check=check)
    issued: dict[str, list[str]] = {}
    failed = list(placed["refused"])
    for site in asking:
        if hooks.name_of(site) not in placed["hooked"] or lineage(host, site["domains"]):
            continue
        problem = "" if check else _issue(host, site, authority)
        if problem:
            failed.append(f"{_label(site)}: {problem}")
        else:
            issued[_label(site)] = list(site["domains"])
    host.forget()
    return {
        "changed": placed["changed"] or bool(issued),
        "diff": placed["diff"],
        "issued": issued,
        "failed_sites": failed,
        "elsewhere": list(_elsewhere(host, asking)),
    }


def _make_folder(host: Host) -> None:
    os.makedirs(host.real(FOLDER), exist_ok=True)
    # Whatever the umask is: the web server shows what is in it.
    os.chmod(host.real(FOLDER), 0o755)  # noqa: S103


def lineage(host: Host, domains: Iterable[str]) -> str:
    """The folder of a certificate of certbot's for all `domains`; "" where there is none."""
    wanted = list(domains)
    for path in host.glob(f"{LIVE}/*/fullchain.pem"):
        try:
            leaf = _x509.certificates(host.read(path) or b"")[0]
        except (ValueError, IndexError) as error:
            raise HostError(f"{path} cannot be understood") from error
        if all(_certificates.covers(leaf, domain) for domain in wanted):
            return path.rpartition("/")[0]
    return ""


def _payload(sites: list[dict[str, Any]], asking: list[dict[str, Any]]) -> str:
    files = {_drop_in(site): {"text": _text(site)} for site in asking}
    modules = ["alias"] if any(site["web_server"] == "apache" for site in asking) else []
    wanted = {"feature": FEATURE, "sites": sites, "files": files, "apache_modules": modules}
    return json.dumps(wanted)


def _drop_in(site: Mapping[str, Any]) -> str:
    name = hooks.name_of(site)
    if site["web_server"] == "nginx":
        return f"{hooks.NGINX_FOLDER}/{name}/{FEATURE}.conf"
    return f"{hooks.APACHE_FOLDER}/{name}/{hooks.BEFORE}/{FEATURE}.conf"


def _text(site: Mapping[str, Any]) -> str:
    return _NGINX if site["web_server"] == "nginx" else _APACHE


def _issue(host: Host, site: Mapping[str, Any], authority: Authority) -> str:
    """Why no certificate came; "" where one did."""
    if not authority.terms_agreed:
        return (
            f"no certificate was asked for: the terms of {authority.server} are not agreed to "
            "(site_certificate_terms_agreed)"
        )
    done = host.run(_certonly(site, authority), timeout=_SECONDS)
    if done.rc == 0:
        return ""
    details = list(dict.fromkeys(_DETAIL.findall(done.out + done.err)))
    return f"certbot: {'; '.join(details[:3]) or done.complaint()}"


def _certonly(site: Mapping[str, Any], authority: Authority) -> list[str]:
    contact = ["--email", authority.email, "--no-eff-email"] if authority.email else []
    return [
        "certbot",
        "certonly",
        "--non-interactive",
        "--agree-tos",
        *(contact or ["--register-unsafely-without-email"]),
        "--server",
        authority.server,
        "--webroot",
        "--webroot-path",
        FOLDER,
        "--cert-name",
        hooks.name_of(site),
        "--keep-until-expiring",
        "--renew-with-new-domains",
        "--deploy-hook",
        f"systemctl reload {_UNITS[site['web_server']]}",
        *(word for domain in site["domains"] for word in ("--domain", domain)),
    ]


def _elsewhere(host: Host, asking: list[dict[str, Any]]) -> Iterator[str]:
    for site in asking:
        folder = lineage(host, site["domains"])
        shown = [item for item in _certificates.served(host) if item.server == site["web_server"]]
        for item in shown if folder else ():
            mine = not set(item.names).isdisjoint(site["domains"])
            if mine and not item.certificate.startswith(f"{LIVE}/"):
                yield (
                    f"{_label(site)}: {item.place} names {item.certificate}, "
                    f"expected {folder}/fullchain.pem with privkey.pem"
                )


def _label(site: Mapping[str, Any]) -> str:
    return f"{site['client']}/{site['id']}"
