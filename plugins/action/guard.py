# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the guard module; a confirmation only over a connection made for it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guard_session

_FACT = "ringfence_guard"
_MODULE = "ringfence.hosting.guard"
_DEFAULT_SECONDS = 120


class ActionModule(ActionBase):  # type: ignore[misc]
    """Action of the module ringfence.hosting.guard."""

    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        state = arguments.get("state", "armed")
        if self._task.check_mode:
            return {"changed": False, "msg": "check mode: no guard is armed, confirmed or put back"}
        if state == "armed":
            return self._arm(arguments, task_vars)
        known = task_vars.get("ansible_facts", {}).get(_FACT) or {}
        arguments["id"] = arguments.get("id") or known.get("id", "")
        if state != "confirmed":
            return self._call(arguments, task_vars)
        if not arguments["id"]:
            return {"failed": True, "msg": "state confirmed: no guard was armed in this play"}
        timeout = known.get("timeout", _DEFAULT_SECONDS)
        return self._confirm({"id": arguments["id"], "timeout": timeout}, task_vars)

    def _arm(self, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        arguments["operator"] = arguments.get("operator") or guard_session.operator()
        result = self._call(arguments, task_vars)
        if result.get("failed"):
            return result
        guard = result["guard"]
        # Kept with the host, for the task that confirms to know which guard is its own.
        facts = {key: guard[key] for key in ("id", "expires_at", "timeout")}
        result["ansible_facts"] = {**result.get("ansible_facts", {}), _FACT: facts}
        result["warnings"] = result.get("warnings", []) + guard_session.told_late(guard)
        return result

    def _confirm(self, guard: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        verdict = guard_session.confirm_over_new_connection(self, task_vars, guard)
        result = {"changed": False, "guard": verdict["guard"], "warnings": verdict["warnings"]}
        if not verdict["confirmed"]:
            result |= {"failed": True, "msg": verdict["msg"]}
        return result

    def _call(self, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars
        )
        return result
