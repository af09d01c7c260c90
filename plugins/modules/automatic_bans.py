#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: automatic_bans
short_description: Bans who attacks a host or its sites, for a while
version_added: 0.1.0
description:
  - Brings a host to have exactly the bans that its sites ask for in C(security.automatic_bans) of the client register. Without
    any, or with O(state=absent), all that was put there goes; the packages and the record of bans stay.
  - fail2ban reads the logs, one jail for each set of thresholds. A service of ours makes bans hold in the kernel, for sites behind
    a CDN in the web server, and for accounts in the CMS. It tells the other hosts.
  - Who is never banned comes first in the kernel as well, whatever is on a list.
author:
  - The Ringfence developers (@ringfence)
options:
  phase:
    description:
      - V(look) makes the keys that hosts share bans with, and says what the controller must know of this host. It comes first, on all
        hosts.
      - V(central) sets up the central list on the host that is to keep it, and V(register) makes the credentials of who may use it.
        Neither does anything on another host.
      - V(apply) does the rest.
    type: str
    choices: [look, central, register, apply]
    default: apply
  state:
    description: V(absent) takes everything away.
    type: str
    choices: [present, absent]
    default: present
  management:
    description: Networks that administrators connect from. They are never banned, and there must be one.
    type: list
    elements: str
    default: []
  never:
    description: More networks that are never banned, such as monitors of the agency.
    type: list
    elements: str
    default: []
  ssh:
    description:
      - Thresholds for SSH, C(attempts), C(within) and C(ban), and perhaps C(repeat) with C(factor) and C(at_most).
      - The strictest of what the sites ask for unless given. An empty mapping is no bans for SSH.
    type: dict
  addresses:
    description: Where the other hosts reach this one, the first one for telling of bans. C(ansible_host) unless given.
    type: list
    elements: str
    default: []
  share:
    description: Whether this host tells of its bans and is told, where a site asks for it.
    type: bool
    default: true
  share_port:
    description: The port on which it is told.
    type: int
    default: 2242
  share_at_most:
    description: How long what another host told of lasts here at most.
    type: str
    default: 4h
  share_an_hour:
    description: How many bans another host may make here in an hour.
    type: int
    default: 200
  crowdsec_server:
    description:
      - The host of the inventory that keeps a central list of bans, with the local API of CrowdSec. The hosts that name it share bans
        by it. Without it hosts tell each other.
    type: str
    default: ""
  crowdsec_port:
    description: The port on which the central list answers.
    type: int
    default: 2243
  secret:
    description: What the host signs in to the central list with, handed over by the action plugin of this module.
    type: str
    default: ""
  payload:
    description: The above, packed by the action plugin of this module.
    type: str
    default: ""
extends_documentation_fragment:
  - ringfence.hosting.sites.of_host
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows each file. Keys are only named.
    support: full
  idempotent:
    description: A second run changes nothing unless the host was changed meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.ban
  - module: ringfence.hosting.ban_info
"""

EXAMPLES = r"""
- name: What the hosts know of themselves
  ringfence.hosting.automatic_bans:
    phase: look
  register: __automatic_bans_seen

- name: Bans as the sites ask for them
  ringfence.hosting.automatic_bans:
    management: [203.0.113.0/24]
"""

RETURN = r"""
keys:
  description: The public keys of the host, with O(phase=look).
  returned: success
  type: dict
central:
  description: The host whose central list this one is let in to, with O(phase=look).
  returned: success
  type: str
certificate:
  description: What the central list answers with, with O(phase=central).
  returned: success
  type: str
credentials:
  description: What hosts sign in with that are let in now, with O(phase=register). Keep it out of logs.
  returned: success
  type: dict
unlogged:
  description: Server blocks of nginx without a log of their own, with O(phase=look).
  returned: success
  type: dict
warnings:
  description: What of a site cannot be watched, and why.
  returned: success
  type: list
  elements: str
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _bans
from ansible_collections.ringfence.hosting.plugins.module_utils._connection import ssh_connection
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "phase": {
                "type": "str",
                "choices": ["look", "central", "register", "apply"],
                "default": "apply",
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "sites": {"type": "list", "elements": "dict"},
            "management": {"type": "list", "elements": "str", "default": []},
            "never": {"type": "list", "elements": "str", "default": []},
            "ssh": {"type": "dict"},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "share": {"type": "bool", "default": True},
            "share_port": {"type": "int", "default": 2242},
            "share_at_most": {"type": "str", "default": "4h"},
            "share_an_hour": {"type": "int", "default": 200},
            "crowdsec_server": {"type": "str", "default": ""},
            "crowdsec_port": {"type": "int", "default": 2243},
            "secret": {"type": "str", "default": "", "no_log": True},
            "payload": {"type": "str", "default": "", "no_log": False},
        },
        supports_check_mode=True,
    )
    if not module.params["payload"]:
        module.fail_json(msg="expected to be run by the action plugin of its name")
    given = json.loads(module.params["payload"])
    given["secret"] = json.loads(module.params["secret"] or "{}")
    connection = ssh_connection()
    given["connection"] = str(connection.address) if connection else ""
    try:
        found = _bans.run(Host(), given, check=module.check_mode)
    except (_bans.BansError, HostError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in found.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**found)


if __name__ == "__main__":
    main()
