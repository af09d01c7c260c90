# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one playbook run collected of who was banned, hosts that said nothing included."""

from __future__ import annotations

from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils._access_collection import (
    Collection,
    RowError,
)

KEY = "bans"
_TEXTS = ("kind", "subject", "site", "reason", "rule", "source", "since", "until", "state", "why")
_TEXT_LIMIT = 300
_ROW_LIMIT = 50_000


def collects(action: str) -> bool:
    """Whether results of an action hold bans."""
    return action in ("ban_info", "ringfence.hosting.ban_info")


class BanCollection(Collection):
    """Bans by host. Who only looked at what is in force now leaves no evidence."""

    kind = "bans"

    def __init__(self) -> None:
        super().__init__()
        self._looked_back = False

    def add(self, host: str, result: dict[str, Any]) -> None:
        """Take in a result. Raises RowError where it is not of the shape of ban_info's."""
        rows, days = result.get(KEY), result.get("days")
        if not isinstance(rows, list) or not isinstance(days, int) or len(rows) > _ROW_LIMIT:
            raise RowError("the result has no list of bans, or one that is too long")
        kept = [_row(row, number) for number, row in enumerate(rows)]
        self._looked_back = self._looked_back or days > 0
        target = self._target(host)
        document = {"days": days, "rows": kept}
        if isinstance(result.get("set_up"), bool):
            document["set_up"] = result["set_up"]
        target["documents"].append(document)
        target["state"], target["message"] = "ok", ""

    def known(self) -> bool:
        """Whether there is anything to keep."""
        return self._looked_back and super().known()


def _row(row: Any, number: int) -> dict[str, Any]:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in _TEXTS):
        raise RowError(f"bans[{number}] is none")
    kept: dict[str, Any] = {
        key: row[key][:_TEXT_LIMIT] for key in (*_TEXTS, "lifted") if key in row
    }
    return kept | {
        key: row[key] for key in ("failures", "seconds") if isinstance(row.get(key), int)
    }
