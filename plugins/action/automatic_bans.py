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
        sites = args.get("sites")
        if sites is None:
            sites = self._templar.template(task_vars.get("ringfence_sites", []))
        sites = [_plain(site) for site in sites]
        asks = any(_ban_policy.wanted(site).get("share") for site in sites)
        sharing = asks and bool(args.get("share", True)) and args.get("state") != "absent"
        if args.get("phase") == "look":
            return self._look(sites, sharing, task_vars)
        try:
            return self._apply(sites, sharing, task_vars)
        except _ban_policy.PolicyError as error:
            raise AnsibleActionFail(str(error)) from error

    def _look(
        self, sites: list[dict[str, Any]], sharing: bool, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        name = str(task_vars["inventory_hostname"])
        found = self._module({"phase": "look", "sites": sites, "make_keys": sharing}, task_vars)
        addresses = self._addresses(self._task.args.get("addresses"), task_vars.get("ansible_host"))
        if sharing and not addresses:
            raise AnsibleActionFail(
                f"automatic_bans_addresses of {name}: is empty, and ansible_host is no address, "
                "expected where the other hosts reach it"
            )
        found["peer"] = {"name": name, "addresses": addresses, "sharing": sharing}
        found["peer"] |= {"port": int(self._task.args.get("share_port", 2242))}
        return found

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
                results.append(self._module(given, task_vars))
            else:
                results.append(site_files.run(self, config, sites, task_vars))
            if results[-1].get("failed"):
                return results[-1]
        return _joined(*results)

    def _module(self, given: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        payload = json.dumps(given, separators=(",", ":"), default=str)
        result: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args={"payload": payload}, task_vars=task_vars
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
            peer = (theirs.get(_SEEN) or {}).get("peer")
            if peer is None:
                own = theirs.get("automatic_bans_addresses")
                found = self._addresses(own, theirs.get("ansible_host", name))
            else:
                found = list(peer["addresses"])
            addresses += found
            # One that is not in this run may be known to the host from an earlier one.
            if name != mine and found and (peer is None or peer["sharing"]):
                keys = (theirs.get(_SEEN) or {}).get("keys") or {}
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
