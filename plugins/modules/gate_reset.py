#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gate_reset
short_description: Takes back a person's sign-in at a gate
version_added: 0.1.0
description:
  - Removes the password, the secret, the recovery codes and any open link of a person. Their sessions pass no gate any
    more from this moment. They can then be given a new link.
  - Who did it, when and why is kept on the host in C(/var/lib/ringfence-gate/history.jsonl).
author:
  - The Ringfence developers (@ringfence)
options:
  user:
    description: The id of the person.
    type: str
    required: true
extends_documentation_fragment:
  - ringfence.hosting.reset
attributes:
  check_mode:
    description: Says whether there is anything to take back.
    support: full
  diff_mode:
    description: There is no diff, for it would hold secrets.
    support: none
  idempotent:
    description: Who has no sign-in is left as it is, and nothing is recorded.
    support: full
seealso:
  - module: ringfence.hosting.gate_enrol
"""

EXAMPLES = r"""
- name: The phone of dana is lost
  ringfence.hosting.gate_reset:
    user: dana
    reason: phone lost, reported by telephone and called back
"""

RETURN = r"""
user:
  description: The person.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_gate_host
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import GateError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "reason": {"type": "str", "required": True},
            "operator": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        changed = _site_gate_host.reset(
            Host(), given["user"], given["reason"], given["operator"], check=module.check_mode
        )
    except (GateError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, user=given["user"])


if __name__ == "__main__":
    main()
