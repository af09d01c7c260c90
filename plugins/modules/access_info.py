#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: access_info
short_description: Everybody who can get at a host and at what it serves
version_added: 0.1.0
description:
  - Lists every way in, one row each. Keys and passwords of accounts, with what sudo and groups make of them; accounts of MariaDB with their grants;
    users of WordPress and Joomla who are more than visitors; names in the web server's password files.
  - Tells of each source whether it was read, is not there, or could not be read. What is not known is left out, and never reported as a "no".
  - Reads only. No password, hash, private key, token or secret of a second factor is returned.
author:
  - The Ringfence developers (@ringfence)
options:
  sources:
    description: What to look at.
    type: list
    elements: str
    choices: [server, database, cms, web]
    default: [server, database, cms, web]
  days:
    description: How many days the journal is asked back for sign-ins.
    type: int
    default: 400
  seconds:
    description: How long the search for files that run with their owner's rights may take.
    type: int
    default: 60
extends_documentation_fragment:
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.totp_info
  - module: ringfence.hosting.site_info
"""

EXAMPLES = r"""
- name: Who can get at this host
  ringfence.hosting.access_info:
  become: true
  register: found

- name: Show who becomes root
  ansible.builtin.debug:
    msg: "{{ found.access.rows | selectattr('privileged', 'defined') | selectattr('privileged') | map(attribute='username') | unique }}"
"""

RETURN = r"""
access:
  description: What was found, in the shape that the evidence keeps.
  returned: always
  type: dict
  contains:
    schema: {description: The version of this shape., type: int, sample: 1}
    collector: {description: The name of this module., type: str, sample: access_info}
    collected_at: {description: 'When, in UTC.', type: str, sample: "2026-01-31T12:00:00Z"}
    rows:
      description: One access each; a key is absent where nothing is known.
      type: list
      elements: dict
      sample:
        - system: server
          account_id: "1001"
          username: ada
          account_type: human
          privileged: true
          grant_path: ["sudo %sudo: (ALL : ALL) ALL"]
          credential_type: ssh_key
          key_fingerprint: "SHA256:3S+Z1aF+Icb5avMFVsPLna/0PdiI8XplU3IvF/uYRV0"
          last_login: "2026-01-30T08:11:02Z"
          mfa: "no"
          details: {"key_type": ssh-ed25519, "key_bits": 256, "from": ["203.0.113.0/24"]}
    coverage:
      description: What came of each source. V(read), V(absent) (the host has no such thing), V(failed) or V(not_collected).
      type: list
      elements: dict
      sample: [{"source": journal, "state": failed, "message": "journalctl did not answer within 20 s"}]
    facts: {description: 'What is no access: sites, jobs of cron, groups as good as root.', type: dict}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _access
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sources": {
                "type": "list",
                "elements": "str",
                "choices": ["server", "database", "cms", "web"],
                "default": ["server", "database", "cms", "web"],
            },
            "days": {"type": "int", "default": 400},
            "seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params
    found = _access.collect(Host(), given["sources"], given["days"], given["seconds"])
    module.exit_json(changed=False, access=found)


if __name__ == "__main__":
    main()
