#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_recover
short_description: Brings a client's backups back after somebody deleted or overwrote them
version_added: 0.1.0
description:
  - With a stolen key of a host one can delete and overwrite the objects of a repository, yet in a versioned and
    locked bucket each version is still there. This finds the right version of each object by its name, which is
    the checksum of its content, and makes it the newest again. Objects that do not belong there are hidden.
  - Runs on the controller with C(backup.keeper) of the register. Then restic checks the repository.
  - Backups that were pruned, and whose versions are still there, come back too.
author:
  - The Ringfence developers (@ringfence)
options:
  site:
    description: A site of the client, as the inventory plugin gives it in C(ringfence_sites).
    type: dict
    required: true
  read_data:
    description: Whether all data is read and checked afterwards.
    type: bool
    default: true
extends_documentation_fragment:
  - ringfence.hosting.s3.authority
attributes:
  check_mode:
    description: Says what would be done, and does not check.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: The backups of the shop are there again
  ringfence.hosting.backup_recover:
    site: "{{ ringfence_sites[0] }}"
"""

RETURN = r"""
undeleted:
  description: How many objects had been deleted.
  returned: success
  type: int
put_back:
  description: How many objects had been overwritten.
  returned: success
  type: int
hidden:
  description: Objects that do not belong there.
  returned: success
  type: list
  elements: str
lost:
  description: Objects of which no sound version is left.
  returned: success
  type: list
  elements: str
snapshots:
  description: How many backups the repository has.
  returned: when not in check mode
  type: int
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(
        argument_spec={
            "site": {"type": "dict", "required": True},
            "authority": {"type": "str"},
            "read_data": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    ).fail_json(msg="the action plugin of this name did not run")


if __name__ == "__main__":
    main()
