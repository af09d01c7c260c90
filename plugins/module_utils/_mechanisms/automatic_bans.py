# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Automatic bans at work: asked of fail2ban, the kernel, systemd and the web servers themselves."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx
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

# check: services, logs, plugins, kernel, never, peers.
PARAMS = {"check": "str"}
VALUE = ("str",)

_SETTINGS = "/etc/ringfence/bans/bans.json"
_JAILS = "/etc/fail2ban/jail.d/ringfence.local"
_RECORD = "/var/lib/ringfence/bans/bans.sqlite"
_CLIENT = "fail2ban-client"
_NFT = "/usr/sbin/nft"
_TABLE = ["inet", "ringfence_bans"]
_UNITS = ["fail2ban.service", "ringfence-bans.service"]
_RECEIVER = "ringfence-bans-receiver.service"
_CENTRAL_UNIT = "ringfence-bans-central.service"
_CENTRAL = "central list"
_SETS = ("ban4", "ban6", "shared4", "shared6")
# Peers are called every half hour.
_SILENT_SECONDS = 3 * 3600
# The central list is asked every few seconds.
_CENTRAL_SILENT_SECONDS = 300
_LIMIT = 1 << 20


def observe(host: Host, control: Control) -> Observation:
    settings = host.once("bans.json", lambda: _settings(host))
    check = control.params["check"]
    if check == "peers" and not settings["peers"] and not settings.get("central"):
        return Observation({"wrong": [], "nothing": "this host shares no bans"}, "no peers")
    if check == "plugins" and not settings.get("plugins"):
        return Observation({"wrong": [], "nothing": "no WordPress asks for bans"}, "no WordPress")
    wrong = list(_CHECKS[check](host, settings))
    return Observation({"wrong": wrong, "nothing": ""}, wrong[0] if wrong else "as it should be")


def judge(control: Control, observation: Observation) -> Verdict:
    wrong = observation.state["wrong"]
    if observation.state["nothing"]:
        return Verdict(NOT_APPLICABLE, observation.state["nothing"])
    if not wrong or control.value == control.choices[-1]:
        return Verdict(PASS)
    return Verdict(FAIL, f"{wrong[0]}{and_others(len(wrong))}")


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: playbooks/bans.yml does it, which knows all sites and hosts."""


def _settings(host: Host) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(host.text(_SETTINGS) or "")
        for name in ("never", "peers", "sites", "jails", "port"):
            found[name]
        return found
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HostError(f"{_SETTINGS} cannot be understood: {error}") from error


def _services(host: Host, settings: dict[str, Any]) -> Iterator[str]:
    units = [*_UNITS, *([_RECEIVER] if settings["port"] else [])]
    if (settings.get("central") or {}).get("serve"):
        units.append(_CENTRAL_UNIT)
    shown = host.output(["systemctl", "show", "-p", "Id,ActiveState,UnitFileState", "--", *units])
    for block in shown.strip().split("\n\n"):
        state = dict(line.partition("=")[::2] for line in block.splitlines())
        if state.get("ActiveState") != "active":
            yield f"{state.get('Id')} is {state.get('ActiveState')}"
        elif state.get("UnitFileState") != "enabled":
            yield f"{state.get('Id')} does not start at boot"
    running = _running(host)
    yield from (f"fail2ban does not run the jail {name}" for name in _declared(host) - running)


def _running(host: Host) -> set[str]:
    said = host.output([_CLIENT, "status"])
    match = re.search(r"Jail list:\s*(.*)", said)
    if match is None:
        raise HostError("fail2ban-client does not say which jails run")
    return {name.strip() for name in match[1].split(",") if name.strip()}


def _declared(host: Host) -> set[str]:
    text = host.text(_JAILS)
    if text is None:
        raise HostError(f"{_JAILS} is not there")
    return set(re.findall(r"^\[(ringfence-[^\]]+)\]", text, re.MULTILINE))


def _logs(host: Host, settings: dict[str, Any]) -> Iterator[str]:
    """Each log that a jail is to read is one that it says it reads, and each site feeds one."""
    jails = settings["jails"]
    running = _running(host)
    for name, jail in sorted(jails.items()):
        if not _is_fail2bans(jail, settings):
            continue
        if name not in running:
            yield f"nothing reads for {_whom(jail)}: the jail {name} does not run"
            continue
        if jail["kind"] in ("exploits", "joomla"):
            read = set(re.findall(r"(/\S+)", host.output([_CLIENT, "get", name, "logpath"])))
            yield from _unread(host, settings, jail, read)
        elif "=" not in host.output([_CLIENT, "get", name, "journalmatch"]):
            yield f"the jail {name} reads nothing of the journal"
    fed = _fed_by_nginx(host, settings) + _fed_by_apache(host, settings)
    yield from fed


def _is_fail2bans(jail: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Whether fail2ban is to run it: users of a Joomla are counted by our own service."""
    known = settings["sites"]
    return jail["kind"] != "users" or any(known[n]["cms"] != "joomla" for n in jail["sites"])


