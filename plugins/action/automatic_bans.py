# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _ban_policy
from ansible_collections.ringfence.hosting.plugins.plugin_utils import site_files

_MODULE = "ringfence.hosting.automatic_bans"
_SEEN = "__automatic_bans_seen"
_CENTRAL = "__automatic_bans_central"
_REGISTERED = "__automatic_bans_registered"
_SITE_KEYS = ("client", "id", "domains", "root", "user", "web_server", "php", "cms", "cdn")
_FEATURE = "bans"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Knows the other hosts of the inventory, and hands the web servers' part to site_config."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result, that of site_config joined to it."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        args = self._task.args
        sites = [_plain(site) for site in site_files.sites_of(self, task_vars)]
        server = str(args.get("crowdsec_server") or "")
        asks = any(_ban_policy.wanted(site).get("share") for site in sites)
        asks = asks or server == str(task_vars["inventory_hostname"])
        sharing = asks and bool(args.get("share", True)) and args.get("state") != "absent"
        if args.get("phase") == "look":
            return self._look(sites, sharing, task_vars)
        if args.get("phase") in ("central", "register"):
            return self._serve(str(args["phase"]), sharing, task_vars)
        try:
            return self._apply(sites, sharing, task_vars)
        except _ban_policy.PolicyError as error:
            raise AnsibleActionFail(str(error)) from None

    def _look(
        self, sites: list[dict[str, Any]], sharing: bool, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        name = str(task_vars["inventory_hostname"])
        server = str(self._task.args.get("crowdsec_server") or "")
        asked = {"phase": "look", "sites": sites, "make_keys": sharing and not server}
        found = self._module(asked, task_vars)
        addresses = self._addresses(self._task.args.get("addresses"), task_vars.get("ansible_host"))
        if sharing and not addresses:
            raise AnsibleActionFail(
                f"automatic_bans_addresses of {name}: is empty, and ansible_host is no address, "
                "expected where the other hosts reach it"
            )
        found["peer"] = {"name": name, "addresses": addresses, "sharing": sharing}
        found["peer"] |= {"port": int(self._task.args.get("share_port", 2242)), "server": server}
        return found

    def _serve(self, phase: str, sharing: bool, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The central list, on the host that keeps it; nothing on any other."""
        mine = str(task_vars["inventory_hostname"])
        if not sharing or self._task.args.get("crowdsec_server") != mine:
            return {"changed": False, "skipped": True}
        members = self._members(mine, task_vars)
        given: dict[str, Any] = {"phase": phase, "port": self._crowdsec_port()}
        if phase == "central":
            given["addresses"] = members[mine]
        else:
            given["members"] = sorted(members)
            # A host that is not in this run could not be handed anything: it keeps what it has.
            here = {name: seen for name in members if (seen := _seen(task_vars, name))}
            given["here"] = sorted(here)
            given["lacking"] = sorted(n for n, seen in here.items() if seen.get("central") != mine)
        return self._module(given, task_vars)

    def _crowdsec_port(self) -> int:
        return int(self._task.args.get("crowdsec_port", 2243))

    def _members(self, server: str, task_vars: dict[str, Any]) -> dict[str, list[str]]:
        """Host -> addresses, of all that share bans by the central list on `server`."""
        found = {}
        for name in sorted(task_vars["groups"]["all"]):
            theirs = task_vars["hostvars"][name]
            peer = _seen(task_vars, name).get("peer")
            if peer is not None:
                if peer["sharing"] and peer["server"] == server:
                    found[name] = list(peer["addresses"])
            elif self._server_of(theirs) == server:
                own = theirs.get("automatic_bans_addresses")
                found[name] = self._addresses(own, theirs.get("ansible_host", name))
        return found

    def _server_of(self, theirs: Mapping[str, Any]) -> str:
        return str(self._templar.template(theirs.get("automatic_bans_crowdsec_server") or ""))

    def _central(self, task_vars: dict[str, Any]) -> dict[str, Any] | None:
        """What this host is told of the central list; None where hosts tell each other."""
        server = str(self._task.args.get("crowdsec_server") or "")
        if not server:
            return None
        mine = str(task_vars["inventory_hostname"])
        if server not in task_vars["groups"]["all"]:
            raise AnsibleActionFail(
                f"automatic_bans_crowdsec_server: found {server}, expected a host of the inventory"
            )
        members = self._members(server, task_vars)
        if not members.get(server):
            raise AnsibleActionFail(
                f"automatic_bans_crowdsec_server: {server} does not share bans itself, expected "
                "automatic_bans_crowdsec_server and automatic_bans_addresses to be set there too"
            )
        theirs = task_vars["hostvars"][server]
        return {
            "server": server,
            "address": members[server][0],
            "port": self._crowdsec_port(),
            "serve": server == mine,
            "from": sorted({one for listed in members.values() for one in listed}),
            "others": len(members) - 1,
            "certificate": str((theirs.get(_CENTRAL) or {}).get("certificate") or ""),
        }

    def _apply(
        self, sites: list[dict[str, Any]], sharing: bool, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        args = self._task.args
        state = args.get("state", "present")
        seen = task_vars.get(_SEEN) or {}
        fleet, peers = self._fleet(task_vars)
        given: dict[str, Any] = {
            "phase": "apply",
            "state": state,
            "host": str(task_vars["inventory_hostname"]),
            "sites": sites,
            "management": list(args.get("management") or []),
            "never": list(args.get("never") or []),
            "ssh": args.get("ssh"),
            "fleet": fleet,
            "share": None,
            "central": self._central(task_vars) if sharing else None,
            "check": bool(self._task.check_mode),
        }
        if sharing:
            given["share"] = {
                "port": int(args.get("share_port", 2242)),
                "at_most": _ban_policy.seconds(args.get("share_at_most", "4h")),
                "an_hour": int(args.get("share_an_hour", 200)),
                "peers": peers,
            }
        wanted = [] if state == "absent" else sites
        in_web = _ban_policy.behind_cdn(wanted)
        files = _ban_policy.nginx_files(wanted, seen.get("unlogged", {}), in_web)
        files |= _ban_policy.apache_files(wanted, in_web)
        config = site_files.Wanted(_FEATURE, files, [])
        # What web servers include must be there before they read it, and until they do not.
        results: list[dict[str, Any]] = []
        for ours in (True, False) if files else (False, True):
            if ours:
                results.append(self._module(given, task_vars, self._secret(given, task_vars)))
            else:
                results.append(site_files.run(self, config, sites, task_vars))
            if results[-1].get("failed"):
                return results[-1]
        return _joined(*results)

    def _secret(self, given: Mapping[str, Any], task_vars: dict[str, Any]) -> str:
        """What this host signs in to the central list with, where that was made in this run."""
        if not given["central"]:
            return ""
        theirs = task_vars["hostvars"][given["central"]["server"]]
        made = (theirs.get(_REGISTERED) or {}).get("credentials") or {}
        mine = made.get(given["host"])
        return json.dumps({key: str(value) for key, value in mine.items()}) if mine else ""

    def _module(
        self, given: Mapping[str, Any], task_vars: dict[str, Any], secret: str = ""
    ) -> dict[str, Any]:
        payload = json.dumps(given, separators=(",", ":"), default=str)
        arguments = {"payload": payload, **({"secret": secret} if secret else {})}
        result: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars
        )
        return result

    def _fleet(self, task_vars: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
        """The addresses of all hosts of the inventory, and the other hosts that share."""
        mine = str(task_vars["inventory_hostname"])
        addresses: list[str] = []
        peers = []
        hostvars = task_vars["hostvars"]
        for name in sorted(task_vars["groups"]["all"]):
            theirs = hostvars[name]
            peer = _seen(task_vars, name).get("peer")
            server = self._server_of(theirs) if peer is None else peer["server"]
            if peer is None:
                own = theirs.get("automatic_bans_addresses")
                found = self._addresses(own, theirs.get("ansible_host", name))
            else:
                found = list(peer["addresses"])
            addresses += found
            # One that is not in this run may be known to the host from an earlier one.
            if name != mine and found and not server and (peer is None or peer["sharing"]):
                keys = _seen(task_vars, name).get("keys") or {}
                port = (peer or {}).get("port", 2242)
                row = {"name": name, "address": found[0], "port": port, "from": sorted(found)}
                peers.append({**row, **{k: str(v) for k, v in keys.items()}})
        return sorted(set(addresses)), peers

    def _addresses(self, declared: Any, host: Any) -> list[str]:
        """Those declared, or what ansible_host is; loopback is nobody's address."""
        texts = [str(text) for text in self._templar.template(declared or [])]
        texts = texts or _resolved(str(self._templar.template(host or "")))
        found = []
        for text in texts:
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                raise AnsibleActionFail(
                    f"automatic_bans_addresses: found {text}, expected addresses"
                ) from None
            if not address.is_loopback:
                found.append(str(address))
        return found


def _seen(task_vars: Mapping[str, Any], host: str) -> dict[str, Any]:
    """What a host said of itself in this run."""
    found: dict[str, Any] = task_vars["hostvars"][host].get(_SEEN) or {}
    return found


def _resolved(name: str) -> list[str]:
    try:
        rows = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM) if name else []
    except OSError:
        return []
    return list(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows))


def _plain(site: Mapping[str, Any]) -> dict[str, Any]:
    """What bans need of a site; no password goes along."""
    kept: dict[str, Any] = {key: site[key] for key in _SITE_KEYS if key in site}
    database = site.get("database") or {}
    kept["database"] = {key: database[key] for key in ("name", "prefix") if key in database}
    security = site.get("security") or {}
    kept["security"] = {
        "automatic_bans": security.get("automatic_bans") or {},
        "second_factor": {"admin": (security.get("second_factor") or {}).get("admin", "none")},
    }
    return kept


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    joined = {**second, **first}
    joined["changed"] = bool(first.get("changed")) or bool(second.get("changed"))
    joined["diff"] = [*_listed(first.get("diff")), *_listed(second.get("diff"))]
    joined["warnings"] = [*first.get("warnings", []), *second.get("warnings", [])]
    if second.get("failed"):
        joined |= {"failed": True, "msg": second.get("msg", "")}
    return joined


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ([value] if value else [])
