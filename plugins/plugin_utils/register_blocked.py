# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of addresses that were blocked by hand: who did it, why, where, and until when.

An entry is never taken out: one that is unblocked says so, and stays as the record of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]

HEADER = """\
# yaml-language-server: $schema=../../plugins/plugin_utils/schemas/blocked.json
# SPDX-License-Identifier: GPL-3.0-or-later
# Addresses blocked by hand: `ringfence block`, `ringfence unblock`, `ringfence blocked`.
"""


def moment(when: datetime) -> str:
    """As the file has it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def scope(row: Mapping[str, Any]) -> str:
    """`fleet`, `client acme` or `site acme/shop`."""
    if row.get("fleet"):
        return "fleet"
    return f"site {row['site']}" if "site" in row else f"client {row['client']}"


def state(row: Mapping[str, Any], now: datetime) -> str:
    """`active`, `expired` (by itself) or `ended` (by somebody)."""
    if row.get("ended"):
        return "ended"
    return "expired" if row.get("expires") and row["expires"] <= moment(now) else "active"


def for_host(
    rows: Iterable[Mapping[str, Any]], clients: Iterable[str], sites: Iterable[str], now: datetime
) -> list[Row]:
    """What a host is told: of its own sites and clients and of the fleet, what has not expired.

    No name of a person. What was ended before its time is told, for it must come off the host.
    """
    scopes = {"fleet", *(f"client {c}" for c in clients), *(f"site {s}" for s in sites)}
    return [
        {
            "scope": scope(row),
            **{key: row[key] for key in ("network", "reason", "expires", "ended") if key in row},
        }
        for row in rows
        if scope(row) in scopes and not (row.get("expires") and row["expires"] <= moment(now))
    ]
