#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: offboard
short_description: Takes what one person has on a host
version_added: 0.1.0
description:
  - Removes the person's keys, and no other, from every file that sshd reads keys from, for whichever account.
  - Locks the accounts that are theirs alone, takes them out of their groups, ends their sessions, and removes sudo rules that are of
    these accounts alone.
  - Locks their MariaDB accounts and ends what these have open.
  - Takes role, password, sessions and application passwords of their WordPress users, and blocks their Joomla users.
  - What others use too is named and stays. Nothing is deleted but keys, rules and sessions.
  - Refused, with one line and nothing changed, where it would take the account by which the play comes in, or the last way to root.
author:
  - The Ringfence developers (@ringfence)
options:
  person:
    description: The id of the person in people.yml, which lies beside the inventory.
    type: str
    required: true
  subject:
    description: What people.yml says of the person. The action plugin of this module fills it in.
    type: dict
    default: {}
  guard_timeout:
    description: Seconds that the guard waits for the confirmation before it puts keys and sudo rules back. V(0) arms no guard.
    type: int
    default: 120
extends_documentation_fragment:
  - ringfence.hosting.guarded
attributes:
  check_mode:
    description: Says what would be taken, or why it would be refused, and changes nothing.
    support: full
  diff_mode:
    description: Shows each thing that is taken, a line each.
    support: full
  idempotent:
    description: A second run changes nothing unless the host was changed meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.access_info
  - module: ringfence.hosting.vendor_access
"""

EXAMPLES = r"""
- name: Cho has left
  ringfence.hosting.offboard:
    person: cho
  become: true
"""

RETURN = r"""
taken:
  description: What was taken, or would be in check mode, a line each.
  returned: success
  type: list
  elements: str
  sample: ["lock account cho and end its sessions"]
named:
  description: What is left for a person to decide, or could not be read, a line each.
  returned: success
  type: list
  elements: str
guard:
  description: The guard that was armed, and confirmed by the action plugin.
  returned: when keys or sudo rules were changed
  type: dict
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard, _offboard
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "person": {"type": "str", "required": True},
            "subject": {"type": "dict", "default": {}},
            "guard_timeout": {"type": "int", "default": 120},
            "guard_id": {"type": "str", "default": ""},
            "operator": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given, host = module.params, Host()
    guard: dict[str, Any] | None = None
    try:
        subject = _offboard.subject_of(given["subject"])
        made = _offboard.plan(host, subject, os.environ.get("SUDO_USER", ""))
        if made.changed and not module.check_mode:
            paths = _offboard.guarded_paths(made)
            if paths and given["guard_timeout"]:
                guard = _guard.arm(
                    paths,
                    timeout=given["guard_timeout"],
                    reason="somebody leaves",
                    nftables=False,
                    guard_id=given["guard_id"],
                    operator=given["operator"],
                )
            _offboard.carry_out(host, made)
    except (_offboard.OffboardError, _guard.GuardError, HostError, OSError) as error:
        if guard is not None:
            _guard.restore(guard["id"], str(error))
        module.fail_json(msg=str(error))
    shown = made.shown()
    module.exit_json(
        changed=made.changed,
        taken=shown,
        named=made.named,
        diff={"before": "", "after": "".join(f"{line}\n" for line in shown)},
        **({"guard": guard} if guard else {}),
    )


if __name__ == "__main__":
    main()
