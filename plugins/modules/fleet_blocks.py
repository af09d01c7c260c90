#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_blocks
short_description: Has the host's firewall drop what is blocked on the whole fleet
version_added: 0.1.0
description:
  - Takes from C(ringfence_blocked) what was blocked for the fleet, and puts it on the list V(ban) of the host's firewall with the time
    that is left. What was unblocked comes off it. Other bans stay.
  - Nothing is asked of a host for which nothing was ever blocked.
author:
  - The Ringfence developers (@ringfence)
options: {}
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
  idempotent:
    description: A second run changes nothing unless an entry ended meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.firewall_set
"""

EXAMPLES = r"""
- name: What is blocked on the fleet
  ringfence.hosting.fleet_blocks:
"""

RETURN = r"""
entries:
  description: How many entries are on the list now, those of others included.
  returned: when something was ever blocked for the fleet
  type: int
  sample: 3
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(argument_spec={}, supports_check_mode=True).fail_json(
        msg="expected to be run by the action plugin of its name"
    )


if __name__ == "__main__":
    main()
