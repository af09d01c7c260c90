# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up catalogue with a control for each kind of order, and the registers of the fixtures."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils import register

FIXTURES = Path(__file__).parents[3] / "fixtures" / "registers"
BASE_TIERS = FIXTURES / "base_tiers.yml"
TODAY = date(2026, 6, 1)
HOSTS = ("web1", "web2", "db1")
GROUPS = ("all", "shared_hosting", "database_servers")

SPECS: dict[str, dict[str, Any]] = {
    "ssh_tries": {"type": "int", "default": 4, "min": 1, "max": 10, "stricter": "lower"},
    "password_length": {"type": "int", "default": 14, "min": 8, "max": 64, "stricter": "higher"},
    "root_login": {
        "type": "str",
        "default": "no",
        "choices": ["no", "keys", "yes"],
        "stricter": "first",
    },
    "audit_log": {"type": "bool", "default": False, "stricter": "last"},
    "mount_options": {
        "type": "list",
        "default": ["nodev"],
        "choices": ["nodev", "nosuid", "noexec"],
        "stricter": "superset",
    },
    "ciphers": {"type": "list", "default": ["a", "b", "c"], "stricter": "subset"},
    "home_mode": {"type": "mode", "default": "0750", "stricter": "subset"},
    "umask": {"type": "mode", "default": "022", "stricter": "superset"},
    "time_server": {"type": "str", "default": "ntp.example"},
}
# The id of each control differs from its variable, as real ones do.
CONTROLS: dict[str, dict[str, Any]] = {
    f"control_{name}": {"id": f"control_{name}", "value": {"name": name, **spec}}
    for name, spec in SPECS.items()
}
BY_NAME = {control["value"]["name"]: control for control in CONTROLS.values()}


class Catalogue:
    """What `explain` wants of a catalogue."""

    controls = CONTROLS


def copy_good(folder: Path) -> Path:
    """The good register in a folder of its own, to be changed."""
    return Path(shutil.copytree(FIXTURES / "good", folder / "inventory"))


def load(root: Path, **options: Any) -> register.Register:
    """The register at `root` on the day of the tests."""
    given: dict[str, Any] = {"hosts": HOSTS, "groups": GROUPS, "today": TODAY, **options}
    return register.load(root, CONTROLS, shipped_tiers=BASE_TIERS, **given)
