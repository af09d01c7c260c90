#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: site_gate
short_description: Puts a gate with a second factor in front of the admin areas of sites
version_added: 0.1.0
description:
  - Which sites have a gate, and who may pass it, is what C(security.second_factor) of the register says of them.
  - Writes the configuration of the portal (LemonLDAP::NG), its unit and the drop-in files of nginx or Apache, starts the
    portal, and only then lets the web servers ask it. Where no site asks for a gate, all of that is taken back.
  - What a web server refuses is put back. Nothing is written where a gate could not be passed by anybody, has no path
    to stand before, or has no certificate for its sign-in page.
  - The portal's packages, its account and its library are the business of the role C(site_gate).
author:
  - The Ringfence developers (@ringfence)
options:
  portal:
    description: The domain of the sign-in page on this host. It must belong to no site.
    type: str
    default: ''
  issuer:
    description: What an authenticator app calls the entry. The domain of the portal when empty.
    type: str
    default: ''
  certificate:
    description: The certificate of the sign-in page on the host, with its chain.
    type: str
    default: ''
  certificate_key:
    description: Its key.
    type: str
    default: ''
  verify_only:
    description: Says what is wrong with what is asked for, and does nothing.
    type: bool
    default: false
extends_documentation_fragment:
  - ringfence.hosting.sites
attributes:
  check_mode:
    description: Says what would change; writes nothing.
    support: full
  diff_mode:
    description: Shows each file, without the key that cookies are encrypted with.
    support: full
  idempotent:
    description: A second run finds everything as it should be.
    support: full
seealso:
  - module: ringfence.hosting.gate_enrol
  - module: ringfence.hosting.gate_info
"""

EXAMPLES = r"""
- name: A gate in front of the admin areas that ask for one
  ringfence.hosting.site_gate:
    sites: "{{ ringfence_sites }}"
    portal: gate.agency.example
    certificate: /etc/ssl/certs/gate.agency.example.pem
    certificate_key: /etc/ssl/private/gate.agency.example.key
"""

RETURN = r"""
asked:
  description: The sites that ask for a gate.
  returned: success
  type: list
  elements: str
  sample: [north_cycles/shop]
reloaded:
  description: The web servers that read their configuration again.
  returned: success
  type: list
  elements: str
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _site_config,
    _site_gate,
    _site_gate_host,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._site_config import ConfigError
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import GateError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "portal": {"type": "str", "default": ""},
            "issuer": {"type": "str", "default": ""},
            "certificate": {"type": "str", "default": ""},
            "certificate_key": {"type": "str", "default": "", "no_log": False},
            "verify_only": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**_settled(module))
    except (GateError, HostError, ConfigError, OSError) as error:
        module.fail_json(msg=str(error))


def _settled(module: AnsibleModule) -> dict[str, object]:
    given, host = dict(module.params), Host()
    only, sites = given.pop("verify_only"), given.pop("sites")
    gate = _site_gate.gate_of(sites, **given)
    asked = [site.reference for site in gate.sites] if gate else []
    with contextlib.nullcontext() if module.check_mode or only else _site_config.alone():
        made = _site_gate_host.plan(host, gate, sites)
        if only:
            return {"changed": False, "asked": asked, "reloaded": []}
        diff = _site_gate_host.diffs(host, made) if module._diff else []
        write = made.changed and not module.check_mode
        reloaded = _site_gate_host.carry_out(host, made, gate) if write else []
    return {"changed": made.changed, "asked": asked, "reloaded": reloaded, "diff": diff}


if __name__ == "__main__":
    main()
