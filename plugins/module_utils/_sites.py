# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which sites a host serves, and what they are made of. Reads files; runs no code of a site.

The files of a site belong to whoever runs the site, who may be hostile: links to elsewhere, named
pipes and endless files are survived, and nothing but versions and names is ever returned.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _sites_apache,
    _sites_nginx,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

Site = dict[str, Any]

_CONFIGURATION_LIMIT = 1 << 20
_SITE_FILE_LIMIT = 256 << 10
_SUBFOLDERS = 200

_DOMAIN = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_PHP_VERSION = re.compile(r"php-?(?:fpm-?)?(\d\.\d{1,2})")
_VERSION = r"([0-9][0-9A-Za-z.~+-]{0,31})"
_NAME = r"([A-Za-z0-9_$.-]{1,64})"
_HOST_NAME = r"([A-Za-z0-9_.:/\[\]-]{1,128})"
_PREFIX = r"([A-Za-z0-9_]{0,32})"
_WORDPRESS_VERSION = re.compile(rf"""^\s*\$wp_version\s*=\s*['"]{_VERSION}['"]""", re.MULTILINE)
_JOOMLA_VERSION = re.compile(rf"<version>\s*{_VERSION}\s*</version>")
_WORDPRESS_PREFIX = re.compile(rf"""^\s*\$table_prefix\s*=\s*['"]{_PREFIX}['"]""", re.MULTILINE)
_PACKAGES_OF = {
    "nginx": ("nginx", "nginx-light", "nginx-core", "nginx-full", "nginx-extras"),
    "apache": ("apache2",),
}
_DATABASE_PACKAGES = (
    ("mariadb", re.compile(r"mariadb-server(-[0-9.]+)?")),
    ("mysql", re.compile(r"mysql-server(-[0-9.]+)?")),
    ("postgresql", re.compile(r"postgresql-[0-9.]+")),
)


def discover(host: Host) -> dict[str, Any]:
    """All that `site_info` returns: web_servers, php, databases, sites, problems."""
    found = _Discovery(host)
    found.web_servers()
    return {
        "web_servers": found.servers,
        "php": found.php_versions(),
        "databases": found.databases(),
        "sites": found.sites(),
        "problems": found.problems,
    }


