# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a few changes under a guard, and keeps them only when a new sign-in works."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guard_session

_MODULE = "ringfence.hosting.guard"
_ARM = ("paths", "reload", "sysctls", "nftables", "timeout", "reason")
# Left for activating and confirming, before the host puts itself back.
_RESERVE_SECONDS = 2.0

Result = dict[str, Any]


class _ChangeError(Exception):
    """A change failed; the message is one line."""


class _NotArmedError(Exception):
    """The guard was refused; nothing was changed."""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Action of ringfence.hosting.guarded_change, which has no part on the host of its own."""

    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> Result:
        super().run(tmp, task_vars)
        _checked, arguments = self.validate_argument_spec(
            {
                "changes": {"type": "list", "elements": "dict", "required": True},
                "activate": {"type": "list", "elements": "dict", "default": []},
                "paths": {"type": "list", "elements": "str", "required": True},
                "reload": {"type": "list", "elements": "str", "default": []},
                "sysctls": {"type": "list", "elements": "str", "default": []},
                "nftables": {"type": "bool", "default": True},
                "timeout": {"type": "int", "default": 120},
                "reason": {"type": "str", "default": ""},
            }
        )
        changes = [_named(change, "changes") for change in arguments["changes"]]
        activate = [_named(change, "activate") for change in arguments["activate"]]
        preview = [self._change(*change, task_vars, check=True) for change in changes]
        if self._task.check_mode or not any(_would_change(result) for result in preview):
            return _summed(changes, preview)
        return self._guarded(arguments, changes, activate, task_vars)

    def _guarded(
        self,
        arguments: Result,
        changes: list[tuple[str, Result]],
        activate: list[tuple[str, Result]],
        task_vars: Any,
    ) -> Result:
        # Known before the host is asked, to be able to ask again when its answer is lost.
        guard = {"id": _guard.new_id(), "timeout": arguments["timeout"]}
        results: list[Result] = []
        try:
            deadline = time.monotonic() + arguments["timeout"] - _RESERVE_SECONDS
            warnings = self._arm(guard["id"], arguments, task_vars)
            for name, options in changes:
                results.append(self._in_time(name, options, task_vars, deadline))
            if any(result.get("changed") for result in results):
                for name, options in activate:
                    self._in_time(name, options, task_vars, deadline)
        except _NotArmedError as error:
            return {"failed": True, "changed": False, "msg": str(error)}
        except _ChangeError as error:
            verdict = guard_session.settle(self, task_vars, guard, str(error))
            return {"failed": True, "changed": False, "msg": verdict["msg"]}
        verdict = guard_session.confirm_over_new_connection(self, task_vars, guard)
        found = _summed(changes, results)
        found["warnings"] = warnings + verdict["warnings"]
        found["guard"] = verdict["guard"]
        if not verdict["confirmed"]:
            found |= {"failed": True, "changed": False, "msg": verdict["msg"]}
        return found

    def _arm(self, guard_id: str, arguments: Result, task_vars: Any) -> list[str]:
        chosen = {key: arguments[key] for key in _ARM}
        chosen |= {"state": "armed", "id": guard_id, "operator": guard_session.operator()}
        try:
            result = self._execute_module(
                module_name=_MODULE, module_args=chosen, task_vars=task_vars
            )
        except AnsibleError as error:
            raise _ChangeError(f"the connection was lost: {error}") from error
        if result.get("failed"):
            raise _NotArmedError(result.get("msg", "the guard cannot be armed"))
        return guard_session.told_late(result["guard"])

    def _in_time(self, name: str, options: Result, task_vars: Any, deadline: float) -> Result:
        if time.monotonic() > deadline:
            raise _ChangeError(f"no time is left under the guard for {name}: raise timeout")
        result = self._change(name, options, task_vars, check=False)
        if result.get("failed"):
            raise _ChangeError(f"{name} failed: {guard_session.one_line(result)}")
        return result

    def _change(self, name: str, options: Result, task_vars: Any, *, check: bool) -> Result:
        """Run a module as a task of its own would be run, with this task's become and vars."""
        task = self._task.copy()
        task.action, task.args, task.check_mode = name, dict(options), check
        loader = self._shared_loader_obj.action_loader
        handler = loader.get(
            name if loader.has_plugin(name) else "ansible.legacy.normal",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        try:
            result: Result = handler.run(task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            if check:
                raise
            return {"failed": True, "msg": str(error)}
        except AnsibleError as error:
            # In the preview this may be no more than a folder that an earlier change makes.
            return {"failed": True, "msg": str(error)}
        return result


def _named(change: Result, option: str) -> tuple[str, Result]:
    """{"ansible.builtin.copy": {…}} as (name, options)."""
    if len(change) != 1 or not isinstance(next(iter(change.values())), dict):
        raise AnsibleError(
            f"{option}: expected one module with its options in each item, such as "
            f"ansible.builtin.copy: {{src: …}}, not {', '.join(map(str, change))}"
        )
    return next(iter(change.items()))


def _would_change(result: Result) -> bool:
    return bool(result.get("changed") or result.get("failed") or result.get("skipped"))


def _summed(changes: list[tuple[str, Result]], results: list[Result]) -> Result:
    """One result of several: changed when one is, failed when one is, and every diff."""
    found: Result = {"changed": any(result.get("changed") for result in results)}
    found["results"] = [
        {"module": name, "changed": bool(result.get("changed"))}
        for (name, _options), result in zip(changes, results, strict=True)
    ]
    diffs = [result["diff"] for result in results if result.get("diff")]
    found["diff"] = [d for diff in diffs for d in (diff if isinstance(diff, list) else [diff])]
    broken = [result for result in results if result.get("failed")]
    if broken:
        found |= {"failed": True, "msg": guard_session.one_line(broken[0])}
    return found
