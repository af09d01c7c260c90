# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings a host's firewall to what is declared: one look, one check, one transaction, one guard.

What the kernel should list is not guessed: the declared text is loaded into an empty network
namespace that lives for some milliseconds, and listed there by the same nft. So the check is a real
load, and the comparison holds for every version of nft.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _address_lists,
    _guard,
    _nftables,
    _packages,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._connection import (
    Connection,
    ssh_connection,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._nftables import (
    TABLE,
    Blocks,
    Firewall,
)

NFT = "/usr/sbin/nft"
FILE = "/etc/ringfence/firewall.nft"
LISTS = "/var/lib/ringfence/firewall"
UNIT = "ringfence-firewall.service"

_UNIT_FILE = f"/etc/systemd/system/{UNIT}"
_WANTED_FILE = f"/etc/systemd/system/sysinit.target.wants/{UNIT}"
_DROP_IN = "/etc/systemd/system/nftables.service.d/ringfence.conf"
_KEEP_BANS = "/etc/ringfence/keep-bans.sh"

_UNIT_TEXT = f"""\
# Written by Ringfence.
[Unit]
Description=Ringfence firewall
DefaultDependencies=no
RequiresMountsFor=/etc /var/lib
# nftables.service may flush every table; the guard may first put these rules back.
After=nftables.service ringfence-guard-boot.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
StandardInput=null
ProtectSystem=full
ProtectHome=true
ExecStart={NFT} -f {FILE}
# Apart from the rules: a list that cannot be loaded must not leave the host without them.
ExecStart=-{NFT} 'include "{LISTS}/*.nft"'
ExecStart=-/bin/rm -f {LISTS}/ban.nft
ExecReload={NFT} -f {FILE}
# Stopping keeps the host closed; the bans in force are kept for the next boot.
ExecStop=-/bin/sh {_KEEP_BANS}

[Install]
WantedBy=sysinit.target
"""

_DROP_IN_TEXT = f"""\
# Written by Ringfence. nftables.service flushes every table, Ringfence's among them. Here that
# and loading Ringfence's again are one transaction, so there is no moment without a firewall.
[Service]
ExecStart=
ExecStart=-/bin/sh {_KEEP_BANS}
ExecStart={NFT} 'include "/etc/nftables.conf"; include "{FILE}"; include "{LISTS}/*.nft"'
ExecStart=-/bin/rm -f {LISTS}/ban.nft
ExecReload=
ExecReload=-/bin/sh {_KEEP_BANS}
ExecReload={NFT} 'include "/etc/nftables.conf"; include "{FILE}"; include "{LISTS}/*.nft"'
ExecReload=-/bin/rm -f {LISTS}/ban.nft
ExecStop=
ExecStop=-/bin/sh {_KEEP_BANS}
ExecStop={NFT} 'flush ruleset; include "{FILE}"; include "{LISTS}/*.nft"'
"""

_KEEP_BANS_TEXT = f"""\
#!/bin/sh
# Written by Ringfence. Keeps the bans in force for when their sets are made anew.
set -eu
umask 077
mkdir -p {LISTS}
cd {LISTS}
for name in ban4 ban6 ban4_networks ban6_networks; do
    {NFT} list set {TABLE} "$name"
done > ban.new
mv ban.new ban.nft
"""

_CONTENTS = {_UNIT_FILE: _UNIT_TEXT, _DROP_IN: _DROP_IN_TEXT, _KEEP_BANS: _KEEP_BANS_TEXT}
_PATHS = (FILE, *_CONTENTS)
_OWN_FOLDERS = (LISTS, _address_lists.LOADED, os.path.dirname(_DROP_IN))
_DEFAULT_PORT = 22
_MODES = {FILE: 0o600, _UNIT_FILE: 0o644, _DROP_IN: 0o644, _KEEP_BANS: 0o644}


class FirewallError(Exception):
    """Why nothing was changed, or what was put back, in one line."""


class Plan(NamedTuple):
    """What must be done. `files`: path -> new bytes, or None to remove; `script`: for `nft -f`,
    empty where the live rules are right; `unit`: arguments of systemctl, in order."""

    files: dict[str, bytes | None]
    script: str
    units: list[list[str]]
    wanted: Blocks
    diff: list[dict[str, str]]
    warnings: list[str]

    @property
    def changed(self) -> bool:
        return bool(self.files or self.script or self.units)


# --- looking


def live_blocks(host: Host) -> Blocks | None:
    """The table as it is now, filled sets without their elements; None where there is none."""
    done = host.run([NFT, "-s", "-t", "list", "table", *TABLE.split()])
    if done.rc != 0:
        if "No such file or directory" in done.err:
            return None
        raise HostError(f"nft list table: {done.complaint()}")
    found = _nftables.blocks(done.out)
    for name in _nftables.zone_sets(found):
        listed = host.output([NFT, "-s", "list", "set", *TABLE.split(), name])
        found[f"set {name}"] = _nftables.blocks(listed)[f"set {name}"]
    return found


def tried_blocks(host: Host, text: str) -> Blocks:
    """What the kernel lists once `text` is loaded, tried in a network namespace of its own."""
    command = f"{NFT} -f - && exec {NFT} -s list table {TABLE}"
    done = host.run(["/usr/bin/unshare", "--net", "/bin/sh", "-c", command], stdin=text)
    if done.rc != 0:
        raise HostError(f"the rules were refused when tried: {done.complaint()}")
    return _nftables.blocks(done.out)


def unit_state(host: Host) -> dict[str, str]:
    """ActiveState, UnitFileState and NeedDaemonReload of the unit that loads the rules at boot."""
    names = "ActiveState,UnitFileState,NeedDaemonReload"
    shown = host.output(["systemctl", "show", "-p", names, UNIT])
    return dict(line.partition("=")[::2] for line in shown.splitlines() if "=" in line)


def closed_listeners(host: Host, firewall: Firewall) -> list[str]:
    """What listens beyond loopback and would be reached from nowhere, as "3306/tcp mariadbd"."""
    try:
        listed = host.output(["ss", "-H", "-l", "-n", "-t", "-u", "-p"])
    except HostError:
        return []
    found = set()
    for line in listed.splitlines():
        match = re.match(r"(tcp|udp)\s+\S+\s+\d+\s+\d+\s+(\S+):(\d+)\s+\S+\s*(.*)", line)
        if not match or _is_loopback(match[2]):
            continue
        if not _nftables.opens(firewall, match[1], int(match[3])):
            program = re.search(r'"([^"]+)"', match[4])
            found.add(f"{match[3]}/{match[1]}" + (f" {program[1]}" if program else ""))
    return sorted(found, key=lambda each: int(each.partition("/")[0]))


def _is_loopback(address: str) -> bool:
    return address.strip("[]").startswith(("127.", "::1", "::ffff:127.")) or "%lo" in address


# --- planning


def plan(host: Host, firewall: Firewall) -> Plan:
    """What must be done to load and keep the declared firewall. Raises HostError."""
    text = _nftables.render(firewall)
    wanted, live = tried_blocks(host, text), live_blocks(host)
    contents = {FILE: text, **_CONTENTS}
    before = {path: host.text(path) for path in contents}
    files: dict[str, bytes | None] = {
        path: new.encode()
        for path, new in contents.items()
        if before[path] != new or _mode(host, path) != _MODES[path]
    }
    script, lost = "", list[str]()
    if live != wanted:
        commands, lost = _nftables.mending(live or {}, wanted)
        script = "\n".join([*commands, text])
    diff = [_file_diff(host, path, before[path], contents[path]) for path in files]
    if script and (live is not None or FILE not in files):
        before_it, after = _nftables.listing(live or {}), _nftables.listing(wanted)
        diff.append(_diff(f"live table {TABLE}", before_it, after))
    units = _unit_steps(host, files)
    if any(step[0] != "daemon-reload" for step in units):
        diff.append(_diff(UNIT, "not enabled and active\n", "enabled and active\n"))
    warnings = [f"the set {name} was altered by hand, its elements go" for name in lost]
    return Plan(files, script, units, wanted, diff, warnings)


def plan_absent(host: Host) -> Plan:
    """What must be done to take away all that the firewall put on the host."""
    live = live_blocks(host)
    folders = (LISTS, _address_lists.LOADED)
    paths = [*_PATHS, *(f"{folder}/{name}" for folder in folders for name in host.names(folder))]
    there = {path: host.text(path) for path in paths if host.exists(path)}
    diff = [_diff(path, text or "", "") for path, text in there.items()]
    script = ""
    if live is not None:
        script = f"delete table {TABLE}\n"
        diff.append(_diff(f"live table {TABLE}", _nftables.listing(live), ""))
    units = [["disable", "--now", UNIT]] if host.exists(_WANTED_FILE) else []
    units += [["daemon-reload"]] if _UNIT_FILE in there or _DROP_IN in there else []
    # Stopping the unit keeps the bans once more.
    left = [f"{LISTS}/ban.nft"] if units else []
    return Plan(dict.fromkeys([*there, *left]), script, units, {}, diff, [])


def _mode(host: Host, path: str) -> int | None:
    found = host.attributes(path)
    return found.mode if found else None


def _file_diff(host: Host, path: str, before: str | None, after: str) -> dict[str, str]:
    if before == after:
        return _diff(path, f"mode {_mode(host, path):04o}\n", f"mode {_MODES[path]:04o}\n")
    return _diff(path, before or "", after)


def _diff(path: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def _unit_steps(host: Host, files: dict[str, bytes | None]) -> list[list[str]]:
    state = unit_state(host)
    steps = []
    if _UNIT_FILE in files or _DROP_IN in files or state.get("NeedDaemonReload") == "yes":
        steps.append(["daemon-reload"])
    if state.get("UnitFileState") != "enabled":
        steps.append(["enable", UNIT])
    if state.get("ActiveState") != "active":
        steps.append(["start", UNIT])
    return steps


# --- the way in


def lock_out(host: Host, firewall: Firewall, connection: Connection | None) -> str:
    """Why the declared rules would shut the operator out, in one line; empty where they do not.

    Without an SSH connection to judge by, the management zone must reach sshd.
    """
    if connection:
        return _shuts_out(firewall, connection)
    ports = _sshd_ports(host)
    zone = firewall.zones[_nftables.MANAGEMENT]
    first = zone.networks[0].network_address
    if not ports or any(_nftables.admits(firewall, first, port) for port in ports):
        return ""
    return (
        f"no service lets the zone {_nftables.MANAGEMENT} in to sshd, "
        f"which listens on port {', '.join(map(str, ports))}"
    )


def _shuts_out(firewall: Firewall, connection: Connection) -> str:
    address, port = connection
    if address.is_loopback or _nftables.admits(firewall, address, port):
        return ""
    if any(low <= port <= high for service in firewall.services for low, high in service.tcp):
        return (
            f"this connection comes from {address}, which no zone of a service "
            f"with port {port} holds"
        )
    return f"this connection uses port {port} (from {address}), which no service opens"


def _sshd_ports(host: Host) -> list[int]:
    if not host.exists("/usr/sbin/sshd"):
        return []
    with suppress(HostError):
        # systemd listens in sshd's place then, wherever sshd's own file says
        shown = host.output(["systemctl", "show", "ssh.socket", "-p", "ActiveState,Listen"])
        if "ActiveState=active" in shown:
            return _ports(r"^Listen=.*:(\d+) \(Stream\)$", shown)
    try:
        shown = host.output(["/usr/sbin/sshd", "-T"])
    except HostError:
        return [_DEFAULT_PORT]  # it may run all the same, with what it read at its start
    # An address can have a port of its own, and port is then for the others.
    return _ports(r"^listenaddress .*:(\d+)$", shown) or _ports(r"^port (\d+)$", shown)


def _ports(pattern: str, shown: str) -> list[int]:
    return sorted({int(port) for port in re.findall(pattern, shown, re.MULTILINE)})


# --- doing


def ensure_nft(host: Host) -> None:
    """Install nftables where it is missing, as it can be on a minimal server."""
    if not host.exists(NFT):
        _packages.install(host, ["nftables"])


def carry_out(host: Host, todo: Plan, guard: dict[str, Any]) -> dict[str, Any] | None:
    """Do what was planned, under a guard. Returns the guard's record.

    `guard` has timeout (seconds; 0 arms none), reason, operator and guard_id, as `_guard.arm` takes
    them. Raises FirewallError, with everything put back where a guard was armed.
    """
    _check(host, todo.script)
    armed = _arm(guard) if guard["timeout"] else None
    try:
        _write(host, todo)
        if todo.wanted and live_blocks(host) != todo.wanted:
            raise HostError(f"the live table {TABLE} is not what was loaded")
    except HostError as error:
        raise FirewallError(_put_back(armed, str(error))) from error
    return armed


def _check(host: Host, script: str) -> None:
    if not script:
        return
    done = host.run([NFT, "-c", "-f", "-"], stdin=script)
    if done.rc != 0:
        raise FirewallError(f"nft refuses the rules, nothing changed: {done.complaint()}")


def _arm(guard: dict[str, Any]) -> dict[str, Any]:
    try:
        return _guard.arm([*_PATHS, _WANTED_FILE], nftables=True, reload=[UNIT], **guard)
    except _guard.GuardError as error:
        raise FirewallError(str(error)) from error


def _write(host: Host, todo: Plan) -> None:
    stops = [step for step in todo.units if step[0] == "disable"]
    for step in stops:
        host.output(["systemctl", *step])
    for path, data in todo.files.items():
        if data is None:
            _remove(host, path)
        else:
            _tighten(host, path)
            replace_file(host, path, data, _MODES[path])
    if todo.script:
        host.output([NFT, "-f", "-"], stdin=todo.script)
    for step in todo.units:
        if step not in stops:
            host.output(["systemctl", *step])


def _tighten(host: Host, path: str) -> None:
    """replace_file keeps the mode of what was there, which may be what is wrong."""
    with suppress(FileNotFoundError):
        os.chmod(host.real(path), _MODES[path], follow_symlinks=True)


def _remove(host: Host, path: str) -> None:
    try:
        with suppress(FileNotFoundError):
            os.unlink(host.real(path))
        if os.path.dirname(path) in _OWN_FOLDERS:
            with suppress(OSError):  # others may have put something there
                os.rmdir(host.real(os.path.dirname(path)))
    except OSError as error:
        raise HostError(f"{path} cannot be removed: {error.strerror}") from error


def _put_back(guard: dict[str, Any] | None, why: str) -> str:
    if guard is None:
        return f"{why}; no guard was armed, so nothing was put back"
    try:
        done = _guard.restore(guard["id"], why)
    except _guard.GuardError as error:
        return f"{why}; {error}"
    return f"{why}; {done['summary']}"


# --- the whole of it


def run(host: Host, given: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """The module ringfence.hosting.firewall: its result, from its options.

    Raises DeclarationError for bad data, FirewallError for a refusal, HostError for the rest; each
    in one line.
    """
    if given["state"] == "absent":
        todo = plan_absent(host)
        if todo.changed and not check:
            carry_out(host, todo, {"timeout": 0})
        return {"changed": todo.changed, "diff": todo.diff}
    firewall = _nftables.parse(given)
    if given["force"] and not given["guard_timeout"]:
        raise FirewallError("force needs a guard: expected firewall_guard_timeout above 0")
    if not host.exists(NFT):
        if check:
            return {"changed": True, "diff": [_diff("package nftables", "absent\n", "present\n")]}
        ensure_nft(host)
    todo = plan(host, firewall)
    connection = ssh_connection()
    found: dict[str, Any] = {
        "changed": todo.changed,
        "diff": todo.diff,
        "warnings": todo.warnings,
        "connection": str(connection) if connection else "",
        "listed": bool(origins(host)),
    }
    if not todo.changed:
        return found
    problem = "" if given["force"] else lock_out(host, firewall, connection)
    if problem:
        raise FirewallError(f"refused, nothing changed: {problem}")
    found["closed"] = closed_listeners(host, firewall)
    if not check:
        guard = {"timeout": given["guard_timeout"], "reason": "firewall"}
        guard |= {"operator": given["operator"], "guard_id": given["guard_id"]}
        armed = carry_out(host, todo, guard)
        if armed:
            found["guard"] = armed
    return found


def info(host: Host, lists: list[str]) -> dict[str, Any]:
    """The module ringfence.hosting.firewall_info: its result. Raises HostError."""
    live, text = live_blocks(host), host.text(FILE)
    wanted = tried_blocks(host, text) if text is not None else {}
    before, after = _nftables.listing(wanted), _nftables.listing(live or {})
    connection = ssh_connection()
    return {
        "loaded": live is not None and "dormant" not in live.get("", ""),
        "at_boot": text is not None and unit_state(host).get("UnitFileState") == "enabled",
        "drift": list(
            difflib.unified_diff(before.splitlines(), after.splitlines(), FILE, "live", lineterm="")
        ),
        "dropped": _dropped(host) if live is not None else {},
        "connection": str(connection) if connection else "",
        "origins": origins(host),
        "lists": {
            name: [{"address": row.entry, "seconds": row.left} for row in _rows(host, name)]
            for name in lists
        },
    }


def origins(host: Host) -> dict[str, Any]:
    """List -> what was noted of where it comes from."""
    found: dict[str, Any] = {}
    for name in _address_lists.NAMES:
        with suppress(ValueError):
            known = json.loads(host.text(_address_lists.origin_file(name)) or "{}")
            found |= {name: known} if known else {}
    return found


def _rows(host: Host, name: str) -> list[_address_lists.Left]:
    return sorted(_address_lists.live(host, name))


def _dropped(host: Host) -> dict[str, int]:
    found: dict[str, int] = {}
    listed = host.output([NFT, "-t", "list", "table", *TABLE.split()])
    for heading, block in _nftables.blocks(listed).items():
        counted = re.findall(r"counter packets (\d+) bytes \d+ drop", block)
        if counted:
            found[heading.removeprefix("chain ")] = sum(map(int, counted))
    return found
