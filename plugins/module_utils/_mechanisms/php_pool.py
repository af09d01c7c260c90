# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pools of PHP-FPM: whose they are, what reaches them, and what keeps them apart.

A pool's file belongs to whoever set the site up: what is wrong in it is told, never rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ansible_collections.ringfence.hosting.plugins.module_utils import _php, _sites
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: user, sites, socket, open_basedir, sessions, extensions or environment; see _CHECKS.
PARAMS = {"check": "str"}
VALUE = ("str", "bool", "list", "mode")

_WEB_SERVERS = ("www-data", "nginx", "apache", "nobody")
Found = Iterator[str]


def observe(host: Host, control: Control) -> Observation:
    check = _CHECKS.get(control.params["check"])
    if check is None:
        raise HostError(f"there is no check called {control.params['check']}")
    installed = _php.runtimes(host)
    pools = [(runtime, pool) for runtime in installed for pool in runtime.pools]
    bad = list(check(host, control, pools)) if pools else []
    shown = "; ".join(bad[:5]) or ", ".join(pool.name for _runtime, pool in pools)
    return Observation({"pools": pools, "bad": bad}, shown)


def judge(_control: Control, observation: Observation) -> Verdict:
    if not observation.state["pools"]:
        return Verdict(NOT_APPLICABLE, "the host has no PHP-FPM")
    bad = observation.state["bad"]
    if not bad:
        return Verdict(PASS)
    others = and_others(len(bad))
    return Verdict(FAIL, f"{bad[0]}{others}")


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    raise HostError("a pool's file is not ours to rewrite: mend it by hand")


_Pools = list[tuple[_php.Runtime, _php.Pool]]


def _user(_host: Host, control: Control, pools: _Pools) -> Found:
    """Value: pools that may run as the web server or share their user with another pool."""
    users: dict[str, str] = {}
    for runtime, pool in pools:
        if pool.name in control.value:
            continue
        if pool.user in ("root", "0", ""):
            yield f"{_named(runtime, pool)} runs as root"
        elif pool.user in _WEB_SERVERS:
            yield f"{_named(runtime, pool)} runs as the web server's {pool.user}"
        elif users.get(pool.user, pool.name) != pool.name:
            yield f"{_named(runtime, pool)} shares user {pool.user} with {users[pool.user]}"
        users.setdefault(pool.user, pool.name)


def _one_site(host: Host, control: Control, _pools: _Pools) -> Found:
    """Value: users that may serve several sites, all of one client."""
    found = host.once("sites", lambda: _sites.discover(host))
    roots: dict[str, dict[str, str]] = {}
    for site in found["sites"]:
        if site.get("php") and site.get("user"):
            roots.setdefault(site["user"], {}).setdefault(site["root"], site["domains"][0])
    for user, served in sorted(roots.items()):
        if len(served) > 1 and user not in control.value:
            yield f"{user} serves {', '.join(sorted(served.values()))}"


def _socket(host: Host, control: Control, pools: _Pools) -> Found:
    """Value: the most that the socket's mode may allow."""
    allowed = int(control.value, 8)
    for runtime, pool in pools:
        listen = pool.settings.get("listen", "")
        if not listen.startswith("/"):
            yield f"{_named(runtime, pool)} listens on {listen}, which every user reaches"
            continue
        mode = pool.settings.get("listen.mode") or "0660"
        if not mode.isdecimal() or int(mode, 8) & ~allowed:
            yield f"{_named(runtime, pool)}: listen.mode is {mode}"
            continue
        live = host.attributes(listen)
        if live is not None and live.mode & ~allowed:
            yield f"{_named(runtime, pool)}: {listen} has mode {live.mode:04o}"


def _open_basedir(_host: Host, control: Control, pools: _Pools) -> Found:
    """Value: folders that pools may have in common."""
    common = [_folder(path) for path in control.value]
    claimed: list[tuple[str, _php.Pool]] = []
    for runtime, pool in pools:
        # php_value is not enough: a site can widen what is not an admin's
        text = pool.admin.get("open_basedir") or runtime.values.get("open_basedir", "")
        folders = [_folder(path) for path in text.split(":") if path]
        if not folders:
            yield f"{_named(runtime, pool)} has no open_basedir"
        elif "/" in folders or any(not path.startswith("/") for path in folders):
            yield f"{_named(runtime, pool)}: open_basedir {text} keeps nothing apart"
        claimed += [(path, pool) for path in folders if path.startswith("/") and path not in common]
    for path, pool in claimed:
        reached = [
            other.name for inner, other in claimed
            if other.user != pool.user and path != "/" and _within(inner, path)
        ]  # fmt: skip
        if reached:
            yield f"pool {pool.name}: open_basedir {path} reaches into pool {reached[0]}"


def _sessions(_host: Host, _control: Control, pools: _Pools) -> Found:
    owners: dict[str, _php.Pool] = {}
    for runtime, pool in pools:
        if _effective(runtime, pool, "session.save_handler") != "files":
            continue  # kept by a service with keys of its own
        folder = _folder(_effective(runtime, pool, "session.save_path").split(";")[-1] or "/tmp")  # noqa: S108
        if folder in ("/tmp", "/var/tmp"):  # noqa: S108
            yield f"{_named(runtime, pool)} keeps its sessions in {folder}"
        elif folder in owners and owners[folder].user != pool.user:
            other = owners[folder].name
            yield f"{_named(runtime, pool)} keeps its sessions with pool {other}'s in {folder}"
        owners.setdefault(folder, pool)


def _extensions(_host: Host, control: Control, pools: _Pools) -> Found:
    """Value: the endings that may be run."""
    for runtime, pool in pools:
        seen = pool.settings.get("security.limit_extensions", "").split()
        if not seen:
            yield f"{_named(runtime, pool)} runs files of every ending"
        elif not control.meets(seen):
            extra = [ending for ending in seen if ending not in control.value]
            yield f"{_named(runtime, pool)} also runs {', '.join(extra) or ', '.join(seen)}"


def _environment(_host: Host, _control: Control, pools: _Pools) -> Found:
    for runtime, pool in pools:
        if pool.settings.get("clear_env") != "yes":
            yield f"{_named(runtime, pool)} passes the service's environment on to the site"


_CHECKS: dict[str, Callable[[Host, Control, _Pools], Found]] = {
    "user": _user,
    "sites": _one_site,
    "socket": _socket,
    "open_basedir": _open_basedir,
    "sessions": _sessions,
    "extensions": _extensions,
    "environment": _environment,
}


def _named(runtime: _php.Runtime, pool: _php.Pool) -> str:
    return f"pool {pool.name} of PHP {runtime.version}"


def _effective(runtime: _php.Runtime, pool: _php.Pool, option: str) -> str:
    own = pool.admin.get(option, pool.values.get(option))
    return runtime.values.get(option, "") if own is None else own


def _folder(path: str) -> str:
    return os.path.normpath(path.strip()) if path.strip() else ""


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}/")
