# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings a host to the bans that its sites ask for: all of it planned, tried, written, started.

What the web servers have to include is not here: the action plugin hands that to site_config.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _ban_central,
    _ban_files,
    _ban_policy,
    _nginx,
    _packages,
    _sites,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent import (
    agent,
    central,
    kernel,
    share,
    users,
    web,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_policy import Jail, Site
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    replace_file,
)

FAIL2BAN_JAILS = "/etc/fail2ban/jail.d/ringfence.local"
FAIL2BAN_SETTINGS = "/etc/fail2ban/fail2ban.d/ringfence.local"
FAIL2BAN_ACTION = "/etc/fail2ban/action.d/ringfence_bans.py"
PLUGIN = "wp-content/mu-plugins/ringfence-bans.php"

_FILTER = "/etc/fail2ban/filter.d/ringfence-{}.conf"
_UNITS = "/etc/systemd/system"
_SERVICE = f"{_UNITS}/ringfence-bans.service"
_SOCKET = f"{_UNITS}/ringfence-bans.socket"
_RECEIVER = f"{_UNITS}/ringfence-bans-receiver.service"
_LOGROTATE = "/etc/logrotate.d/ringfence-bans"
_PROBE_FOLDER = "/var/log/ringfence"
_PLUGINS_PUT = "/var/lib/ringfence/bans/plugins.json"
_PACKAGES = {
    "/usr/bin/fail2ban-server": "fail2ban",
    "/usr/sbin/nft": "nftables",
    "/usr/lib/python3/dist-packages/systemd/journal.py": "python3-systemd",
    "/usr/lib/python3/dist-packages/pyinotify.py": "python3-pyinotify",
}
_JOOMLA_LOG = re.compile(r"""^\s*(?:public|var)\s+\$log_path\s*=\s*['"]([^'"\n]+)['"]""", re.M)
_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/=]+")
_PEER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class BansError(Exception):
    """Why nothing was changed, in one line."""


@dataclass
class Plan:
    """`files`: path -> (text or None to remove, mode, group). `steps`: what was not a file."""

    files: dict[str, tuple[str | None, int, str]] = field(default_factory=dict)
    plugins: dict[str, str | None] = field(default_factory=dict)
    plugins_put: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    units: list[list[str]] = field(default_factory=list)
    reload_jails: bool = False
    restart_agent: bool = False
    restart_receiver: bool = False
    absent: bool = False
    no_central: bool = False
    compiled: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(
            self.files or self.plugins or self.packages or self.keys or self.logs
            or self.units or self.reload_jails or self.restart_agent or self.restart_receiver
            or self.no_central
        )  # fmt: skip


# --- looking


def look(host: Host, sites: Sequence[Site]) -> dict[str, Any]:
    """What the controller must know before it can say what this host gets; changes nothing.

    `unlogged`: see `_ban_policy.nginx_files`. `keys`: the public halves, where there are any.
    `central`: the host whose central list this one is let in to.
    """
    found: dict[str, Any] = {"keys": {}, "unlogged": {}, "central": _let_in_to(host)}
    for name, path in (("key", share.KEY), ("host_key", _ban_files.HOST_KEY)):
        match = _KEY.search(host.text(f"{path}.pub") or "")
        if match:
            found["keys"][name] = match[0]
    nginx = [site for site in sites if site.get("web_server") == "nginx"]
    if nginx and host.exists(_nginx.MAIN):
        found["unlogged"] = _unlogged(host, nginx)
    return found


def _let_in_to(host: Host) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(host.text(central.SECRET) or "")["server"])
    return ""


