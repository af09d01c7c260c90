# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups
from ansible_collections.ringfence.hosting.plugins.plugin_utils.backups import SettingsError


class ActionModule(ActionBase):  # type: ignore[misc]
    """Tells the module what the register says of the site."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        given = self._task.args
        try:
            arguments = _arguments(given)
        except SettingsError as error:
            raise AnsibleActionFail(str(error)) from None
        result: dict[str, Any] = self._execute_module(
            module_name="ringfence.hosting.backup_restore",
            module_args=arguments,
            task_vars=task_vars,
        )
        return result


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    site = given["site"]
    name = backups.name_of(site)
    live, into = given.get("over_live") or "", given.get("into") or ""
    if live and site.get("server"):
        raise SettingsError("a server's configuration is restored into a folder only")
    if live and live != name:
        raise SettingsError(f"over_live: found {live!r}, expected {name!r}: nothing was restored")
    if bool(live) == bool(into):
        raise SettingsError("expected one of into and over_live")
    if into and not into.startswith("/"):
        raise SettingsError(f"into: found {into!r}, expected an absolute path")
    arguments = {
        "site": {},
        "opening": backups.opening(site),
        "client": site["client"],
        "site_id": site["id"],
        "authority": given.get("authority") or "",
        "into": into or None,
        "over_live": live or None,
        "database": (site.get("database") or {}).get("name"),
    }
    if given.get("at"):
        arguments["before"] = backups.moment(str(given["at"]))
    return arguments
