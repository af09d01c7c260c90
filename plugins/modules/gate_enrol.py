#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gate_enrol
short_description: Makes a one-time link by which a person sets up their sign-in at a gate
version_added: 0.1.0
description:
  - Shows the link once on the operator's terminal. Whoever opens it chooses a password, scans a QR code with an
    authenticator app, and is enrolled when the first code has shown that the app holds the secret.
  - Without such a link nobody can enrol, with a password or without. A link works once, for a day by default, and only
    from C(security.second_factor.enrol_from) where that is said. A new link takes an older one back.
  - The link travels encrypted to a key that is made for this moment. It is in no result, log, diff or file.
  - Who is enrolled already is refused; M(ringfence.hosting.gate_reset) takes the old enrolment back.
author:
  - The Ringfence developers (@ringfence)
requirements:
  - segno on the controller, for a QR code of the link; without it the link is shown as text
options:
  user:
    description: The id of a person in people.yml who may pass a gate of this host.
    type: str
    required: true
  hours:
    description: For how long the link works, at most a week.
    type: int
    default: 24
  operator:
    description: Who enrols, for the host's own history.
    type: str
    default: ''
  phase:
    description: The step. The action plugin of this module sets it.
    type: str
    choices: [check, begin]
    default: check
  public_key:
    description: The key that the link is encrypted to. The action plugin of this module makes it.
    type: str
    default: ''
attributes:
  check_mode:
    description: Says whether a link would be made; makes none.
    support: full
  diff_mode:
    description: There is no diff, for it would hold the link.
    support: none
  idempotent:
    description: Each run makes another link.
    support: none
seealso:
  - module: ringfence.hosting.gate_reset
"""

EXAMPLES = r"""
- name: A link for dana
  ringfence.hosting.gate_enrol:
    user: dana
"""

RETURN = r"""
user:
  description: The person the link is for.
  returned: success
  type: str
sites:
  description: The sites whose gate they may pass.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_gate_host
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import GateError

_HOURS = range(1, 7 * 24 + 1)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "hours": {"type": "int", "default": 24},
            "operator": {"type": "str", "default": ""},
            "phase": {"type": "str", "choices": ["check", "begin"], "default": "check"},
            "public_key": {"type": "str", "default": "", "no_log": False},
        },
        supports_check_mode=True,
    )
    given, host = module.params, Host()
    if given["hours"] not in _HOURS:
        module.fail_json(msg=f"hours: expected 1 to {_HOURS[-1]}, got {given['hours']}")
    try:
        _site_gate_host.require_enrollable(host, given["user"])
        sites = _site_gate_host.may_pass(host, given["user"])
        sealed = ""
        if given["phase"] == "begin" and not module.check_mode:
            sealed = _site_gate_host.link(
                host, given["user"], given["hours"], given["public_key"], given["operator"]
            )
    except (GateError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, user=given["user"], sites=sites, sealed=sealed)


if __name__ == "__main__":
    main()
