#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation only: the action plugin of this name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guarded_change
short_description: A few changes that the host puts back unless a new sign-in works
version_added: 0.1.0
description:
  - Runs the modules in O(changes) under M(ringfence.hosting.guard), in one task.
  - First asks every one of them, in check mode, whether it has something to change. When none has,
    no guard is armed and the task is done.
  - Else arms the guard, makes the changes, runs O(activate), has the units in O(reload) read the
    files, signs in over a new connection and confirms.
  - When a change fails, the connection is lost in the middle, or the new sign-in fails, the host is
    put back, and the task fails with one line that says what was put back.
author: The Ringfence developers (@ringfence)
options:
  changes:
    description:
      - Modules with their options, one in each item, in order. They must support check mode.
    type: list
    elements: dict
    required: true
  activate:
    description:
      - Modules that put the changed files into force, run only when something was changed. What
        O(reload) does need not be here.
    type: list
    elements: dict
    default: []
  paths:
    description:
      - Files and folders that O(changes) and O(activate) may touch, absolute.
    type: list
    elements: str
    required: true
  reload:
    description:
      - Services and sockets that read O(paths).
    type: list
    elements: str
    default: []
  sysctls:
    description:
      - Network sysctls whose live value is guarded.
    type: list
    elements: str
    default: []
  nftables:
    description:
      - Whether the live nftables ruleset is guarded.
    type: bool
    default: true
  timeout:
    description:
      - Seconds until the host puts itself back, from 5 to 3600.
    type: int
    default: 120
  reason:
    description:
      - What the change is for.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Shows what the changes would do; arms nothing.
  diff_mode:
    support: full
    description: Shows the differences of every change.
  idempotent:
    support: full
    description: As idempotent as the modules it runs.
seealso:
  - module: ringfence.hosting.guard
"""

EXAMPLES = r"""
- name: The firewall holds the declared rules
  ringfence.hosting.guarded_change:
    reason: firewall rules
    paths: [/etc/nftables.d/ringfence.nft]
    changes:
      - ansible.builtin.template:
          src: ringfence.nft.j2
          dest: /etc/nftables.d/ringfence.nft
          mode: "0600"
          validate: nft -c -f %s
    activate:
      - ansible.builtin.command: {argv: [nft, -f, /etc/nftables.d/ringfence.nft]}
  become: true

- name: Only administrators sign in over SSH
  ringfence.hosting.guarded_change:
    reason: AllowGroups
    paths: [/etc/ssh]
    reload: [ssh]
    changes:
      - ansible.builtin.copy:
          dest: /etc/ssh/sshd_config.d/20-administrators.conf
          content: "AllowGroups administrators\n"
          mode: "0600"
  become: true
"""

RETURN = r"""
results:
  description: For every change, its module and whether it changed something.
  returned: always
  type: list
  elements: dict
guard:
  description: The guard, when one was armed and confirmed.
  returned: changed
  type: dict
"""
