# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names that the sites of the whole inventory answer to, and where their own hosts are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Placed(NamedTuple):
    """A site, as `ringfence_sites` has it, and the address that its host is reached at."""

    site: Mapping[str, Any]
    address: str


def placed(task_vars: Mapping[str, Any]) -> Iterator[Placed]:
    """Every site of every host of the inventory."""
    hostvars = task_vars.get("hostvars") or {}
    for host in sorted((task_vars.get("groups") or {}).get("all", [])):
        variables = hostvars[host]
        for site in variables.get("ringfence_sites") or []:
            yield Placed(site, str(variables.get("ansible_host", host)))


def names(sites: Iterable[Placed]) -> list[dict[str, str]]:
    """Each name with its client; a name is asked once."""
    found = {
        name: {"name": name, "client": str(site["client"])}
        for site, _address in sites
        for name in site["domains"]
    }
    return list(found.values())


def origins(sites: Iterable[Placed]) -> list[dict[str, str]]:
    """The sites behind a CDN, by their main name."""
    return [
        {
            "site": f"{site['client']}/{site['id']}",
            "client": str(site["client"]),
            "name": site["domains"][0],
            "address": address,
        }
        for site, address in sites
        if site.get("cdn")
    ]
