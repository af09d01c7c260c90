#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_set
short_description: Fills the allow, ban and block lists of the firewall
version_added: 0.1.0
description:
  - Changes one list in one transaction, so that no packet passes between the old list and the new.
  - Addresses and networks, IPv4 and IPv6, may be mixed. Overlaps are joined.
  - The lists O(list=allow) and O(list=block) are loaded again at boot. Bans outlast a reboot that is not a crash, with the time they have left.
  - Management addresses are never shut out, whatever a list holds. Neither is the address that this very connection comes from.
  - A list of more than 200,000 entries is not read back from the kernel, which takes a minute for a million. It is left as it is where
    its files are unchanged and the kernel says that nothing of nftables was changed since it was loaded; else it is loaded anew.
author:
  - The Ringfence developers (@ringfence)
options:
  list:
    description:
      - V(ban) for addresses that misbehaved, each for a while; V(block) for lists that are kept elsewhere, such as feeds and countries;
        V(allow) for addresses that no ban and no block reaches, such as monitors. To be allowed opens no port.
    type: str
    choices: [allow, ban, block]
    required: true
  entries:
    description: Addresses and networks.
    type: list
    elements: str
    default: []
  src:
    description: A file on the host with one address or network a line, C(#) for comments, instead of O(entries). Right for long lists.
    type: path
  state:
    description:
      - V(present) adds the entries, V(exact) also removes all others.
      - V(absent) removes them, so that none of their addresses is on the list any more; a network that holds more is split.
    type: str
    choices: [present, absent, exact]
    default: present
  timeout:
    description: Seconds after which bans end, 0 for never. Only for O(list=ban). A ban that is there is made longer, counted from now, never shorter.
    type: int
    default: 0
  timeouts:
    description: Further entries, each with a O(timeout) of its own. Only for O(list=ban).
    type: dict
    default: {}
  without:
    description: What comes off the list in the same transaction. Only with O(state=present).
    type: list
    elements: str
    default: []
  origin:
    description:
      - Where the list comes from, to be noted beside it, and told by M(ringfence.hosting.firewall_info). Only with O(list=block) and
        O(state=exact). Without it, O(state=exact) drops an earlier note.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: A list may have a million entries; the numbers of those added and removed are returned instead.
    support: none
  idempotent:
    description:
      - A second run changes nothing. A ban that has run down in part is left alone.
      - A list of more than 200,000 entries counts as changed when anything of nftables was changed since, for then it is loaded anew.
    support: full
seealso:
  - module: ringfence.hosting.firewall
  - module: ringfence.hosting.firewall_info
  - module: ringfence.hosting.firewall_lists
"""

EXAMPLES = r"""
- name: Ban an address and a network for two days
  ringfence.hosting.firewall_set:
    list: ban
    entries: [198.51.100.9, "2001:db8:bad::/64"]
    timeout: 172800

- name: Block what the feed says, and nothing else
  ringfence.hosting.firewall_set:
    list: block
    src: /var/lib/ringfence/feeds/drop.txt
    state: exact
"""

RETURN = r"""
entries:
  description: How many entries the list has.
  returned: success
  type: int
added:
  description: How many entries were added.
  returned: success
  type: int
removed:
  description: How many entries were removed.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _address_lists
from ansible_collections.ringfence.hosting.plugins.module_utils._connection import ssh_connection
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "list": {"type": "str", "choices": ["allow", "ban", "block"], "required": True},
            "entries": {"type": "list", "elements": "str", "default": []},
            "src": {"type": "path"},
            "state": {
                "type": "str",
                "choices": ["present", "absent", "exact"],
                "default": "present",
            },
            "timeout": {"type": "int", "default": 0},
            "timeouts": {"type": "dict", "default": {}},
            "without": {"type": "list", "elements": "str", "default": []},
            "origin": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if module.params["src"] and module.params["entries"]:
        module.fail_json(msg="entries and src: expected one of them")
    connection = ssh_connection()
    address = connection.address if connection else None
    try:
        found = _address_lists.run(Host(), module.params, address, check=module.check_mode)
    except (_address_lists.ListError, HostError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**found)


if __name__ == "__main__":
    main()
