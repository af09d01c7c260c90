#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Loads and keeps a firewall that lets in only what is declared
version_added: 0.1.0
description:
  - Renders rules for nftables from zones and services, compares them with the live table and with what is loaded at boot,
    and loads them in one transaction where either differs. IPv4 and IPv6 are treated alike.
  - Only the table C(inet ringfence) is touched. Tables of container engines, of C(fail2ban) and of others stay as they are.
  - What may come in is decided here; forwarded traffic is left to the container engines, save that banned and blocked addresses
    do not reach containers either.
  - The sets that bans, block lists and allow lists are kept in (see M(ringfence.hosting.firewall_set)) keep their contents.
  - Refuses, having changed nothing, where the rules would not let in the very connection that it came over.
  - A guard is armed on the host before anything is written. It puts everything back unless this task confirms over a new connection.
author:
  - The Ringfence developers (@ringfence)
options:
  state:
    description:
      - V(present) loads the rules now and at every boot.
      - V(absent) removes the table, the lists and all files that this module wrote.
    type: str
    choices: [present, absent]
    default: present
  zones:
    description:
      - Where connections come from, by name. Each is a list of addresses and networks, or V(any).
      - V(management) has to be there. It is looked at first, so that no ban and no block list can shut it out.
      - V(public) is V(any) unless it is given.
    type: dict
    default: {}
  services:
    description:
      - What may be reached, by name. Each has O(services) keys C(tcp) and C(udp) with ports and ranges such as V(8000-8010),
        C(protocols) (V(ah), V(esp), V(gre), V(igmp), V(sctp), V(vrrp)), C(zones) with names of zones,
        and C(limit) with the number of new connections a minute that one IPv4 address or IPv6 /64 may make (management is not limited).
    type: dict
    default: {}
  outbound_policy:
    description: Whether what the host itself begins may leave. With V(drop) only O(outbound_services) may, ICMP and DHCP aside.
    type: str
    choices: [accept, drop]
    default: accept
  outbound_services:
    description: As O(services), with the zones as destinations and without C(limit).
    type: dict
    default: {}
  log_rate:
    description: How many dropped packets a minute are logged, 0 for none. Packets of banned and blocked addresses are not logged.
    type: int
    default: 10
  force:
    description:
      - Loads the rules even where they would not let in this connection, for example because the next one comes from elsewhere.
      - The guard still puts them back when no new connection succeeds.
    type: bool
    default: false
  guard_id:
    description: The identifier of the guard. The action plugin of this module fills it in.
    type: str
    default: ""
  operator:
    description: Who makes the change. The action plugin of this module fills it in.
    type: str
    default: ""
extends_documentation_fragment:
  - ringfence.hosting.guarded.timeout
attributes:
  check_mode:
    description: Says what would change, or why it would be refused. Arms no guard and writes nothing.
    support: full
  diff_mode:
    description: Shows the file and, where the live table has strayed from it, the live table.
    support: full
  idempotent:
    description: A second run changes nothing unless the host was changed meanwhile, the live table included.
    support: full
seealso:
  - module: ringfence.hosting.firewall_info
  - module: ringfence.hosting.firewall_set
"""

EXAMPLES = r"""
- name: SSH from the office, sites from everywhere
  ringfence.hosting.firewall:
    zones:
      management: [203.0.113.0/24, "2001:db8::/48"]
    services:
      ssh: {tcp: [22], zones: [management]}
      web: {tcp: [80, 443], udp: [443], zones: [public]}

- name: A database for two web servers, and SSH from everywhere, ten sign-ins a minute from one address
  ringfence.hosting.firewall:
    zones:
      management: [203.0.113.7]
      web_servers: [10.0.3.11, 10.0.3.12]
    services:
      mariadb: {tcp: [3306], zones: [web_servers]}
      ssh: {tcp: [22], zones: [public], limit: 10}
"""

RETURN = r"""
closed:
  description: What listens on the host beyond loopback and is reached from nowhere under these rules.
  returned: when something was or would be changed, with O(state=present)
  type: list
  elements: str
  sample: ["3306/tcp mariadbd"]
connection:
  description: The SSH connection that the rules were checked to let in; empty where the play does not use SSH.
  returned: with O(state=present)
  type: str
  sample: 203.0.113.7 to port 22
guard:
  description: The guard that was armed, and confirmed by the action plugin.
  returned: when something was changed
  type: dict
  sample: {"id": "5f0c1d2e3a4b", "expires_at": "2026-01-01T00:02:00Z"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _firewall, _nftables
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "zones": {"type": "dict", "default": {}},
            "services": {"type": "dict", "default": {}},
            "outbound_policy": {"type": "str", "choices": ["accept", "drop"], "default": "accept"},
            "outbound_services": {"type": "dict", "default": {}},
            "log_rate": {"type": "int", "default": 10},
            "guard_timeout": {"type": "int", "default": 120},
            "force": {"type": "bool", "default": False},
            "guard_id": {"type": "str", "default": ""},
            "operator": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        found: dict[str, Any] = _firewall.run(Host(), module.params, check=module.check_mode)
    except (_nftables.DeclarationError, _firewall.FirewallError, HostError) as error:
        module.fail_json(msg=str(error))
    for warning in found.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**found)


if __name__ == "__main__":
    main()
