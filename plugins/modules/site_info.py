#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_info
short_description: Which sites a host serves, and what they are made of
version_added: 0.1.0
description:
  - Reads the configuration of nginx and Apache, and of each site the files that say which CMS it is.
  - Runs no code of a site and no web server, and returns no password.
  - Of the settings of a CMS it takes the name, the host and the table prefix of the database.
author:
  - The Ringfence developers (@ringfence)
options: {}
extends_documentation_fragment:
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.control_info
"""

EXAMPLES = r"""
- name: Find out what a host serves
  ringfence.hosting.site_info:
  become: true
  register: found

- name: List the domains
  ansible.builtin.debug:
    msg: "{{ found.sites | map(attribute='domains') | flatten }}"
"""

RETURN = r"""
web_servers:
  description: The web servers that are installed.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "nginx", "version": "1.22.1-9+deb12u3"}]
php:
  description: The versions of PHP that a web server can use.
  returned: always
  type: list
  elements: str
  sample: ["8.2"]
databases:
  description: The database servers that are installed.
  returned: always
  type: list
  elements: dict
  sample: [{"engine": "mariadb", "version": "1:10.11.11-0+deb12u1"}]
sites:
  description: The sites that have a document root. A key is absent where nothing is known.
  returned: always
  type: list
  elements: dict
  sample:
    - domains: [shop.example, www.shop.example]
      root: /srv/shop/public
      web_server: nginx
      tls: true
      user: shop
      php: "8.2"
      cms: {"name": wordpress, "version": "6.1.9"}
      database: {"name": shop, "host": localhost, "prefix": wp_}
  contains:
    domains: {description: The domains; the first is the one that is named first., type: list, elements: str}
    root: {description: The document root., type: str}
    web_server: {description: V(nginx) or V(apache)., type: str}
    tls: {description: Whether it is served over TLS., type: bool}
    user: {description: The account that the site runs as., type: str}
    php: {description: The version of PHP that it is passed to., type: str}
    cms: {description: 'Its name (V(wordpress), V(joomla), V(php) or V(static)), version and path.', type: dict}
    database: {description: 'Name, host and table prefix, as the CMS has them.', type: dict}
problems:
  description: What was found and could not be made a site of, a line each.
  returned: always
  type: list
  elements: str
  sample: ["api.shop.example: is passed on to another service; there is no document root"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _sites
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, **_sites.discover(Host()))


if __name__ == "__main__":
    main()
