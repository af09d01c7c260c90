# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import address_sources


class ActionModule(ActionBase):  # type: ignore[misc]
    """Joins countries and feeds on the controller, and has the host's firewall block them."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of firewall_set, with `origin`, what is known of each list."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        given = self._task.args
        codes, feeds = (_words(given.get(key)) for key in ("countries", "feeds"))
        try:
            folder = address_sources.Folder(str(given.get("sources") or ""))
            joined = folder.joined(codes, feeds, datetime.now(UTC))
        except address_sources.SourceError as error:
            raise AnsibleActionFail(f"{error}. What the host has stays as it is") from None
        arguments: dict[str, Any] = {"list": "block", "state": "exact", "origin": joined.origin}
        if joined.networks:
            arguments["src"] = self._sent(joined.networks)
        result: dict[str, Any] = self._execute_module(
            module_name="ringfence.hosting.firewall_set",
            module_args=arguments,
            task_vars=task_vars,
        )
        return {**_foreseen(result, len(joined.networks), self._task), "origin": joined.origin}

    def _sent(self, networks: address_sources.Networks) -> str:
        """The list as a file on the host, which goes with the task."""
        folder = self._connection._shell.tmpdir
        path: str = self._connection._shell.join_path(folder, "block.txt")
        self._transfer_data(path, "".join(f"{network}\n" for network in networks))
        self._fixup_perms2((folder, path))
        return path


def _words(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value or [], list):
        raise AnsibleActionFail(f"found {value}, expected a list")
    return [str(word) for word in value or []]


def _foreseen(result: dict[str, Any], entries: int, task: Any) -> dict[str, Any]:
    """In check mode the firewall that is to hold the list may not be loaded yet."""
    unloaded = result.get("failed") and "firewall is not loaded" in str(result.get("msg"))
    if task.check_mode and unloaded:
        return {"changed": bool(entries), "entries": entries, "added": entries, "removed": 0}
    return result
