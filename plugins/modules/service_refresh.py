#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: service_refresh
short_description: Restarts services that run programs or libraries which were replaced
version_added: 0.1.0
description:
  - Looks through the memory maps of all processes once, and restarts each service of which one runs a file that is gone.
author:
  - The Ringfence developers (@ringfence)
options:
  later:
    description: Services, as patterns, that are left for the next reboot.
    type: list
    elements: str
    default: [dbus*.service, systemd-logind.service, 'user@*.service', '*getty@*.service']
attributes:
  check_mode:
    description: Says what would be restarted.
    support: full
  diff_mode:
    description: Changes no file.
    support: none
  idempotent:
    description: A second run restarts nothing unless something was replaced meanwhile.
    support: full
"""

EXAMPLES = r"""
- name: Nothing runs what was replaced
  ringfence.hosting.service_refresh:
"""

RETURN = r"""
restarted:
  description: The services that were, or would be, restarted.
  returned: always
  type: list
  elements: str
left:
  description: What still runs a replaced file, because it is no service, is to wait, or did not let go.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _service_refresh
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_LATER = ["dbus*.service", "systemd-logind.service", "user@*.service", "*getty@*.service"]


def main() -> None:
    module = AnsibleModule(
        argument_spec={"later": {"type": "list", "elements": "str", "default": _LATER}},
        supports_check_mode=True,
    )
    try:
        answer = _service_refresh.run(Host(), module.params["later"], check=module.check_mode)
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
