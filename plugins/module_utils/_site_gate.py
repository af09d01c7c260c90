# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The gate in front of admin areas: which sites ask for one, and every file that it is made of.

LemonLDAP::NG is the portal and keeps the sessions; it runs as a user of its own, with files of its
own, beside whatever else of it a host may have. nginx asks it by `auth_request` for each request
to a gated path, Apache by a small Lua program.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

CONFIGURATION = "/etc/ringfence-gate"
STATE = "/var/lib/ringfence-gate"
LIBRARY = "/usr/local/share/ringfence-gate"
SOCKET = "/run/ringfence-gate/gate.sock"
UNIT = "ringfence-gate.service"
ACCOUNT = "ringfence-gate"
LM_CONF = f"{CONFIGURATION}/conf/lmConf-1.json"
SETTINGS = f"{CONFIGURATION}/gate.json"
FEATURE = "gate"

_NGINX_HTTP = "/etc/nginx/conf.d/ringfence_gate.conf"
_APACHE_SERVER = "/etc/apache2/conf-available/ringfence_gate.conf"
_APACHE_SITES = "/etc/ringfence/sites/gate"

_CHECK = "/ringfence-gate-check"
# What programs ask a portal for: sessions, configuration, metadata. People need none of it.
_MACHINES = (
    "sessions|config|adminSessions|notifications|proxy|metadata"
    r"|\.well-known|index\.psgi|index\.fcgi"
)
# What the CMS's own admin area is, below the folder it lies in. WordPress sends its forms in a
# theme to admin-ajax.php, for visitors too.
_CMS_PATHS = {"wordpress": ("/wp-admin/", "/wp-login.php"), "joomla": ("/administrator/",)}
_CMS_OPEN = {"wordpress": ("/wp-admin/admin-ajax.php",)}
_CMS_DENIED = {"wordpress": ("/xmlrpc.php",)}
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_WEB_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DEFAULT_SESSION = 8 * 3600
_DEFAULT_LOCKOUT = {"attempts": 5, "within": "15m", "ban": "30m"}


class GateError(Exception):
    """Why there can be no such gate; one line."""


@dataclass(frozen=True)
class GateSite:
    """A site with a gate. `paths`: gated; `open`: exact exceptions; `denied`: shut for all."""

    reference: str
    domains: tuple[str, ...]
    root: str
    web_server: str
    paths: tuple[str, ...]
    open: tuple[str, ...]
    denied: tuple[str, ...]
    users: tuple[str, ...]
    enrol_from: tuple[str, ...]


@dataclass(frozen=True)
class Gate:
    """The gate of a host. `session`, `within`, `ban`: seconds, the strictest of its sites."""

    portal: str
    issuer: str
    web_server: str
    certificate: str
    certificate_key: str
    sites: tuple[GateSite, ...]
    session: int = _DEFAULT_SESSION
    lockout: Mapping[str, int] = field(default_factory=dict)


def gate_sites(sites: Iterable[Mapping[str, Any]]) -> list[GateSite]:
    """The sites of `ringfence_sites` that ask for a gate. Raises GateError."""
    return [
        _gate_site(site) for site in sites if _factor(site).get("admin") in ("gate", "cms_and_gate")
    ]


def gate_of(
    sites: Iterable[Mapping[str, Any]],
    *,
    portal: str,
    issuer: str = "",
    certificate: str,
    certificate_key: str,
) -> Gate | None:
    """The gate of a host; None where no site asks for one. Raises GateError."""
    rows = list(sites)
    asked = gate_sites(rows)
    if not asked:
        return None
    portal = portal.lower()
    if not _DOMAIN.fullmatch(portal):
        raise GateError(
            f"{asked[0].reference} asks for a gate: site_gate_portal: found {portal!r}, expected "
            "the domain that its sign-in page has on this host, such as gate.agency.example"
        )
    taken = [site.reference for site in asked if portal in site.domains]
    if taken:
        raise GateError(f"site_gate_portal: {portal} is a domain of {taken[0]}: name another one")
    factors = [_factor(site) for site in rows if site_reference(site) in _references(asked)]
    return Gate(
        portal=portal,
        issuer=issuer or portal,
        web_server="nginx" if any(site.web_server == "nginx" for site in asked) else "apache",
        certificate=_absolute("site_gate_certificate", certificate),
        certificate_key=_absolute("site_gate_certificate_key", certificate_key),
        sites=tuple(asked),
        session=min(_seconds(one.get("session", f"{_DEFAULT_SESSION}s")) for one in factors),
        lockout=_strictest([{**_DEFAULT_LOCKOUT, **one.get("lockout", {})} for one in factors]),
    )


