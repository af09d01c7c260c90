#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_config
short_description: Keeps the drop-in files of one feature in the web servers of a host
version_added: 0.1.0
description:
  - Brings a host to have exactly the given files of a feature. What the feature had there before and is not given goes.
  - Touches only files that belong to the feature by their place and name, and of the site's own configuration one line a block,
    the C(include) of a folder of ours. That line is put in when the first feature needs it and taken out with the last one,
    which leaves the file byte for byte as it was.
  - Tests the configuration of the web server, reloads it, and waits until it works with it. Where either fails, everything is
    put back and the line that failed is told.
  - A site whose blocks cannot be found for sure is refused, with a line that says why. Its files stay as they are, those of other
    sites are brought up to date, and the task fails.
author:
  - The Ringfence developers (@ringfence)
options:
  feature:
    description: The name of the feature, small letters only, such as V(addresses).
    type: str
  files:
    description:
      - Every file that the feature wants on this host, by its path. Each is a text, or a mapping with C(text) or C(src)
        (a file of the controller, for long lists), C(mode) (V(0644) unless given) and C(group).
      - C(/etc/nginx/conf.d/ringfence_FEATURE.conf) is read in the context of http.
      - C(/etc/nginx/ringfence/CLIENT__SITE/FEATURE.conf) is read at the beginning of each server block of the site.
      - C(/etc/apache2/conf-available/ringfence_FEATURE.conf) is read in the context of the server, and is enabled.
      - C(/etc/apache2/ringfence/CLIENT__SITE/before/FEATURE.conf) and C(…/after/FEATURE.conf) are read at the beginning and the end
        of each virtual host of the site.
      - C(/etc/ringfence/sites/FEATURE/) holds what these files refer to.
      - FEATURE may be followed by V(_) and small letters, digits and V(_).
    type: dict
    default: {}
  apache_modules:
    description: Modules of Apache that the files need. They are switched off again with their need, unless they were on before.
    type: list
    elements: str
    default: []
  payload:
    description: The above, packed by the action plugin of this module.
    type: str
    default: ""
extends_documentation_fragment:
  - ringfence.hosting.sites.of_host
attributes:
  check_mode:
    description: Says what would change. The web servers' own test of it is not run, for it needs the files to be there.
    support: full
  diff_mode:
    description: Shows each file, long ones by their length.
    support: full
  idempotent:
    description: A second run changes nothing unless the host was changed meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.site_info
"""

EXAMPLES = r"""
- name: A header for one site
  ringfence.hosting.site_config:
    feature: headers
    files:
      /etc/nginx/ringfence/acme__shop/headers.conf: |
        add_header X-Served-By web1;

- name: What the feature had put there goes
  ringfence.hosting.site_config:
    feature: headers
    files: {}
"""

RETURN = r"""
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
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_config
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "feature": {"type": "str"},
            "files": {"type": "dict", "default": {}},
            "apache_modules": {"type": "list", "elements": "str", "default": []},
            "sites": {"type": "list", "elements": "dict"},
            "payload": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        result = _site_config.run(Host(), module.params["payload"], check=module.check_mode)
    except (_site_config.ConfigError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    if result["refused"]:
        module.fail_json(msg="; ".join(result["refused"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