class _Discovery:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.problems: list[str] = []
        self.servers: list[dict[str, str]] = []
        self._blocks: list[Site] = []
        self._pools = self._read_pools()

    def web_servers(self) -> None:
        """Read the configuration of each web server that is installed."""
        for name, path in (
            ("nginx", "/etc/nginx/nginx.conf"),
            ("apache", "/etc/apache2/apache2.conf"),
        ):
            if not self.host.exists(path):
                continue
            self.servers.append({"name": name, "version": self._web_server_version(name)})
            if name == "nginx":
                blocks = _sites_nginx.servers(path, self._configuration, self._glob)
            else:
                blocks = _sites_apache.virtual_hosts(
                    path, self._configuration("/etc/apache2/envvars"), self._configuration,
                    self._glob,
                )  # fmt: skip
            self._blocks += [{**block, "web_server": name} for block in blocks]

    def sites(self) -> list[Site]:
        """One entry a site: blocks that share a domain are one site."""
        merged: list[Site] = []
        for block in self._blocks:
            block["names"] = self._domains(block["names"])
            if block["names"]:
                _merge(merged, block)
        served = []
        for site in merged:
            why = _no_root(site)
            if why:
                self.problems.append(f"{site['names'][0]}: {why}")
                continue
            served.append(self._described(site))
        return sorted(served, key=lambda site: str(site["domains"][0]))

    def php_versions(self) -> list[str]:
        """The versions of PHP that a web server can use."""
        pattern = re.compile(r"(?:php|libapache2-mod-php)(\d\.\d{1,2})(?:-fpm|-cgi)?")
        found = set()
        for name in self._packages():
            match = pattern.fullmatch(name)
            if match and not name.endswith("-cli"):
                found.add(match[1])
        return sorted(found)

    def databases(self) -> list[dict[str, str]]:
        """The database servers that are installed."""
        found = {}
        for name, version in sorted(self._packages().items()):
            for engine, pattern in _DATABASE_PACKAGES:
                if pattern.fullmatch(name):
                    found[engine] = {"engine": engine, "version": version}
        return list(found.values())

    def _packages(self) -> dict[str, str]:
        try:
            return self.host.installed_packages()
        except HostError as error:
            said = f"packages: {error}"
            if said not in self.problems:
                self.problems.append(said)
            return {}

    def _web_server_version(self, name: str) -> str:
        packages = self._packages()
        return next((packages[found] for found in _PACKAGES_OF[name] if found in packages), "")

    def _configuration(self, path: str) -> str:
        try:
            return peek(self.host, path, _CONFIGURATION_LIMIT) or ""
        except HostError as error:
            self.problems.append(str(error))
            return ""

    def _glob(self, pattern: str) -> list[str]:
        # Apache takes a folder for all that is in it
        if self.host.attributes(pattern) and _is_folder(self.host, pattern):
            pattern = f"{pattern}/*"
        with suppress(ValueError, NotImplementedError):
            return [path for path in self.host.glob(pattern) if not path.endswith("~")]
        return []

    def _domains(self, names: list[str]) -> list[str]:
        found = []
        for name in names:
            if name.startswith("."):
                found += [name[1:], f"*{name}"]
            elif name.startswith("~"):
                self.problems.append(f"server_name {_printable(name)}: a pattern names no domain")
            else:
                found.append(name)
        return list(dict.fromkeys(name for name in found if _DOMAIN.fullmatch(name)))

    def _described(self, site: Site) -> Site:
        root = str(site["root"]).rstrip("/") or "/"
        pool = self._pools.get(_address(site["fastcgi"]), {})
        cms, folder = self._cms(root)
        found: Site = {
            "domains": site["names"],
            "root": _printable(root),
            "web_server": site["web_server"],
            "tls": bool(site["tls"]),
            "user": site.get("user") or pool.get("user") or self._owner(root),
            "php": pool.get("version") or _php_version(site["fastcgi"]),
            "cms": cms,
            "database": self._database(cms, folder),
        }
        if not self.host.exists(root):
            self.problems.append(f"{found['domains'][0]}: {found['root']} is not there")
        return {name: value for name, value in found.items() if value not in (None, "")}

    def _cms(self, root: str) -> tuple[dict[str, str], str]:
        for folder in [root, *self._subfolders(root)]:
            version = self._match(f"{folder}/wp-includes/version.php", _WORDPRESS_VERSION)
            if version:
                return _named("wordpress", version, root, folder), folder
            manifest = f"{folder}/administrator/manifests/files/joomla.xml"
            version = self._match(manifest, _JOOMLA_VERSION)
            if version:
                return _named("joomla", version, root, folder), folder
        plain = "php" if self.host.exists(f"{root}/index.php") else "static"
        return {"name": plain}, root

    def _subfolders(self, root: str) -> list[str]:
        try:
            names = sorted(entry.name for entry in os.scandir(self.host.real(root)))
        except OSError:
            return []
        return [
            f"{root}/{name}"
            for name in names[:_SUBFOLDERS]
            if _is_folder(self.host, f"{root}/{name}")
        ]

    def _database(self, cms: dict[str, str], folder: str) -> dict[str, str] | None:
        if cms["name"] == "wordpress":
            return self._wordpress_database(folder)
        if cms["name"] == "joomla":
            text = self._site_file(f"{folder}/configuration.php")
            return _settings(
                text, {"name": _joomla("db", _NAME), "host": _joomla("host", _HOST_NAME),
                       "prefix": _joomla("dbprefix", _PREFIX)},
            )  # fmt: skip
        return None

    def _wordpress_database(self, folder: str) -> dict[str, str] | None:
        # WordPress looks one folder up as well, where the web server does not reach
        for place in (folder, folder.rpartition("/")[0]):
            text = self._site_file(f"{place}/wp-config.php")
            found = _settings(
                text, {"name": _define("DB_NAME", _NAME), "host": _define("DB_HOST", _HOST_NAME),
                       "prefix": _WORDPRESS_PREFIX},
            )  # fmt: skip
            if found:
                return found
        return None

    def _match(self, path: str, pattern: re.Pattern[str]) -> str | None:
        match = pattern.search(self._site_file(path))
        return match[1] if match else None

    def _site_file(self, path: str) -> str:
        with suppress(HostError):
            return peek(self.host, path, _SITE_FILE_LIMIT) or ""
        return ""

    def _owner(self, path: str) -> str | None:
        try:
            uid = os.stat(self.host.real(path)).st_uid
        except OSError:
            return None
        for line in (self._configuration("/etc/passwd")).splitlines():
            fields = line.split(":")
            if len(fields) > 2 and fields[2] == str(uid) and uid != 0:
                return fields[0]
        return None

    def _read_pools(self) -> dict[str, dict[str, str]]:
        """Pools of PHP-FPM by the address they listen at."""
        pools = {}
        for path in self._glob("/etc/php/*/fpm/pool.d/*.conf"):
            version = path.split("/")[3]
            for section in re.split(r"^\s*\[", self._configuration(path), flags=re.MULTILINE)[1:]:
                values = dict(re.findall(r"^\s*(listen|user)\s*=\s*(\S+)", section, re.MULTILINE))
                name = section.partition("]")[0]
                user = values.get("user", "").replace("$pool", name)
                pools[_address(values.get("listen", "").replace("$pool", name))] = {
                    "version": version,
                    "user": user,
                }
        return pools


