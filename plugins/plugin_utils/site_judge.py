# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judges what a host says of its sites against what the register asks: the controls of `sites`."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    ERROR,
    FAIL,
    NOT_APPLICABLE,
    PASS,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils import site_addresses

IN_FORCE = "sites_addresses_in_force"
VISITOR = "sites_visitor_address"
ENDED = "sites_ended_entries"


def judged(
    plan: site_addresses.Plan, names: Iterable[str], facts: Mapping[str, Any], now: datetime
) -> list[dict[str, Any]]:
    """A finding for each control. `facts`: as `_site_audit.facts` tells them.

    `names`: client__site of every site of the host; a finding speaks of no other's files.
    """
    found = {
        IN_FORCE: _in_force(plan, set(names) - {plan.name}, facts),
        VISITOR: _visitor(plan, facts),
        ENDED: _ended(plan, facts, now),
    }
    return [{"id": name, **finding} for name, finding in found.items()]


def _in_force(
    plan: site_addresses.Plan, others: Collection[str], facts: Mapping[str, Any]
) -> dict[str, Any]:
    reference = f"{plan.site['client']}/{plan.site['id']}"
    if not plan.asks:
        return {"status": NOT_APPLICABLE, "message": "the register asks for nothing"}
    refused = [row for row in facts["refused"] if row.startswith(f"{reference}: ")]
    if refused:
        return {"status": FAIL, "message": refused[0]}
    if plan.name in facts["unhooked"]:
        said = "the web server's configuration of the site does not include its rules"
        return {"status": FAIL, "message": said}
    mine = [path for path in facts["differs"] if not any(_of(name, path) for name in others)]
    if mine:
        said = f"{mine[0]} is not as the register asks{and_others(len(mine))}"
        return {"status": FAIL, "message": said}
    loaded = facts["loaded"].get(plan.site["web_server"])
    if loaded is None:
        return {"status": ERROR, "message": f"{plan.site['web_server']} does not run"}
    if not loaded:
        said = f"{plan.site['web_server']} has not read the lists since they were changed"
        return {"status": FAIL, "message": said}
    return {"status": PASS}


def _of(name: str, path: str) -> bool:
    return f"/{name}/" in path or f"/{name}_" in path


def _visitor(plan: site_addresses.Plan, facts: Mapping[str, Any]) -> dict[str, Any]:
    wanted = set(map(str, plan.ranges))
    seen = set(_networks(facts["believed"][plan.name]))
    shown = {"expected": sorted(wanted), "observed": sorted(seen)}
    strange, missing = sorted(seen - wanted), sorted(wanted - seen)
    if strange:
        said = f"the address that {strange[0]} names is believed{and_others(len(strange))}"
        return {"status": FAIL, "message": said, **shown}
    if missing:
        said = f"the CDN's {missing[0]} is not believed{and_others(len(missing))}"
        return {"status": FAIL, "message": said, **shown}
    if not wanted:
        return {
            "status": NOT_APPLICABLE,
            "message": "no CDN is in front, and no header is believed",
        }
    return {"status": PASS, **shown}


def _networks(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        try:
            yield str(ipaddress.ip_network(text, strict=False))
        except ValueError:
            yield text  # a name, or unix:


def _ended(plan: site_addresses.Plan, facts: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    moments = [
        moment
        for path, found in facts["ends"].items()
        if path.rpartition("/")[2].startswith(f"{plan.name}_")
        for moment in found
    ]
    over = sorted(m for m in moments if site_addresses.ends(m) <= now)
    if over:
        said = f"an entry that ended at {over[0]} is still there{and_others(len(over))}"
        return {"status": FAIL, "message": said}
    if not plan.asks:
        return {"status": NOT_APPLICABLE, "message": "the register asks for nothing"}
    return {"status": PASS}
