# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Drop-in files of a feature for the sites of a host: planned, written, tested, loaded, put back.

A feature (addresses, gate, bans) names every file that it wants on the host. What lies where only
this feature's files lie, and is not wanted, goes. Places, FEATURE being its name:

- /etc/nginx/conf.d/ringfence_FEATURE[_x].conf: http context
- /etc/nginx/ringfence/CLIENT__SITE/FEATURE[_x].conf: in each server block of the site
- /etc/apache2/conf-available/ringfence_FEATURE[_x].conf: server context, enabled by its link
- /etc/apache2/ringfence/CLIENT__SITE/{before,after}/FEATURE[_x].conf: at the beginning and at the
  end of each virtual host of the site
- /etc/ringfence/sites/FEATURE/…: data that those files name
- /usr/local/lib/ringfence/site_FEATURE.py and
  /etc/systemd/system/ringfence-site-FEATURE.{service,timer}: what has to be done at its time
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _site_hooks as hooks
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)

Site = dict[str, Any]

NGINX_HTTP = "/etc/nginx/conf.d"
APACHE_AVAILABLE = "/etc/apache2/conf-available"
APACHE_ENABLED = "/etc/apache2/conf-enabled"
DATA = "/etc/ringfence/sites"
SCRIPTS = "/usr/local/lib/ringfence"
UNITS = "/etc/systemd/system"

_FEATURE = re.compile(r"[a-z]{2,30}")
_MODES = (0o600, 0o640, 0o644, 0o750, 0o755)
_MODULES = "/var/lib/ringfence/sites/apache_modules.json"
_LOCK = "/run/ringfence-site-config.lock"
_SERVERS = {
    "nginx": ("nginx.service", ["/usr/sbin/nginx", "-t", "-q"]),
    "apache": ("apache2.service", ["/usr/sbin/apachectl", "configtest"]),
}
_RELOAD_SECONDS = 60
_OLD_WORKER_SECONDS = 10
_SHOWN_LINES = 400


class ConfigError(Exception):
    """What is wrong with what is wanted, or could not be loaded, in one line."""


class File(NamedTuple):
    """A file that is wanted. `group`: who reads it beside root, where `mode` lets a group."""

    data: bytes
    mode: int = 0o644
    group: str = ""


class Change(NamedTuple):
    """A path whose content changes; None is no file, and no mode is the mode that it has."""

    path: str
    before: bytes | None
    after: bytes | None
    mode: int | None = 0o644
    group: str = ""


