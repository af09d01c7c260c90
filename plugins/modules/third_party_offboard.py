#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: third_party_offboard
short_description: Deletes what a third party keeps of a person, where its interface can
version_added: 0.1.0
description:
  - Looks a person's e-mail addresses up among the members of every audience and the customers of every shop of Mailchimp accounts, archived ones
    too, and deletes them for good where O(erase) says so. Afterwards each is looked up again.
  - What was deleted there cannot be brought back, and the address can only be added again by its owner. So it is not done unless asked for.
  - The users of an account, its keys and linked applications cannot be taken by Mailchimp's interface, nor anything of the other third parties.
    They are removed by hand and attested.
  - Runs on the controller.
author:
  - The Ringfence developers (@ringfence)
options:
  connectors:
    description: The interfaces of third parties, as C(ringfence_connectors) has them. Those of Mailchimp are asked, the others passed over.
    type: list
    elements: dict
    required: true
    suboptions:
      party:
        description: The id of the third party in third_parties.yml.
        type: str
        required: true
      connector:
        description: Which interface it is.
        type: str
        required: true
      key:
        description: The API key with its data centre.
        type: str
        required: true
      secret:
        description: Not used; other interfaces have one.
        type: str
        default: ''
      url:
        description: Another address of the interface than the vendor's own.
        type: str
        default: ''
  emails:
    description: The person's e-mail addresses.
    type: list
    elements: str
    required: true
  erase:
    description: Whether to delete what is found. Else it is named.
    type: bool
    default: false
  timeout:
    description: Seconds that each answer may take.
    type: int
    default: 20
attributes:
  check_mode:
    description: Says what would be deleted, and changes nothing.
    support: full
  diff_mode:
    description: Shows each thing that is deleted, a line each.
    support: full
  idempotent:
    description: A second run changes nothing unless the address was added meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.third_party_access_info
  - module: ringfence.hosting.offboard
"""

EXAMPLES = r"""
- name: Which audiences Cho is in
  ringfence.hosting.third_party_offboard:
    connectors: "{{ ringfence_connectors }}"
    emails: [cho@agency.example]
  delegate_to: localhost
  run_once: true

- name: Cho is forgotten
  ringfence.hosting.third_party_offboard:
    connectors: "{{ ringfence_connectors }}"
    emails: [cho@agency.example]
    erase: true
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
taken:
  description: What was deleted, or would be in check mode, a line each.
  returned: success
  type: list
  elements: str
  sample: ["delete mailchimp: cho@agency.example, member of News (subscribed), for good"]
named:
  description: What is kept, a line each.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _offboard_third_parties


def main() -> None:
    """Parse, plan, carry out, exit."""
    module = AnsibleModule(
        argument_spec={
            "connectors": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "party": {"type": "str", "required": True},
                    "connector": {"type": "str", "required": True},
                    "key": {"type": "str", "required": True, "no_log": True},
                    "secret": {"type": "str", "default": "", "no_log": True},
                    "url": {"type": "str", "default": ""},
                },
            },
            "emails": {"type": "list", "elements": "str", "required": True},
            "erase": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        found = _offboard_third_parties.plan(
            given["connectors"], given["emails"], float(given["timeout"])
        )
        if given["erase"] and not module.check_mode:
            _offboard_third_parties.carry_out(found)
    except _offboard_third_parties.OffboardError as error:
        module.fail_json(msg=str(error))
    taken, named = _offboard_third_parties.told(found, given["erase"])
    module.exit_json(
        changed=bool(taken),
        taken=taken,
        named=named,
        diff={"before": "", "after": "".join(f"{line}\n" for line in taken)},
    )


if __name__ == "__main__":
    main()
