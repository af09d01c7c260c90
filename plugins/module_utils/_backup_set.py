# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets up the backups of a host: the program, a timer a client, and files that only root reads."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)

PROGRAM = "/usr/local/sbin/ringfence-backup"
UNITS = "/etc/systemd/system"
SERVICE, TIMER = "ringfence-backup@.service", "ringfence-backup-{client}.timer"
MINIMUM = (0, 18)
AUTHORITY = "authority.pem"
SERVER_PART = f"ringfence-backup@{_backup_host.SERVER}.service.d/server.conf"

_HEADER = "# Written by Ringfence; the next run puts it back.\n"
# The unit reads everything, so that it can back it up; it writes its own folders and nothing else.
_SERVICE = f"""{_HEADER}[Unit]
Description=Backup of the sites of client %i
Documentation=https://restic.readthedocs.io/
Wants=network-online.target
After=network-online.target mariadb.service

[Service]
Type=oneshot
ExecStart={PROGRAM} run %i
TimeoutStartSec=12h
Nice=10
IOSchedulingClass=idle
UMask=0077
StateDirectory=ringfence/backup
StateDirectoryMode=0700
CacheDirectory=ringfence/restic
CacheDirectoryMode=0700
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""
# The rules of the firewall are asked of the kernel, which takes a right and a socket more.
_SERVER_SERVICE = f"""{_HEADER}[Unit]
Description=Backup of the configuration of this server

[Service]
CapabilityBoundingSet=CAP_NET_ADMIN
RestrictAddressFamilies=AF_NETLINK
"""


@dataclass(frozen=True)
class Wanted:
    """The files of a host: path -> text; `secret` are those whose text nobody is shown."""

    files: Mapping[str, str]
    secret: frozenset[str]
    timers: tuple[str, ...]


def wanted(jobs: list[dict[str, Any]]) -> Wanted:
    """What `jobs` come to; a job is what the module's option of that name says."""
    source = _backup_host.__spec__.loader.get_source(  # type: ignore[union-attr]
        _backup_host.__name__
    )
    files = {
        PROGRAM: f"#!/usr/bin/python3\n{source}",
        f"{UNITS}/{SERVICE}": _SERVICE,
    }
    secret = set()
    for job in jobs:
        folder = f"{_backup_host.SETTINGS}/{job['client']}"
        private = {f"{folder}/password": f"{job['password']}\n"}
        private[f"{folder}/key"] = _backup_host.key_file_text(job["access_key"], job["secret_key"])
        told = {key: job.get(key) or "" for key in ("client", "repository", "region", "host")}
        told["authority"] = f"{folder}/{AUTHORITY}" if job.get("authority") else ""
        sites = []
        for site in job["sites"]:
            given = site.get("database") or {}
            database = {key: given[key] for key in ("name", "host") if given.get(key)} or None
            if database and given.get("password"):
                path = f"{folder}/{site['site']}.cnf"
                private[path] = _defaults(given)
                database["defaults"] = path
            sites.append(
                {
                    "site": site["site"],
                    "paths": site["paths"],
                    "exclude": site.get("exclude") or [],
                    "optional": site.get("optional") or [],
                    "server": bool(site.get("server")),
                    "database": database,
                }
            )
        files[f"{folder}/job.json"] = json.dumps({**told, "sites": sites}, indent=2) + "\n"
        if job.get("authority"):
            files[f"{folder}/{AUTHORITY}"] = job["authority"]
        files |= private
        secret |= set(private)
        files[f"{UNITS}/{TIMER.format(client=job['client'])}"] = timer(job["client"], job["every"])
        if job["client"] == _backup_host.SERVER:
            files[f"{UNITS}/{SERVER_PART}"] = _SERVER_SERVICE
    timers = tuple(TIMER.format(client=job["client"]) for job in jobs)
    return Wanted(files, frozenset(secret), timers)


def _defaults(database: Mapping[str, Any]) -> str:
    """A MariaDB option file; a value in quotes takes # and ; as they are."""
    quoted = str(database["password"]).replace("\\", "\\\\").replace('"', '\\"')
    return f'[client]\nuser = "{database["user"]}"\npassword = "{quoted}"\n'


