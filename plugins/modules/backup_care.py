#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_care
short_description: Prunes a client's repository, adopts old archives, changes its password, shreds its keys
version_added: 0.1.0
description:
  - Runs on the controller with C(backup.keeper) of the register, a key that no host has.
author:
  - The Ringfence developers (@ringfence)
options:
  sites:
    description: The sites of one client, or for V(prune) of any, as the inventory plugin gives them in C(ringfence_sites).
    type: list
    elements: dict
    required: true
  what:
    description:
      - V(prune) forgets the backups that C(backup.keep) does not keep, and removes their data.
      - V(add_password) has C(backup.next.password) open the repository as well.
      - V(drop_passwords) has nothing but C(backup.password) open it. It removes none while a host of O(held) has
        another, or does not say.
      - V(escrow) encrypts C(backup.password) to the people of C(backup.escrow) by age; each can open it alone.
      - V(adopt) brings O(archives) of O(bucket) into the repository, reads them back and compares. They stay where
        they were too, unless O(remove) is true.
      - V(copy) copies every backup of O(old) into the repository that the register names now, which has a master
        key of its own, and checks it.
      - V(shred) deletes what passwords open the repository by, for a client that has left.
    type: str
    required: true
    choices: [prune, add_password, drop_passwords, escrow, adopt, copy, shred]
  old:
    description: What V(copy) copies from.
    type: dict
    suboptions:
      repository:
        description: Its folder in the bucket; the client's id unless C(backup.repository) said otherwise.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
  bucket:
    description: The bucket of O(archives).
    type: str
  archives:
    description: Names of old archives, for V(adopt), as M(ringfence.hosting.s3_archive_info) finds them.
    type: list
    elements: str
  remove:
    description: For V(adopt), whether an archive is deleted from O(bucket) once its copy was read back and compared.
    type: bool
    default: false
  held:
    description:
      - For V(drop_passwords), each host with sites of the client -> what M(ansible.builtin.stat) says, with a
        checksum by SHA-256, of its file C(/etc/ringfence/backup/CLIENT/password); empty where it did not say.
    type: dict
  confirm:
    description: The client's id, for V(shred).
    type: str
extends_documentation_fragment:
  - ringfence.hosting.s3.authority
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: All but V(escrow), which encrypts anew each time.
    support: partial
"""

EXAMPLES = r"""
- name: Old backups of the client go
  ringfence.hosting.backup_care:
    sites: "{{ ringfence_sites | selectattr('client', 'equalto', 'acme') }}"
    what: prune
"""

RETURN = r"""
pruned:
  description: CLIENT/SITE -> how many backups went.
  returned: for prune
  type: dict
dropped:
  description: How many passwords open it no more.
  returned: for drop_passwords
  type: int
file:
  description: The encrypted copy of the password.
  returned: for escrow
  type: str
archives:
  description: Each archive with C(name), C(adopted), where it is new C(snapshot) and C(bytes), and C(removed).
  returned: for adopt
  type: list
  elements: dict
copied:
  description: How many backups were copied.
  returned: for copy
  type: int
deleted:
  description: How many versions of key files were deleted.
  returned: for shred
  type: int
locked:
  description: Key files of which S3 holds a version until its lock ends.
  returned: for shred
  type: list
  elements: str
opens:
  description: Whether the repository can still be opened.
  returned: for shred
  type: bool
destroy:
  description: Copies in escrow that are to be destroyed by hand.
  returned: for shred
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "what": {
                "type": "str",
                "required": True,
                "choices": [
                    "prune",
                    "add_password",
                    "drop_passwords",
                    "escrow",
                    "adopt",
                    "copy",
                    "shred",
                ],
            },
            "old": {
                "type": "dict",
                "options": {
                    "repository": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                },
            },
            "bucket": {"type": "str"},
            "archives": {"type": "list", "elements": "str"},
            "remove": {"type": "bool", "default": False},
            "held": {"type": "dict"},
            "confirm": {"type": "str"},
            "authority": {"type": "str"},
        },
        supports_check_mode=True,
    ).fail_json(msg="the action plugin of this name did not run")


if __name__ == "__main__":
    main()
