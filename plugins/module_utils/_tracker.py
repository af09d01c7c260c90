# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the security tracker's data (tracker/data/json) to what the hosts of one release need.

The tracker's shape: {source package: {CVE: {"releases": {codename: {"status": "open" | "resolved" |
"undetermined", "fixed_version": "…", "urgency": "…"}}}}}.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

SCHEMA = 1


class TrackerError(Exception):
    """Data that cannot be used, in one line."""


def read(data: bytes, sha256: str) -> dict[str, Any]:
    """The tracker's document. Raises TrackerError where it is none, or not the one expected."""
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256.lower():
        raise TrackerError(f"the data's SHA-256 is {found}, expected {sha256}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TrackerError(f"the data are no JSON: {error}") from error
    if not isinstance(document, dict) or not document:
        raise TrackerError("the data are not what the security tracker publishes: no packages")
    return document


def of_release(document: dict[str, Any], release: str, date: datetime, sha256: str) -> str:
    """What hosts of `release` need, as JSON. Raises TrackerError where nothing is known of it."""
    packages: dict[str, list[list[str]]] = {}
    for name, vulnerabilities in sorted(document.items()):
        rows = sorted(_rows(name, vulnerabilities, release))
        if rows:
            packages[name] = rows
    if not packages:
        raise TrackerError(f"the data know nothing of the release {release}")
    head = {
        "schema": SCHEMA,
        "release": release,
        "date": date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sha256": sha256,
        "packages": packages,
    }
    return json.dumps(head, separators=(",", ":"), sort_keys=True) + "\n"


def _rows(name: str, vulnerabilities: Any, release: str) -> list[list[str]]:
    """CVE, the version that mends it ("" for none yet) and urgency, of what concerns `release`."""
    rows = []
    try:
        for cve, entry in vulnerabilities.items():
            found = entry.get("releases", {}).get(release)
            if found is None or found["status"] == "undetermined":
                continue
            mended = str(found.get("fixed_version", "")) if found["status"] == "resolved" else ""
            urgency = str(found.get("urgency", ""))
            never = found["status"] == "resolved" and mended in ("", "0")
            if not never and not (not mended and urgency == "unimportant"):
                rows.append([str(cve), mended, urgency])
    except (AttributeError, KeyError, TypeError) as error:
        raise TrackerError(f"the data are not what the tracker publishes, at {name}") from error
    return rows
