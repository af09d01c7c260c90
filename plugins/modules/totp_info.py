#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: totp_info
short_description: Says who must give a one-time code over SSH, who can, and who is exempt
version_added: 0.1.0
description:
  - Lists every account that can sign in, is enrolled or is exempt, and asks sshd itself whether it must give a code.
  - Compares the host with what is declared. Where the host does less, RV(compliant) is false and RV(findings) says what.
    An exemption that has expired is such a finding.
  - Never reads out a secret or a recovery code.
author:
  - The Ringfence developers (@ringfence)
options:
  groups:
    description: As in M(ringfence.hosting.totp_policy).
    type: list
    elements: str
    required: true
  exemptions:
    description: As in M(ringfence.hosting.totp_policy).
    type: list
    elements: dict
    default: []
  attempts:
    description: As in M(ringfence.hosting.totp_policy).
    type: int
    default: 5
  seconds:
    description: As in M(ringfence.hosting.totp_policy).
    type: int
    default: 300
extends_documentation_fragment:
  - ringfence.hosting.reads
"""

EXAMPLES = r"""
- name: Who must give a code, and who can
  ringfence.hosting.totp_info:
    groups: ['*']
  register: second_factor
"""

RETURN = r"""
compliant:
  description: Whether the host does all that is declared.
  returned: success
  type: bool
findings:
  description: Where it does less, and for whom. What concerns the whole host names no account.
  returned: success
  type: list
  elements: dict
  sample:
    - account: backup
      message: "exemption expired on 2026-01-31 (owner ops): renew it or take it out"
      line: "backup: exemption expired on 2026-01-31 (owner ops): renew it or take it out"
table:
  description: RV(accounts) in words, a line each.
  returned: success
  type: list
  elements: str
  sample: ["alice  must give a code; enrolled, 4 recovery codes left"]
accounts:
  description: Each account that can sign in, is enrolled or has an exemption.
  returned: success
  type: list
  elements: dict
  sample:
    - account: alice
      uid: 1001
      can_sign_in: true
      required: true
      enrolled: true
      recovery_codes: 4
      exempt: []
      exempt_until: null
      change: enrolled
      changed_at: "2026-01-05T09:12:44Z"
      changed_by: bob
      change_reason: null
"""

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _totp_audit, _totp_policy
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import Limits, TotpError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "str", "required": True},
            "exemptions": {"type": "list", "elements": "dict", "default": []},
            "attempts": {"type": "int", "default": 5},
            "seconds": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        policy = _totp_policy.read_policy(
            given["groups"], given["exemptions"], Limits(given["attempts"], given["seconds"])
        )
        found = _totp_audit.report(Host(), policy, datetime.now(UTC).date())
    except (TotpError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    table = _totp_audit.table(found["accounts"])
    module.exit_json(changed=False, compliant=not found["findings"], table=table, **found)


if __name__ == "__main__":
    main()
