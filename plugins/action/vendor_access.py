# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guarded_module


class ActionModule(ActionBase):  # type: ignore[misc]
    """Brings vendors' accounts up to date, and confirms it over a new connection."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; failed, with one line, where the files were put back."""
        super().run(tmp, task_vars)
        return guarded_module.run(self, "ringfence.hosting.vendor_access", task_vars or {})
