# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What sudo's own parser says of /etc/sudoers and all that it includes, aliases resolved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

CONFIG = "/etc/sudoers"
_FORMS = {
    "usergroup": "%{}",
    "userid": "#{}",
    "usergid": "%#{}",
    "netgroup": "+{}",
    "nonunixgroup": "%:{}",
    "nonunixgid": "%:#{}",
}
_NO_NAME = ("negated", "sha224", "sha256", "sha384", "sha512", "digest")


def ask(host: Host) -> str:
    """Its answer in JSON. Raises HostError, also where there is no sudo."""
    return host.output(["cvtsudoers", "-e", "-f", "json", CONFIG])


def parse(text: str) -> dict[str, Any]:
    """Its answer, whose parts `items` takes out. Raises HostError."""
    try:
        said = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise HostError(f"cvtsudoers: {error}") from error
    if not isinstance(said, dict):
        raise HostError("cvtsudoers: the answer is not as expected")
    return said


def items(part: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of its answer; empty where there is none. Raises HostError for anything else."""
    found = part.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise HostError(f"cvtsudoers: {name} is not as expected")
    return found


def kind_of(item: Mapping[str, Any]) -> tuple[str, Any]:
    """What a user, group, host or command is given by, and that: `username`, `ada`."""
    named = ((key, value) for key, value in item.items() if key not in _NO_NAME)
    return next(named, ("", ""))


def spelt(item: Mapping[str, Any]) -> str:
    """A user, group, host or command as sudoers spells it."""
    kind, value = kind_of(item)
    return ("!" if item.get("negated") else "") + _FORMS.get(kind, "{}").format(value)
