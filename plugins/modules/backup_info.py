#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: Judges the backups of the sites of a host
version_added: 0.1.0
description:
  - Asks each client's repository, from the controller, for its newest backups, and the host for what its last
    run said. A late, failed or missing backup is a finding of the family C(backups), as is a restore that was
    never tried.
  - Changes nothing. The repository is read without a lock.
author:
  - The Ringfence developers (@ringfence)
options:
  clients:
    description: What the action plugin asks the host for; not given by hand.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - ringfence.hosting.sites
  - ringfence.hosting.s3.authority
  - ringfence.hosting.reads
"""

EXAMPLES = r"""
- name: Backups are as agreed
  ringfence.hosting.backup_info:
    sites: "{{ ringfence_sites }}"
"""

RETURN = r"""
state:
  description: Client -> site -> what the last run on the host said.
  returned: success
  type: dict
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "authority": {"type": "str"},
            "clients": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    state = {}
    for client in module.params["clients"]:
        try:
            with open(f"{_backup_host.STATE}/{os.path.basename(client)}.json") as file:
                state[client] = json.load(file)["sites"]
        except FileNotFoundError:
            state[client] = {}
        except (OSError, ValueError, KeyError) as error:
            module.fail_json(msg=f"what the last backup of {client} said cannot be read: {error}")
    module.exit_json(changed=False, state=state)


if __name__ == "__main__":
    main()