def site_reference(site: Mapping[str, Any]) -> str:
    """`client/site`, as the register names it."""
    return f"{site.get('client', '')}/{site.get('id', '')}"


def is_gated(site: GateSite, path: str) -> bool:
    """Whether the gate stands before `path` (normalised, without a query)."""
    if path in site.open:
        return False
    return any(path == p.rstrip("/") or path.startswith(p.rstrip("/") + "/") for p in site.paths)


def settings(gate: Gate) -> dict[str, Any]:
    """What the gate's own code reads: who may pass where, and what is too much."""
    return {
        "issuer": gate.issuer,
        "lockout": dict(gate.lockout),
        "portal": gate.portal,
        "session": gate.session,
        "sites": {
            site.reference: {
                "users": list(site.users),
                "enrol_from": list(site.enrol_from),
                "domains": list(site.domains),
                "paths": list(site.paths),
            }
            for site in gate.sites
        },
    }


def lm_conf(gate: Gate, key: str) -> dict[str, Any]:
    """LemonLDAP::NG's configuration. `key`: what it encrypts cookies with."""
    sessions = {
        "Directory": f"{STATE}/sessions",
        "LockDirectory": f"{STATE}/sessions/lock",
        "generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256",
    }
    rules = {
        domain: {"default": f'may("{site.reference}", $_user, $_2f, $_utime)'}
        for site in gate.sites
        for domain in site.domains
    }
    shown = ("Appslist", "ChangePassword", "LoginHistory", "OidcConsents", "RefreshMyRights",
             "Register", "ResetPassword", "GeneratePassword", "CertificateResetByMail")  # fmt: skip
    return {
        "cfgNum": 1,
        "cfgAuthor": "Ringfence",
        "cfgDate": 1,
        "cfgLog": "written by Ringfence: what is changed by hand is written over",
        "portal": f"https://{gate.portal}/",
        "domain": gate.portal,
        "cookieName": "ringfencegate",
        "securedCookie": 1,
        "httpOnly": 1,
        "cda": 1,
        "key": key,
        "timeout": gate.session,
        "https": 1,
        "authentication": "Custom",
        "customAuth": "::Auth::RingfenceGate",
        "userDB": "Null",
        "passwordDB": "",
        "registerDB": "",
        "captcha": "::Captcha::RingfenceGate",
        "customPlugins": "::Plugins::RingfenceGate",
        "customFunctions": "Ringfence::Gate::may",
        "available2F": "RingfenceGate",
        "available2FSelfRegistration": "",
        "ringfencegate2fActivation": 1,
        "totp2fActivation": 1,
        "sfRequired": 1,
        "sfManagerRule": 0,
        "whatToTrace": "_user",
        "macros": {},
        "groups": {},
        "exportedVars": {},
        "userControl": "^[a-z][a-z0-9_]{0,63}$",
        "requireToken": 1,
        "globalStorage": "Apache::Session::File",
        "globalStorageOptions": sessions,
        "persistentStorage": "Apache::Session::File",
        "persistentStorageOptions": sessions,
        "disablePersistentStorage": 1,
        "localSessionStorage": "",
        "handlerInternalCache": 0,
        "loginHistoryEnabled": 0,
        "notification": 0,
        "portalStatus": 0,
        "portalSkin": "bootstrap",
        "portalMainLogo": "",
        "portalAntiFrame": 1,
        "portalCheckLogins": 0,
        "portalDisplayLogout": 1,
        **{f"portalDisplay{name}": 0 for name in shown},
        **{f"captcha_{name}_enabled": 0 for name in ("login", "mail", "register")},
        "corsEnabled": 0,
        "tokenUseGlobalStorage": 1,
        "showLanguages": 0,
        "stayConnected": 0,
        # The rules are ours alone, and what they call could not find its own classes in a jail.
        "useSafeJail": 0,
        "locationRules": rules,
        "exportedHeaders": {domain: {} for domain in rules},
        "vhostOptions": {
            domain: {"vhostHttps": 1, "vhostPort": 443, "vhostType": "CDA"} for domain in rules
        },
    }


