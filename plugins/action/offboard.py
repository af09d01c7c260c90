# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import guarded_module, leaver


class ActionModule(ActionBase):  # type: ignore[misc]
    """Tells the module what people.yml says of the person, and confirms over a new connection."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; failed, with one line, where the change was put back."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        said = self._people(task_vars.get("ansible_inventory_sources") or [])
        try:
            subject = leaver.subject(said, str(self._task.args.get("person", "")))
        except leaver.LeaverError as error:
            raise AnsibleError(str(error)) from None
        self._task.args["subject"] = subject
        return guarded_module.run(self, "ringfence.hosting.offboard", task_vars)

    def _people(self, sources: list[str]) -> dict[str, Any]:
        for source in sources:
            folder = Path(source) if Path(source).is_dir() else Path(source).parent
            for name in ("people.yml", "people.yaml"):
                if (folder / name).is_file():
                    found: dict[str, Any] = self._loader.load_from_file(str(folder / name))
                    return found
        raise AnsibleError("there is no people.yml beside the inventory to know the person by")
