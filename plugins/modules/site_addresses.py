#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_addresses
short_description: Which addresses the sites of a host answer, and whom they believe about a visitor's address
version_added: 0.1.0
description:
  - Makes, from C(security.addresses) and C(cdn) of each site, the files of nginx and Apache, and keeps them as
    M(ringfence.hosting.site_config) does. An option that is removed takes with it what it had put there.
  - Management comes in whatever any list says. A list C(allow_only) that has become empty lets nobody else in.
  - Behind a CDN the visitor's address is taken from its header, and only where the request comes from the CDN's ranges.
  - Entries that end fall out at their time, by a timer on the host. One that has ended already is not put there.
author:
  - The Ringfence developers (@ringfence)
options:
  found:
    description:
      - The C(sites) that M(ringfence.hosting.site_info) found. The folder of a CMS is taken from there, and a site that is declared
        otherwise than it was found is refused.
    type: list
    elements: dict
extends_documentation_fragment:
  - ringfence.hosting.sites.of_host
  - ringfence.hosting.sites.addresses
attributes:
  check_mode:
    description: Says what would change. The web servers' own test of it is not run, for it needs the files to be there.
    support: full
  diff_mode:
    description: Shows each file, long ones by their length.
    support: full
  idempotent:
    description: A second run changes nothing unless an entry ended or the host was changed meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.site_config
"""

EXAMPLES = r"""
- name: Only whom the register lets in
  ringfence.hosting.site_addresses:
    management: [203.0.113.0/24]
    sources: ~/.local/share/ringfence/sources
"""

RETURN = r"""
ends:
  description: The moments at which entries end, UTC.
  returned: always
  type: list
  elements: str
  sample: ["2026-11-28T20:00:00Z"]
hooked:
  description: The blocks that read the files of each site.
  returned: always
  type: dict
  sample: {"acme__shop": ["/etc/nginx/sites-available/acme.conf:1"]}
reloaded:
  description: The web servers that were reloaded.
  returned: always
  type: list
  elements: str
  sample: [nginx]
refused:
  description: The sites whose files were left as they are, each with the reason.
  returned: always
  type: list
  elements: str
  sample: ["acme/shop: no server block of nginx names www.acme.example"]
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(
        argument_spec={
            "management": {"type": "list", "elements": "str", "default": []},
            "sources": {"type": "str", "default": ""},
            "found": {"type": "list", "elements": "dict"},
            "sites": {"type": "list", "elements": "dict"},
        },
        supports_check_mode=True,
    ).fail_json(msg="expected to be run by the action plugin of its name")


if __name__ == "__main__":
    main()