def timer(client: str, every: int) -> str:
    """A timer that starts the client's backup each `every` seconds, never all hosts at once."""
    jitter = max(60, every // 12)
    own = client == _backup_host.SERVER
    what = "the configuration of this server" if own else f"the sites of client {client}"
    return (
        f"{_HEADER}[Unit]\nDescription=Backup of {what}, by the clock\n\n"
        f"[Timer]\nUnit=ringfence-backup@{client}.service\nOnActiveSec={jitter}s\n"
        f"OnUnitInactiveSec={every - jitter}s\nRandomizedDelaySec={jitter}s\nAccuracySec=1min\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def version(text: str) -> tuple[int, ...]:
    """The version in what `restic version` prints."""
    found = re.search(r"restic (\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


@dataclass
class Changes:
    """What differs: files to write, those to remove, timers to enable or to disable."""

    write: dict[str, str]
    remove: list[str]
    enable: list[str]
    disable: list[str]

    def __bool__(self) -> bool:
        return bool(self.write or self.remove or self.enable or self.disable)


def changes(host: Host, asked: Wanted, *, trial: bool = False) -> Changes:
    """What must be done. Raises HostError where restic is too old, unless it is a `trial`."""
    if asked.timers and not trial:
        _require_restic(host)
    write = {path: text for path, text in asked.files.items() if host.text(path) != text}
    old = host.glob(f"{UNITS}/{TIMER.format(client='*')}") + host.glob(f"{UNITS}/{SERVER_PART}")
    old += [
        f"{_backup_host.SETTINGS}/{client}/{name}"
        for client in host.names(_backup_host.SETTINGS)
        for name in host.names(f"{_backup_host.SETTINGS}/{client}")
    ]
    remove = [path for path in old if path not in asked.files]
    enable = [name for name in asked.timers if not _is_on(host, name)]
    gone = [os.path.basename(path) for path in remove if path.endswith(".timer")]
    return Changes(write, remove, enable, gone)


def _require_restic(host: Host) -> None:
    found = host.run(["restic", "version"]) if _has_restic(host) else None
    seen = version(found.out) if found else ()
    if seen[:2] < MINIMUM:
        said = ".".join(map(str, seen)) or "no restic"
        raise HostError(f"found {said}, expected restic 0.18 or newer")


def _has_restic(host: Host) -> bool:
    return any(host.exists(f"{folder}/restic") for folder in ("/usr/local/bin", "/usr/bin"))


def _is_on(host: Host, name: str) -> bool:
    shown = host.run(["systemctl", "show", "-p", "UnitFileState,ActiveState", name]).out
    return "UnitFileState=enabled" in shown and "ActiveState=active" in shown


def carry_out(host: Host, asked: Wanted, todo: Changes) -> None:
    """Write, remove, and have systemd see it."""
    for name in todo.disable:
        host.run(["systemctl", "disable", "--now", "--quiet", name])
    for path in todo.remove:
        os.unlink(host.real(path))
    for folder in {os.path.dirname(path) for path in asked.files if "/backup/" in path}:
        os.makedirs(host.real(folder), mode=0o700, exist_ok=True)
    part = host.real(os.path.dirname(f"{UNITS}/{SERVER_PART}"))
    if os.path.isdir(part) and not os.listdir(part):
        os.rmdir(part)
    os.makedirs(host.real(_backup_host.SETTINGS), mode=0o700, exist_ok=True)
    os.chmod(host.real(_backup_host.SETTINGS), 0o700)
    for path, text in todo.write.items():
        mode = 0o755 if path == PROGRAM else 0o644 if path.startswith(UNITS) else 0o600
        replace_file(host, path, text.encode(), mode)
    for client in host.names(_backup_host.SETTINGS):
        folder = host.real(f"{_backup_host.SETTINGS}/{client}")
        if os.path.isdir(folder) and not os.listdir(folder):
            shutil.rmtree(folder)
    host.output(["systemctl", "daemon-reload"])
    changed = [os.path.basename(path) for path in todo.write if path.endswith(".timer")]
    for name in dict.fromkeys([*todo.enable, *changed]):
        host.output(["systemctl", "enable", "--quiet", name])
        host.output(["systemctl", "restart", name])


def diff(host: Host, asked: Wanted, todo: Changes) -> list[dict[str, str]]:
    """What changes in which file; of secret ones only that they do."""
    found = []
    for path, text in sorted(todo.write.items()):
        hidden = path in asked.secret or path == PROGRAM
        before = host.text(path) or ""
        found.append(
            {
                "before_header": path,
                "after_header": path,
                "before": ("(not shown)\n" if before else "") if hidden else before,
                "after": "(not shown, changed)\n" if hidden else text,
            }
        )
    found += [
        {"before_header": path, "after_header": path, "before": "(not shown)\n", "after": ""}
        for path in todo.remove
    ]
    return found