def _whom(jail: dict[str, Any]) -> str:
    return ", ".join(jail["sites"][:3]) or str(jail["kind"])


def _unread(
    host: Host, settings: dict[str, Any], jail: dict[str, Any], read: set[str]
) -> Iterator[str]:
    if jail["kind"] == "joomla":
        for name in jail["sites"]:
            log = settings["sites"][name]["log"]
            if log not in read:
                yield f"{name}: nothing reads {log}"
    elif not read:
        yield f"nothing reads what {_whom(jail)} is asked for"
    for path in sorted(read):
        found = host.attributes(path)
        if found is None or found.kind != "file":
            yield f"{path} is {'not there' if found is None else f'a {found.kind}'}"


def _watched(settings: dict[str, Any], server: str) -> list[tuple[str, list[str]]]:
    """The sites of a web server that something has to be included for, and their domains."""
    names = {
        name
        for jail in settings["jails"].values()
        if jail["kind"] == "exploits"
        for name in jail["sites"]
    }
    sites = settings["sites"]
    return [(n, sites[n]["domains"]) for n in sorted(names) if sites[n].get("web") == server]


def _fed_by_nginx(host: Host, settings: dict[str, Any]) -> list[str]:
    watched = _watched(settings, "nginx")
    if not watched:
        return []
    wrong = []
    servers = _nginx.read(host).servers()
    for name, domains in watched:
        folder = f"/etc/nginx/ringfence/{name.replace('/', '__')}/"
        mine = [server for server in servers if set(domains) & set(server.names)]
        for server in mine:
            logs = [row for row in server.block.own("access_log") if row.path.startswith(folder)]
            if not any("ringfence_probe" in row.args for row in logs):
                wrong.append(f"{name}: {server.block.place} does not tell of scans")
        if not mine:
            wrong.append(f"{name}: no server block of nginx names {domains[0]}")
    return wrong


def _fed_by_apache(host: Host, settings: dict[str, Any]) -> list[str]:
    watched = _watched(settings, "apache")
    if not watched:
        return []
    done = host.run(["apache2ctl", "-t", "-D", "DUMP_INCLUDES"])
    if done.rc != 0:
        raise HostError(f"apache2ctl: {done.complaint()}")
    included = done.out + done.err
    wrong = []
    if "ringfence_bans.conf" not in included:
        wrong.append("Apache does not tell of scans: ringfence_bans.conf is not read")
    for name, _domains in watched:
        if f"/{name.replace('/', '__')}/after/bans.conf" not in included:
            wrong.append(f"{name}: its virtual host does not read bans.conf")
    return wrong


def _plugins(host: Host, settings: dict[str, Any]) -> Iterator[str]:
    for path, sha256 in sorted(settings["plugins"].items()):
        problem = _plugin(host, path, sha256)
        if problem:
            yield f"{path} {problem}"


