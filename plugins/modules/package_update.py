#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: package_update
short_description: Installs the updates that wait, and never asks anybody
version_added: 0.1.0
description:
  - Installs security updates, or all, in one call of apt. Packages on hold stay as they are, and nothing is ever removed.
  - Configuration files that an administrator changed are kept. An update that was cut off earlier is brought to its end first.
  - What was installed, from which version to which, is evidence of the control C(updates_security_pending).
author:
  - The Ringfence developers (@ringfence)
options:
  only_security:
    description: Install only what comes from a security archive, and what that needs.
    type: bool
    default: true
  refresh:
    description: Fetch the lists of packages first. In check mode they are left as they are.
    type: bool
    default: true
  lock_timeout:
    description: Seconds to wait while another program is at work on packages.
    type: int
    default: 300
attributes:
  check_mode:
    description: Says what would be installed, by the lists that the host has.
    support: full
  diff_mode:
    description: Shows each package with its version before and after.
    support: full
  idempotent:
    description: A second run changes nothing unless something new was published.
    support: full
"""

EXAMPLES = r"""
- name: Install security updates
  ringfence.hosting.package_update:

- name: Install all updates
  ringfence.hosting.package_update:
    only_security: false
"""

RETURN = r"""
updates:
  description: Each package that was, or would be, installed.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "libssl3", "old": "3.0.14-1", "new": "3.0.15-1"}]
held:
  description: Packages on hold, which stay as they are.
  returned: always
  type: list
  elements: str
repaired:
  description: What dpkg had been left with by an earlier update, or nothing.
  returned: always
  type: str
controls:
  description: The same as the result of a control, for the evidence.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _package_update
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "only_security": {"type": "bool", "default": True},
            "refresh": {"type": "bool", "default": True},
            "lock_timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        answer = _package_update.run(
            Host(),
            only_security=module.params["only_security"],
            refresh=module.params["refresh"],
            lock_seconds=module.params["lock_timeout"],
            check=module.check_mode,
        )
    except HostError as error:
        module.fail_json(msg=str(error))
    if answer.pop("failed", False):
        module.fail_json(**answer)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
