# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import totp_terminal
from ansible_collections.ringfence.hosting.plugins.plugin_utils.guard_session import told_operator
from ansible_collections.ringfence.hosting.plugins.plugin_utils.sealed import Envelope
from ansible_collections.ringfence.hosting.plugins.plugin_utils.totp_terminal import (
    Terminal,
    TerminalError,
)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Shows the link that the module made on the host, once."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of the step that ended it: never the link."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        checked = self._step("check", task_vars)
        if checked.get("failed") or self._task.check_mode:
            checked.pop("sealed", None)
            return checked
        try:
            with totp_terminal.private_screen() as terminal:
                envelope = Envelope()
                made = self._step("begin", task_vars, public_key=envelope.public_key)
                sealed = made.pop("sealed", "")
                if not made.get("failed"):
                    _show(terminal, envelope.opened(sealed), made, self._task.args)
                return made
        except TerminalError as error:
            raise AnsibleActionFail(f"no link was shown: {error}") from None

    def _step(self, phase: str, task_vars: dict[str, Any], **more: str) -> dict[str, Any]:
        return told_operator(self, "gate_enrol", task_vars, phase=phase, **more)


def _show(terminal: Terminal, link: str, made: dict[str, Any], given: dict[str, Any]) -> None:
    drawn = totp_terminal.qr_code(link)
    if drawn.count("\n") + 9 > terminal.rows:
        drawn = ""
    terminal.write(
        f"A link for {made['user']}, who may then pass {', '.join(made['sites'])}.\n"
        f"It works once, for {given.get('hours', 24)} hours, and is not shown again. Give it to "
        "nobody else: who\nuses it first is enrolled.\n\n"
        f"{link}\n\n{drawn}"
    )
    # The link is made by now: nobody at the keyboard any more is no failure of that.
    try:
        terminal.ask("Press Enter when it is on its way. ")
    except TerminalError:
        return
