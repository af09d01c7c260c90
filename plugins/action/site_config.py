# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import site_files


class ActionModule(ActionBase):  # type: ignore[misc]
    """Packs the host's sites and the wanted files into one text; sends long files beforehand."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        given = self._task.args
        sites = site_files.sites_of(self, task_vars)
        wanted = site_files.Wanted(
            str(given.get("feature", "")),
            given.get("files") or {},
            list(given.get("apache_modules") or []),
        )
        return site_files.run(self, wanted, sites, task_vars)
