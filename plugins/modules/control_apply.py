#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: control_apply
short_description: Brings a host to what its controls say, all in one call
version_added: 0.1.0
description:
  - Observes and judges every control that is asked for, writes what differs, and observes again, in one process on the host.
  - Before it changes what could lock the operator out, it arms a guard on the host, which puts everything back
    unless this task confirms over a new connection.
  - Values come from the control's own variable (for example C(ssh_permit_root_login)), else from its default.
  - Waivers come from the variable C(ringfence_waivers).
author:
  - The Ringfence developers (@ringfence)
options:
  guard_id:
    description: The name that the guard is to have. The action plugin of this module fills it in.
    type: str
  operator:
    description: Who applies, for those who are refused meanwhile. The action plugin of this module fills it in.
    type: str
extends_documentation_fragment:
  - ringfence.hosting.controls
  - ringfence.hosting.guarded.timeout
attributes:
  check_mode:
    description: Says what would change and writes nothing.
    support: full
  diff_mode:
    description: Shows a unified diff of each file, and of packages and units, that would change.
    support: full
  idempotent:
    description: A second run changes nothing unless the host was changed meanwhile.
    support: full
"""

EXAMPLES = r"""
- name: Apply every control
  ringfence.hosting.control_apply:

- name: Apply two controls, and wait five minutes before taking them back
  ringfence.hosting.control_apply:
    controls: [ssh_root_login, ssh_max_auth_tries]
    guard_timeout: 300
"""

RETURN = r"""
counts:
  description: How many controls ended in each status.
  returned: always
  type: dict
  sample: {"pass": 39, "fail": 1, "changed": 0, "not_applicable": 2, "waived": 0, "manual": 0, "error": 0}
controls:
  description: Each control that was changed or is not plainly a pass, with what was expected and what was seen.
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
  description: V(apply), or V(check) in check mode.
  returned: always
  type: str
guard:
  description: The guard that was armed, and confirmed by the action plugin.
  returned: when something that could lock the operator out was changed
  type: dict
  sample: {"id": "20260101T000000-1a2b3c", "expires_at": "2026-01-01T00:02:00Z"}
broken_reloads:
  description: What could not be reloaded, with what the system said. The guard has put the host back.
  returned: when something could not be reloaded
  type: dict
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
            "guard_timeout": {"type": "int", "default": 120},
            "guard_id": {"type": "str"},
            "operator": {"type": "str"},
            "payload": {"type": "str"},
        },
        supports_check_mode=True,
    )
    outcome = _engine.run(Host(), module.params, apply=True, check=module.check_mode)
    if outcome.pop("failed", False):
        module.fail_json(**outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
