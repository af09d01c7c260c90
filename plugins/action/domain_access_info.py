# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import site_names


class ActionModule(ActionBase):  # type: ignore[misc]
    """Gives the module the names and origins of the register where none are given."""

    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        placed = list(site_names.placed(task_vars))
        given.setdefault("names", site_names.names(placed))
        given.setdefault("origins", site_names.origins(placed))
        result: dict[str, Any] = self._execute_module(
            module_name="ringfence.hosting.domain_access_info",
            module_args=given,
            task_vars=task_vars,
        )
        return result
