#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_factor_info
short_description: Tries and reads the second factor of the sites of a host
version_added: 0.1.0
description:
  - For each site whose C(security.second_factor) asks for one. The gate is tried with requests of a stranger to every
    gated path. WordPress is asked by its own code, run as the site's account, and is tried in the name of an
    administrator with a session that passed no factor and lives in memory only. Joomla is asked in its database, sshd
    for the site's account.
  - Its action plugin judges the controls of the family C(second_factor_site) and records a row a site as evidence.
  - Nothing is written to a site. No password is needed, and none is read.
author:
  - The Ringfence developers (@ringfence)
extends_documentation_fragment:
  - ringfence.hosting.sites
  - ringfence.hosting.reads
"""

EXAMPLES = r"""
- name: Judge the second factor of each site
  ringfence.hosting.site_factor_info:
    sites: "{{ ringfence_sites }}"
  become: true
"""

RETURN = r"""
sites:
  description: What was found of each site that asks for a factor; a part that is not asked for is null.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_factor_facts
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host


def main() -> None:
    module = AnsibleModule(
        argument_spec={"sites": {"type": "list", "elements": "dict", "required": True}},
        supports_check_mode=True,
    )
    found = _site_factor_facts.collected(Host(), module.params["sites"])
    module.exit_json(changed=False, sites=found)


if __name__ == "__main__":
    main()
