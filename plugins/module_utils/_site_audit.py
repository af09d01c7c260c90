# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a host's sites stand to what a feature wants of them: read only, nothing is judged here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _nginx,
    _site_config,
)
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_hooks as hooks
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_UNTIL = re.compile(r"^# until (\S+)\n([^\n]*)", re.MULTILINE)
_MOMENTS = re.compile(rb"^OnCalendar=([^\n]+)$", re.MULTILINE)
_PROXIES = re.compile(
    r"^[ \t]*RemoteIP(?:Internal|Trusted)Proxy[ \t]+([^\n]+)", re.IGNORECASE | re.MULTILINE
)
_PROXY_LISTS = re.compile(r"^[ \t]*RemoteIP\w+ProxyList\b", re.IGNORECASE | re.MULTILINE)
_UNITS = {"nginx": "nginx.service", "apache": "apache2.service"}
# A file may be written in the very second in which a server starts.
_SLACK = 1.0


def facts(host: Host, payload: str) -> dict[str, Any]:
    """What is found. Raises ConfigError, HostError.

    `differs`: paths that are not as wanted. `unhooked`: sites (client__site) that have our line
    where it does not belong, or not where it does. `refused`: client__site -> why. `believed`:
    client__site -> networks from which a visitor's address is taken. `ends`: path -> moments.
    `loaded`: web server -> whether it has read all that is there; None where it does not run.
    """
    wanted = _site_config.parse(payload)
    planned = _site_config.plan(host, *wanted)
    used = sorted({site["web_server"] for site in wanted.sites})
    return {
        "differs": [
            *(
                change.path
                for change in planned.changes
                if change.mode is not None and not is_spent(change)
            ),
            *(link for link, _to in planned.links),
            *(f"module {name} of Apache" for name in planned.modules),
            *(f"{unit} is not enabled" for unit, on in planned.timers if on),
        ],
        "unhooked": sorted(_unhooked(planned, map(hooks.name_of, wanted.sites))),
        "refused": planned.refused,
        "believed": {hooks.name_of(site): sorted(_believed(host, site)) for site in wanted.sites},
        "ends": {
            path: [match[1] for match in _UNTIL.finditer(host.text(path) or "")]
            for path in wanted.files
            if path.startswith(f"{_site_config.DATA}/")
        },
        "loaded": {name: _loaded(host, name, wanted.files) for name in used},
    }


def is_spent(change: _site_config.Change) -> bool:
    """Whether what differs is a timer for moments that are over: it has done what it was for."""
    folders = (f"{_site_config.UNITS}/", f"{_site_config.SCRIPTS}/")
    if not change.path.startswith(folders) or change.before is None:
        return False
    if change.after is None:
        return True
    wanted, there = (set(_MOMENTS.findall(text)) for text in (change.after, change.before))
    return change.path.endswith(".timer") and wanted < there


def _unhooked(planned: _site_config.Plan, names: Iterable[str]) -> set[str]:
    edits = [change for change in planned.changes if change.mode is None]
    return {
        name
        for name in names
        for edit in edits
        for line in (f"/ringfence/{name}/".encode(),)
        if (edit.before or b"").count(line) != (edit.after or b"").count(line)
    }


def _believed(host: Host, site: Mapping[str, Any]) -> set[str]:
    if site["web_server"] == "nginx":
        return set(_believed_by_nginx(host, set(site["domains"])))
    return _believed_by_apache(host, site)


def _believed_by_nginx(host: Host, domains: set[str]) -> Iterable[str]:
    if not host.exists(_nginx.MAIN):
        return
    for server in _nginx.read(host).servers():
        if domains & set(server.names):
            for directive in _nginx.in_force("set_real_ip_from", server.chain):
                yield from directive.args


def _believed_by_apache(host: Host, site: Mapping[str, Any]) -> set[str]:
    """Of the site's virtual hosts; what holds for the whole server only where they say nothing."""
    if not host.exists(hooks.APACHE_MAIN):
        return set()
    folder = f"{hooks.APACHE_FOLDER}/{hooks.name_of(site)}/"
    own: set[str] = set()
    general: set[str] = set()
    for path in hooks.apache_files(host):
        text = host.text(path) or ""
        if _PROXY_LISTS.search(text):
            raise HostError(f"{path}: a list of proxies in a file of its own is not followed")
        found = {word for match in _PROXIES.finditer(text) for word in match[1].split()}
        if not found:
            continue
        if path.startswith(folder):
            own |= found
        elif not path.startswith(f"{hooks.APACHE_FOLDER}/"):
            blocks = [b for b in hooks.apache_blocks(host) if b.path == path]
            if not blocks:
                general |= found
            elif set(site["domains"]) & {name for block in blocks for name in block.names}:
                own |= found
    return own or general


def _loaded(host: Host, name: str, files: Iterable[str]) -> bool | None:
    unit = _UNITS[name]
    if host.run(["systemctl", "is-active", "--quiet", unit]).rc != 0:
        return None
    started = max((_started(host, pid) for pid in _site_config.workers(host, unit)), default=0.0)
    folder = {"nginx": "/etc/nginx/", "apache": "/etc/apache2/"}[name]
    end = {"nginx": ".geo", "apache": ".require"}[name]
    mine = [path for path in files if path.startswith(folder) or path.endswith(end)]
    newest = max(
        (os.stat(host.real(path)).st_mtime for path in mine if host.exists(path)), default=0.0
    )
    return started + _SLACK >= newest


def _started(host: Host, pid: int) -> float:
    """When a process began, in seconds of the epoch; 0 for one that is gone."""
    try:
        fields = (host.text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
        boot = re.search(r"^btime (\d+)$", host.text("/proc/stat") or "", re.MULTILINE)
        return int(boot[1] if boot else 0) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (HostError, IndexError, ValueError):
        return 0.0
