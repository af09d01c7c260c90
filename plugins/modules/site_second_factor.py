#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_second_factor
short_description: Makes WordPress and Joomla ask their administrators for a second factor
version_added: 0.1.0
description:
  - Which sites, and for which roles or groups, is what C(security.second_factor) of the register says.
  - In WordPress the plugin two-factor is installed where it is missing and activated, then a must-use plugin forces a
    factor for the roles, turns away sessions that passed none, and gives the roles no application passwords. Files are
    root's; the site reads them and cannot change them.
  - In Joomla the groups are added to those that its core forces (C(forceMFAUserGroups)), in its database.
  - Where a site no longer asks for it, what was put there is taken back; a factor that a person set up is kept.
author:
  - The Ringfence developers (@ringfence)
options:
  wordpress_plugin:
    description: The zip file of the plugin two-factor on this host, its sha256, and the version that it holds.
    type: dict
    default: {}
    suboptions:
      path:
        description: The file.
        type: str
        default: ''
      sha256:
        description: Its checksum; nothing is unpacked that has another one.
        type: str
        default: ''
      version:
        description: Its version. An installed plugin of another version is replaced where this is given.
        type: str
        default: ''
extends_documentation_fragment:
  - ringfence.hosting.sites
attributes:
  check_mode:
    description: Says what would change; writes nothing.
    support: full
  diff_mode:
    description: There is no diff of a site's database; RV(done) says what is done.
    support: none
  idempotent:
    description: A second run finds everything as it should be.
    support: full
seealso:
  - module: ringfence.hosting.site_factor_info
"""

EXAMPLES = r"""
- name: WordPress and Joomla ask for a second factor where the register says so
  ringfence.hosting.site_second_factor:
    sites: "{{ ringfence_sites }}"
    wordpress_plugin:
      path: /var/lib/ringfence/artifacts/two-factor.zip
      sha256: 8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4
      version: 0.13.0
  become: true
"""

RETURN = r"""
done:
  description: What was done, by site.
  returned: success
  type: dict
  sample: {"acme/shop": ["activate the plugin two-factor", "force a second factor for administrator"]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _cms_factor_change
from ansible_collections.ringfence.hosting.plugins.module_utils._cms_factor import FactorError
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    plugin = {name: {"type": "str", "default": ""} for name in ("path", "sha256", "version")}
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "wordpress_plugin": {"type": "dict", "default": {}, "options": plugin},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        done = _cms_factor_change.settle(
            Host(), given["sites"], given["wordpress_plugin"], check=module.check_mode
        )
    except (FactorError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done), done=done)


if __name__ == "__main__":
    main()
