# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    address_sources,
    site_addresses,
    site_files,
    site_fit,
)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Makes the files of a host's sites on the controller; the module site_config keeps them."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of site_config, with `ends`, the moments at which entries end."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        wanted, sites, refused = asked(self, task_vars, datetime.now(UTC))
        result = site_files.run(self, wanted.files, sites, task_vars, refused)
        result["ends"] = site_addresses.moments(
            {path: row for path, row in wanted.files.files.items() if isinstance(row, str)}
        )
        return result


def asked(
    action: ActionBase, task_vars: dict[str, Any], now: datetime
) -> tuple[site_addresses.Wanted, list[dict[str, Any]], dict[str, str]]:
    """What the sites of a host ask, the sites, and client__site -> why one is to be left alone."""
    given, templar = action._task.args, action._templar
    sites = site_files.sites_of(action, task_vars)
    fitted, misfits = site_fit.fitted(sites, given.get("found"))
    try:
        wanted = site_addresses.wanted(
            fitted,
            templar.template(task_vars.get("ringfence_blocked", [])),
            given.get("management") or [],
            address_sources.Folder(str(given.get("sources") or "")),
            now,
        )
    except (site_addresses.AddressError, address_sources.SourceError) as error:
        raise AnsibleActionFail(str(error)) from None
    return wanted, sites, {n: why for n, why in misfits.items() if n in wanted.asking}
