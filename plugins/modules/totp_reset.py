#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: totp_reset
short_description: Takes an enrolment for one-time codes back
version_added: 0.1.0
description:
  - Removes the secret of an account and its recovery codes, after the token was lost or somebody has left.
    The account can then be enrolled anew, and cannot sign in where a code is required until it is.
  - Who did it, when and why is kept on the host in C(/var/lib/ringfence/second-factor-history.jsonl).
author:
  - The Ringfence developers (@ringfence)
options:
  account:
    description: The account; it may be gone from the host already.
    type: str
    required: true
extends_documentation_fragment:
  - ringfence.hosting.reset
attributes:
  check_mode:
    description: Says whether there is an enrolment to take back.
    support: full
  diff_mode:
    description: There is no diff, for it would hold the secret.
    support: none
  idempotent:
    description: An account without enrolment is left as it is, and nothing is recorded.
    support: full
"""

EXAMPLES = r"""
- name: The phone of alice is lost
  ringfence.hosting.totp_reset:
    account: alice
    reason: phone lost, reported by telephone and called back
"""

RETURN = r"""
account:
  description: The account.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _totp_enrolment
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import TotpError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "account": {"type": "str", "required": True},
            "reason": {"type": "str", "required": True},
            "operator": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        changed = _totp_enrolment.reset(
            Host(), given["account"], given["reason"], given["operator"], check=module.check_mode
        )
    except (TotpError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, account=given["account"])


if __name__ == "__main__":
    main()
