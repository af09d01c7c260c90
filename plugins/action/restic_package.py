# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import restic_program


class ActionModule(ActionBase):  # type: ignore[misc]
    """Has the package of restic on the controller."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Where it is; it is fetched at most once, and that changes no host."""
        super().run(tmp, task_vars or {})
        try:
            path = restic_program.package()
        except restic_program.ProgramError as error:
            raise AnsibleActionFail(str(error)) from None
        return {"changed": False, "path": str(path), "version": restic_program.VERSION}
