# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a module that arms a guard itself, and ends that guard whatever becomes of the answer."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guard_session

_DEFAULT_SECONDS = 120


def run(action: ActionBase, module: str, task_vars: dict[str, Any]) -> dict[str, Any]:
    """The result of `module`, which takes guard_id, operator and guard_timeout, and returns `guard`
    when it armed one. Failed, with one line, where the change was put back."""
    seconds = int(action._task.args.get("guard_timeout", _DEFAULT_SECONDS))
    # Named here, so that the guard can be asked for even when the module's answer is lost.
    guard = {"id": _guard.new_id(), "timeout": seconds}
    named = {"guard_id": guard["id"], "operator": guard_session.operator()}
    try:
        result: dict[str, Any] = action._execute_module(
            module_name=module, module_args={**action._task.args, **named}, task_vars=task_vars
        )
    except AnsibleConnectionFailure as error:
        if action._task.check_mode or not seconds or guard_session.never_connected(error):
            raise
        verdict = guard_session.settle(action, task_vars, guard, "the connection was lost")
        return _told({"changed": verdict["confirmed"]}, verdict)
    if result.get("failed") or not result.get("guard"):
        return result
    result["warnings"] = [*result.get("warnings", []), *guard_session.told_late(result["guard"])]
    verdict = guard_session.confirm_over_new_connection(
        action, task_vars, result["guard"], activate=False
    )
    return _told(result, verdict)


def _told(result: dict[str, Any], verdict: guard_session.Verdict) -> dict[str, Any]:
    result["warnings"] = [*result.get("warnings", []), *verdict["warnings"]]
    if not verdict["confirmed"]:
        result |= {"failed": True, "changed": False, "msg": verdict["msg"]}
    return result