def _plugin(host: Host, path: str, sha256: str) -> str:
    try:
        descriptor = os.open(host.real(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"is no plain file: {error.strerror}"
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return "is no plain file"
        if found.st_uid or found.st_mode & 0o022:
            return "can be changed by others than root"
        same = hashlib.sha256(os.read(descriptor, _LIMIT)).hexdigest() == sha256
        return "" if same else "is not what was put there"
    finally:
        os.close(descriptor)


def _table(host: Host) -> list[dict[str, Any]]:
    done = host.run([_NFT, "-j", "list", "table", *_TABLE])
    if done.rc != 0:
        if "No such file" in done.err:
            return []
        raise HostError(f"nft: {done.complaint()}")
    try:
        rows: list[dict[str, Any]] = json.loads(done.out)["nftables"]
        return rows
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HostError("nft lists what cannot be understood") from error


def _kernel(host: Host, _settings: dict[str, Any]) -> Iterator[str]:
    rows = host.once("nft bans", lambda: _table(host))
    if not rows:
        yield f"there is no table {' '.join(_TABLE)}: no ban holds"
        return
    if any("dormant" in row["table"].get("flags", []) for row in rows if "table" in row):
        yield "the table is dormant"
    if not any(row["chain"].get("hook") == "prerouting" for row in rows if "chain" in row):
        yield "no chain of the table sees what comes in"
    names = {row["set"]["name"] for row in rows if "set" in row}
    yield from (f"there is no set {name}" for name in _SETS if name not in names)
    texts = [json.dumps(row["rule"]["expr"]) for row in rows if "rule" in row]
    for name in _SETS:
        if not any(f'"@{name}"' in text and '"drop"' in text for text in texts):
            yield f"nothing drops who is in {name}"


def _never(host: Host, settings: dict[str, Any]) -> Iterator[str]:
    rows = host.once("nft bans", lambda: _table(host))
    elements = {row["set"]["name"]: row["set"].get("elem", []) for row in rows if "set" in row}
    allowed = [one for name in ("never4", "never6") for one in _networks(elements.get(name, []))]
    for text in settings["never"]:
        wanted = ipaddress.ip_network(text)
        if not any(wanted.version == one.version and wanted.subnet_of(one) for one in allowed):
            yield f"{text} can be banned: it is not on the kernel's list"
    texts = [json.dumps(row["rule"]["expr"]) for row in rows if "rule" in row]
    for version in ("4", "6"):
        places = [n for n, text in enumerate(texts) if f'"@never{version}"' in text]
        drops = [n for n, text in enumerate(texts) if f'"@ban{version}"' in text]
        if not places or (drops and min(drops) < places[0]):
            yield f"bans of IPv{version} come before the list of who is never banned"
    for name, jail in sorted(settings["jails"].items()):
        if not _is_fail2bans(jail, settings):
            continue
        if not set(settings["never"]) <= _ignored(host, name):
            yield f"the jail {name} does not ignore all who are never banned"


def _networks(elements: list[Any]) -> Iterator[Any]:
    for element in elements:
        found = (
            element.get("elem", {}).get("val", element) if isinstance(element, dict) else element
        )
        if isinstance(found, dict) and "prefix" in found:
            yield ipaddress.ip_network(f"{found['prefix']['addr']}/{found['prefix']['len']}")
        elif isinstance(found, dict) and "range" in found:
            low, high = (ipaddress.ip_address(text) for text in found["range"])
            # Both ends are of one family, as nft lists them.
            yield from ipaddress.summarize_address_range(low, high)
        elif isinstance(found, str):
            yield ipaddress.ip_network(found)


def _ignored(host: Host, jail: str) -> set[str]:
    done = host.run([_CLIENT, "get", jail, "ignoreip"])
    return (
        set(re.findall(r"[0-9a-f:]+[.:][0-9a-f.:]*(?:/\d+)?", done.out)) if done.rc == 0 else set()
    )


def _peers(host: Host, settings: dict[str, Any]) -> Iterator[str]:
    import sqlite3

    try:
        path = f"file:{host.real(_RECORD)}?mode=ro"
        database = sqlite3.connect(path, uri=True, timeout=20)
        notes = dict(database.execute("SELECT name, value FROM notes").fetchall())
        database.close()
    except sqlite3.Error as error:
        raise HostError(f"{_RECORD}: {error}") from error
    now = time.time()
    listed = settings.get("central")
    if listed and now - _moment(notes.get(f"heard {_CENTRAL}", "")) > _CENTRAL_SILENT_SECONDS:
        said = notes.get(f"unheard {_CENTRAL}", "").partition(" ")[2]
        yield f"the {_CENTRAL} on {listed['server']} is not reached" + (f": {said}" if said else "")
    for peer in settings["peers"]:
        name = peer["name"]
        heard = _moment(notes.get(f"heard {name}", ""))
        if now - heard > _SILENT_SECONDS:
            said = notes.get(f"unheard {name}", "").partition(" ")[2]
            yield f"{name} is not told of bans" + (f": {said}" if said else "")


def _moment(note: str) -> int:
    word = note.partition(" ")[0]
    return int(word) if word.isdigit() else 0


_CHECKS: dict[str, Any] = {
    "services": _services,
    "logs": _logs,
    "plugins": _plugins,
    "kernel": _kernel,
    "never": _never,
    "peers": _peers,
}
