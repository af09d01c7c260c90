# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_buckets
short_description: The buckets that sites are backed up to
version_added: 0.1.0
author:
  - The Ringfence developers (@ringfence)
description:
  - Joins the buckets that are declared by hand with those that sites of the client register name.
  - A bucket's lock is as long as the longest that a site asks for, and longer than the oldest snapshot that any of them keeps.
  - What is declared by hand stands, key by key.
options:
  _input:
    description: The buckets declared by hand, each as the module M(ringfence.hosting.s3_backup_bucket) takes it.
    type: list
    elements: dict
    required: true
  sites:
    description: Sites as the inventory plugin sets them in C(ringfence_sites).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: See which buckets there are
  ansible.builtin.debug:
    msg: "{{ backup_buckets | ringfence.hosting.backup_buckets(ringfence_sites) }}"
"""

RETURN = r"""
_value:
  description: The buckets, those by hand first.
  type: list
  elements: dict
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import SERVER

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# How many days one of each reaches back, at most.
_REACH = {"hourly": 1 / 24, "daily": 1, "weekly": 7, "monthly": 31, "yearly": 366}


def backup_buckets(
    declared: Iterable[Mapping[str, Any]], sites: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The buckets, those by hand first."""
    by_site: dict[str, dict[str, Any]] = {}
    clients: dict[str, set[str]] = {}
    for site in sites:
        backup = site.get("backup") or {}
        name = backup.get("bucket")
        if not name or backup.get("enabled") is False:
            continue
        kept = oldest_days(backup.get("keep") or {})
        one = by_site.setdefault(name, {"name": name, "lock_days": 0, "oldest_snapshot_days": 0})
        one["oldest_snapshot_days"] = max(one["oldest_snapshot_days"], kept)
        one["lock_days"] = max(one["lock_days"], kept + 1, days(backup.get("lock", "0d")))
        clients.setdefault(name, set()).add(str(site.get("client", "")))
    for name, owners in clients.items():
        # A bucket of several clients, or of the agency itself, is in no client's report.
        if len(owners) == 1 and owners != {SERVER}:
            by_site[name]["client"] = owners.pop()
    found = [{**by_site.pop(one["name"], {}), **one} for one in declared]
    return found + list(by_site.values())


def oldest_days(keep: Mapping[str, int]) -> int:
    """How old the oldest snapshot becomes, in whole days."""
    reaches = (math.ceil(int(count) * _REACH[kind]) for kind, count in keep.items())
    return max(reaches, default=0)


def days(duration: str) -> int:
    """A duration such as 4w in days, rounded up."""
    number, unit = str(duration)[:-1], str(duration)[-1:]
    if not number.isdigit() or unit not in _UNITS:
        raise AnsibleFilterError(f"found {duration!r}, expected a duration such as 30d")
    return -(-int(number) * _UNITS[unit] // _UNITS["d"])


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"backup_buckets": backup_buckets}
