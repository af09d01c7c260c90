#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: totp_policy
short_description: Makes SSH ask for a one-time code after the key
version_added: 0.1.0
description:
  - Members of O(groups) sign in over SSH with their key and then a one-time code (TOTP), which C(pam_google_authenticator) judges.
  - Accounts in O(exemptions) need the key alone, from their declared sources and until their last day. From elsewhere they must give a code.
  - The whole change is tried on a copy of sshd's configuration first. It is refused, with nothing written, where it would shut out
    the account that the play itself signs in with, or accounts that are not enrolled.
  - A guard is armed on the host before the first file is written. It puts everything back unless this task confirms over a new connection.
  - With O(groups) empty, everything that this module wrote is taken back. Enrolments are kept.
author:
  - The Ringfence developers (@ringfence)
options:
  groups:
    description: Names of Unix groups whose members must give a code; V(*), alone, is everybody; an empty list is nobody.
    type: list
    elements: str
    required: true
  exemptions:
    description:
      - Accounts that need no code, from declared places, for a while.
      - Each has C(account), C(reason) and C(owner) in one line each, C(expires), its last day as YYYY-MM-DD,
        and C(sources), a list of the addresses and networks that it may come from.
    type: list
    elements: dict
    default: []
  attempts:
    description: How many codes, right or wrong, an account may give within O(seconds).
    type: int
    default: 5
  seconds:
    description: Seconds within which no more than O(attempts) codes are judged.
    type: int
    default: 300
  shut_out_unenrolled:
    description: Go on even where accounts that sign in now and are not enrolled would be shut out.
    type: bool
    default: false
  user:
    description: The account that the play signs in with. The action plugin of this module fills it in.
    type: str
    default: ''
  address:
    description: The address that the host sees the play come from. The action plugin of this module fills it in.
    type: str
    default: ''
  can_answer:
    description: Whether the play can ask its operator for a code. The action plugin of this module fills it in.
    type: bool
    default: false
extends_documentation_fragment:
  - ringfence.hosting.guarded
  - ringfence.hosting.guarded.timeout
attributes:
  check_mode:
    description: Says what would change, or why it would be refused, and writes nothing.
    support: full
  diff_mode:
    description: Shows the files of sshd and PAM before and after. Files that hold secrets are only named.
    support: full
  idempotent:
    description: A second run changes nothing unless the host was changed meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.totp_enrol
  - module: ringfence.hosting.totp_info
"""

EXAMPLES = r"""
- name: Administrators give a code, the deployment account does not when it comes from the build server
  ringfence.hosting.totp_policy:
    groups: [sudo]
    exemptions:
      - account: deploy
        reason: deploys run unattended
        owner: platform@agency.example
        expires: 2027-01-31
        sources: [192.0.2.10/32]

- name: Nobody has to give a code any more
  ringfence.hosting.totp_policy:
    groups: []
"""

RETURN = r"""
required:
  description: Accounts that can sign in and must give a code where no exemption covers them.
  returned: success
  type: list
  elements: str
unenrolled:
  description: Those of RV(required) that are neither enrolled nor exempt, and so cannot sign in.
  returned: success
  type: list
  elements: str
shut_out:
  description: Those of RV(unenrolled) that could sign in until now.
  returned: success
  type: list
  elements: str
expired:
  description: Accounts whose exemption has expired.
  returned: success
  type: list
  elements: str
asks_this_play:
  description: Whether the account that the play signs in with must itself give a code from now on.
  returned: success
  type: bool
guard:
  description: The guard that was armed, and confirmed by the action plugin.
  returned: when something was changed
  type: dict
  sample: {"id": "5f0c1d2e3a4b", "expires_at": "2026-01-01T00:02:00Z"}
"""

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _totp_change, _totp_policy
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import Limits, TotpError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "str", "required": True},
            "exemptions": {"type": "list", "elements": "dict", "default": []},
            "attempts": {"type": "int", "default": 5},
            "seconds": {"type": "int", "default": 300},
            "shut_out_unenrolled": {"type": "bool", "default": False},
            "guard_timeout": {"type": "int", "default": 120},
            "user": {"type": "str", "default": ""},
            "address": {"type": "str", "default": ""},
            "can_answer": {"type": "bool", "default": False},
            "guard_id": {"type": "str", "default": ""},
            "operator": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given, host = module.params, Host()
    try:
        policy = _totp_policy.read_policy(
            given["groups"], given["exemptions"], Limits(given["attempts"], given["seconds"])
        )
        plan = _totp_change.plan(
            host,
            policy,
            datetime.now(UTC).date(),
            _totp_change.SignIn(given["user"], given["address"], given["can_answer"]),
            shut_out=given["shut_out_unenrolled"],
        )
        diff = _totp_change.diffs(host, plan)
        guard = None
        if plan.changed and not module.check_mode:
            ask = {key: given[key] for key in ("guard_id", "operator")}
            guard = _totp_change.carry_out(host, plan, given["guard_timeout"], **ask)
    except (TotpError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in plan.warnings:
        module.warn(warning)
    module.exit_json(
        changed=plan.changed,
        diff=diff,
        required=plan.required,
        unenrolled=plan.unenrolled,
        shut_out=plan.shut_out,
        expired=plan.expired,
        asks_this_play=plan.asks_this_play,
        **({"guard": guard} if guard else {}),
    )


if __name__ == "__main__":
    main()
