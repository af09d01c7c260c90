# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who passes a password prompt of the web server: basic-auth files, and what they protect.

Names and the kind of hash are told, never a hash.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx, _sites
from ansible_collections.ringfence.hosting.plugins.module_utils._access_row import (
    Row,
    coverage,
    row,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_LIMIT = 1 << 20
_FOLDERS = 200
_APACHE = (
    *("/etc/apache2/apache2.conf", "/etc/apache2/conf-enabled/*.conf"),
    *("/etc/apache2/mods-enabled/*.conf", "/etc/apache2/sites-enabled/*"),
)
_HASHES = (
    *(("$2", "bcrypt"), ("$6$", "sha512"), ("$5$", "sha256"), ("$y$", "yescrypt")),
    *(("$apr1$", "md5"), ("$1$", "md5"), ("{SHA}", "sha1"), ("{SSHA}", "sha1")),
    ("{PLAIN}", "plain"),
)
WEAK = ("plain", "des", "sha1", "md5")

# (site, place that is protected, file, folder that a relative path counts from)
Place = tuple[str, str, str]


def collect(
    host: Host, sites: list[dict[str, Any]]
) -> tuple[list[Row], list[dict[str, Any]], dict[str, Any]]:
    """(rows, coverage, facts) of the host's web servers. `sites`: as `_sites` finds them."""
    covered, places = [], []
    readers: tuple[tuple[str, str, Callable[[], list[Place]]], ...] = (
        ("nginx", _nginx.MAIN, lambda: [*_of_nginx(host)]),
        ("apache", "/etc/apache2/apache2.conf", lambda: [*_of_apache(host, sites)]),
    )
    for name, main, reader in readers:
        source = f"{name} basic auth"
        if not host.exists(main):
            covered.append(coverage(source, "absent"))
            continue
        try:
            found = reader()
        except HostError as error:
            covered.append(coverage(source, "failed", str(error)))
            continue
        places += found
        covered.append(coverage(source, "read", count=len(found)))
    rows: list[Row] = []
    for path in dict.fromkeys(path for _site, _place, path in places):
        mine = [(site, place) for site, place, other in places if other == path]
        try:
            rows += _rows(host, path, mine)
        except HostError as error:
            covered.append(coverage(f"password file {path}", "failed", str(error)))
    return rows, covered, {}


def _of_nginx(host: Host) -> Iterator[Place]:
    configuration = _nginx.read(host)
    for server in configuration.servers():
        site = next(iter(server.names), server.label)
        chains = [server.chain, *_nginx.inner_blocks(server.chain)]
        for chain in chains:
            files = _nginx.in_force("auth_basic_user_file", chain)
            realm = _nginx.in_force("auth_basic", chain)
            # Inherited is told once, where it is said.
            own = chain[-1].own("auth_basic_user_file") or chain[-1].own("auth_basic")
            if not files or not realm or realm[0].args[:1] == ["off"]:
                continue
            if not own and chain is not server.chain:
                continue
            path = files[0].args[0]
            if "$" in path:
                raise HostError(f"{files[0].place}: which file it is depends on the request")
            place = chain[-1].args[-1] if chain[-1].name == "location" and chain[-1].args else "/"
            yield site, place, path if path.startswith("/") else f"/etc/nginx/{path}"


def _of_apache(host: Host, sites: list[dict[str, Any]]) -> Iterator[Place]:
    for pattern in _APACHE:
        for path in host.glob(pattern):
            text = _sites.peek(host, path, _LIMIT)
            if text:
                yield from _apache_places(text, "/etc/apache2", "")
    for site in sites:
        for folder in (site["root"], *_folders(host, site["root"])):
            with suppress(HostError):
                yield from _of_htaccess(host, site, folder)


def _of_htaccess(host: Host, site: dict[str, Any], folder: str) -> Iterator[Place]:
    text = _sites.peek(host, f"{folder}/.htaccess", _LIMIT)
    place = folder[len(site["root"]) :] or "/"
    for _site, _place, path in _apache_places(text or "", "/etc/apache2", place):
        yield site["domains"][0], place, path


def _folders(host: Host, root: str) -> list[str]:
    try:
        with os.scandir(host.real(root)) as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return []
    return [f"{root}/{name}" for name in names[:_FOLDERS]]


def _apache_places(text: str, base: str, place: str) -> Iterator[Place]:
    """AuthUserFile with the section it stands in, and the virtual host's first name."""
    site, sections = "", [place or "/"]
    found: list[tuple[str, str]] = []
    for raw in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = " ".join(raw.split())
        lowered = line.lower()
        if lowered.startswith("<virtualhost"):
            site = ""
        elif lowered.startswith("</virtualhost"):
            yield from ((site, where, path) for where, path in found)
            found = []
        elif re.match(r"<(directory|location|files)(match)?\b", lowered):
            sections.append(line.strip("<>").split(None, 1)[-1].strip("\"'~ "))
        elif re.match(r"</(directory|location|files)", lowered) and len(sections) > 1:
            sections.pop()
        elif lowered.startswith("servername "):
            site = site or line.split()[1].lower()
        elif lowered.startswith("authuserfile "):
            path = line.split(None, 1)[1].strip("\"'")
            found.append((sections[-1], path if path.startswith("/") else f"{base}/{path}"))
    yield from ((site, where, path) for where, path in found)


def _rows(host: Host, path: str, places: list[tuple[str, str]]) -> Iterator[Row]:
    text = _sites.peek(host, path, _LIMIT)
    if text is None:
        raise HostError("is not there: nobody gets in")
    found = host.attributes(path)
    readable = ["readable_by_all"] if found and found.mode & 0o004 else []
    sites = sorted({site for site, _place in places if site})
    for name, kind in names(text):
        yield row(
            "web", name, name, credential_type="password", source="basic auth", mfa="no",
            account_type="human", roles=sorted({place for _site, place in places}),
            privileged=False,
            grant_path=[f"{site or 'all sites'} {place}" for site, place in places],
            flags=[*(["password_weak_hash"] if kind in WEAK else []), *readable],
            details={"place": sites[0] if len(sites) == 1 else "", "file": path, "remote": True,
                     "credential": path, "password_hash": kind, "sites": sites},
        )  # fmt: skip


def names(text: str) -> Iterator[tuple[str, str]]:
    """(name, kind of hash) of each line of a password file."""
    for line in text.splitlines():
        name, mark, rest = line.strip().partition(":")
        if not name or not mark or name.startswith("#"):
            continue
        typed = rest.partition(":")[0]
        kind = next((kind for start, kind in _HASHES if typed.startswith(start)), "")
        if not kind:
            kind = "des" if re.fullmatch(r"[./0-9A-Za-z]{13}", typed) else "plain"
        yield name, kind
