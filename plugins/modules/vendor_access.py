#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vendor_access
short_description: Gives a third party's people their accounts, and takes them at the end
version_added: 0.1.0
description:
  - Makes an account for each grant in O(people) that holds today. It opens by the person's keys, from the grant's addresses,
    up to and with its last day, and may run as root what the grant names. sudo keeps a record of each command.
  - Keys lie in C(/etc/ssh/ringfence-vendors), where their holder cannot add another.
  - An account whose grants have ended or are gone is locked and expired, its keys and sudo rules go, all that it runs is ended.
    Its home is kept.
  - Touches no account that it did not make. A name that is taken is refused.
  - A timer on the host ends what is over between two runs.
  - sshd's and sudo's files are tried first, and written under a guard, which puts them back unless this task confirms over a new
    connection.
author:
  - The Ringfence developers (@ringfence)
options:
  people:
    description:
      - A grant each, with C(account), C(person) (an id), C(name), C(third_party) (an id), C(keys) (each with C(public_key), C(expires)),
        C(sudo) (whole paths with arguments, or C(ALL)), C(from) (networks), C(start) and C(end) (the last day, YYYY-MM-DD).
    type: list
    elements: dict
    required: true
  revoke:
    description: Ids of third parties that lose all access to this host now, whatever O(people) says, until they are in O(reinstate).
    type: list
    elements: str
    default: []
  reinstate:
    description: Ids of third parties whose revocation is taken back.
    type: list
    elements: str
    default: []
  record_days:
    description:
      - Days for which sudo's record of what these accounts ran is kept in C(/var/log/sudo-io); systemd-tmpfiles removes what is older
        once a day. V(0) keeps it for ever.
    type: int
    default: 180
  guard_timeout:
    description:
      - Seconds that the guard waits for the confirmation before it puts the files back.
      - V(0) arms no guard, which is right only where a console is at hand.
    type: int
    default: 120
extends_documentation_fragment:
  - ringfence.hosting.guarded
attributes:
  check_mode:
    description: Says what would change, or why it would be refused, and writes nothing.
    support: full
  diff_mode:
    description: Shows the files before and after, and the commands that change accounts.
    support: full
  idempotent:
    description: A second run changes nothing unless the host was changed meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.access_info
"""

EXAMPLES = r"""
- name: What the register grants
  ringfence.hosting.vendor_access:
    people: "{{ ringfence_vendor_access }}"

- name: Nobody of a third party has access any more, from now on
  ringfence.hosting.vendor_access:
    people: "{{ ringfence_vendor_access }}"
    revoke: [servercare]
"""

RETURN = r"""
open:
  description: Account -> its person, third party and last day, of those that have access.
  returned: success
  type: dict
  sample: {"sc_sam": {"person": "sam", "third_party": "servercare", "end": "2029-04-01"}}
removed:
  description: Account -> its home, which is kept, of those that have no access any more.
  returned: success
  type: dict
  sample: {"sc_tom": "/home/sc_tom"}
closed_now:
  description: Those of RV(removed) that lost it in this run.
  returned: success
  type: list
  elements: str
revoked:
  description: Third party -> the day since when all its access is revoked.
  returned: success
  type: dict
guard:
  description: The guard that was armed, and confirmed by the action plugin.
  returned: when files of sshd or sudo were changed
  type: dict
"""

import os
from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _vendor_access,
    _vendor_guarded,
    _vendor_host,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "people": {"type": "list", "elements": "dict", "required": True},
            "revoke": {"type": "list", "elements": "str", "default": []},
            "reinstate": {"type": "list", "elements": "str", "default": []},
            "record_days": {"type": "int", "default": 180},
            "guard_timeout": {"type": "int", "default": 120},
            "guard_id": {"type": "str", "default": ""},
            "operator": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given, host = module.params, Host()
    ask = {key: given[key] for key in ("guard_timeout", "guard_id", "operator")}
    guard: dict[str, Any] | None = None
    try:
        with _vendor_host.alone(host):
            made = _vendor_host.plan(
                host,
                given["people"],
                datetime.now(UTC).date(),
                revoke=given["revoke"],
                reinstate=given["reinstate"],
                user=os.environ.get("SUDO_USER", ""),
                record_days=given["record_days"],
            )
            diff = _vendor_host.diffs(host, made)
            _vendor_guarded.require_taken(host, made)
            if made.changed and not module.check_mode:
                guard = _vendor_guarded.carry_out(host, made, **ask)
    except (_vendor_access.VendorError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in made.warnings:
        module.warn(warning)
    module.exit_json(
        changed=made.changed,
        diff=diff,
        open={
            name: {
                "person": grants[0].person,
                "third_party": grants[0].third_party,
                "end": str(_vendor_access.last_day(grants) or ""),
            }
            for name, grants in made.wanted.open.items()
        },
        removed=made.homes,
        closed_now=made.closing,
        revoked=dict(made.wanted.revoked),
        **({"guard": guard} if guard else {}),
    )


if __name__ == "__main__":
    main()
