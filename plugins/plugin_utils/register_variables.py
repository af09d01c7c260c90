# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What group and host variables of an inventory say of controls."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_merge import (
    UNSET,
    Handmade,
)


def handmade_values(
    inventory: Any, loader: Any, sources: list[str], names: Collection[str], hosts: Collection[str]
) -> dict[str, dict[str, Handmade]]:
    """Host -> variable of a control -> what people set; only where there is anything.

    `inventory`: ansible's InventoryData; `sources`: its source files, beside which group_vars and
    host_vars lie. Group variables are laid on each other in Ansible's own order.
    """
    by_groups: dict[tuple[str, ...], dict[str, Any]] = {}
    groups = _GroupVariables(loader, sources, names)
    found = {}
    for name in hosts:
        host = inventory.hosts[name]
        members = _in_order(host.get_groups())
        key = tuple(group.name for group in members)
        if key not in by_groups:
            by_groups[key] = groups.of(members)
        own = _chosen({**host.vars, **_beside(loader, sources, host)}, names)
        given = _both(by_groups[key], own)
        if given:
            found[name] = given
    return found


class _GroupVariables:
    """Ansible lays what inventory sources say below what group_vars files say."""

    def __init__(self, loader: Any, sources: list[str], names: Collection[str]) -> None:
        self._loader, self._sources, self._names = loader, sources, names
        self._known: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def of(self, groups: list[Any]) -> dict[str, Any]:
        pairs = [self._pair(group) for group in groups]
        merged: dict[str, Any] = {}
        for inline, _files in pairs:
            merged.update(inline)
        for _inline, files in pairs:
            merged.update(files)
        return merged

    def _pair(self, group: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if group.name not in self._known:
            files = _beside(self._loader, self._sources, group)
            self._known[group.name] = (
                _chosen(group.vars, self._names),
                _chosen(files, self._names),
            )
        return self._known[group.name]


def _in_order(groups: list[Any]) -> list[Any]:
    return sorted(groups, key=lambda group: (group.depth, group.priority, group.name))


def _beside(loader: Any, sources: list[str], entity: Any) -> dict[str, Any]:
    kind = "host_vars" if not hasattr(entity, "child_groups") else "group_vars"
    near = [source for source in sources if (_folder(source) / kind).is_dir()]
    if not near:
        return {}
    try:
        found: dict[str, Any] = get_vars_from_inventory_sources(loader, near, [entity], "all")
    except AnsibleError as error:
        raise AnsibleParserError(f"{kind} of {entity.name}: {error}") from error
    return found


def _folder(source: str) -> Path:
    path = Path(source)
    return path if path.is_dir() else path.parent


def _chosen(variables: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: _native(value) for name, value in variables.items() if name in names}


def _native(value: Any) -> Any:
    """`value` in Python's own types: Ansible's carry where they came from, and differ in type."""
    return json.loads(json.dumps(value, default=lambda _other: "{{ encrypted }}"))


def _both(group: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Handmade]:
    return {
        name: Handmade(group.get(name, UNSET), host.get(name, UNSET)) for name in {*group, *host}
    }
