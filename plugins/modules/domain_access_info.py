#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_access_info
short_description: How well the domains of sites are held, and whether origins hide behind their CDN
version_added: 0.1.0
description:
  - Finds the registered domain of each site's name in the DNS, and asks the registry (RDAP) and the DNS for transfer lock, expiry, DNSSEC, name
    servers, CAA, SPF and DMARC. That works for every registrar, those without an interface among them.
  - Asks each site behind a CDN at its own address too. That is told as seen from the controller; an address that the site lets in on purpose sees it open.
  - Reads only. Runs on the controller. What cannot be told is told as such.
author:
  - The Ringfence developers (@ringfence)
requirements:
  - dnspython
options:
  names:
    description:
      - The names of sites. Where left out, those of the register, for every host of the inventory.
    type: list
    elements: dict
    suboptions:
      name:
        description: A name that a site answers to.
        type: str
        required: true
      client:
        description: The client whose it is, by its id.
        type: str
        default: ''
  origins:
    description: Sites behind a CDN. Where left out, those of the register.
    type: list
    elements: dict
    suboptions:
      site:
        description: The site, as C(client/site).
        type: str
        required: true
      client:
        description: The client whose it is, by its id.
        type: str
        default: ''
      name:
        description: The name it answers to.
        type: str
        required: true
      address:
        description: The address of its own host.
        type: str
        required: true
      port:
        description: The port of HTTPS there.
        type: int
        default: 443
  registrations:
    description: What the interfaces of registrars said, as C(access.facts.registrations) of M(ringfence.hosting.third_party_access_info) has it; it
      stands in where the registry is silent.
    type: list
    elements: dict
    default: []
  rdap_url:
    description: One RDAP server to ask for every domain. Where left out, the one of each top-level domain.
    type: str
    default: ''
  resolver:
    description: Address of the resolver, with C(:PORT) where it is not 53. The system's where left out.
    type: str
    default: ''
  timeout:
    description: Seconds that each answer may take.
    type: int
    default: 10
extends_documentation_fragment:
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.third_party_access_info
"""

EXAMPLES = r"""
- name: How well the domains of all sites are held
  ringfence.hosting.domain_access_info:
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
access:
  description: What was found, in the shape that the evidence keeps; see M(ringfence.hosting.access_info).
  returned: always
  type: dict
access_target:
  description: Always C(domains).
  returned: always
  type: str
  sample: domains
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row, _domain_facts

_NAME = {"name": {"type": "str", "required": True}, "client": {"type": "str", "default": ""}}


def main() -> None:
    """Parse, ask, exit."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "dict", "options": _NAME},
            "origins": {
                "type": "list",
                "elements": "dict",
                "options": {
                    **_NAME,
                    "site": {"type": "str", "required": True},
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "default": 443},
                },
            },
            "registrations": {"type": "list", "elements": "dict", "default": []},
            "rdap_url": {"type": "str", "default": ""},
            "resolver": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    if not _domain_facts.HAS_DNSPYTHON:
        module.fail_json(msg=missing_required_lib("dnspython"))
    given = module.params
    try:
        asking = _domain_facts.Asking(
            given["rdap_url"],
            resolver=_domain_facts.resolver_of(given["resolver"]),
            seconds=float(given["timeout"]),
        )
    except ValueError as error:
        module.fail_json(msg=f"resolver: {error}")
    domains, covered = _domain_facts.domains(given["names"] or [], asking, given["registrations"])
    origins, more = _domain_facts.origins(given["origins"] or [], asking.seconds)
    document = _access_row.document(
        "domain_access_info",
        _access_row.utc_now(),
        [],
        [*covered, *more],
        {"domains": domains, "origins": origins},
    )
    module.exit_json(changed=False, access=document, access_target="domains")


if __name__ == "__main__":
    main()