def ini() -> str:
    """LemonLDAP::NG's file beside its configuration: where that lies, and how much it logs."""
    return f"""; SPDX-License-Identifier: GPL-3.0-or-later
; Written by Ringfence.
[all]
logLevel = warn
checkTime = 1

[configuration]
type = File
dirName = {CONFIGURATION}/conf
localStorage = Cache::FileCache
localStorageOptions = {{'namespace' => 'configuration', 'default_expires_in' => 600, \\
    'directory_umask' => '007', 'cache_root' => '{STATE}/cache', 'cache_depth' => 0}}

[portal]
staticPrefix = /static
templateDir = /usr/share/lemonldap-ng/portal/templates
languages = en, de, fr, it, es, nl

[handler]
status = 0
useRedirectOnError = 0
"""


def unit() -> str:
    """The systemd unit of the portal: an account of its own, and nothing to write but its state."""
    return f"""{_HEADER}[Unit]
Description=Gate with a second factor in front of admin areas
After=network.target

[Service]
Type=simple
User={ACCOUNT}
Group=www-data
SupplementaryGroups={ACCOUNT}
Environment=LLNG_DEFAULTCONFFILE={CONFIGURATION}/lemonldap-ng.ini
Environment=PERL5LIB={LIBRARY}/lib
ExecStart=/usr/sbin/llng-fastcgi-server --foreground --proc 3 \\
    --pid /run/ringfence-gate/gate.pid --socket {SOCKET} \\
    --customFunctionsFile {LIBRARY}/lib/Ringfence/Gate.pm
ExecStartPre=/bin/rm -rf {STATE}/cache/configuration
KillMode=mixed
TimeoutStopSec=5
Restart=on-failure
RestartSec=2
RuntimeDirectory=ringfence-gate
RuntimeDirectoryMode=0750
UMask=0007
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={STATE}
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
"""


def web_files(gate: Gate | None) -> tuple[dict[str, str], list[str]]:
    """Path -> text of each drop-in of the web servers, and the modules that Apache needs."""
    files: dict[str, str] = {}
    modules: list[str] = []
    if gate is None:
        return files, modules
    nginx, apache = _of(gate, "nginx"), _of(gate, "apache")
    if nginx:
        files[_NGINX_HTTP] = _nginx_http(gate, nginx)
    for number, site in nginx:
        path = f"/etc/nginx/ringfence/{_folder(site)}/gate.conf"
        files[path] = _NGINX_SITE.format(number=number, check=_CHECK, socket=SOCKET)
    if apache:
        modules = ["lua"]
    for _number, site in apache:
        files[f"{_APACHE_SITES}/{_folder(site)}.lua"] = _apache_check(site)
        files[f"/etc/apache2/ringfence/{_folder(site)}/after/gate.conf"] = _apache_site(site)
    if gate.web_server == "apache":
        modules += ["proxy", "proxy_fcgi", "setenvif", "ssl"]
        files[_APACHE_SERVER] = _HEADER + _APACHE_PORTAL.format(**_portal_values(gate))
    return files, modules


