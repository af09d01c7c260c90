#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gate_info
short_description: Who may pass the gates of a host, and who can
version_added: 0.1.0
description:
  - Each person with the sites whose gate they may pass, since when they are enrolled, how many recovery codes are left,
    until when they are locked out, and until when a link of theirs works. No secret and no link is read out.
author:
  - The Ringfence developers (@ringfence)
options: {}
extends_documentation_fragment:
  - ringfence.hosting.reads
"""

EXAMPLES = r"""
- name: Who may pass, and who can
  ringfence.hosting.gate_info:
  become: true
  register: found
"""

RETURN = r"""
users:
  description: Each person.
  returned: always
  type: list
  elements: dict
  sample: [{"user": dana, "sites": [north_cycles/shop], "enrolled": "2026-11-26", "recovery_codes": 8, "locked_until": "", "link_until": ""}]
table:
  description: The same as lines to read.
  returned: always
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_gate_host
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import GateError


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        users = _site_gate_host.status(Host(), time.time())
    except (GateError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, users=users, table=_site_gate_host.table(users))


if __name__ == "__main__":
    main()
