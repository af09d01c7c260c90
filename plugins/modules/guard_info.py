#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the guard of a host is doing, and what it last did."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guard_info
short_description: Whether a guard is armed on a host, and what the last one put back
version_added: 0.1.0
description:
  - Reads the records of M(ringfence.hosting.guard). Needs root, for they lie in a folder of root's.
author: The Ringfence developers (@ringfence)
options:
  id:
    description:
      - Which guard to tell the outcome of. By default the last that ended.
    type: str
    default: ""
extends_documentation_fragment:
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.guard
"""

EXAMPLES = r"""
- name: Ask what the guard did
  ringfence.hosting.guard_info:
  become: true
  register: guard

- name: Say it
  ansible.builtin.debug:
    msg: "{{ guard.last.summary | default('no guard ever put anything back') }}"
"""

RETURN = r"""
armed:
  description: The guard that is armed, or null.
  returned: always
  type: dict
  contains:
    id: {description: Identifier., type: str}
    reason: {description: What the change is for., type: str}
    operator: {description: Who makes it., type: str}
    armed_at: {description: 'Since when, UTC.', type: str}
    expires_at: {description: 'When the host puts itself back, UTC.', type: str}
    seconds_left: {description: Seconds until then., type: float}
    paths: {description: What is guarded., type: list, elements: str}
last:
  description: The outcome of the guard asked for, or of the last that ended, or null.
  returned: always
  type: dict
  contains:
    id: {description: Identifier., type: str}
    outcome: {description: V(confirmed) or V(restored)., type: str}
    at: {description: 'When it ended, UTC.', type: str}
    why: {description: Why it was put back., type: str}
    summary: {description: 'What was put back, in one line.', type: str}
failed:
  description: What a guard that is still armed could not put back, or null.
  returned: always
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard


def main() -> None:
    module = AnsibleModule(
        argument_spec={"id": {"type": "str", "default": ""}}, supports_check_mode=True
    )
    if os.geteuid() != 0:
        module.fail_json(msg="the records of the guard are root's: add become: true")
    module.exit_json(changed=False, **_guard.status(module.params["id"]))


if __name__ == "__main__":
    main()
