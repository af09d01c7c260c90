# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _totp
from ansible_collections.ringfence.hosting.plugins.plugin_utils import totp_terminal
from ansible_collections.ringfence.hosting.plugins.plugin_utils.guard_session import told_operator
from ansible_collections.ringfence.hosting.plugins.plugin_utils.sealed import Envelope
from ansible_collections.ringfence.hosting.plugins.plugin_utils.totp_terminal import (
    Terminal,
    TerminalError,
)

_TRIES = 5
_GROUP = 4


class ActionModule(ActionBase):  # type: ignore[misc]
    """Shows the secret that the module made on the host, and confirms it by a first code."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of the step that ended it: never the secret, never a recovery code."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        checked = self._step("check", task_vars)
        if checked.get("failed") or self._task.check_mode:
            return checked
        host = str(task_vars["inventory_hostname"])
        try:
            with totp_terminal.private_screen() as terminal:
                return self._enrol(terminal, host, task_vars)
        except TerminalError as error:
            raise AnsibleActionFail(f"nobody was enrolled: {error}") from None

    def _enrol(self, terminal: Terminal, host: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        account = str(self._task.args["account"])
        issuer = str(self._task.args.get("issuer") or host)
        envelope = Envelope()
        begun = self._step("begin", task_vars, public_key=envelope.public_key)
        if begun.get("failed"):
            return begun
        secret, *recovery_codes = envelope.opened(begun["sealed"]).split("\n")
        try:
            _show_secret(terminal, secret, account, issuer)
            confirmed = self._confirmed(terminal, host, task_vars)
        except TerminalError:
            self._step("abandon", task_vars)
            raise
        if recovery_codes:
            _show_recovery_codes(terminal, recovery_codes, account, host)
        return confirmed

    def _confirmed(
        self, terminal: Terminal, host: str, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        for _try in range(_TRIES):
            code = terminal.ask(f"Code that the app shows now for {host} (Enter alone gives up): ")
            if not code:
                raise TerminalError("given up before a code was typed")
            confirmed = self._step("confirm", task_vars, code=code)
            if not confirmed.get("failed"):
                return confirmed
            terminal.write(f"Not taken: {confirmed['msg']}\n")
        raise TerminalError(f"{_TRIES} wrong codes")

    def _step(self, phase: str, task_vars: dict[str, Any], **more: str) -> dict[str, Any]:
        result = told_operator(self, "totp_enrol", task_vars, phase=phase, **more)
        if phase != "begin":
            result.pop("sealed", None)
        return result


def _show_secret(terminal: Terminal, secret: str, account: str, issuer: str) -> None:
    uri = _totp.uri(secret, account, issuer)
    drawn = totp_terminal.qr_code(uri)
    grouped = " ".join(secret[i : i + _GROUP] for i in range(0, len(secret), _GROUP))
    below = f"Key to type instead: {grouped}\n{uri}\n"
    if drawn and drawn.count("\n") + _rows_of_text(uri) > terminal.rows:
        terminal.ask(
            f"The QR code needs {drawn.count(chr(10)) + _rows_of_text(uri)} lines and the terminal "
            f"shows {terminal.rows}: make it taller, then press Enter. "
        )
        terminal.clear()
    if not drawn:
        below += "(For a QR code here: pip install segno beside ansible-core.)\n"
    terminal.write(f"Second factor of {account} on {issuer}: scan this with the app.\n")
    terminal.write(f"{drawn}{below}")


def _rows_of_text(uri: str) -> int:
    return 4 + len(uri) // 80


def _show_recovery_codes(
    terminal: Terminal, recovery_codes: list[str], account: str, host: str
) -> None:
    terminal.clear()
    codes = "".join(f"    {code}\n" for code in recovery_codes)
    terminal.write(
        f"{account} is enrolled on {host}.\n\n"
        "Recovery codes, for when the token is not at hand. Each works once, in place of a code.\n"
        "They are not shown again; keep them away from this computer and from the token.\n\n"
        f"{codes}\n"
    )
    # Enrolled by now: nobody at the keyboard any more is no failure of that.
    try:
        terminal.ask("Press Enter when they are kept. ")
    except TerminalError:
        return
