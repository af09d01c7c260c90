#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: totp_enrol
short_description: Enrols an account for one-time codes over SSH
version_added: 0.1.0
description:
  - Makes the secret on the host, shows it once on the operator's terminal as a QR code, and enrols the account when the
    first code has shown that its app holds the secret. Recovery codes are shown once, afterwards.
  - The secret travels encrypted to a key that is made for this enrolment and never leaves the process that shows it.
    It is in no result, log, diff or file of the controller.
  - Needs a terminal. It refuses where none is there, or where what the terminal shows is recorded (ansible-runner, CI).
  - An account that is enrolled already is refused; M(ringfence.hosting.totp_reset) takes the old enrolment back.
author:
  - The Ringfence developers (@ringfence)
requirements:
  - segno on the controller, for the QR code; without it the key is shown as text
options:
  account:
    description: The account on the host.
    type: str
    required: true
  issuer:
    description: What the app groups the entry under. The inventory's name of the host when empty.
    type: str
    default: ''
  recovery_codes:
    description: How many recovery codes to make, at most ten.
    type: int
    default: 5
  attempts:
    description: How many codes, right or wrong, the account may give within O(seconds).
    type: int
    default: 5
  seconds:
    description: Seconds within which no more than O(attempts) codes are judged.
    type: int
    default: 300
  operator:
    description: Who enrols, for the host's own history.
    type: str
    default: ''
  phase:
    description: The step of the enrolment. The action plugin of this module sets it.
    type: str
    choices: [check, begin, confirm, abandon]
    default: check
  public_key:
    description: The key that the secret is encrypted to. The action plugin of this module makes it.
    type: str
    default: ''
  code:
    description: The first code. The action plugin of this module asks for it.
    type: str
    default: ''
attributes:
  check_mode:
    description: Says whether the account would be enrolled; makes nothing and asks nothing.
    support: full
  diff_mode:
    description: There is no diff, for it would hold the secret.
    support: none
  idempotent:
    description: An account is enrolled once; a second enrolment is refused.
    support: none
"""

EXAMPLES = r"""
- name: Enrol alice
  ringfence.hosting.totp_enrol:
    account: alice
"""

RETURN = r"""
account:
  description: The account that was enrolled.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _totp, _totp_enrolment
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import Limits, TotpError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "account": {"type": "str", "required": True},
            "issuer": {"type": "str", "default": ""},
            "recovery_codes": {"type": "int", "default": 5},
            "attempts": {"type": "int", "default": 5},
            "seconds": {"type": "int", "default": 300},
            "operator": {"type": "str", "default": ""},
            "phase": {
                "type": "str",
                "choices": ["check", "begin", "confirm", "abandon"],
                "default": "check",
            },
            "public_key": {"type": "str", "default": "", "no_log": False},
            "code": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["recovery_codes"] not in _totp.RECOVERY_CODES:
        module.fail_json(msg=f"recovery_codes: expected 0 to 10, got {given['recovery_codes']}")
    try:
        sealed = _carry_out(Host(), given)
    except (TotpError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    done = given["phase"] in ("check", "confirm")
    module.exit_json(changed=done, account=given["account"], sealed=sealed)


def _carry_out(host: Host, given: dict[str, Any]) -> str:
    account, limits = given["account"], Limits(given["attempts"], given["seconds"])
    if given["phase"] == "begin":
        return _totp_enrolment.begin(
            host, account, limits, given["recovery_codes"], given["public_key"]
        )
    if given["phase"] == "confirm":
        _totp_enrolment.confirm(host, account, given["code"], limits, given["operator"])
    elif given["phase"] == "abandon":
        _totp_enrolment.abandon(host, account)
    else:
        _totp_enrolment.require_enrollable(host, account)
    return ""


if __name__ == "__main__":
    main()
