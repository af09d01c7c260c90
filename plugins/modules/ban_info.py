#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: ban_info
short_description: Says who is and was banned on a host, why, and for how long
version_added: 0.1.0
description:
  - Reads the record that the bans of M(ringfence.hosting.automatic_bans) leave on a host.
  - With O(days) above V(0), the callback P(ringfence.hosting.evidence#callback) keeps what was found as evidence.
author:
  - The Ringfence developers (@ringfence)
options:
  days:
    description: How far back. V(0) is only what is in force.
    type: int
    default: 30
extends_documentation_fragment:
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.automatic_bans
  - module: ringfence.hosting.ban
"""

EXAMPLES = r"""
- name: Who is banned now
  ringfence.hosting.ban_info:
    days: 0
"""

RETURN = r"""
days:
  description: How far back it was looked.
  returned: success
  type: int
set_up:
  description: Whether bans are set up on this host.
  returned: success
  type: bool
bans:
  description: Each ban, the oldest first.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: address
      subject: 198.51.100.9
      site: acme/shop
      reason: bad sign-ins to WordPress
      rule: ringfence-wordpress-35f95a
      source: web1
      failures: 4
      since: "2026-01-31T12:00:00Z"
      until: "2026-01-31T13:00:00Z"
      seconds: 3600
      state: in force
      lifted: ""
      why: ""
peers:
  description: When each of the other hosts was last told of bans, told of bans, or did not listen.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _ban_records
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={"days": {"type": "int", "default": 30}}, supports_check_mode=True
    )
    if not 0 <= module.params["days"] <= 400:
        module.fail_json(msg=f"days: found {module.params['days']}, expected 0 to 400")
    try:
        found = _ban_records.info(Host(), module.params["days"])
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
