#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: control_info
short_description: Audits a host against its controls, all in one call
version_added: 0.1.0
description:
  - Observes and judges every control that is asked for, in one process on the host, and changes nothing.
  - Values come from the control's own variable (for example C(ssh_permit_root_login)), else from its default.
  - Waivers come from the variable C(ringfence_waivers).
author:
  - The Ringfence developers (@ringfence)
extends_documentation_fragment:
  - ringfence.hosting.controls
  - ringfence.hosting.reads
"""

EXAMPLES = r"""
- name: Audit a host against every control
  ringfence.hosting.control_info:

- name: Fail a pipeline when SSH is not as declared
  ringfence.hosting.control_info:
    families: [ssh]
    fail_on: [error, fail]
"""

RETURN = r"""
counts:
  description: How many controls ended in each status.
  returned: always
  type: dict
  sample: {"pass": 39, "fail": 1, "changed": 0, "not_applicable": 2, "waived": 0, "manual": 0, "error": 0}
controls:
  description: Each control that is not plainly a pass, with what was expected and what was seen.
  returned: always
  type: list
  elements: dict
  sample: [{"id": "ssh_root_login", "status": "fail", "expected": "no", "observed": "yes", "message": "sshd -T says yes"}]
ok_ids:
  description: Ids of the controls that pass.
  returned: always
  type: list
  elements: str
not_demanded:
  description: Ids of the controls that the profile of the host does not demand. They are in no count.
  returned: always
  type: list
  elements: str
values:
  description: The value that each control was judged by.
  returned: always
  type: dict
host:
  description: What the host is. Name, release, kernel, capabilities.
  returned: always
  type: dict
mode:
  description: Always V(audit).
  returned: always
  type: str
catalogue_sha256:
  description: The hash of the declarations that were used.
  returned: always
  type: str
timing_ms:
  description: Milliseconds that the work took on the host.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _engine
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "families": {"type": "list", "elements": "str", "default": []},
            "controls": {"type": "list", "elements": "str", "default": []},
            "fail_on": {
                "type": "list",
                "elements": "str",
                "choices": ["error", "fail", "manual", "waived"],
                "default": ["error"],
            },
            "payload": {"type": "str"},
        },
        supports_check_mode=True,
    )
    outcome = _engine.run(Host(), module.params, apply=False, check=module.check_mode)
    if outcome.pop("failed", False):
        module.fail_json(**outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
