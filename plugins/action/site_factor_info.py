# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from datetime import date
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    catalogue,
    control_action,
    site_factor_judge,
    targets,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import DocumentError

_TARGET = "site"
_FAMILY = "second_factor_site"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Judges what the module found of each site, for the evidence."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's facts, and a row of evidence for each site that asks for a factor."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        try:
            known = catalogue.load()
        except DocumentError as error:
            raise AnsibleActionFail("; ".join(error.problems[:20])) from None
        values = self._values(known, task_vars)
        waivers = self._waivers(task_vars)
        result: dict[str, Any] = self._execute_module(
            module_name="ringfence.hosting.site_factor_info",
            module_args=dict(self._task.args),
            task_vars=task_vars,
        )
        if result.get("failed"):
            return result
        rows = [
            targets.row(
                f"site:{facts['name']}",
                _TARGET,
                site_factor_judge.judge(facts, values),
                values,
                client=facts["client"] or None,
                waivers=waivers,
            )
            for facts in result["sites"]
        ]
        return {**result, **targets.returned(rows, known)}

    def _values(self, known: catalogue.Catalogue, task_vars: dict[str, Any]) -> dict[str, Any]:
        names = {one["value"]["name"] for one in known.of_target(_TARGET).values()}
        asked = {n: self._templar.template(task_vars[n]) for n in names if n in task_vars}
        try:
            found = targets.values(known, _TARGET, asked)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        return {name: value for name, value in found.items() if name.startswith(f"{_FAMILY}_")}

    def _waivers(self, task_vars: dict[str, Any]) -> dict[str, dict[str, Any]]:
        rows = self._templar.template(task_vars.get("ringfence_waivers", []))
        return control_action.waivers(rows, date.today())
