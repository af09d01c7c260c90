# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.ringfence.hosting.plugins.module_utils._guard import new_id
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guard_session
from ansible_collections.ringfence.hosting.plugins.plugin_utils.control_action import ControlAction

_DEFAULT_SECONDS = 120


class ActionModule(ControlAction):
    """Applies controls, and confirms a guarded change over a new connection."""

    module_name = "control_apply"
    whole = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        seconds = int(self._task.args.get("guard_timeout", _DEFAULT_SECONDS))
        # Named here, so that a guard can be asked for even when the module's answer is lost.
        guard = {"id": new_id(), "timeout": seconds}
        self.added_arguments = {"guard_id": guard["id"], "operator": guard_session.operator()}
        try:
            result = super().run(tmp, task_vars)
        except AnsibleConnectionFailure as error:
            if not seconds or guard_session.never_connected(error):
                raise
            verdict = guard_session.settle(self, task_vars, guard, "the connection was lost")
            return {"failed": True, "msg": verdict["msg"] or str(error), "guard": verdict["guard"]}
        if not result.get("guard"):
            return result
        return self._confirmed(result, task_vars)

    def _confirmed(self, result: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        warnings = [*result.get("warnings", []), *guard_session.told_late(result["guard"])]
        # The module itself has reloaded what had to be: nothing is left to activate.
        broken = [f"{name} failed: {why}" for name, why in result.get("broken_reloads", {}).items()]
        if broken:
            verdict = guard_session.settle(self, task_vars, result["guard"], broken[0])
        else:
            verdict = guard_session.confirm_over_new_connection(
                self, task_vars, result["guard"], activate=False
            )
        result["warnings"] = warnings + verdict["warnings"]
        if not verdict["confirmed"]:
            result |= {"failed": True, "changed": False, "msg": verdict["msg"]}
            _take_back(result, verdict["msg"])
        return result


def _take_back(result: dict[str, Any], why: str) -> None:
    """What was put back is not changed: each such control ends in error, with the reason."""
    back = result["guard"].get("controls", [])
    for row in result.get("controls", []):
        shared = row["id"] in back or row.get("disruption") == "access"
        if row["status"] == "changed" and shared:
            row |= {"status": "error", "message": why}
            result["counts"]["changed"] -= 1
            result["counts"]["error"] += 1
