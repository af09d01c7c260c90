# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PHP-FPM as it would start now: each version's settings, its pools, and where they are written.

The runtime is asked (`php-fpmX -i`, `php-fpmX -tt`), two calls a version and run. Files are read
only for what it does not say: the place of a setting, and sections of php.ini for single folders.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import Edit, set_line
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_PROGRAM = re.compile(r"/usr/sbin/php-fpm(\d+\.\d+)")
_NOTICE = re.compile(r"\[\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\] NOTICE: (.*)")
_PAIR = re.compile(r"\t([^=]+?) = (.*)")
_PHP_VALUE = re.compile(r"php_(?P<admin>admin_)?(?:value|flag)\[(?P<name>[^\]]+)\]")
# php-fpm cuts a line of its log here, and ends it so.
_LONGEST_LINE = 1000
_CUT = "..."
_QUIET_SECONDS = 10
# All that `-tt` prints goes to the log as well, unless that is elsewhere; and php-fpm reads no
# standard input, which it closes first.
_DUMP = "exec 3<&0; exec {program} -tt -y /proc/self/fd/3"
_NO_LOG = "\n[global]\nerror_log = /dev/null\n"
# `accept` and `accept4`: what a worker without a request waits in.
_WAITING = {"x86_64": ("43", "288"), "aarch64": ("202", "242")}


class Setting(NamedTuple):
    """A line of an ini file: its number, the section it stands in ("" for none), key, value."""

    number: int
    section: str
    key: str
    value: str


class Pool(NamedTuple):
    """A pool: its own settings, and PHP's that it sets (`admin`: a site cannot change them)."""

    name: str
    settings: dict[str, str]
    admin: dict[str, str]
    values: dict[str, str]

    @property
    def user(self) -> str:
        return self.settings.get("user", "")


class Runtime(NamedTuple):
    """A version of PHP-FPM: PHP's settings before any pool, [global], and the pools."""

    version: str
    values: dict[str, str]
    general: dict[str, str]
    pools: tuple[Pool, ...]

    @property
    def folder(self) -> str:
        return f"/etc/php/{self.version}/fpm"


def parse_ini(text: str) -> list[Setting]:
    """The settings of php.ini's language, quotes off, comments out. Takes anything."""
    found: list[Setting] = []
    section = ""
    lines = iter(enumerate(text.split("\n"), 1))
    for number, raw in lines:
        line = raw.strip()
        while line.startswith("[") and "]" in line:  # PHP reads on behind it
            section, _bracket, line = (part.strip() for part in line[1:].partition("]"))
        key, equals, value = line.partition("=")
        if not equals or line.startswith((";", "#")) or ";" in key:
            continue
        value = value.strip()
        while value[:1] in ("'", '"') and value.find(value[0], 1) < 0:
            following = next(lines, None)  # a quoted value goes on until its quote
            if following is None:
                break
            value = f"{value}\n{following[1]}"
        found.append(Setting(number, section, key.strip(), _bare(value)))
    return found


def _bare(value: str) -> str:
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        return value[1:] if end < 0 else value[1:end]
    return value.partition(";")[0].strip()


