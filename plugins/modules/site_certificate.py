#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_certificate
short_description: Has certbot issue the certificates of the sites that ask for it
version_added: 0.1.0
description:
  - Sites whose C(certificate) is V(certbot) in the register get a certificate for all of their domains, unless certbot has one
    already. Certbot renews it by its own timer, and reloads the site's web server then.
  - The authority's question is answered from a folder of root's own, by a drop-in file of the site's web server, as the module
    M(ringfence.hosting.site_config) puts it there and takes it back. Nothing is written into the folders of a site.
  - Which certificate a site shows stays the word of its own configuration. Where that names another file, a warning says what to
    put there; the control C(certificates_issued) fails until it is done.
  - A site for which none can be had is told, in one line with the authority's reason. The others are done, and the task fails.
author:
  - The Ringfence developers (@ringfence)
options:
  sites:
    description: The sites of this host, as C(ringfence_sites) has them.
    type: list
    elements: dict
    required: true
  server:
    description: The address of the authority's ACME directory.
    type: str
    default: https://acme-v02.api.letsencrypt.org/directory
  email:
    description: Whom the authority writes to about certificates; nobody where it is empty.
    type: str
    default: ""
  terms_agreed:
    description: Whether you agree to the terms of the authority. None is asked for a certificate without it.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says which certificates would be asked for, and asks for none.
    support: full
  diff_mode:
    description: Shows the drop-in files, no certificate and no key.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
seealso:
  - module: ringfence.hosting.site_config
"""

EXAMPLES = r"""
- name: Sites that ask for it have a certificate of certbot's
  ringfence.hosting.site_certificate:
    sites: "{{ ringfence_sites }}"
    email: hosting@agency.example
    terms_agreed: true
  become: true
"""

RETURN = r"""
issued:
  description: The domains of each site for which a certificate was, or would be, asked for.
  returned: always
  type: dict
  sample: {"acme/shop": ["www.acme.example", "acme.example"]}
elsewhere:
  description: Where the configuration of a site names a certificate that is not certbot's.
  returned: always
  type: list
  elements: str
failed_sites:
  description: A line for each site for which no certificate could be had.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _site_certificate,
    _site_config,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "server": {"type": "str", "default": "https://acme-v02.api.letsencrypt.org/directory"},
            "email": {"type": "str", "default": ""},
            "terms_agreed": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    authority = _site_certificate.Authority(given["server"], given["email"], given["terms_agreed"])
    try:
        result = _site_certificate.run(Host(), given["sites"], authority, check=module.check_mode)
    except (_site_config.ConfigError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    for line in result["elsewhere"]:
        module.warn(line)
    if result["failed_sites"]:
        module.fail_json(msg="; ".join(result["failed_sites"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
