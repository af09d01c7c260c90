# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shipped tier asks of a host, as variables for a playbook."""

from __future__ import annotations

import yaml

from tests.hosts.playing import ROOT


def asked(name: str) -> dict[str, object]:
    """The profile of a tier and its values, those of the tiers that it builds on too."""
    text = (ROOT / "tiers" / "tiers.yml").read_text(encoding="utf-8")
    tiers = yaml.safe_load(text)["tiers"]
    found: dict[str, object] = {"ringfence_profile": tiers[name].get("profile", "l1_server")}
    while name:
        found = {**tiers[name].get("controls", {}), **found}
        name = tiers[name].get("extends", "")
    return found