def parse_information(text: str) -> dict[str, str]:
    """Setting -> value of `php-fpm -i`, whose lines are `name => local => master`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, arrow, rest = line.partition(" => ")
        half = (len(rest) - len(" => ")) // 2
        if not arrow or half < 0 or rest[half : half + 4] != " => ":
            continue
        value = rest[:half]
        if value != rest[half + 4 :]:
            continue
        found.setdefault(name, "" if value == "no value" else value)
    return found


def parse_pools(text: str) -> tuple[dict[str, str], tuple[Pool, ...]]:
    """[global] and the pools of `php-fpm -tt`. Raises HostError for a line that is cut off."""
    general: dict[str, str] = {}
    pools: list[Pool] = []
    current: dict[str, str] | None = None
    for raw in text.splitlines():
        match = _NOTICE.fullmatch(raw)
        if match is None:
            continue
        line = match[1]
        if re.fullmatch(r"\[.+\]", line):
            current = general
            if line.lower() not in ("[global]", "[general]"):
                pools.append(Pool(line[1:-1], {}, {}, {}))
                current = pools[-1].settings
            continue
        pair = _PAIR.fullmatch(line)
        if pair is None or current is None:
            continue
        _keep(pools[-1] if pools else None, current, pair[1], _whole(raw, pair[1], pair[2]))
    return general, tuple(pools)


def _keep(pool: Pool | None, current: dict[str, str], key: str, value: str) -> None:
    php = _PHP_VALUE.fullmatch(key)
    if php is None or pool is None:
        current[key] = "" if value == "undefined" else value
    else:
        # php-fpm prints them last first: what it meets last is in force
        (pool.admin if php["admin"] else pool.values).setdefault(php["name"], value)


def _whole(raw: str, key: str, value: str) -> str:
    if raw.endswith(_CUT) and len(raw) >= _LONGEST_LINE:
        raise HostError(f"php-fpm -tt does not print {key} to its end")
    return value


def runtimes(host: Host) -> list[Runtime]:
    """Every version of PHP-FPM that is installed. Raises HostError where one cannot be asked."""
    return host.once("php-fpm", lambda: [_asked(host, version) for version in versions(host)])


def versions(host: Host) -> list[str]:
    """The installed versions, oldest first."""
    matches = map(_PROGRAM.fullmatch, host.glob("/usr/sbin/php-fpm*"))
    return sorted((m[1] for m in matches if m), key=lambda text: [int(n) for n in text.split(".")])


def _asked(host: Host, version: str) -> Runtime:
    program = f"/usr/sbin/php-fpm{version}"
    values = parse_information(host.output([program, "-i"]))
    if "expose_php" not in values:
        raise HostError(f"{program} -i says nothing that can be understood")
    main = host.text(f"/etc/php/{version}/fpm/php-fpm.conf") or ""
    tested = host.run(["sh", "-c", _DUMP.format(program=program)], stdin=main + _NO_LOG)
    if tested.rc != 0:
        raise HostError(f"{program} -tt: {tested.complaint()}")
    general, pools = parse_pools(tested.err)
    if not pools:
        raise HostError(f"{program} -tt names no pool")
    return Runtime(version, values, general, pools)


def ini_settings(host: Host, runtime: Runtime) -> list[tuple[str, Setting]]:
    """Path and setting of all that php.ini and its drop-ins say, in the order they are read."""

    def read() -> list[tuple[str, Setting]]:
        paths = [f"{runtime.folder}/php.ini", *host.glob(f"{runtime.folder}/conf.d/*.ini")]
        return [(path, found) for path in paths for found in parse_ini(host.text(path) or "")]

    return host.once(f"php {runtime.version} ini", read)


def place(host: Host, runtime: Runtime, name: str, pool: Pool | None = None) -> str:
    """Where a setting of PHP, or of a pool, is written, as file:line; "" for nowhere."""
    if pool is None:
        rows = [(path, s) for path, s in ini_settings(host, runtime) if s.key == name]
        return f"{rows[-1][0]}:{rows[-1][1].number}" if rows else ""
    found = ""
    for path in host.glob(f"{runtime.folder}/pool.d/*.conf"):
        for setting in parse_ini(host.text(path) or ""):
            php = _PHP_VALUE.fullmatch(setting.key)
            key = php["name"] if php else setting.key
            if setting.section == pool.name and key == name:
                found = f"{path}:{setting.number}"
    return found


def with_line(key: str, line: str, section: str = "") -> Edit:
    """An edit for a drop-in of ours below `section`: one `line` for `key`, others kept, sorted."""
    header = f"; Written by Ringfence; changes made here are lost.\n{section}"
    edit = set_line(key, line, header)

    def clean(text: str) -> str:
        return edit("".join(old for old in text.splitlines(True) if old[:1] not in ";["))

    return clean


def reload(host: Host) -> None:
    """Have each running master read its files anew, at a moment when no request runs.

    PHP-FPM ends what runs when it is told to reload, unless process_control_timeout lets it
    finish; and that takes effect with the reload. Waits up to ten seconds a master.
    """
    for version in versions(host):
        unit = f"php{version}-fpm.service"
        if host.run(["systemctl", "is-active", "-q", unit]).rc != 0:
            continue  # not running: it reads its files when it starts
        host.output([f"/usr/sbin/php-fpm{version}", "-t"])
        _wait_for_quiet(host, version)
        host.output(["systemctl", "reload", unit])


def _wait_for_quiet(host: Host, version: str) -> None:
    end = time.monotonic() + _QUIET_SECONDS
    while time.monotonic() < end and _busy(host, version):
        time.sleep(0.02)


def _busy(host: Host, version: str) -> bool:
    """Whether a worker is at a request; a worker that cannot be looked at counts as idle."""
    with suppress(HostError, OSError, ValueError):
        master = int((host.text(f"/run/php/php{version}-fpm.pid") or "").strip())
        children = (host.text(f"/proc/{master}/task/{master}/children") or "").split()
        waiting = _WAITING.get(os.uname().machine, ())
        calls = [(host.text(f"/proc/{child}/syscall") or "").split(" ")[0] for child in children]
        return bool(waiting) and any(call not in waiting for call in calls)
    return False