@dataclass
class Plan:
    """What a run would do. `refused`: a line for each site whose files are left as they are."""

    changes: list[Change] = field(default_factory=list)
    links: list[tuple[str, str | None]] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    unused_modules: list[str] = field(default_factory=list)
    timers: list[tuple[str, bool]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    hooked: dict[str, list[str]] = field(default_factory=dict)
    module_users: dict[str, list[str]] = field(default_factory=dict)
    links_before: dict[str, str | None] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        more = self.links or self.modules or self.unused_modules or self.timers
        return bool(self.changes or more)

    def servers(self) -> list[str]:
        """The web servers that have to read their configuration again."""
        paths = [*(change.path for change in self.changes), *(link for link, _to in self.links)]
        # Data of a feature may be read by either of them.
        both = any(path.startswith(f"{DATA}/") for path in paths)
        found = []
        if both or any(path.startswith("/etc/nginx/") for path in paths):
            found.append("nginx")
        apache = any(path.startswith("/etc/apache2/") for path in paths)
        if both or apache or self.modules or self.unused_modules:
            found.append("apache")
        return found


# --- what is wanted


class Wanted(NamedTuple):
    """What a feature wants. `refused`: client__site -> why its files are left as they are."""

    feature: str
    sites: list[Site]
    files: dict[str, File]
    modules: list[str]
    refused: dict[str, str]


def parse(payload: str) -> Wanted:
    """What the action plugin sent.

    Raises ConfigError.
    """
    given = json.loads(payload)
    feature = str(given["feature"])
    if not _FEATURE.fullmatch(feature):
        raise ConfigError(f"feature: found {feature}, expected 2 to 30 small letters")
    files = {path: _file(path, row) for path, row in given["files"].items()}
    modules = sorted(given.get("apache_modules", []))
    return Wanted(feature, given["sites"], files, modules, dict(given.get("refused", {})))


def _file(path: str, row: Mapping[str, Any]) -> File:
    mode = row.get("mode", "0644")
    try:
        bits = int(str(mode), 8)
    except ValueError:
        bits = -1
    if bits not in _MODES:
        expected = ", ".join(f"{each:04o}" for each in _MODES)
        raise ConfigError(f"{path}: found mode {mode}, expected one of {expected}")
    return File(_content(path, row), bits, str(row.get("group", "")))


def _content(path: str, row: Mapping[str, Any]) -> bytes:
    if "staged" not in row:
        return str(row["text"]).encode("utf-8", "surrogateescape")
    try:
        with open(row["staged"], "rb") as handle:
            return handle.read()
    except OSError as error:
        raise ConfigError(f"{path}: {row['staged']} cannot be read: {error.strerror}") from error


def pattern_of(feature: str) -> re.Pattern[str]:
    """The paths that belong to a feature; the group `site` is client__site, or None."""
    name = rf"{feature}(?:_[a-z0-9_]+)?\.conf"
    site = r"(?P<{}>[a-z0-9_]+?__[a-z0-9_]+)"
    return re.compile(
        rf"{NGINX_HTTP}/ringfence_{name}"
        rf"|{hooks.NGINX_FOLDER}/{site.format('nginx')}/{name}"
        rf"|{APACHE_AVAILABLE}/ringfence_{name}"
        rf"|{hooks.APACHE_FOLDER}/{site.format('apache')}/(?:{hooks.BEFORE}|{hooks.AFTER})/{name}"
        rf"|{SCRIPTS}/site_{feature}\.py"
        rf"|{UNITS}/ringfence-site-{feature}\.(?:service|timer)"
        rf"|{DATA}/{feature}/(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*"
    )


# --- planning


def plan(
    host: Host,
    feature: str,
    sites: Sequence[Site],
    files: Mapping[str, File],
    modules: Sequence[str] = (),
    refused: Mapping[str, str] | None = None,
) -> Plan:
    """What has to change so that the feature has exactly `files`. Changes nothing.

    The files of a site that is `refused` (client__site -> why) are left as they are.

    Raises ConfigError for paths that are not the feature's, HostError for what cannot be read.
    """
    pattern = pattern_of(feature)
    strange = next((path for path in files if not pattern.fullmatch(path)), None)
    if strange is not None:
        raise ConfigError(f"{strange}: is no place for files of {feature}")
    _require_servers(host, files)
    found = Plan()
    there = sorted(path for path in _ours(host) if pattern.fullmatch(path))
    by_name = {hooks.name_of(site): site for site in sites}
    left_alone = _place_hooks(host, feature, by_name, files, found, refused or {})
    for path in sorted({*there, *files}):
        if _site_of(pattern, path) in left_alone:
            continue
        _compare(host, path, files.get(path), found)
    _plan_links(host, feature, files, found)
    _plan_modules(host, feature, modules, found)
    _plan_timers(host, there, files, found)
    return found


def _require_servers(host: Host, files: Mapping[str, File]) -> None:
    for folder, name in ((NGINX_HTTP, "nginx"), (APACHE_AVAILABLE, "apache")):
        wanted = next((path for path in files if path.startswith(f"{folder}/")), None)
        if wanted and not host.exists(_MAIN[name]):
            raise ConfigError(f"{wanted}: {_TITLES[name]} is not installed on this host")
    http = next((path for path in files if path.startswith(f"{NGINX_HTTP}/")), None)
    if http and not hooks.nginx_takes_http_files(host):
        raise ConfigError(f"{http}: /etc/nginx/nginx.conf does not include conf.d/*.conf in http")


def _ours(host: Host) -> Iterator[str]:
    """Every file of any feature."""
    yield from host.glob(f"{NGINX_HTTP}/ringfence_*.conf")
    yield from host.glob(f"{hooks.NGINX_FOLDER}/*/*.conf")
    yield from host.glob(f"{APACHE_AVAILABLE}/ringfence_*.conf")
    yield from host.glob(f"{hooks.APACHE_FOLDER}/*/*/*.conf")
    yield from host.glob(f"{SCRIPTS}/site_*.py")
    yield from host.glob(f"{UNITS}/ringfence-site-*")
    top = host.real(DATA)
    for folder, _folders, names in os.walk(top):
        yield from (f"{DATA}{folder[len(top) :]}/{name}" for name in names)


def _site_of(pattern: re.Pattern[str], path: str) -> str | None:
    match = pattern.fullmatch(path)
    return (match["nginx"] or match["apache"]) if match else None


def _compare(host: Host, path: str, wanted: File | None, found: Plan) -> None:
    before = host.read(path)
    if wanted is None:
        found.changes.append(Change(path, before, None))
        return
    attributes = host.attributes(path)
    as_is = attributes is not None and attributes.mode == wanted.mode
    as_is = as_is and attributes is not None and attributes.gid == _group(wanted.group)
    if before != wanted.data or not as_is:
        found.changes.append(Change(path, before, wanted.data, wanted.mode, wanted.group))


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid if name else 0
    except KeyError:
        raise ConfigError(f"there is no group {name} on this host") from None


class _Server(NamedTuple):
    name: str
    folder: str
    blocks: Any
    files: Any
    edit: Any


_HOOKED = (
    _Server("nginx", hooks.NGINX_FOLDER, hooks.nginx_blocks, hooks.nginx_files, hooks.nginx_edit),
    _Server(
        "apache", hooks.APACHE_FOLDER, hooks.apache_blocks, hooks.apache_files, hooks.apache_edit
    ),
)  # fmt: skip
_MAIN = {"nginx": "/etc/nginx/nginx.conf", "apache": hooks.APACHE_MAIN}
_TITLES = {"nginx": "nginx", "apache": "Apache"}


def _place_hooks(
    host: Host,
    feature: str,
    sites: Mapping[str, Site],
    files: Mapping[str, File],
    found: Plan,
    refused: Mapping[str, str],
) -> set[str]:
    """Plan the line in the site's blocks where any feature has files for it, and none elsewhere.

    Returns the sites whose files are left as they are.
    """
    own = pattern_of(feature)
    mine = {_site_of(own, path) or "" for path in files}
    why = {name: refused[name] for name in mine & refused.keys()}
    for server in _HOOKED:
        needed = _needed(host, own, server, files)
        if not host.exists(_MAIN[server.name]):
            why |= dict.fromkeys(needed & mine, f"{_TITLES[server.name]} is not installed")
            continue
        known = server.blocks(host) if needed else []
        wanted, kept = {}, set(why)
        for name in sorted(needed - kept):
            try:
                wanted[name] = _blocks_of(name, sites, known, server.name)
            except hooks.HookError as error:
                kept.add(name)
                if name in mine:  # other features' sites are told by their own runs
                    why[name] = str(error)
        for name in sorted(mine & wanted.keys()):
            found.hooked[name] = [block.place for block in wanted[name]]
        _edit_hooks(host, server, wanted, kept, found)
    found.refused = [f"{name.replace('__', '/', 1)}: {why[name]}" for name in sorted(why)]
    return set(why)


def _edit_hooks(
    host: Host, server: _Server, wanted: dict[str, Any], kept: set[str], found: Plan
) -> None:
    for path in server.files(host):
        text = host.text(path) or ""
        new = server.edit(text, path, wanted, kept)
        if new != text:
            before, after = (each.encode("utf-8", "surrogateescape") for each in (text, new))
            found.changes.append(Change(path, before, after, mode=None))


def _needed(
    host: Host, own: re.Pattern[str], server: _Server, files: Mapping[str, File]
) -> set[str]:
    there = [path for path in _ours(host) if path.startswith(f"{server.folder}/")]
    paths = [path for path in there if not own.fullmatch(path)]
    paths += [path for path in files if path.startswith(f"{server.folder}/")]
    return {path.removeprefix(f"{server.folder}/").partition("/")[0] for path in paths}


def _blocks_of(
    name: str, sites: Mapping[str, Site], known: Sequence[hooks.Block], server: str
) -> list[hooks.Block]:
    if name not in sites:
        raise hooks.HookError("there is no such site on this host")
    others = [domain for key, site in sites.items() if key != name for domain in site["domains"]]
    return hooks.chosen(known, sites[name]["domains"], others, server)


def _plan_links(host: Host, feature: str, files: Mapping[str, File], found: Plan) -> None:
    wanted = {
        f"{APACHE_ENABLED}/{os.path.basename(path)}": f"../conf-available/{os.path.basename(path)}"
        for path in files
        if path.startswith(f"{APACHE_AVAILABLE}/")
    }
    own = pattern_of(feature)
    for link in sorted({*host.glob(f"{APACHE_ENABLED}/ringfence_*.conf"), *wanted}):
        if not own.fullmatch(f"{APACHE_AVAILABLE}/{os.path.basename(link)}"):
            continue
        if _target(host, link) != wanted.get(link):
            found.links.append((link, wanted.get(link)))
            found.links_before[link] = _target(host, link)


def _target(host: Host, link: str) -> str | None:
    try:
        return os.readlink(host.real(link))
    except OSError:
        return None


def _plan_timers(host: Host, there: Sequence[str], files: Mapping[str, File], found: Plan) -> None:
    """Timers to start anew, as their times changed or they are switched off; and to stop."""
    changed = {change.path for change in found.changes}
    for path in sorted({*there, *files}):
        unit = os.path.basename(path)
        if not unit.endswith(".timer"):
            continue
        enabled = host.exists(f"{UNITS}/timers.target.wants/{unit}")
        if path in files and (path in changed or not enabled):
            found.timers.append((unit, True))
        elif path not in files:
            found.timers.append((unit, False))


def _plan_modules(host: Host, feature: str, modules: Sequence[str], found: Plan) -> None:
    """Apache's modules: what was on before us stays on, what we switched on goes with its need."""
    enabled = _enabled(host)
    users = _module_users(host)
    found.modules = [name for name in modules if name not in enabled]
    found.unused_modules = sorted(
        name
        for name, features in users.items()
        if name not in modules and set(features) <= {feature} and name in enabled
    )
    known = {**{name: [] for name in found.modules}, **users}
    for name, features in known.items():
        others = [each for each in features if each != feature]
        found.module_users[name] = sorted([*others, *([feature] if name in modules else [])])


def _enabled(host: Host) -> set[str]:
    names = host.names("/etc/apache2/mods-enabled")
    return {name.removesuffix(".load") for name in names if name.endswith(".load")}


def _module_users(host: Host) -> dict[str, list[str]]:
    """Module -> the features that need it, of those that were off before."""
    text = host.text(_MODULES)
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigError(f"{_MODULES} cannot be understood: {error}") from error
    return {str(name): list(features) for name, features in found.items()}


# --- carrying it out


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One change of the web servers at a time."""
    with open(_LOCK, "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def carry_out(host: Host, planned: Plan) -> list[str]:
    """Write, test, load; the web servers that were told to read their configuration again.

    Raises ConfigError, everything being as it was before, where a test or a reload fails.
    """
    servers = [name for name in planned.servers() if host.exists(_MAIN[name])]
    for name in servers:
        _test(host, name, "as it is, and nothing was changed")
    done: list[Change] = []
    at_once, after_reload = _in_order(planned.changes)
    old = {name: workers(host, _SERVERS[name][0]) for name in servers}
    try:
        _switch(host, planned)
        for unit, wanted in planned.timers:
            if not wanted:
                host.run(["systemctl", "disable", "--now", "--quiet", unit])
        for change in at_once:
            done.append(change)
            _write(host, change)
        for link, target in planned.links:
            _link(host, link, target)
        for name in servers:
            _test(host, name)
        reloaded = [name for name in servers if _reload(host, name)]
        if after_reload:
            _wait_for_old_workers(host, old)
        for change in after_reload:
            done.append(change)
            _write(host, change)
        _start_timers(host, planned)
    except (ConfigError, HostError, OSError) as error:
        said = _put_back(host, planned, done, servers)
        raise ConfigError(f"{error}; {said}") from error
    _keep_module_users(host, planned)
    _remove_empty_folders(host, planned.changes)
    return reloaded


def _in_order(changes: list[Change]) -> tuple[list[Change], list[Change]]:
    """What is written before a reload, and the data that go after it.

    Apache's workers read a Lua program anew for each request, until they are others: without it
    they would answer 500.
    """
    last = [each for each in changes if each.after is None and each.path.startswith(f"{DATA}/")]
    return [each for each in changes if each not in last], last


def _wait_for_old_workers(host: Host, old: dict[str, set[int]]) -> None:
    """Until those from before the reload are gone, but not for one that has much to send yet."""
    deadline = time.monotonic() + _OLD_WORKER_SECONDS
    while time.monotonic() < deadline:
        if not any(workers(host, _SERVERS[name][0]) & old[name] for name in old):
            return
        time.sleep(0.05)


def _write(host: Host, change: Change) -> None:
    path = host.real(change.path)
    if change.after is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    replace_file(host, change.path, change.after, change.mode or 0o644)
    if change.mode is not None:
        os.chown(path, 0, _group(change.group))
        os.chmod(path, change.mode)


def _link(host: Host, link: str, target: str | None) -> None:
    path = host.real(link)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if target is not None:
        os.symlink(target, path)


def _switch(host: Host, planned: Plan) -> None:
    """Apache's modules on; those that nobody needs any more off."""
    if planned.modules:
        before = _enabled(host)
        host.output(["/usr/sbin/a2enmod", "--quiet", *planned.modules])
        # With them come those that they need.
        for name in _enabled(host) - before - set(planned.modules):
            users = {user for each in planned.modules for user in planned.module_users[each]}
            planned.module_users[name] = sorted(users)
    if planned.unused_modules:
        host.output(["/usr/sbin/a2dismod", "--quiet", "--force", *planned.unused_modules])


def _test(host: Host, name: str, when: str = "") -> None:
    done = host.run(_SERVERS[name][1])
    if done.rc != 0:
        said = _refusal(done.err + done.out)
        title = _TITLES[name]
        if when:
            raise ConfigError(f"{title} refuses its configuration {when}: {said}")
        raise ConfigError(f"{title} refuses it: {said}")


def _refusal(said: str) -> str:
    """The line that says what is wrong and where, of nginx's or Apache's words."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if "[emerg]" in line:
            return re.sub(r"^(?:nginx: )?(?:\S+ \S+ )?\[emerg\] (?:\S+#\S+ )?", "", line)
        if "Syntax error on line" in line:
            return " ".join([re.sub(r"^AH\d+: ", "", line), *lines[number + 1 : number + 2]])
    return next((line for line in lines if not line.startswith("AH00558")), "no word why")


def _reload(host: Host, name: str) -> bool:
    """Tell a running web server; whether it runs. Raises ConfigError where it does not take it."""
    unit = _SERVERS[name][0]
    if host.run(["systemctl", "is-active", "--quiet", unit]).rc != 0:
        return False
    before = workers(host, unit)
    done = host.run(["systemctl", "reload", unit], timeout=_RELOAD_SECONDS)
    if done.rc != 0:
        raise ConfigError(f"{unit} cannot be reloaded: {done.complaint()}")
    # nginx is only sent a signal; what it says to it, it says by new workers.
    deadline = time.monotonic() + _RELOAD_SECONDS
    while before and time.monotonic() < deadline:
        if workers(host, unit) - before:
            return True
        time.sleep(0.02)
    if before:
        raise ConfigError(f"{unit} was told to reload and did not within {_RELOAD_SECONDS} s")
    return True


def _start_timers(host: Host, planned: Plan) -> None:
    if any(change.path.startswith(f"{UNITS}/") for change in planned.changes):
        host.output(["systemctl", "daemon-reload"])
    for unit, wanted in planned.timers:
        if wanted:
            host.output(["systemctl", "enable", "--quiet", unit])
            host.output(["systemctl", "restart", unit])


def workers(host: Host, unit: str) -> set[int]:
    """The children of a unit's main process."""
    main = host.run(["systemctl", "show", "--property=MainPID", "--value", unit]).out.strip()
    text = host.text(f"/proc/{main}/task/{main}/children") if main not in ("", "0") else None
    return {int(word) for word in (text or "").split()}


def _written(host: Host, changes: list[Change]) -> list[str]:
    """What of the changes could not be written; folders that became empty go."""
    problems = []
    for change in changes:
        try:
            _write(host, change)
        except (HostError, OSError) as error:
            problems.append(str(error))
    _remove_empty_folders(host, changes)
    return problems


def _put_back(host: Host, planned: Plan, done: list[Change], servers: list[str]) -> str:
    """Everything as it was; says so, or what could not be put back."""
    problems: list[str] = []
    undone = [each._replace(before=each.after, after=each.before) for each in reversed(done)]
    at_once, after_reload = _in_order(undone)
    problems += _written(host, at_once)
    for link, _target in planned.links:
        with contextlib.suppress(OSError):
            _link(host, link, planned.links_before.get(link))
    if planned.modules:
        host.run(["/usr/sbin/a2dismod", "--quiet", "--force", *planned.modules])
    if planned.unused_modules:
        host.run(["/usr/sbin/a2enmod", "--quiet", *planned.unused_modules])
    if any(change.path.startswith(f"{UNITS}/") for change in planned.changes):
        host.run(["systemctl", "daemon-reload"])
    for unit, _wanted in planned.timers:
        if host.exists(f"{UNITS}/{unit}"):
            host.run(["systemctl", "enable", "--now", "--quiet", unit])
    for name in servers:
        try:
            _test(host, name)
            _reload(host, name)
        except (ConfigError, HostError) as error:
            problems.append(str(error))
    problems += _written(host, after_reload)
    if problems:
        return "and not everything could be put back: " + "; ".join(problems)
    return "everything was put back"


def _keep_module_users(host: Host, planned: Plan) -> None:
    users = {name: features for name, features in planned.module_users.items() if features}
    if not users and host.exists(_MODULES):
        os.unlink(host.real(_MODULES))
        _remove_empty_folders(host, [Change(_MODULES, b"", None)])
    elif users != _module_users(host):
        text = json.dumps(users, indent=1, sort_keys=True) + "\n"
        replace_file(host, _MODULES, text.encode(), 0o600)


def _remove_empty_folders(host: Host, changes: Sequence[Change]) -> None:
    ends = (
        *("/etc", "/etc/nginx", "/etc/apache2", "/usr/local/lib", "/var/lib"),
        *(UNITS, NGINX_HTTP, APACHE_AVAILABLE),
    )
    for change in changes:
        folder = os.path.dirname(change.path)
        while change.after is None and folder not in ends:
            try:
                os.rmdir(host.real(folder))
            except OSError:
                break
            folder = os.path.dirname(folder)


# --- the whole of it


def run(host: Host, payload: str, *, check: bool) -> dict[str, Any]:
    """The module ringfence.hosting.site_config: its result, from its payload.

    Raises ConfigError and HostError, each in one line, nothing being changed.
    """
    if not payload:
        raise ConfigError("expected to be run by the action plugin of its name")
    wanted = parse(payload)
    with contextlib.nullcontext() if check else alone():
        planned = plan(host, *wanted)
        reloaded = carry_out(host, planned) if planned.changed and not check else []
    return {
        "changed": planned.changed,
        "diff": diffs(planned),
        "hooked": planned.hooked,
        "reloaded": reloaded,
        "refused": planned.refused,
    }


def diffs(planned: Plan) -> list[dict[str, str]]:
    """Ansible's diff of each file, long ones shortened to how long they are."""
    found = [
        {
            "before_header": change.path,
            "after_header": change.path,
            "before": _shown(change.before),
            "after": _shown(change.after),
        }
        for change in planned.changes
    ]
    switched = [f"{name} on" for name in planned.modules]
    switched += [f"{name} off" for name in planned.unused_modules]
    if switched:
        text = "".join(f"{line}\n" for line in switched)
        found.append({"header": "modules of Apache", "before": "", "after": text})
    return found


def _shown(data: bytes | None) -> str:
    text = (data or b"").decode("utf-8", "replace")
    lines = text.count("\n")
    return text if lines <= _SHOWN_LINES else f"({lines} lines, {len(data or b'')} bytes)\n"
