#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: address_source
short_description: Fetches the data of countries, or a feed of addresses, to the controller
version_added: 0.1.0
description:
  - Fetches a list on the controller, checks that it can be read, and keeps it with its source, date and checksum.
  - A list that cannot be read, is empty, or is not what its checksum says is refused. The one that is there stays.
  - M(ringfence.hosting.site_addresses) uses no list that is older than it may be, and none that was changed after it was fetched.
author:
  - The Ringfence developers (@ringfence)
options:
  name:
    description: V(countries), or the name of a feed.
    type: str
    required: true
  folder:
    description: The folder of the controller in which lists are kept.
    type: path
    required: true
  url:
    description: Where to fetch it, over HTTPS. One of O(url), O(src) and O(npm).
    type: str
  src:
    description: A file of the controller.
    type: path
  npm:
    description: A package of npm that holds tables named C(…-ipv4.csv) and C(…-ipv6.csv), with its version. It is fetched by C(npm pack).
    type: str
  sha256:
    description: The checksum of what is fetched, where it is known.
    type: str
  max_age_days:
    description: How old it may become. V(90) for countries and V(7) for feeds unless given.
    type: int
attributes:
  check_mode:
    description: Fetches and checks, and keeps nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
  idempotent:
    description: A second run changes nothing but the date unless the source has changed.
    support: full
seealso:
  - module: ringfence.hosting.site_addresses
"""

EXAMPLES = r"""
- name: Data of countries
  ringfence.hosting.address_source:
    name: countries
    npm: "@ip-location-db/asn-country@2.3.2026061719"
    folder: ~/.local/share/ringfence/sources

- name: A feed
  ringfence.hosting.address_source:
    name: drop
    url: https://www.spamhaus.org/drop/drop.txt
    folder: ~/.local/share/ringfence/sources
    max_age_days: 3
"""

RETURN = r"""
path:
  description: The file that is kept.
  returned: success
  type: str
entries:
  description: How many networks a feed has, or lines the data of countries.
  returned: success
  type: int
fetched:
  description: When, UTC.
  returned: success
  type: str
  sample: "2026-01-31T18:00:00Z"
fetched_sha256:
  description: The checksum of what was fetched.
  returned: success
  type: str
sha256:
  description: The checksum of what is kept.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "url": {"type": "str"},
            "src": {"type": "path"},
            "npm": {"type": "str"},
            "sha256": {"type": "str"},
            "max_age_days": {"type": "int"},
        },
        supports_check_mode=True,
    ).fail_json(msg="expected to be run by the action plugin of its name")


if __name__ == "__main__":
    main()
