#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_addresses_info
short_description: Whether the sites of a host answer whom the register says
version_added: 0.1.0
description:
  - Compares what M(ringfence.hosting.site_addresses) would put on the host with what is there, whether the web server has read it,
    from where it believes a visitor's address, and whether an entry outlived its end.
  - Each site becomes a row of evidence for the controls of the family C(sites).
author:
  - The Ringfence developers (@ringfence)
options:
  found:
    description: The C(sites) that M(ringfence.hosting.site_info) found.
    type: list
    elements: dict
  payload:
    description: The above, packed by the action plugin of this module.
    type: str
    default: ""
extends_documentation_fragment:
  - ringfence.hosting.sites.of_host
  - ringfence.hosting.sites.addresses
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.site_addresses
"""

EXAMPLES = r"""
- name: Compare the sites with the register
  ringfence.hosting.site_addresses_info:
    management: [203.0.113.0/24]
"""

RETURN = r"""
findings:
  description: What is not as the register asks, a line each.
  returned: success
  type: list
  elements: str
  sample: ["acme/shop: nginx has not read the lists since they were changed"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_audit, _site_config
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "management": {"type": "list", "elements": "str", "default": []},
            "sources": {"type": "str", "default": ""},
            "found": {"type": "list", "elements": "dict"},
            "sites": {"type": "list", "elements": "dict"},
            "payload": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if not module.params["payload"]:
        module.fail_json(msg="expected to be run by the action plugin of its name")
    try:
        facts = _site_audit.facts(Host(), module.params["payload"])
    except (_site_config.ConfigError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
