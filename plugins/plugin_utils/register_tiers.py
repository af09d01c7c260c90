# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tiers, and what a site is to have by its tier, its client and its own file.

These are the settings of a site (second factor, addresses, bans, backups, reviews). Values of
controls belong to hosts; register_merge.py deals with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_order import (
    is_weaker,
    seconds,
)

SETTINGS = ("security", "backup", "review")

# Lists that add up over tier, client and site; every other list is replaced by the nearer one.
_ADDING = {
    ("security", "addresses", "deny"),
    ("security", "automatic_bans", "never"),
}
# Either of the two keys is the whole answer, so the nearer one replaces both.
_WHOLE = {
    ("security", "addresses", "countries"),
    ("security", "addresses", "admin_countries"),
}

_DURATION_LOWER = {"type": "int", "stricter": "lower"}
_DURATION_HIGHER = {"type": "int", "stricter": "higher"}
_ON = {"type": "bool", "stricter": "last"}
_HIGHER = {"type": "int", "stricter": "higher"}
# Settings of which one value is plainly stricter than another.
ORDERS: dict[str, dict[str, Any]] = {
    "security.second_factor.admin": {
        "type": "str",
        "choices": ["none", "cms", "gate", "cms_and_gate"],
        "stricter": "last",
    },
    "security.second_factor.ssh": _ON,
    "security.second_factor.session": _DURATION_LOWER,
    "security.automatic_bans.enabled": _ON,
    "security.automatic_bans.xmlrpc": {
        "type": "str",
        "choices": ["open", "closed"],
        "stricter": "last",
    },
    "security.automatic_bans.sign_in.attempts": {"type": "int", "stricter": "lower"},
    "security.automatic_bans.sign_in.ban": _DURATION_HIGHER,
    "security.automatic_bans.exploits.attempts": {"type": "int", "stricter": "lower"},
    "security.automatic_bans.exploits.ban": _DURATION_HIGHER,
    "backup.enabled": _ON,
    "backup.database": _ON,
    "backup.every": _DURATION_LOWER,
    "backup.late_after": _DURATION_LOWER,
    "backup.drill_every": _DURATION_LOWER,
    "backup.prune_within": _DURATION_LOWER,
    "backup.lock": _DURATION_HIGHER,
    "backup.keep.hourly": _HIGHER,
    "backup.keep.daily": _HIGHER,
    "backup.keep.weekly": _HIGHER,
    "backup.keep.monthly": _HIGHER,
    "backup.keep.yearly": _HIGHER,
    "review.every": _DURATION_LOWER,
}


class TierError(Exception):
    """A tier that cannot be put together. `name` is the tier, the message what is wrong."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


@dataclass(frozen=True)
class SettingLayer:
    """What one layer (`tier`, `client` or `site`; `name` says which one) says of a setting."""

    kind: str
    name: str
    value: Any
    note: str = ""


def resolve_tiers(declared: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each tier with all that it takes over from the tier it extends. Raises TierError."""
    resolved: dict[str, dict[str, Any]] = {}
    for name in declared:
        _resolve_tier(name, declared, resolved, ())
    return resolved


def _resolve_tier(
    name: str,
    declared: dict[str, dict[str, Any]],
    resolved: dict[str, dict[str, Any]],
    below: tuple[str, ...],
) -> dict[str, Any]:
    if name in resolved:
        return resolved[name]
    if name in below:
        raise TierError(name, f"extends itself by way of {' and '.join(below)}")
    body = dict(declared[name])
    base_name = body.pop("extends", None)
    base: dict[str, Any] = {}
    if base_name is not None:
        if base_name not in declared:
            raise TierError(name, f"extends {base_name}, and there is no such tier")
        base = _resolve_tier(base_name, declared, resolved, (*below, name))
    inherited = {key: value for key, value in base.items() if key not in ("title", "description")}
    resolved[name] = {"rank": 0, "controls": {}, **merged(inherited, body)}
    return resolved[name]


def merged(base: Any, over: Any, where: tuple[str, ...] = ()) -> Any:
    """`over` laid on `base`: mappings key by key, address lists that add up, all else replaced."""
    if isinstance(base, dict) and isinstance(over, dict) and where not in _WHOLE:
        result = dict(base)
        for key, value in over.items():
            result[key] = merged(base[key], value, (*where, key)) if key in base else value
        return result
    if where in _ADDING:
        rows = {row["network"]: row for row in [*base, *over]}
        return list(rows.values())
    return over


def tier_of(client: dict[str, Any], site: dict[str, Any] | None = None) -> str:
    """The tier whose settings hold for a site: its own, or its client's."""
    return str((site or {}).get("tier", client["tier"]))


def site_settings(
    tiers: dict[str, dict[str, Any]], client: dict[str, Any], site: dict[str, Any]
) -> dict[str, Any]:
    """`security`, `backup`, `review` of a site, so far as anything is said of them."""
    found: dict[str, Any] = {}
    for _kind, _name, source in _sources(tiers, client, site):
        found = merged(found, {key: source[key] for key in SETTINGS if key in source})
    return found


def explain_setting(
    tiers: dict[str, dict[str, Any]], client: dict[str, Any], site: dict[str, Any], path: str
) -> list[SettingLayer]:
    """What each layer says of a setting such as `security.second_factor.admin`; the last holds."""
    spec = ORDERS.get(path)
    layers: list[SettingLayer] = []
    for kind, name, source in _sources(tiers, client, site):
        value = _at(source, path)
        if value is None:
            continue
        note = ""
        if layers and spec is not None and _weaker(spec, value, layers[0].value):
            note = f"weaker than {layers[0].value} of {layers[0].kind} {layers[0].name}"
        layers.append(SettingLayer(kind, name, value, note))
    whole = _at(site_settings(tiers, client, site), path)
    if whole is not None:
        reference = f"{client['id']}/{site['id']}"
        layers.append(SettingLayer("effective", reference, whole))
    return layers


def weaker_settings(
    tiers: dict[str, dict[str, Any]], client: dict[str, Any], site: dict[str, Any] | None
) -> Iterator[tuple[str, Any, Any]]:
    """Settings that a client (`site` None) or a site itself says weaker than its tier does.

    Yields (path, what it says, what the tier says).
    """
    holder = client if site is None else site
    if not any(key in holder for key in SETTINGS):
        return
    tier = tiers[tier_of(client, site)]
    for path, spec in ORDERS.items():
        said, asked = _at(holder, path), _at(tier, path)
        if said is not None and asked is not None and _weaker(spec, said, asked):
            yield path, said, asked


def _weaker(spec: dict[str, Any], value: Any, than: Any) -> bool:
    if spec["type"] == "int" and isinstance(value, str):
        value, than = seconds(value), seconds(than)
    return is_weaker(spec, value, than)


def _sources(
    tiers: dict[str, dict[str, Any]], client: dict[str, Any], site: dict[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    tier = tier_of(client, site)
    yield "tier", tier, tiers[tier]
    yield "client", client["id"], client
    yield "site", f"{client['id']}/{site['id']}", site


def _at(source: dict[str, Any], path: str) -> Any:
    found: Any = source
    for step in path.split("."):
        if not isinstance(found, dict) or step not in found:
            return None
        found = found[step]
    return found
