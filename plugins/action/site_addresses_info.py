# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.action import site_addresses
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    catalogue,
    control_action,
    site_files,
    site_judge,
    targets,
)

_KIND = "site"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Compares the sites of a host with what the register asks: a row of evidence for each."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`findings`, a line each, and the rows for the evidence."""
        task_vars, now = task_vars or {}, datetime.now(UTC)
        super().run(tmp, task_vars)
        wanted, sites, refused = site_addresses.asked(self, task_vars, now)
        known = catalogue.load()
        try:
            values = targets.values(known, _KIND, task_vars)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        found = site_files.run(
            self, wanted.files, sites, task_vars, refused, module="site_addresses_info"
        )
        names = [plan.name for plan in wanted.plans]
        rows, lines = [], []
        for plan in wanted.plans:
            site, name = plan.site, f"{plan.site['client']}/{plan.site['id']}"
            label = f"site:{name}"
            if found.get("failed"):
                why = str(found.get("msg", "the host could not be asked")).splitlines()[0]
                rows.append(targets.unread(label, _KIND, why, client=site["client"]))
                continue
            findings = site_judge.judged(plan, names, found["facts"], now)
            waivers = control_action.waivers(site.get("waivers", []), date.today())
            mine = {key: value for key, value in values.items() if key in _ids(findings)}
            rows.append(
                targets.row(label, _KIND, findings, mine, client=site["client"], waivers=waivers)
            )
            lines += [f"{name}: {one['message']}" for one in findings if one["status"] == "fail"]
        failed = {"failed": True, "msg": found["msg"]} if found.get("failed") else {}
        return {
            "changed": False, "findings": lines, **failed, **targets.returned(rows, known),
        }  # fmt: skip


def _ids(findings: list[dict[str, Any]]) -> set[str]:
    return {one["id"] for one in findings}