def rendered(document: Mapping[str, Any]) -> str:
    """A JSON file as we write it."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _gate_site(site: Mapping[str, Any]) -> GateSite:
    reference, factor = site_reference(site), _factor(site)
    cms = site.get("cms", {})
    name, folder = cms.get("name", ""), str(cms.get("path", "")).rstrip("/")
    paths = [folder + path for path in _CMS_PATHS.get(name, ())]
    paths += [*cms.get("admin_paths", ()), *factor.get("paths", ())]
    if not paths:
        raise GateError(
            f"{reference} asks for a gate and has no admin path that is known: say "
            "security.second_factor.paths"
        )
    for path in paths:
        if not _WEB_PATH.fullmatch(path) or "//" in path or "/." in path:
            raise GateError(f"{reference}: {path!r}: expected a path such as /admin/")
    users = factor.get("gate_users", [])
    if not users:
        raise GateError(
            f"{reference} asks for a gate that nobody may pass: say "
            "security.second_factor.gate_users"
        )
    domains = tuple(str(one).lower() for one in site.get("domains", ()))
    wrong = [one for one in domains if not _DOMAIN.fullmatch(one)]
    if wrong or not domains:
        raise GateError(f"{reference}: {wrong[0] if wrong else 'no domain'}: a gate needs domains")
    return GateSite(
        reference=reference,
        domains=domains,
        root=_absolute(f"{reference}: root", str(site.get("root", ""))).rstrip("/"),
        web_server=str(site.get("web_server", "nginx")),
        paths=tuple(dict.fromkeys(paths)),
        open=tuple(folder + path for path in _CMS_OPEN.get(name, ())),
        denied=tuple(folder + path for path in _CMS_DENIED.get(name, ())),
        users=tuple(users),
        enrol_from=tuple(_network(reference, one) for one in factor.get("enrol_from", ())),
    )


def _factor(site: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = site.get("security", {}).get("second_factor", {})
    return found


def _references(sites: Iterable[GateSite]) -> set[str]:
    return {site.reference for site in sites}


def _of(gate: Gate, web_server: str) -> list[tuple[int, GateSite]]:
    return [(n, site) for n, site in enumerate(gate.sites) if site.web_server == web_server]


def _strictest(asked: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "attempts": min(int(one["attempts"]) for one in asked),
        "within": max(_seconds(one["within"]) for one in asked),
        "ban": max(_seconds(one["ban"]) for one in asked),
    }


def _seconds(text: Any) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhdw])", str(text))
    if not match:
        raise GateError(f"{text!r}: expected a duration such as 8h")
    return int(match[1]) * _UNITS[match[2]]


def _absolute(what: str, path: str) -> str:
    if not re.fullmatch(r"/[^\s\"'\\;{}$]*", path):
        raise GateError(f"{what}: found {path!r}, expected an absolute path")
    return path


def _network(reference: str, text: Any) -> str:
    # The register's entries are mappings with a reason; a bare network is one as well.
    bare = text.get("network") if isinstance(text, dict) else text
    try:
        return str(ipaddress.ip_network(str(bare), strict=False))
    except ValueError as error:
        raise GateError(f"{reference}: enrol_from: {bare!r}: expected a network") from error


def _folder(site: GateSite) -> str:
    return site.reference.replace("/", "__")


def _portal_values(gate: Gate) -> dict[str, str]:
    return {
        "portal": gate.portal,
        "certificate": gate.certificate,
        "key": gate.certificate_key,
        "socket": SOCKET,
        "machines": _MACHINES,
    }


def _nginx_http(gate: Gate, sites: Iterable[tuple[int, GateSite]]) -> str:
    maps = "".join(_nginx_maps(number, site) for number, site in sites)
    portal = _NGINX_PORTAL.format(**_portal_values(gate))
    return _HEADER + maps + (portal if gate.web_server == "nginx" else "")


def _nginx_maps(number: int, site: GateSite) -> str:
    rows = [f"    {path} 0;" for path in site.open]
    rows += [f"    {path} 2;" for path in site.denied]
    rows += [f'    "~^{re.escape(path.rstrip("/"))}(/|$)" 1;' for path in site.paths]
    names = "".join(f"    {domain} {domain};\n" for domain in site.domains)
    gated = "".join(f"{row}\n" for row in rows)
    return (
        f"# {site.reference}: 1 is behind the gate, 2 is shut\n"
        f"map $ringfence_gate_uri $ringfence_gate_{number} {{\n"
        f"    volatile;\n    default 0;\n{gated}}}\n"
        f"map $host $ringfence_gate_host_{number} {{\n    default {site.domains[0]};\n{names}}}\n\n"
    )


def _apache_check(site: GateSite) -> str:
    return (
        f"-- SPDX-License-Identifier: GPL-3.0-or-later\n-- Written by Ringfence: {site.reference}\n"
        f'local gate = dofile("{LIBRARY}/gate.lua")\n'
        "local site = {\n"
        f"    domains = {_lua_list(site.domains)},\n"
        f"    paths = {_lua_list(site.paths)},\n"
        f"    open = {_lua_list(site.open)},\n"
        "}\n\nfunction check(r)\n    return gate(r, site)\nend\n"
    )


def _apache_site(site: GateSite) -> str:
    denied = "".join(
        f'<Location "{path}">\n    Require all denied\n</Location>\n' for path in site.denied
    )
    check = f"{_APACHE_SITES}/{_folder(site)}.lua"
    return f"{_HEADER}LuaHookAccessChecker {check} check\n{denied}"


def _lua(text: str) -> str:
    return json.dumps(text)


def _lua_list(texts: Iterable[str]) -> str:
    return "{" + ", ".join(map(_lua, texts)) + "}"


_HEADER = """# SPDX-License-Identifier: GPL-3.0-or-later
# Written by Ringfence: the gate in front of admin areas.
"""

_NGINX_SITE = (
    _HEADER
    + """# The path that was routed on: of the request itself, not of the question to the gate.
