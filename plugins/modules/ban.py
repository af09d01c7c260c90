#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: ban
short_description: Lifts bans of an address or a user, or blocks a user of a site
version_added: 0.1.0
description:
  - With O(state=absent), lifts whatever bans M(ringfence.hosting.automatic_bans) has in force against an address or a user, those
    that other hosts told of included.
  - With O(state=present), shuts a user of a CMS out for a while and ends the user's sessions.
author:
  - The Ringfence developers (@ringfence)
options:
  subject:
    description: An address, or the name of a user.
    type: str
    required: true
  site:
    description: The site of the user, as V(client/site). Needed with O(state=present).
    type: str
    default: ""
  state:
    description: V(present) blocks a user, V(absent) lifts bans.
    type: str
    choices: [present, absent]
    default: absent
  seconds:
    description: How long a user is blocked.
    type: int
    default: 3600
  why:
    description: The reason, which is kept.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: What was lifted is returned instead.
    support: none
  idempotent:
    description: A second run changes nothing.
    support: full
seealso:
  - module: ringfence.hosting.automatic_bans
  - module: ringfence.hosting.ban_info
"""

EXAMPLES = r"""
- name: The customer's new office was banned by mistake
  ringfence.hosting.ban:
    subject: 198.51.100.9
    why: the office of Acme

- name: An account that was taken over
  ringfence.hosting.ban:
    subject: dana
    site: acme/shop
    state: present
    seconds: 86400
    why: password was phished
"""

RETURN = r"""
lifted:
  description: What was lifted.
  returned: with O(state=absent)
  type: list
  elements: str
blocked:
  description: Who is blocked.
  returned: with O(state=present)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _ban_records
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "subject": {"type": "str", "required": True},
            "site": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "absent"},
            "seconds": {"type": "int", "default": 3600},
            "why": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given, check = module.params, module.check_mode
    if given["state"] == "present" and not given["site"]:
        module.fail_json(msg="site: is empty, expected the site of the user, as client/site")
    try:
        if given["state"] == "absent":
            found = _ban_records.lift(
                Host(), given["subject"], given["site"], given["why"], check=check
            )
        else:
            found = _ban_records.block_user(
                given["subject"], given["site"], given["seconds"], given["why"], check=check
            )
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**found)


if __name__ == "__main__":
    main()
