# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: server_backups
short_description: The configuration of hosts, as something to back up
version_added: 0.1.0
author:
  - The Ringfence developers (@ringfence)
description:
  - Gives the configuration of each host the form of a site, so that it is backed up, judged, tried and restored
    as sites are. It belongs to no client.
  - Each host has a repository and a password of its own; the password is derived from the agency's and the
    host's name.
options:
  _input:
    description: The variable C(backup_server) of each host; an empty one has no backup.
    type: list
    elements: dict
    required: true
  hosts:
    description: The names of these hosts, in the same order.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: The sites of this host are backed up, and its own configuration
  ringfence.hosting.backup_set:
    sites: "{{ ringfence_sites + ([backup_server] | ringfence.hosting.server_backups([inventory_hostname])) }}"
"""

RETURN = r"""
_value:
  description: What to back up, one for each host that has settings.
  type: list
  elements: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups


def server_backups(
    settings: Iterable[Mapping[str, Any]], hosts: Iterable[str]
) -> list[dict[str, Any]]:
    """What to back up, one for each host that has settings."""
    try:
        return [
            site
            for given, host in zip(settings, hosts, strict=True)
            for site in backups.server(given, host)
        ]
    except (backups.SettingsError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"server_backups": server_backups}
