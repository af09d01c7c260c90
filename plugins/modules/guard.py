#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Arm, confirm and end a guard on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guard
short_description: A host that puts an unconfirmed change back by itself
version_added: 0.1.0
description:
  - Commit-confirm for changes that can lock the operator out (sshd, PAM, sudo, nftables, accounts,
    network sysctls), as network devices have it.
  - O(state=armed) takes a snapshot of the files, the live nftables ruleset, the units and the
    sysctls, and starts a systemd timer on the host that puts them back.
  - O(state=confirmed) has the units in O(reload) read the changed files, signs in again over a new
    connection (new TCP, new authentication, become as well) and only then stops the timer. When
    that sign-in fails the task fails, and its one line says what was put back.
  - Without a confirmation, the host puts itself back when O(timeout) is over, or at its next boot,
    without the controller. Forgetting to confirm is therefore safe.
  - One guard at a time per host. A second run is refused, and told who holds the guard until when.
  - For a change of one to a few tasks M(ringfence.hosting.guarded_change) is shorter, arms only when
    there is something to change, and also tells what was put back when the connection is lost in
    the middle of the change.
author: The Ringfence developers (@ringfence)
options:
  state:
    description:
      - V(armed) starts a guard.
      - V(activated) has the units in O(reload) read what was changed; V(confirmed) does this itself.
      - V(confirmed) keeps the change.
      - V(restored) puts everything back now.
    type: str
    choices: [armed, activated, confirmed, restored]
    default: armed
  id:
    description:
      - Which guard. By default the one this play armed on the host; for V(restored) without one, the
        one that is armed.
      - With O(state=armed), the identifier to give to it, 6 to 32 hexadecimal digits.
    type: str
    default: ""
  paths:
    description:
      - Files and folders that the change may touch, absolute. Folders are guarded with everything
        below them, links with what they point to. What is not there yet is removed when put back.
    type: list
    elements: str
    default: []
  reload:
    description:
      - Services and sockets that read O(paths). They are reloaded after files were put back, and
        before the new sign-in. ssh is put back in any case, if it ran.
    type: list
    elements: str
    default: []
  sysctls:
    description:
      - Network sysctls whose live value is guarded, such as V(net.ipv4.conf.all.rp_filter).
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
      - Seconds until the host puts itself back, from 5 to 3600. It must be longer than all that is
        done between armed and confirmed.
    type: int
    default: 120
  reason:
    description:
      - What the change is for, shown to whoever is refused meanwhile, and in the journal.
    type: str
    default: ""
  operator:
    description:
      - Who makes the change. By default the account and the name of the controller.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Nothing is armed, confirmed or put back.
  diff_mode:
    support: none
    description: What was put back is listed by name; contents may be secret.
  idempotent:
    support: full
    description: Arming and confirming change nothing that lasts, and never report changed.
notes:
  - Needs root and systemd on the host; refuses elsewhere, having changed nothing.
  - Handlers run at the end of a play, after the confirmation. Name their units in O(reload), or run
    them before with P(ansible.builtin.meta#module) V(flush_handlers).
  - Do not use C(retries), C(ignore_unreachable) or C(ansible_ssh_retries) between armed and
    confirmed, for what they repeat may run when the host has put itself back and nothing guards it.
seealso:
  - module: ringfence.hosting.guarded_change
  - module: ringfence.hosting.guard_info
"""

EXAMPLES = r"""
- name: Change how people sign in
  become: true
  block:
    - name: The host will put sshd and PAM back unless confirmed
      ringfence.hosting.guard:
        state: armed
        reason: second factor for administrators
        paths: [/etc/ssh, /etc/pam.d]
        reload: [ssh]

    - name: PAM asks for a code
      ansible.builtin.template:
        src: sshd.pam.j2
        dest: /etc/pam.d/sshd
        mode: "0644"

    - name: A new sign-in works, so the change stays
      ringfence.hosting.guard:
        state: confirmed
  rescue:
    - name: What a failed task left behind is put back at once
      ringfence.hosting.guard:
        state: restored
        reason: a task failed

    - name: The run still fails
      ansible.builtin.fail:
        msg: "{{ ansible_failed_result.msg | default('the change failed') }}"

- name: By hand, put back whatever is armed
  ringfence.hosting.guard:
    state: restored
    reason: asked for by the operator
"""

RETURN = r"""
guard:
  description: The guard after the task.
  returned: always, save in check mode
  type: dict
  contains:
    id:
      description: Identifier of the guard.
      type: str
      sample: 9f1c52ab03de
    expires_at:
      description: When the host puts itself back, UTC.
      type: str
      returned: armed
    timeout:
      description: Seconds from armed to that moment.
      type: int
      returned: armed
    paths:
      description: What is guarded, links resolved.
      type: list
      elements: str
      returned: armed
    previous:
      description: What an earlier guard put back, if no run was told of it yet.
      type: dict
      returned: armed
    changed:
      description: Paths, tables and sysctls that differ from the snapshot.
      type: list
      elements: str
      returned: activated or confirmed
    reloaded:
      description: Units that were reloaded.
      type: list
      elements: str
      returned: activated
    outcome:
      description: V(confirmed) or V(restored).
      type: str
      returned: confirmed or restored
    why:
      description: Why it was put back.
      type: str
      returned: restored
    summary:
      description: What was put back, in one line.
      type: str
      returned: restored
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard

ARGUMENTS: dict[str, Any] = {
    "state": {
        "type": "str",
        "choices": ["armed", "activated", "confirmed", "restored"],
        "default": "armed",
    },
    "id": {"type": "str", "default": ""},
    "paths": {"type": "list", "elements": "str", "default": []},
    "reload": {"type": "list", "elements": "str", "default": []},
    "sysctls": {"type": "list", "elements": "str", "default": []},
    "nftables": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 120},
    "reason": {"type": "str", "default": ""},
    "operator": {"type": "str", "default": ""},
}


def _run(params: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """(whether something that lasts was changed, the guard)."""
    state, guard_id = params["state"], params["id"]
    if state == "armed":
        options = ("nftables", "reload", "sysctls", "operator")
        chosen = {key: params[key] for key in options} | {"guard_id": guard_id}
        guard = _guard.arm(params["paths"], params["timeout"], params["reason"], **chosen)
        return False, guard
    if state == "activated":
        return False, _guard.activate(guard_id)
    if state == "confirmed":
        return False, _guard.confirm(guard_id)
    guard = _guard.restore(
        guard_id or _guard.armed_id(), params["reason"] or "asked for by the operator"
    )
    _guard.acknowledge(guard["id"])
    kinds = ("restored", "removed", "tables", "sysctls")
    return any(guard[kind] for kind in kinds), guard


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        changed, guard = _run(module.params)
    except _guard.GuardError as error:
        module.fail_json(msg=str(error), guard=error.ended)
    module.exit_json(changed=changed, guard=guard)


if __name__ == "__main__":
    main()
