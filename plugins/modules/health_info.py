#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: health_info
short_description: Whether a host serves what it served before
version_added: 0.1.0
description:
  - Notes which services run, whether web server, PHP and SSH server accept their configuration, and what each site answers.
  - With O(before) it waits until nothing is worse than that, and fails where something stays so.
author:
  - The Ringfence developers (@ringfence)
options:
  sites:
    description: Sites of this host, as C(ringfence_sites) has them. The first of C(domains) is asked, over HTTP and HTTPS.
    type: list
    elements: dict
    default: []
  before:
    description: What this module returned as RV(state) before the change.
    type: dict
  seconds:
    description: How long to wait for what is worse to become well.
    type: int
    default: 60
extends_documentation_fragment:
  - ringfence.hosting.reads
"""

EXAMPLES = r"""
- name: What the host serves now
  ringfence.hosting.health_info:
    sites: "{{ ringfence_sites | default([]) }}"
  register: before

- name: It serves the same after the change
  ringfence.hosting.health_info:
    sites: "{{ ringfence_sites | default([]) }}"
    before: "{{ before.state }}"
"""

RETURN = r"""
state:
  description: Running services, tests of configurations, answers of sites.
  returned: always
  type: dict
broken:
  description: Programs that refuse their configuration now, whether or not they did before.
  returned: always
  type: list
  elements: str
problems:
  description: What is worse than before.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _health
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "default": []},
            "before": {"type": "dict"},
            "seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    sites, before = module.params["sites"], module.params["before"]
    worse: list[str] = []
    try:
        if before is None:
            state = _health.look(Host(), sites)
        else:
            state, worse = _health.settled(Host(), sites, before, module.params["seconds"])
    except HostError as error:
        module.fail_json(msg=str(error))
    broken = [f"{name}: {said}" for name, said in state["configuration"].items() if said != "ok"]
    answer = {"state": state, "broken": broken, "problems": worse}
    if worse:
        module.fail_json(msg="; ".join(worse), **answer)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