def _no_root(site: Site) -> str:
    """Why a site has no document root that could be named; empty where it has one."""
    if site["root"] is None:
        why = "is passed on to another service" if site["proxy"] else "only redirects"
        return f"{why}; there is no document root"
    if "$" in site["root"]:
        return f"{_printable(site['root'])}: the document root depends on the request"
    return ""


def _merge(sites: list[Site], block: Site) -> None:
    """Add a block to the site it shares a domain with, or as a new one."""
    for site in sites:
        if set(site["names"]).isdisjoint(block["names"]):
            continue
        names = list(dict.fromkeys([*site["names"], *block["names"]]))
        # nginx in front of Apache: the one with the files is the one that serves them
        better = block if site["root"] is None and block["root"] is not None else site
        tls, proxy = site["tls"] or block["tls"], site["proxy"] or block["proxy"]
        site.update({**better, "names": names, "tls": tls, "proxy": proxy})
        site["fastcgi"] = better["fastcgi"] or block["fastcgi"]
        return
    sites.append(dict(block))


def _settings(text: str, patterns: dict[str, re.Pattern[str]]) -> dict[str, str] | None:
    """Of a file that also holds passwords: these names, and nothing else."""
    found = {}
    for name, pattern in patterns.items():
        match = pattern.search(text)
        if match and match[1]:
            found[name] = match[1]
    return found if "name" in found else None


def _define(name: str, value: str) -> re.Pattern[str]:
    return re.compile(
        rf"""^\s*define\(\s*['"]{name}['"]\s*,\s*['"]{value}['"]""", re.MULTILINE | re.IGNORECASE
    )


def _joomla(name: str, value: str) -> re.Pattern[str]:
    return re.compile(rf"""^\s*(?:public|var)\s+\${name}\s*=\s*['"]{value}['"]""", re.MULTILINE)


def _named(name: str, version: str, root: str, folder: str) -> dict[str, str]:
    found = {"name": name, "version": version}
    if folder != root:
        found["path"] = _printable(folder[len(root) :])
    return found


def _php_version(address: Any) -> str | None:
    match = _PHP_VERSION.search(str(address or ""))
    return match[1] if match else None


def _address(text: Any) -> str:
    """`unix:/run/x.sock`, `/run/x.sock` and `fcgi://127.0.0.1:9000`, each in one spelling."""
    bare = re.sub(r"^(unix:|fcgi://)", "", str(text or "")).rstrip("/")
    return re.sub(r"^/var/run/", "/run/", bare)


def _is_folder(host: Host, path: str) -> bool:
    return os.path.isdir(host.real(path))


def peek(host: Host, path: str, limit: int) -> str | None:
    """The beginning of a plain file; None where there is none. Never waits, raises HostError."""
    try:
        # by O_PATH first: merely opening a device, through a link, can set something off
        found = os.open(host.real(path), os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise HostError(f"{_printable(path)} cannot be read: {_reason(error)}") from error
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return None
        with open(f"/proc/self/fd/{found}", "rb") as handle:
            return handle.read(limit).decode("utf-8", "backslashreplace")
    except OSError as error:
        raise HostError(f"{_printable(path)} cannot be read: {_reason(error)}") from error
    finally:
        os.close(found)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _printable(text: str) -> str:
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in safe)
