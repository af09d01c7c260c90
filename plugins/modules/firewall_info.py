#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_info
short_description: What the firewall of a host is, and whether it is what is loaded at boot
version_added: 0.1.0
description:
  - Asks the kernel for the table C(inet ringfence) and compares it with what the file for the next boot would load.
  - Run M(ringfence.hosting.firewall) in check mode to compare with what is declared.
author:
  - The Ringfence developers (@ringfence)
options:
  lists:
    description: Lists whose entries to return. Reading a list of a million entries takes seconds.
    type: list
    elements: str
    choices: [allow, ban, block]
    default: []
extends_documentation_fragment:
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.firewall
  - module: ringfence.hosting.firewall_set
"""

EXAMPLES = r"""
- name: Who is banned now
  ringfence.hosting.firewall_info:
    lists: [ban]
  register: firewall

- name: The firewall is in force, now and after a reboot
  ansible.builtin.assert:
    that: [firewall.loaded, firewall.at_boot, not firewall.drift]
"""

RETURN = r"""
loaded:
  description: Whether the table is live, and not dormant.
  returned: always
  type: bool
at_boot:
  description: Whether the file with the rules is there and its unit is enabled.
  returned: always
  type: bool
drift:
  description: Lines of a unified diff from what the file would load to what is live. Empty where they agree.
  returned: always
  type: list
  elements: str
dropped:
  description: Packets that the rules dropped since they were loaded, by chain.
  returned: always
  type: dict
  sample: {"input": 1203, "prerouting": 17}
connection:
  description: The SSH connection this was asked over; empty without SSH.
  returned: always
  type: str
  sample: 203.0.113.7 to port 22
origins:
  description: Where lists come from, as far as it was noted, by list. Countries and feeds with their source, date and checksum.
  returned: always
  type: dict
  sample: {"block": {"feed drop": {"source": "https://www.spamhaus.org/drop/drop.txt", "fetched": "2026-06-17T04:00:00Z", "sha256": "9f2c"}}}
lists:
  description: The entries asked for, by list. C(seconds) is how long an entry still lasts, 0 for ever.
  returned: always
  type: dict
  sample: {"ban": [{"address": "198.51.100.9", "seconds": 3412}]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _firewall
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "lists": {
                "type": "list",
                "elements": "str",
                "choices": ["allow", "ban", "block"],
                "default": [],
            }
        },
        supports_check_mode=True,
    )
    try:
        found = _firewall.info(Host(), module.params["lists"])
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
