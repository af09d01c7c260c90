#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_lists
short_description: Has the host's firewall block countries and feeds
version_added: 0.1.0
description:
  - Makes the list V(block) of the host's firewall exactly the networks of the countries and feeds, in one transaction, from the data
    that the controller keeps. The host fetches nothing.
  - Data that are too old, or whose checksum is another than when they were fetched, are not used. The host keeps the list that it has.
  - Management addresses are never shut out, whatever the list holds.
author:
  - The Ringfence developers (@ringfence)
options:
  countries:
    description: Codes of countries, such as V(KP). Where an address is registered, not where its user sits.
    type: list
    elements: str
    default: []
  feeds:
    description: Names of feeds.
    type: list
    elements: str
    default: []
  sources:
    description: The folder of the controller that M(ringfence.hosting.address_source) keeps data in.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: A list may have a million entries; the numbers of those added and removed are returned instead.
    support: none
  idempotent:
    description: A second run changes nothing unless the data were fetched anew.
    support: full
seealso:
  - module: ringfence.hosting.address_source
  - module: ringfence.hosting.firewall_set
"""

EXAMPLES = r"""
- name: A feed and a country are kept out
  ringfence.hosting.firewall_lists:
    countries: [KP]
    feeds: [drop]
    sources: ~/.local/share/ringfence/sources
"""

RETURN = r"""
entries:
  description: How many networks the list has.
  returned: success
  type: int
added:
  description: How many were added.
  returned: success
  type: int
removed:
  description: How many were removed.
  returned: success
  type: int
origin:
  description: Source, date and checksum of each of the data used.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(
        argument_spec={
            "countries": {"type": "list", "elements": "str", "default": []},
            "feeds": {"type": "list", "elements": "str", "default": []},
            "sources": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    ).fail_json(msg="expected to be run by the action plugin of its name")


if __name__ == "__main__":
    main()
