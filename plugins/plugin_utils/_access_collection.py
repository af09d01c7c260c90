# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one playbook run collected of who can get at what, hosts that said nothing included."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row
from ansible_collections.ringfence.hosting.plugins.module_utils._access_row import RowError
from ansible_collections.ringfence.hosting.plugins.plugin_utils._run_document import ulid, utc_now

# The key of a result that holds a collector's document, and the one that names what was asked where
# that is no host of the inventory. The latter is believed of the controller itself alone.
KEY = "access"
TARGET_KEY = "access_target"
_CONTROLLER = "localhost"

__all__ = ["KEY", "TARGET_KEY", "Collection", "RowError", "collects"]


def collects(action: str) -> bool:
    """Whether results of an action hold accesses: `access_info`, `aws_access_info`, …"""
    short = action.rpartition(".")[2]
    ours = "." not in action or action.startswith("ringfence.hosting.")
    return ours and (short == "access_info" or short.endswith("_access_info"))


class Collection:
    """Takes documents as they come, and puts them together at the end."""

    kind = "access"

    def __init__(self) -> None:
        self.id = ulid()
        self.started = utc_now()
        self._targets: dict[str, dict[str, Any]] = {}

    def expect(self, names: Iterable[str]) -> None:
        """Note hosts that are to be asked: until they answer they were not."""
        for name in names:
            self._target(name)

    def add(self, host: str, result: dict[str, Any]) -> None:
        """Take in a result. Raises RowError where it is not of the shape of a collection."""
        document = _access_row.check(result[KEY])
        name = host
        if host == _CONTROLLER and result.get(TARGET_KEY):
            name = str(result[TARGET_KEY])
            self._drop_controller()
        target = self._target(name)
        target["documents"].append(document)
        target["state"], target["message"] = "ok", ""

    def trouble(self, host: str, state: str, message: str) -> None:
        """A host could not be asked: `state` is unreachable or error."""
        target = self._target(host)
        target["state"], target["message"] = state, message

    def skipped(self, host: str) -> None:
        """A condition kept a collector from a host: nothing was to be asked there by it."""
        if self._targets.get(host, {}).get("state") == "not_run":
            del self._targets[host]

    def known(self) -> bool:
        """Whether anything was to be collected at all."""
        return bool(self._targets)

    def encode(self, run: dict[str, Any]) -> str:
        """The collection as ASCII JSON; `run` holds what only the caller knows."""
        targets = [self._targets[name] for name in sorted(self._targets)]
        head = {"id": self.id, "started": self.started, "finished": utc_now(), **run}
        whole = {"schema": _access_row.SCHEMA_VERSION, "kind": self.kind, "run": head}
        return json.dumps({**whole, "targets": targets}, separators=(",", ":")) + "\n"

    def _target(self, name: str) -> dict[str, Any]:
        fresh = {"name": name, "state": "not_run", "documents": []}
        fresh["message"] = "the run ended before this was asked"
        return self._targets.setdefault(name, fresh)

    def _drop_controller(self) -> None:
        """What a connector asks is the target, not the controller that it ran on."""
        if not self._targets.get(_CONTROLLER, {}).get("documents", True):
            del self._targets[_CONTROLLER]