def _unlogged(host: Host, sites: Sequence[Site]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for server in _nginx.read(host).servers():
        logs = [
            row for row in server.block.own("access_log")
            if not row.path.startswith("/etc/nginx/ringfence/")
        ]  # fmt: skip
        if logs or not server.names:
            continue
        inherited = [" ".join(row.args) for row in server.around[-1].own("access_log")]
        inherited = inherited or ["/var/log/nginx/access.log combined"]
        kept = [_with_format(log) for log in inherited if log != "off" and "if=" not in log]
        ports = {_port(words) for words in server.listens}
        for site in sites:
            if set(site.get("domains", ())) & set(server.names):
                rows = found.setdefault(_ban_policy.site_id(site), [])
                rows += [{"key": f"{server.names[0]}:{port}", "logs": kept} for port in ports]
    return found


def _with_format(log: str) -> str:
    """`if=` needs the name of the format before it."""
    return log if " " in log.strip() else f"{log} combined"


def _port(words: Sequence[str]) -> str:
    match = re.search(r"(?:^|:)(\d+)$", words[0])
    return match[1] if match else "80"


# --- planning


def plan(host: Host, given: Mapping[str, Any]) -> Plan:
    """What has to be done. Raises BansError, PolicyError, HostError."""
    sites = [site for site in given["sites"] if _ban_policy.wanted(site)]
    listed = _ban_policy.jails(given["sites"], given["ssh"])
    if given["state"] == "absent" or not listed:
        return plan_absent(host)
    ignored = _never(given, sites)
    served = _served(host, sites)
    made = Plan(warnings=served.problems)
    sources = _sources(host, sites, served)
    peers = _peers(host, given)
    secrets = _central_files(host, given)
    settings = _settings(given, listed, sites, served, ignored, peers)
    plugins = _wanted_plugins(sites, served)
    settings["plugins"] = {
        path: hashlib.sha256(text.encode()).hexdigest() for path, text in plugins.items()
    }
    wanted = _wanted_files(listed, sources, ignored, settings, peers) | secrets
    _plan_files(host, made, wanted)
    made.no_central = not _serves(given) and bool(_ban_central.left(host))
    made.packages = [name for path, name in _PACKAGES.items() if not host.exists(path)]
    sharing = bool(given["share"]) and not given.get("central")
    if sharing and _lacks_keys(host):
        made.keys = [share.KEY, _ban_files.HOST_KEY]
    _plan_plugins(host, made, plugins)
    _plan_logs(host, made, sites, sources)
    _plan_units(host, made, sharing)
    _show_rest(made)
    return made


def plan_absent(host: Host) -> Plan:
    """What takes away all that was put on the host; the record of bans and fail2ban itself stay."""
    made = Plan(absent=True, no_central=bool(_ban_central.left(host)))
    folder = share.FOLDER
    paths = [*_fixed_paths(), *(f"{folder}/{name}" for name in host.names(folder))]
    for other in (_ban_files.LIBRARY, web.FOLDER):
        paths += [f"{other}/{name}" for name in host.names(other)]
    compiled = f"{os.path.dirname(FAIL2BAN_ACTION)}/__pycache__"
    made.compiled = [
        f"{compiled}/{name}" for name in host.names(compiled) if name.startswith("ringfence_bans.")
    ]
    for path in dict.fromkeys(paths):
        found = host.attributes(path)
        if found is not None and found.kind == "file":
            made.files[path] = (None, 0, "")
            secret = path.endswith(("_key", "bans.json")) or path == central.SECRET
            before = "(not shown)\n" if secret else host.text(path) or ""
            made.diff.append(_diff(path, before, ""))
    made.plugins = {path: None for path in _put_plugins(host) if _has_plugin(host, path)}
    for unit in (
        "ringfence-bans-receiver.service",
        "ringfence-bans.service",
        "ringfence-bans.socket",
    ):
        if host.exists(f"{_UNITS}/{unit}"):
            made.units.append(["disable", "--now", unit])
    if made.files:
        made.units.append(["daemon-reload"])
        made.reload_jails = FAIL2BAN_JAILS in made.files
    for path in made.plugins:
        made.diff.append(_diff(path, "(our must-use plugin)\n", ""))
    _show_central(made)
    return made


def _fixed_paths() -> list[str]:
    kinds = [_FILTER.format(kind) for kind in _ban_policy.FILTERS]
    fixed = [FAIL2BAN_JAILS, FAIL2BAN_SETTINGS, FAIL2BAN_ACTION, _SERVICE, _SOCKET, _RECEIVER]
    return [*fixed, *kinds, _LOGROTATE, _ban_files.PROGRAM, users.WORDPRESS]


def _never(given: Mapping[str, Any], sites: Sequence[Site]) -> list[str]:
    if not given["management"]:
        raise BansError(
            "automatic_bans_management: is empty, expected the addresses that administrators "
            "connect from, for they are never banned"
        )
    ignored = _ban_policy.never(sites, given["management"], given["fleet"], given["never"])
    connection = given.get("connection")
    if connection and not _holds(ignored, connection):
        raise BansError(
            f"refused, nothing changed: this connection comes from {connection}, "
            "which automatic_bans_management does not hold"
        )
    return ignored


def _holds(networks: Iterable[str], address: str) -> bool:
    import ipaddress

    wanted = ipaddress.ip_address(address)
    parsed = (ipaddress.ip_network(text) for text in networks)
    return any(wanted in one for one in parsed if one.version == wanted.version)


@dataclass
class _Served:
    """What the host says of its sites: `folders` of the CMS, `users`, `databases`, `php`."""

    folders: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    databases: dict[str, dict[str, str]] = field(default_factory=dict)
    php: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def _served(host: Host, sites: Sequence[Site]) -> _Served:
    """The register's word first; what it leaves open as the host has it."""
    found = _Served()
    discovered = {d: row for row in _sites.discover(host)["sites"] for d in row["domains"]}
    for site in sites:
        name = _ban_policy.site_id(site)
        there: dict[str, Any] = next(
            (discovered[d] for d in site["domains"] if d in discovered), {}
        )
        root = str(site.get("root") or there.get("root") or "")
        cms = there.get("cms") or {}
        found.folders[name] = root.rstrip("/") + str(cms.get("path", ""))
        found.users[name] = str(site.get("user") or there.get("user") or "")
        known = {**(there.get("database") or {})}
        known |= {k: v for k, v in (site.get("database") or {}).items() if k in ("name", "prefix")}
        found.databases[name] = {k: str(v) for k, v in known.items() if k in ("name", "prefix")}
        version = str(site.get("php") or there.get("php") or "")
        program = f"/usr/bin/php{version}"
        found.php[name] = program if host.exists(program) else "/usr/bin/php"
    return found


def _sources(host: Host, sites: Sequence[Site], served: _Served) -> _ban_policy.Sources:
    uids, logs, domains = {}, {}, {}
    for site in sites:
        name = _ban_policy.site_id(site)
        domains[name] = list(site["domains"])
        if _ban_policy.cms_of(site) == "wordpress":
            account = _account(served.users[name])
            if account is None:
                served.problems.append(
                    f"{name}: no account {served.users[name] or '(user is not declared)'} on this "
                    "host, so bad sign-ins cannot be told from forged ones: they are not counted"
                )
            else:
                uids[name] = account.pw_uid
        if _ban_policy.cms_of(site) == "joomla":
            logs[name] = _joomla_log(host, served.folders[name])
    servers = sorted({str(site.get("web_server")) for site in sites} & {"nginx", "apache"})
    probes = [_ban_policy.PROBE_LOG.format(server=server) for server in servers]
    return _ban_policy.Sources(uids, logs, probes, domains)


def _joomla_log(host: Host, folder: str) -> str:
    match = _JOOMLA_LOG.search(_sites.peek(host, f"{folder}/configuration.php", 256 << 10) or "")
    return f"{match[1] if match else f'{folder}/administrator/logs'}/error.php"


def _peers(host: Host, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every other host that shares, with its keys: as told in this run, or else as known here."""
    if not given["share"] or given.get("central"):
        return []
    known = {peer["name"]: peer for peer in _kept_settings(host).get("peers", ())}
    peers = []
    for row in given["share"]["peers"]:
        if not _PEER.fullmatch(row["name"]):
            raise BansError(f"the host {row['name']!r} cannot share bans: its name is no word")
        old = known.get(row["name"], {})
        peer = {key: row.get(key) or old.get(key) for key in ("key", "host_key")}
        if all(_KEY.fullmatch(str(value)) for value in peer.values()):
            peers.append({**peer, **{key: row[key] for key in ("name", "address", "port", "from")}})
    return sorted(peers, key=lambda peer: str(peer["name"]))


def _serves(given: Mapping[str, Any]) -> bool:
    """Whether this host is to keep the central list."""
    return bool(given.get("central")) and bool(given["central"]["serve"])


def _central_files(host: Host, given: Mapping[str, Any]) -> dict[str, tuple[str, int, str]]:
    """What this host signs in to the central list with: as told in this run, or as known here."""
    asked = given.get("central")
    if not asked:
        return {}
    secret = given.get("secret") or {}
    if not secret and _let_in_to(host) == asked["server"]:
        secret = json.loads(host.text(central.SECRET) or "{}")
    certificate = asked["certificate"] or host.text(central.CERTIFICATE) or ""
    if not (secret and certificate) and not given.get("check"):
        raise BansError(
            f"automatic_bans_crowdsec_server: this host is not let in to the list on "
            f"{asked['server']} yet, expected a run for both of them"
        )
    text = json.dumps({**secret, "server": asked["server"]}, indent=1, sort_keys=True) + "\n"
    files = {central.SECRET: (text, 0o600, ""), central.CERTIFICATE: (certificate, 0o644, "")}
    if asked["serve"]:
        text = _ban_central.client_text(asked["address"], int(asked["port"]), secret)
        files[_ban_central.CLIENT] = (text, 0o600, "")
    return files


def _kept_settings(host: Host) -> dict[str, Any]:
    with suppress(ValueError):
        found: dict[str, Any] = json.loads(host.text(agent.CONFIGURATION) or "{}")
        return found
    return {}


def _settings(
    given: Mapping[str, Any],
    listed: Sequence[Jail],
    sites: Sequence[Site],
    served: _Served,
    ignored: list[str],
    peers: list[dict[str, Any]],
) -> dict[str, Any]:
    servers = {str(site.get("web_server")) for site in sites} & {"nginx", "apache"}
    sharing = given["share"] or {}
    return {
        "host": given["host"],
        "never": ignored,
        "web": sorted(servers) if _ban_policy.behind_cdn(sites) else [],
        "peers": peers,
        "port": 0 if given.get("central") else int(sharing.get("port", 0)),
        "central": _central_settings(given.get("central")),
        "peer_seconds": int(sharing.get("at_most", 3600)),
        "peer_bans_an_hour": int(sharing.get("an_hour", 200)),
        "jails": {
            jail.name: {"kind": jail.kind, "share": jail.share, "sites": list(jail.sites)}
            for jail in listed
        },
        "sites": {
            _ban_policy.site_id(site): _site_settings(site, listed, served) for site in sites
        },
    }


def _central_settings(asked: Mapping[str, Any] | None) -> dict[str, Any] | None:
    keys = ("server", "address", "port", "serve", "from", "others")
    return {key: asked[key] for key in keys} if asked else None


def _site_settings(site: Site, listed: Sequence[Jail], served: _Served) -> dict[str, Any]:
    name = _ban_policy.site_id(site)
    found: dict[str, Any] = {
        "id": name,
        "cms": _ban_policy.cms_of(site),
        "domain": site["domains"][0],
        "domains": list(site["domains"]),
        "web": str(site.get("web_server") or ""),
        "folder": served.folders[name],
        "user": served.users[name],
        "php": served.php[name],
        "database": served.databases[name],
        "log": "",
    }
    rule = next((jail for jail in listed if jail.kind == "users" and name in jail.sites), None)
    if rule:
        found["users"] = {"attempts": rule.attempts, "within": rule.within, "ban": rule.ban}
        found["users_jail"] = rule.name
    return found


def _wanted_files(
    listed: Sequence[Jail],
    sources: _ban_policy.Sources,
    ignored: Sequence[str],
    settings: dict[str, Any],
    peers: Sequence[Mapping[str, Any]],
) -> dict[str, tuple[str, int, str]]:
    for name, log in sources.logs.items():
        settings["sites"][name]["log"] = log
    texts: dict[str, str] = {
        FAIL2BAN_JAILS: _ban_policy.jails_text(listed, sources, ignored),
        FAIL2BAN_SETTINGS: _ban_policy.fail2ban_text(listed),
        FAIL2BAN_ACTION: _ban_files.FAIL2BAN_ACTION,
        _SERVICE: _ban_files.SERVICE,
        _SOCKET: _ban_files.SOCKET_UNIT,
        _LOGROTATE: _ban_files.LOGROTATE,
        users.WORDPRESS: _ban_files.WORDPRESS_USER,
        **{_FILTER.format(k): _ban_policy.filter_text(k) for k in _ban_policy.FILTERS},
        **_ban_files.program(),
    }
    modes = dict.fromkeys(texts, 0o644)
    modes[_ban_files.PROGRAM] = 0o755
    texts[agent.CONFIGURATION] = _ban_files.configuration(settings)
    modes[agent.CONFIGURATION] = 0o600
    if settings["port"]:
        texts |= {
            _RECEIVER: _ban_files.RECEIVER,
            _ban_files.SSHD_CONFIG: _ban_files.sshd_config(settings["port"]),
            _ban_files.AUTHORIZED: _ban_files.authorized_keys(peers),
            share.KNOWN_HOSTS: _ban_files.known_hosts(peers),
        }
    return {path: (text, modes.get(path, 0o644), "") for path, text in texts.items()}


def _plan_files(host: Host, made: Plan, wanted: dict[str, tuple[str, int, str]]) -> None:
    for path, (text, mode, group) in wanted.items():
        before, found = host.text(path), host.attributes(path)
        if before != text or found is None or found.mode != mode:
            made.files[path] = (text, mode, group)
            made.diff.append(_shown(path, before or "", text))
    sharing = (_RECEIVER, _ban_files.SSHD_CONFIG, _ban_files.AUTHORIZED, share.KNOWN_HOSTS)
    for path in (*sharing, central.SECRET, central.CERTIFICATE):
        if path in wanted or not host.exists(path):
            continue
        made.files[path] = (None, 0, "")
        made.diff.append(_shown(path, host.text(path) or "", ""))
    names = set(made.files)
    made.reload_jails = any(path.startswith("/etc/fail2ban/") for path in names)
    read = {agent.CONFIGURATION, _SERVICE, share.KNOWN_HOSTS, central.SECRET, central.CERTIFICATE}
    made.restart_agent = bool(names & read) or any(
        path.startswith(_ban_files.LIBRARY) for path in names
    )
    made.restart_receiver = bool(names & {_RECEIVER, _ban_files.SSHD_CONFIG})


def _shown(path: str, before: str, after: str) -> dict[str, str]:
    if path in (central.SECRET, _ban_central.CLIENT):
        before, after = (f"(not shown{n})\n" if t else "" for n, t in enumerate((before, after)))
    return _diff(path, before, after)


def _wanted_plugins(sites: Sequence[Site], served: _Served) -> dict[str, str]:
    wanted = {}
    for site in sites:
        name = _ban_policy.site_id(site)
        if _ban_policy.cms_of(site) == "wordpress":
            wanted[f"{served.folders[name]}/{PLUGIN}"] = _ban_files.must_use_plugin(name)
    return wanted


def _plan_plugins(host: Host, made: Plan, wanted: Mapping[str, str]) -> None:
    for path, text in wanted.items():
        if read_plugin(host, path) != text:
            made.plugins[path] = text
            made.diff.append(_diff(path, "(another or none)\n", text))
    put = _put_plugins(host)
    for path in put:
        if path not in wanted and _has_plugin(host, path):
            made.plugins[path] = None
            made.diff.append(_diff(path, "(our must-use plugin)\n", ""))
    made.plugins_put = sorted(wanted)


def _put_plugins(host: Host) -> list[str]:
    """Where must-use plugins were put."""
    with suppress(ValueError):
        return [str(path) for path in json.loads(host.text(_PLUGINS_PUT) or "[]")]
    return []


def _has_plugin(host: Host, path: str) -> bool:
    return read_plugin(host, path) is not None


def read_plugin(host: Host, path: str) -> str | None:
    """The text of a must-use plugin that root owns; None for anything else."""
    try:
        descriptor = os.open(host.real(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid or found.st_mode & 0o022:
            return None
        return os.read(descriptor, 1 << 20).decode("utf-8", "backslashreplace")
    finally:
        os.close(descriptor)


def _plan_logs(host: Host, made: Plan, sites: Sequence[Site], sources: _ban_policy.Sources) -> None:
    """fail2ban does not start with a log that is not there yet."""
    for path in sources.probe_logs:
        if not host.exists(path):
            made.logs[path] = ""
    by_name = {_ban_policy.site_id(site): site for site in sites}
    for name, path in sources.logs.items():
        found = host.attributes(path)
        if found is None:
            made.logs[path] = str(by_name[name].get("user") or "")
        elif found.kind != "file":
            raise BansError(f"{name}: {path} is no plain file but a {found.kind}")


def _plan_units(host: Host, made: Plan, sharing: bool) -> None:
    if any(path.startswith(_UNITS) for path in made.files):
        made.units.append(["daemon-reload"])
    wanted = ["ringfence-bans.socket", "ringfence-bans.service", "fail2ban.service"]
    if sharing:
        wanted.append("ringfence-bans-receiver.service")
    elif host.exists(_RECEIVER):
        made.units.append(["disable", "--now", "ringfence-bans-receiver.service"])
    for unit in wanted:
        shown = host.run(["systemctl", "show", "-p", "ActiveState,UnitFileState", unit]).out
        state = dict(line.partition("=")[::2] for line in shown.splitlines())
        if state.get("UnitFileState") != "enabled" or state.get("ActiveState") != "active":
            made.units.append(["enable", "--now", unit])


def _show_central(made: Plan) -> None:
    if made.no_central:
        made.diff.append(_diff(_ban_central.UNIT, "(the central list)\n", ""))


def _show_rest(made: Plan) -> None:
    for name in made.packages:
        made.diff.append(_diff(f"package {name}", "absent\n", "present\n"))
    for path in made.keys:
        made.diff.append(_diff(path, "", "(a new key)\n"))
    for path in made.logs:
        made.diff.append(_diff(path, "absent\n", "present\n"))
    for step in made.units:
        if step[0] != "daemon-reload":
            made.diff.append(_diff(step[-1], "", f"{step[0]}d\n"))
    _show_central(made)


def _diff(path: str, before: str, after: str) -> dict[str, str]:
    shown = [t.encode("utf-8", "backslashreplace").decode() for t in (before, after)]
    return {"before_header": path, "after_header": path, "before": shown[0], "after": shown[1]}


# --- doing


def _lacks_keys(host: Host) -> bool:
    keys = (share.KEY, _ban_files.HOST_KEY)
    return not _account(share.ACCOUNT) or not all(host.exists(f"{path}.pub") for path in keys)


def make_keys(host: Host) -> None:
    """The pair that this host signs in to its peers with, and the one its daemon answers with."""
    os.makedirs(host.real(share.FOLDER), mode=0o755, exist_ok=True)
    os.chmod(host.real(share.FOLDER), 0o755)  # noqa: S103 - sshd looks for keys there
    if _account(share.ACCOUNT) is None:
        host.output(["useradd", "--system", "--user-group", "--home-dir", "/nonexistent",
                     "--no-create-home", "--shell", "/bin/sh", share.ACCOUNT])  # fmt: skip
    for path in (share.KEY, _ban_files.HOST_KEY):
        if not host.exists(f"{path}.pub"):
            host.output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path])
    # sshd runs as its own account, and reads the key of its group.
    os.chown(_ban_files.HOST_KEY, 0, grp.getgrnam(share.ACCOUNT).gr_gid)
    os.chmod(_ban_files.HOST_KEY, 0o640)


def carry_out(host: Host, made: Plan) -> None:
    """Do it. Raises BansError or HostError with what the system said."""
    if made.absent:
        _take_away(host, made)
        return
    before = {path: host.read(path) for path in made.files if path.startswith("/etc/fail2ban/")}
    _write_jails_first(host, made)
    if made.packages:
        _packages.install(host, made.packages)
    if made.keys:
        make_keys(host)
    _make_folders(host, made)
    for path, (text, mode, _group) in made.files.items():
        _put(host, path, text, mode)
    for path, text in made.plugins.items():
        _put_plugin(host, path, text)
    replace_file(host, _PLUGINS_PUT, json.dumps(made.plugins_put).encode(), 0o600)
    for path, owner in made.logs.items():
        _make_log(host, path, owner)
    _check_jails(host, before)
    _start(host, made)
    if made.no_central:
        _ban_central.take_away(host)


def _write_jails_first(host: Host, made: Plan) -> None:
    """Debian 12's fail2ban starts as it is installed, and fails where there is no auth.log."""
    if "fail2ban" in made.packages:
        os.makedirs(host.real("/etc/fail2ban/jail.d"), exist_ok=True)
        replace_file(host, FAIL2BAN_JAILS, b"[sshd]\nenabled = false\n")


def _make_folders(host: Host, made: Plan) -> None:
    for path, mode in (
        (share.FOLDER, 0o755),
        ("/var/lib/ringfence/bans", 0o700),
        (_PROBE_FOLDER, 0o755),
    ):
        os.makedirs(host.real(path), mode=mode, exist_ok=True)
        os.chmod(host.real(path), mode)
    if _RECEIVER in made.files or host.exists(_RECEIVER):
        account = pwd.getpwnam(share.ACCOUNT)
        os.makedirs(share.SPOOL, mode=0o700, exist_ok=True)
        os.chown(share.SPOOL, account.pw_uid, account.pw_gid)
        os.chmod(share.SPOOL, 0o700)


def _put(host: Host, path: str, text: str | None, mode: int) -> None:
    if text is None:
        with suppress(FileNotFoundError):
            os.unlink(host.real(path))
        return
    replace_file(host, path, text.encode("utf-8", "surrogateescape"), mode)
    os.chmod(host.real(path), mode)


def _put_plugin(host: Host, path: str, text: str | None) -> None:
    """Into a folder that a hostile site owns: no link on the way is followed."""
    folder = path[: -len(PLUGIN)].rstrip("/")
    try:
        at = os.open(host.real(os.path.realpath(folder)), os.O_RDONLY | os.O_DIRECTORY)
        for name in PLUGIN.split("/")[:-1]:
            with suppress(FileExistsError):
                if text is not None:
                    os.mkdir(name, 0o755, dir_fd=at)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        _replace_in(at, os.path.basename(PLUGIN), text)
        os.close(at)
    except FileNotFoundError:
        if text is not None:
            raise BansError(f"{folder} has no wp-content: is it a WordPress?") from None
    except OSError as error:
        raise BansError(f"{path} cannot be written: {error.strerror}") from error


def _replace_in(folder: int, name: str, text: str | None) -> None:
    if text is None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        return
    staged = f"{name}.ringfence-new"
    with suppress(FileNotFoundError):
        os.unlink(staged, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(staged, flags, 0o644, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(text.encode())
        os.fchmod(descriptor, 0o644)
    os.rename(staged, name, src_dir_fd=folder, dst_dir_fd=folder)


def _make_log(host: Host, path: str, owner: str) -> None:
    if not os.path.isdir(host.real(os.path.dirname(path))):
        raise BansError(
            f"{os.path.dirname(path)}: is not there; is it where Joomla keeps its logs?"
        )
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with suppress(FileExistsError):
        descriptor = os.open(host.real(path), flags, 0o640)
        with os.fdopen(descriptor, "wb") as handle:
            account = _account(owner)
            if account is not None:
                handle.write(_ban_files.JOOMLA_LOG.encode())
                os.fchown(descriptor, account.pw_uid, account.pw_gid)


def _check_jails(host: Host, before: Mapping[str, bytes | None]) -> None:
    done = host.run(["fail2ban-client", "-t"])
    if done.rc == 0:
        return
    for path, data in before.items():
        if data is None:
            with suppress(FileNotFoundError):
                os.unlink(host.real(path))
        else:
            replace_file(host, path, data)
    raise BansError(f"fail2ban refuses its jails, they were put back: {done.complaint()}")


def _start(host: Host, made: Plan) -> None:
    fresh = {step[-1] for step in made.units if step[0] == "enable"}
    for step in made.units:
        host.output(["systemctl", *step], timeout=120)
    receiver = os.path.basename(_RECEIVER)
    if made.restart_receiver and receiver not in fresh and host.exists(_RECEIVER):
        host.output(["systemctl", "restart", receiver])
    if made.restart_agent and "ringfence-bans.service" not in fresh:
        host.output(["systemctl", "restart", "ringfence-bans.service"])
    if made.reload_jails:
        # A package just installed has started it already, with what was there then.
        host.output(["systemctl", "restart", "fail2ban.service"], timeout=120)


def _take_away(host: Host, made: Plan) -> None:
    for path, text in made.plugins.items():
        _put_plugin(host, path, text)
    stops = [step for step in made.units if step[0] == "disable"]
    if made.no_central:
        _ban_central.take_away(host)
    if made.reload_jails:
        for path in (FAIL2BAN_JAILS, FAIL2BAN_SETTINGS):
            _put(host, path, None, 0)
        # Its own defaults may not start on this host; then nothing is left for it to do.
        host.run(["systemctl", "disable", "--now", "fail2ban.service"], timeout=120)
    for step in stops:
        host.output(["systemctl", *step])
    if host.exists("/usr/sbin/nft"):
        host.run(["/usr/sbin/nft", "delete", "table", *kernel.TABLE.split()])
    for path in (*made.files, *made.compiled):
        _put(host, path, None, 0)
    folders = (_ban_files.LIBRARY, os.path.dirname(_ban_files.LIBRARY), share.FOLDER, web.FOLDER)
    for folder in (*folders, f"{os.path.dirname(FAIL2BAN_ACTION)}/__pycache__"):
        with suppress(OSError):
            os.rmdir(host.real(folder))
    with suppress(OSError):
        os.unlink(host.real(_PLUGINS_PUT))
    if _account(share.ACCOUNT):
        host.output(["userdel", share.ACCOUNT])
        for name in host.names(share.SPOOL):
            _put(host, f"{share.SPOOL}/{name}", None, 0)
        with suppress(OSError):
            os.rmdir(host.real(share.SPOOL))
    for step in made.units:
        if step not in stops:
            host.output(["systemctl", *step])


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name) if name else None
    except KeyError:
        return None


# --- the whole of it


def run(host: Host, given: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
    """The module ringfence.hosting.automatic_bans: its result. Raises BansError, HostError."""
    if given["phase"] == "look":
        lacking = given["make_keys"] and _lacks_keys(host)
        if lacking and not check:
            make_keys(host)
        return {"changed": lacking, **look(host, given["sites"])}
    if given["phase"] == "central":
        return _ban_central.set_up(host, given, check=check)
    if given["phase"] == "register":
        return _ban_central.register(host, given, check=check)
    try:
        made = plan(host, given)
    except _ban_policy.PolicyError as error:
        raise BansError(str(error)) from error
    if made.changed and not check:
        carry_out(host, made)
    return {"changed": made.changed, "diff": made.diff, "warnings": made.warnings}
