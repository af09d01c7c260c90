#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: restic_package
short_description: Fetches a package of restic that is new enough
version_added: 0.1.0
description:
  - Fetches Debian 13's package of restic to the controller, once, and checks its pinned checksum each time.
  - Runs on the controller; the role P(ringfence.hosting.backup#role) installs what it brings.
author:
  - The Ringfence developers (@ringfence)
options: {}
attributes:
  check_mode:
    description: Changes no host anyway.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Fetches nothing twice.
    support: full
"""

EXAMPLES = r"""
- name: restic is at hand
  ringfence.hosting.restic_package:
  register: found
"""

RETURN = r"""
path:
  description: The package on the controller.
  returned: success
  type: str
version:
  description: Its version.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(argument_spec={}, supports_check_mode=True).fail_json(
        msg="the action plugin of this name did not run"
    )


if __name__ == "__main__":
    main()
