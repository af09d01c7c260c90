#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_drill
short_description: Tries the restore of each site of a host
version_added: 0.1.0
description:
  - Restores the newest backup of each site below a scratch folder, compares every file with the manifest that
    was written when it was backed up, loads the dump into a MariaDB server of its own, and compares tables and
    rows with those of the dump. Then removes all of it. Live sites are not touched.
  - What came of it, with recovery time and point, is evidence, and kept for the audits that follow.
author:
  - The Ringfence developers (@ringfence)
options:
  sites:
    description: The sites, as the inventory plugin gives them in C(ringfence_sites) of their host.
    type: list
    elements: dict
    required: true
extends_documentation_fragment:
  - ringfence.hosting.s3.authority
attributes:
  check_mode:
    description: Restores nothing in check mode, and says so.
    support: none
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Leaves nothing behind on the host.
    support: full
"""

EXAMPLES = r"""
- name: Every site of this host can be restored
  ringfence.hosting.backup_drill:
    sites: "{{ ringfence_sites }}"
"""

RETURN = r"""
drills:
  description: What came of each, with C(recovery_time) and C(recovery_point) in seconds.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "authority": {"type": "str"},
        }
    ).fail_json(msg="the action plugin of this name did not run")


if __name__ == "__main__":
    main()