if ($uri != "{check}") {{
    set $ringfence_gate_uri $uri;
    set $ringfence_gate_query $is_args$args;
}}
if ($ringfence_gate_{number} = 2) {{
    return 403;
}}
auth_request {check};
auth_request_set $ringfence_gate_location $upstream_http_location;
auth_request_set $ringfence_gate_cookie $upstream_http_set_cookie;
error_page 401 = @ringfence_gate;
location = {check} {{
    internal;
    auth_request off;
    if ($ringfence_gate_{number} = 0) {{
        return 204;
    }}
    include fastcgi_params;
    fastcgi_pass unix:{socket};
    fastcgi_pass_request_body off;
    fastcgi_param CONTENT_LENGTH "";
    fastcgi_param HTTP_HOST $ringfence_gate_host_{number};
    fastcgi_param SERVER_NAME $ringfence_gate_host_{number};
    fastcgi_param HTTPS on;
    fastcgi_param SERVER_PORT 443;
    fastcgi_param X_ORIGINAL_URI $ringfence_gate_uri$ringfence_gate_query;
    fastcgi_param VHOSTTYPE CDA;
}}
location @ringfence_gate {{
    internal;
    auth_request off;
    # The site's own question for a password, not the gate's.
    if ($ringfence_gate_location = "") {{
        return 401;
    }}
    add_header Set-Cookie $ringfence_gate_cookie;
    add_header Cache-Control no-store;
    return 302 $ringfence_gate_location;
}}
"""
)

_NGINX_PORTAL = """server {{
    listen 80;
    listen [::]:80;
    server_name {portal};
    return 301 https://{portal}$request_uri;
}}

server {{
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name {portal};
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    root /usr/share/lemonldap-ng/portal/htdocs;
    access_log /var/log/nginx/ringfence-gate.access.log;
    error_log /var/log/nginx/ringfence-gate.error.log;
    client_max_body_size 64k;
    add_header Strict-Transport-Security "max-age=31536000" always;

    location /static/ {{
        alias /usr/share/lemonldap-ng/portal/htdocs/static/;
    }}
    location /javascript/ {{
        alias /usr/share/javascript/;
    }}
    location = /favicon.ico {{
        return 204;
    }}
    # What others may ask a portal for has no place here.
    location ~ ^/({machines}) {{
        return 404;
    }}
    # The address of this page is a secret: in no log.
    location ^~ /enrol/ {{
        access_log off;
        error_log /dev/null;
        include fastcgi_params;
        fastcgi_pass unix:{socket};
        fastcgi_param HTTP_HOST {portal};
        fastcgi_param LLTYPE psgi;
        fastcgi_param SCRIPT_FILENAME $document_root/index.psgi;
        fastcgi_param SCRIPT_NAME "";
        fastcgi_param PATH_INFO $uri;
    }}
    location / {{
        include fastcgi_params;
        fastcgi_pass unix:{socket};
        fastcgi_param HTTP_HOST {portal};
        fastcgi_param LLTYPE psgi;
        fastcgi_param SCRIPT_FILENAME $document_root/index.psgi;
        fastcgi_param SCRIPT_NAME "";
        fastcgi_param PATH_INFO $uri;
    }}
}}
"""

_APACHE_PORTAL = """<VirtualHost *:80>
    ServerName {portal}
    Redirect permanent / https://{portal}/
</VirtualHost>

<VirtualHost *:443>
    ServerName {portal}
    SSLEngine on
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
    DocumentRoot /usr/share/lemonldap-ng/portal/htdocs
    ErrorLog ${{APACHE_LOG_DIR}}/ringfence-gate.error.log
    # The address of this page is a secret: in no log.
    SetEnvIf Request_URI "^/enrol/" ringfence_gate_secret
    CustomLog ${{APACHE_LOG_DIR}}/ringfence-gate.access.log combined env=!ringfence_gate_secret
    LimitRequestBody 65536

    Alias /javascript/ /usr/share/javascript/
    <Directory /usr/share/lemonldap-ng/portal/htdocs>
        Require all granted
        AllowOverride None
    </Directory>
    <Directory /usr/share/javascript>
        Require all granted
        AllowOverride None
    </Directory>
    # What others may ask a portal for has no place here.
    RedirectMatch 404 "^/({machines})"
    <LocationMatch "^/(?!static/|javascript/|favicon\\.ico)">
        SetHandler "proxy:unix:{socket}|fcgi://ringfence-gate/"
        ProxyFCGISetEnvIf "true" LLTYPE psgi
        ProxyFCGISetEnvIf "true" HTTP_HOST {portal}
        ProxyFCGISetEnvIf "true" SCRIPT_FILENAME /usr/share/lemonldap-ng/portal/htdocs/index.psgi
        ProxyFCGISetEnvIf "true" SCRIPT_NAME ""
        ProxyFCGISetEnvIf "true" PATH_INFO "%{{REQUEST_URI}}"
    </LocationMatch>
</VirtualHost>
"""
