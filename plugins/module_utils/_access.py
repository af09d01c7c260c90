# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everybody who can get at a host and at what it serves, as one document."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _access_cms,
    _access_database,
    _access_row,
    _access_server,
    _access_web,
    _sites,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

Found = tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]

SOURCES = ("server", "database", "cms", "web")


def collect(
    host: Host, sources: Collection[str] = SOURCES, days: int = 400, seconds: int = 60
) -> dict[str, Any]:
    """The document of one host. Never raises for what the host holds: that is coverage."""
    rows: list[dict[str, Any]] = []
    covered: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    sites: list[dict[str, Any]] = []
    if {"cms", "web"} & set(sources):
        found = _sites.discover(host)
        sites = found["sites"]
        facts["sites"] = [
            {"domains": site["domains"], "root": site["root"], "cms": site["cms"]["name"],
             "user": site.get("user", "")}
            for site in sites
        ]  # fmt: skip
    readers: tuple[tuple[str, Callable[[], Found]], ...] = (
        ("server", lambda: _access_server.collect(host, days, seconds)),
        ("database", lambda: _access_database.collect(host)),
        ("cms", lambda: _access_cms.collect(host, sites)),
        ("web", lambda: _access_web.collect(host, sites)),
    )
    for name, reader in readers:
        if name not in sources:
            covered.append(_access_row.coverage(name, "not_collected", "was not asked for"))
            continue
        try:
            more, told, said = reader()
        except Exception as error:  # one part that breaks must not cost the others
            covered.append(_access_row.coverage(name, "failed", type(error).__name__))
            continue
        rows += more
        covered += told
        facts |= said
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _access_row.document("access_info", now, rows, covered, facts)
