# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guard_session


class ActionModule(ActionBase):  # type: ignore[misc]
    """Tells the module who resets."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        super().run(tmp, task_vars)
        return guard_session.told_operator(self, "totp_reset", task_vars or {})
