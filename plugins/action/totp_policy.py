# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guard_session, totp_terminal
from ansible_collections.ringfence.hosting.plugins.plugin_utils.totp_terminal import TerminalError

_MODULE = "ringfence.hosting.totp_policy"
_DEFAULT_SECONDS = 120
# The account that the play came in with, and the address the host saw it come from.
_WHO = 'printf "%s %s" "$(id -un)" "${SSH_CONNECTION%% *}"'
_PROMPT = "ode: "  # of "Verification code: ", in whichever case


class ActionModule(ActionBase):  # type: ignore[misc]
    """Tells the module how the play signed in, and confirms its change by a new sign-in."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; failed, with one line, where the change was put back."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        timeout = int(self._task.args.get("guard_timeout", _DEFAULT_SECONDS))
        guard: dict[str, Any] = {"id": _guard.new_id(), "timeout": timeout}
        arguments = {**self._task.args, **self._sign_in()}
        arguments |= {"guard_id": guard["id"], "operator": guard_session.operator()}
        try:
            result: dict[str, Any] = self._execute_module(
                module_name=_MODULE, module_args=arguments, task_vars=task_vars
            )
        except AnsibleError as error:
            if self._task.check_mode or not timeout:
                raise
            # The answer was lost: the host may be changed, and puts itself back.
            problem = f"the connection was lost in mid-change ({error})"
            return _told({"changed": False}, guard_session.settle(self, task_vars, guard, problem))
        if result.get("failed") or not result.get("guard"):
            return result
        result.setdefault("warnings", []).extend(guard_session.told_late(result["guard"]))
        return _told(result, self._verdict(result, task_vars))

    def _sign_in(self) -> dict[str, Any]:
        if self._connection.transport != "ssh":
            return {}
        answer = self._low_level_execute_command(_WHO, sudoable=False)
        user, _space, address = str(answer.get("stdout", "")).strip().partition(" ")
        if answer.get("rc") != 0 or not user or not address:
            raise AnsibleError("the host does not say how this play signed in: nothing was changed")
        can_answer = bool(totp_terminal.path_of_operator())
        return {"user": user, "address": address, "can_answer": can_answer}

    def _verdict(self, result: dict[str, Any], task_vars: dict[str, Any]) -> guard_session.Verdict:
        guard = result["guard"]
        if not result["asks_this_play"]:
            return guard_session.confirm_over_new_connection(self, task_vars, guard)
        problem = self._guard("activated", guard, task_vars)
        if problem:
            return guard_session.settle(self, task_vars, guard, problem)
        try:
            with totp_terminal.opened() as terminal:
                code = terminal.ask(
                    f"{task_vars['inventory_hostname']} now asks for a code. "
                    "Yours, to prove that you can still sign in: "
                )
        except TerminalError as error:
            return guard_session.settle(self, task_vars, guard, str(error))
        # A code opens one connection; the old one, kept open, serves the rest of the play.
        with self._answering(code):
            problem = self._guard("confirmed", guard, task_vars)
        if problem:
            problem = f"the new sign-in failed ({problem})"
            return guard_session.settle(self, task_vars, guard, problem)
        return guard_session.Verdict(confirmed=True, msg="", guard={}, warnings=[])

    def _guard(self, state: str, guard: Mapping[str, Any], task_vars: dict[str, Any]) -> str:
        """Bring the guard to `state`; what went wrong, in one line, or ""."""
        try:
            answer = self._execute_module(
                module_name="ringfence.hosting.guard",
                module_args={"state": state, "id": guard["id"]},
                task_vars=task_vars,
            )
        except AnsibleError as error:
            return str(error).strip().splitlines()[-1]
        return guard_session.one_line(answer) if answer.get("failed") else ""

    @contextmanager
    def _answering(self, code: str) -> Iterator[None]:
        """Within, a call makes a connection of its own and answers PAM's question with `code`."""
        connection = self._connection
        separate = "-o ControlMaster=no -o ControlPath=none -o NumberOfPasswordPrompts=1"
        changed = {
            "ssh_args": f"{separate} {connection.get_option('ssh_args') or ''}",
            "password": code,
            "sshpass_prompt": _PROMPT,
            "pipelining": True,  # else a call takes several connections
            "reconnection_retries": 0,
        }
        with guard_session.options_set(connection, changed):
            yield


def _told(result: dict[str, Any], verdict: guard_session.Verdict) -> dict[str, Any]:
    result["warnings"] = result.get("warnings", []) + verdict["warnings"]
    if not verdict["confirmed"]:
        result |= {"failed": True, "changed": False, "msg": verdict["msg"]}
    return result
