# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What there is to know on a host of the second factor of its sites. Changes nothing.

The gate is tried: requests of a stranger to every gated path. WordPress is asked by its own code,
and tried in the name of an administrator with a session that passed no factor and lives in memory.
Joomla is asked in its database. sshd is asked what it wants of the site's account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _cms_factor,
    _site_gate,
    _site_gate_host,
    _site_gate_probe,
    _sites,
    _totp_host,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._cms_factor import (
    CmsSite,
    FactorError,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import (
    GateError,
    GateSite,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import TotpError

# Nobody's address: what sshd asks for from there holds for everybody who is not exempt.
_ANYWHERE = "203.0.113.77"
_ERRORS = (FactorError, GateError, HostError, TotpError, OSError)


def collected(host: Host, sites: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A mapping for each site that asks for a factor: name, client, gate, cms, ssh.

    Each of the three is None where it is not asked for, {"error": …} where it could not be read.
    """
    found = []
    for site in sites:
        factor = site.get("security", {}).get("second_factor", {})
        admin, ssh = factor.get("admin", "none"), factor.get("ssh", False)
        if admin == "none" and not ssh:
            continue
        row: dict[str, Any] = {
            "name": _site_gate.site_reference(site),
            "client": site.get("client", ""),
            "gate": None,
            "cms": None,
            "ssh": None,
        }
        if admin in ("gate", "cms_and_gate"):
            row["gate"] = _guarded(lambda site=site: _gate(host, site))
        if admin in ("cms", "cms_and_gate"):
            row["cms"] = _guarded(lambda site=site: _cms(host, site))
        if ssh:
            row["ssh"] = _guarded(lambda site=site: _ssh(host, site))
        found.append(row)
    return found


def _guarded(read: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read()
        return found
    except _ERRORS as error:
        return {"error": str(error)}


def _gate(host: Host, site: Mapping[str, Any]) -> dict[str, Any]:
    (gated,) = _site_gate.gate_sites([site])
    try:
        known = _site_gate_host.settings(host)
    except GateError:
        known = {}
    return {
        "portal": known.get("portal", ""),
        "answers": [list(one) for one in _site_gate_probe.gate_answers(host, gated)],
        "people": list(gated.users),
        "admitted": known.get("sites", {}).get(gated.reference, {}).get("users", []),
        "strangers": _strangers(host, known, gated),
    }


def _strangers(host: Host, known: Mapping[str, Any], gated: GateSite) -> list[str]:
    """Who has a sign-in at this host's gate and is named for none of its sites."""
    if not known:
        return []
    named = {user for row in known["sites"].values() for user in row["users"]} | {*gated.users}
    return sorted(_site_gate_host.accounts(host) - named)


def _cms(host: Host, site: Mapping[str, Any]) -> dict[str, Any]:
    sites = _cms_factor.cms_sites([site])
    if not sites:
        raise FactorError("only WordPress and Joomla have a second factor of their own")
    if sites[0].cms == "joomla":
        return _joomla(host, sites[0], site)
    return _wordpress(host, sites[0])


def _wordpress(host: Host, site: CmsSite) -> dict[str, Any]:
    state = _cms_factor.wordpress_state(host, site)
    users = state["users"]
    refused = _cms_factor.wordpress_try(host, site, users[0]["id"]) if users else None
    return {
        "cms": "wordpress",
        "roles": list(site.roles),
        "forced": state["forced"],
        "active": state["active"],
        "plugin": state["plugin"],
        "tried_as": users[0]["login"] if users else "",
        "refused": refused,
        "users": [{name: one[name] for name in ("login", "own", "asked")} for one in users],
    }


def _joomla(host: Host, site: CmsSite, declared: Mapping[str, Any]) -> dict[str, Any]:
    database = _cms_factor.joomla_database(site, joomla_known(host, site, declared))
    state = _cms_factor.joomla_state(host, site, database)
    ids = _cms_factor.joomla_ids(site, state)
    users: dict[str, int] = {}
    for one in state["users"]:
        if one["group"] in ids:
            users[one["login"]] = one["own"]
    return {
        "cms": "joomla",
        "roles": list(site.roles),
        "wanted": ids,
        "forced": _cms_factor.forced_groups(state),
        "never": _cms_factor.never_groups(state),
        "methods": state["methods"],
        "users": [{"login": name, "own": own} for name, own in sorted(users.items())],
    }


def joomla_known(host: Host, site: CmsSite, declared: Mapping[str, Any]) -> Mapping[str, Any]:
    """The database of a Joomla: what its configuration.php says, else what the register says."""
    for one in _sites.discover(host)["sites"]:
        folder = str(one["root"]) + str(one.get("cms", {}).get("path", ""))
        if folder == site.root and one.get("database"):
            found: Mapping[str, Any] = one["database"]
            return found
    database: Mapping[str, Any] = declared.get("database", {})
    return database


def _ssh(host: Host, site: Mapping[str, Any]) -> dict[str, Any]:
    user = str(site.get("user", ""))
    accounts = _totp_host.accounts(host)
    if user not in accounts:
        raise HostError(f"there is no account {user!r} on this host")
    sshd = _totp_host.Sshd(host)
    options = sshd.effective(user, _ANYWHERE)
    return {
        "user": user,
        "asked": sshd.asks_for_code(user, _ANYWHERE),
        "can_sign_in": _totp_host.can_sign_in(host, accounts[user], options),
        "enrolled": _totp_host.state_of(host, user) is not None,
    }
