# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings the CMS of each site to ask for a second factor, or no longer to.

Everything is planned for all sites first, so that a mistake of one changes none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _cms_factor,
    _site_factor_facts,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._cms_factor import (
    CmsSite,
    FactorError,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, replace_file

# Which groups of which Joomla are forced because of us: what was forced before stays.
_MEMORY = "/var/lib/ringfence/sites/forced_groups.json"


def settle(
    host: Host, sites: list[dict[str, Any]], plugin: Mapping[str, str], *, check: bool
) -> dict[str, list[str]]:
    """Site -> what was done (with `check`: would be). Raises FactorError, HostError."""
    declared = {_cms_factor.reference_of(site): site for site in sites}
    rows = _cms_factor.cms_sites(sites)
    made = {
        site.reference: todo
        for site in rows
        if (todo := _plan(host, site, declared[site.reference], plugin))
    }
    if not check:
        for site in rows:
            if site.reference in made:
                _carry_out(host, site, declared[site.reference], made[site.reference], plugin)
    return made


def _plan(
    host: Host, site: CmsSite, declared: Mapping[str, Any], plugin: Mapping[str, str]
) -> list[str]:
    if site.cms == "wordpress":
        return _cms_factor.wordpress_plan(host, site, plugin)
    ours = _memory(host).get(site.reference, [])
    if not site.wanted and not ours:
        return []
    state = _state(host, site, declared)
    forced, wanted = _cms_factor.forced_groups(state), _wanted(site, state)
    adding = [number for number in wanted if number not in forced]
    taking = [number for number in ours if number not in wanted and number in forced]
    if adding and not _asks_somehow(state):
        raise FactorError(
            f"{site.reference}: no method of Joomla's multi-factor authentication is switched on: "
            "nothing was forced, for nobody could have signed in any more"
        )
    found = [f"force a second factor for the group {state['groups'][one]}" for one in adding]
    return found + [f"force none any more for the group {one}" for one in taking]


def _carry_out(
    host: Host,
    site: CmsSite,
    declared: Mapping[str, Any],
    todo: list[str],
    plugin: Mapping[str, str],
) -> None:
    if site.cms == "wordpress":
        _cms_factor.wordpress_carry_out(host, site, todo, plugin)
        return
    memory, state = _memory(host), _state(host, site, declared)
    ours, forced = memory.get(site.reference, []), _cms_factor.forced_groups(state)
    wanted = _wanted(site, state)
    kept = [number for number in forced if number in wanted or number not in ours]
    # First what is ours: a run that is cut off here takes back no group that somebody else forces.
    mine = [number for number in wanted if number in ours or number not in forced]
    memory[site.reference] = mine
    text = json.dumps({name: ids for name, ids in memory.items() if ids}, sort_keys=True) + "\n"
    replace_file(host, _MEMORY, text.encode(), 0o600)
    _cms_factor.joomla_force(host, _database(host, site, declared), sorted({*kept, *wanted}))


def _wanted(site: CmsSite, state: Mapping[str, Any]) -> list[int]:
    return _cms_factor.joomla_ids(site, state) if site.wanted else []


def _asks_somehow(state: Mapping[str, Any]) -> bool:
    return any(one not in ("fixed", "backupcodes") for one in state["methods"])


def _database(host: Host, site: CmsSite, declared: Mapping[str, Any]) -> _cms_factor.Database:
    known = _site_factor_facts.joomla_known(host, site, declared)
    return _cms_factor.joomla_database(site, known)


def _state(host: Host, site: CmsSite, declared: Mapping[str, Any]) -> dict[str, Any]:
    return _cms_factor.joomla_state(host, site, _database(host, site, declared))


def _memory(host: Host) -> dict[str, list[int]]:
    try:
        found = json.loads(host.read(_MEMORY) or b"{}")
    except ValueError as error:
        raise FactorError(f"{_MEMORY} cannot be understood: {error}") from error
    return {str(name): [int(one) for one in ids] for name, ids in found.items()}
