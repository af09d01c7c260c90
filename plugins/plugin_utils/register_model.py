# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a register holds once its files are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils import register_tiers
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_files import (
    ERROR,
    WARNING,
    Problem,
    RegisterFile,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_merge import Placement


@dataclass
class Register:
    """A register as its files say it. Use it only where `errors` is empty.

    Each mapping is by id; the values are what the files hold (see docs/register.md). `unread`:
    kinds, and clients as `client/<id>`, of files with errors: what refers to them may be right.
    """

    root: Path
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    service_accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    third_parties: dict[str, dict[str, Any]] = field(default_factory=dict)
    attestations: list[dict[str, Any]] = field(default_factory=list)
    waivers: list[dict[str, Any]] = field(default_factory=list)
    blocked: list[dict[str, Any]] = field(default_factory=list)
    tiers: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: list[RegisterFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    @property
    def errors(self) -> list[Problem]:
        """What keeps the register from being used."""
        return [problem for problem in self.problems if problem.level == ERROR]

    @property
    def warnings(self) -> list[Problem]:
        """What has to be seen to, and stops nothing."""
        return [problem for problem in self.problems if problem.level == WARNING]

    @cached_property
    def placements(self) -> list[Placement]:
        """The sites that are served: those of all clients that have not left."""
        return [
            Placement(client, site, number)
            for client in self.clients.values()
            if client.get("status") != "left"
            for number, site in enumerate(client["sites"])
        ]

    @cached_property
    def by_host(self) -> dict[str, list[Placement]]:
        """Host -> the sites on it."""
        found: dict[str, list[Placement]] = {}
        for place in self.placements:
            found.setdefault(place.site["host"], []).append(place)
        return found

    @cached_property
    def by_site(self) -> dict[str, Placement]:
        """`client/site` -> site."""
        return {place.reference: place for place in self.placements}

    def on(self, host: str) -> list[Placement]:
        """The sites on a host; none on one that the register does not name."""
        return self.by_host.get(host, [])

    def clients_of(self, placements: Iterable[Placement]) -> list[dict[str, Any]]:
        """The clients of these sites, each once, by id."""
        found = {place.client["id"]: place.client for place in placements}
        return [found[name] for name in sorted(found)]

    def tier_of_host(self, host: str) -> str | None:
        """The strictest tier on a host, by rank; None where it serves no site."""
        names = {
            tier
            for place in self.on(host)
            for tier in (
                place.client["tier"],
                register_tiers.tier_of(place.client, place.site),
            )
        }
        ranks = {name: self.tiers.get(name, {}).get("rank", -1) for name in names}
        return max(names, key=lambda name: (ranks[name], name)) if names else None

    def settings(self, client: dict[str, Any], site: dict[str, Any], *path: str) -> Any:
        """A setting of a site under `security`, by its tier, its client and itself; or None."""
        found: Any = register_tiers.site_settings(self.tiers, client, site).get("security", {})
        for step in path:
            found = found.get(step, {})
        return found or None

    def file_of(self, client: dict[str, Any]) -> RegisterFile:
        """The file that declares a client."""
        return self._file_by_document[id(client)]

    def files_of(self, kind: str) -> list[RegisterFile]:
        """The files of a kind: client, people, third_parties, waivers, tiers, blocked."""
        return [file for file in self.files if file.kind == kind]

    def worth_comparing(self, variable: str, placements: Sequence[Placement]) -> bool:
        """Whether two sites could ask for different values of a control."""
        return len({place.client["tier"] for place in placements}) > 1 or any(
            variable in holder.get("controls", ()) or "tier" in place.site
            for place in placements
            for holder in (place.client, place.site)
        )

    @cached_property
    def _file_by_document(self) -> dict[int, RegisterFile]:
        return {id(file.document): file for file in self.files}
