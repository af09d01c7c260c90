# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The value of a control on a host: from the catalogue, the register and what people set by hand.

For a control that declares an order, a host takes the strictest of
- its group variable if there is one, else the catalogue's default,
- what each client with a site there asks for: its tier's value, which an override of the client
  tightens (or, with a reason, loosens),
- what each site there asks for: its own tier's value, its own override. A site only tightens.

For a control without an order the nearest word counts (site, client, group variable, tier,
default), and two that differ at the same distance are a mistake of the register.

A host variable is somebody's deliberate word on this one host: it stands, and is shown as weaker
where it is. Play variables and `-e` are Ansible's own affair and beat all of this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_order import (
    IrreconcilableError,
    is_ordered,
    is_weaker,
    strictest,
)

Control = dict[str, Any]
Tiers = Mapping[str, dict[str, Any]]
_NEAREST = ("site", "client", "group_var", "site_tier", "tier", "default")


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()


@dataclass(frozen=True)
class Placement:
    """A site of a client, as a host sees it."""

    client: dict[str, Any]
    site: dict[str, Any]
    number: int = 0  # of the site in its client's file

    @property
    def reference(self) -> str:
        """`client/site`."""
        return f"{self.client['id']}/{self.site['id']}"


@dataclass(frozen=True)
class Layer:
    """What one source says of a control's value.

    `kind`: default | group_var | tier | client | site | host_var | forced | effective. `name`:
    which tier, client, site (`client/site`) or host. `note`: what there is to say of it.
    A `forced` layer holds what a client would have alone, where a neighbour makes it stricter.
    """

    kind: str
    name: str
    value: Any
    note: str = ""
    client: str | None = None


@dataclass(frozen=True)
class Handmade:
    """What group and host variables of an inventory say of a control; UNSET if nothing."""

    group: Any = UNSET
    host: Any = UNSET


@dataclass(frozen=True)
class Forced:
    """A client gets a stricter value than its own because it shares a host with `by`."""

    host: str
    variable: str
    client: str
    own: Any
    effective: Any
    by: tuple[str, ...]


@dataclass
class _Asked:
    """What one place asks for, before the order of the control is applied."""

    kind: str
    layer: Layer
    value: Any = field(default=UNSET)


def override(row: Any) -> tuple[Any, str | None]:
    """The value and the reason of an entry under `controls:`."""
    if isinstance(row, dict):
        return row.get("value", UNSET), row.get("reason")
    return row, None


def host_value(
    control: Control,
    tiers: Tiers,
    placements: Sequence[Placement],
    handmade: Handmade | None = None,
) -> Any:
    """The effective value of a control on a host. Raises IrreconcilableError."""
    given = handmade or Handmade()
    if given.host is not UNSET:
        return given.host
    return _decide(control["value"], _asked(control, tiers, placements, given))


def explain(
    control: Control,
    tiers: Tiers,
    placements: Sequence[Placement],
    host: str,
    handmade: Handmade | None = None,
) -> list[Layer]:
    """Every layer a value comes through, the least specific first; the last one is `effective`.

    Raises IrreconcilableError.
    """
    given, spec = handmade or Handmade(), control["value"]
    layers = _unique(asked.layer for asked in _asked(control, tiers, placements, given))
    by_register = host_value(control, tiers, placements, Handmade(given.group))
    if given.host is not UNSET:
        weaker = is_weaker(spec, given.host, by_register)
        note = f"weaker than {by_register!r}, which is asked for" if weaker else "set by hand"
        layers.append(Layer("host_var", host, given.host, note))
        return [*layers, Layer("effective", host, given.host, "a host variable stands")]
    why = _why(spec, layers, by_register)
    for row in forced(control, tiers, placements, host, given):
        note = f"gets {row.effective!r} because it shares {host} with {' and '.join(row.by)}"
        layers.append(Layer("forced", row.client, row.own, note, row.client))
    return [*layers, Layer("effective", host, by_register, why)]


def forced(
    control: Control,
    tiers: Tiers,
    placements: Sequence[Placement],
    host: str,
    handmade: Handmade | None = None,
) -> list[Forced]:
    """What a shared host imposes on clients beyond what each of them would have alone."""
    given = handmade or Handmade()
    clients = sorted({place.client["id"] for place in placements})
    if given.host is not UNSET or len(clients) < 2 or not is_ordered(control["value"]):
        return []
    together = host_value(control, tiers, placements, given)
    alone = {
        name: host_value(
            control, tiers, [place for place in placements if place.client["id"] == name], given
        )
        for name in clients
    }
    spec = control["value"]
    return [
        Forced(host, spec["name"], name, alone[name], together, tuple(_causes(spec, alone, name)))
        for name in clients
        if is_weaker(spec, alone[name], together)
    ]


def spoken_of(tiers: Tiers, placements: Iterable[Placement]) -> set[str]:
    """The control variables that some layer of the register has a word on."""
    found: set[str] = set()
    for place in placements:
        found.update(place.client.get("controls", ()), place.site.get("controls", ()))
        for tier in _tiers_of(place):
            found.update(tiers[tier]["controls"])
    return found


class HostValues:
    """The effective values of many hosts: what hosts have in common is worked out once."""

    def __init__(self, controls: Mapping[str, Control], tiers: Tiers) -> None:
        self._by_name = {control["value"]["name"]: control for control in controls.values()}
        self._tiers = tiers
        self._plain: dict[frozenset[tuple[str, ...]], dict[str, Any]] = {}

    def of(
        self, placements: Sequence[Placement], handmade: Mapping[str, Handmade]
    ) -> dict[str, Any]:
        """Variable -> value, only where it is not what Ansible would take without the register.

        Raises IrreconcilableError, whose message begins with the variable.
        """
        if not placements:
            return {}
        values = dict(self._by_tiers(frozenset(_tiers_of(place) for place in placements)))
        special = {name for place in placements for name in _overridden(place)}
        special.update(name for name in values if name in handmade or values[name] is UNSET)
        for name in special:
            values[name] = self._value(name, placements, handmade.get(name))
        return {
            name: value
            for name, value in values.items()
            if not self._is_so_anyway(name, value, handmade.get(name))
        }

    def _by_tiers(self, pairs: frozenset[tuple[str, ...]]) -> dict[str, Any]:
        if pairs not in self._plain:
            places = [
                Placement({"id": "any", "tier": pair[0]}, {"id": "any", "tier": pair[-1]})
                for pair in sorted(pairs)
            ]
            spoken = spoken_of(self._tiers, places)
            self._plain[pairs] = {name: self._value_or_unset(name, places) for name in spoken}
        return self._plain[pairs]

    def _value_or_unset(self, name: str, places: Sequence[Placement]) -> Any:
        try:
            return self._value(name, places, None)
        except IrreconcilableError:  # between tiers: a nearer word may yet decide
            return UNSET

    def _value(self, name: str, placements: Sequence[Placement], given: Handmade | None) -> Any:
        try:
            return host_value(self._by_name[name], self._tiers, placements, given)
        except IrreconcilableError as error:
            raise IrreconcilableError(f"{name}: {error}") from None

    def _is_so_anyway(self, name: str, value: Any, given: Handmade | None) -> bool:
        given = given or Handmade()
        if given.host is not UNSET:
            return True
        default = self._by_name[name]["value"]["default"]
        found = default if given.group is UNSET else given.group
        return type(found) is type(value) and bool(found == value)


def _tiers_of(place: Placement) -> tuple[str, ...]:
    own = place.site.get("tier", place.client["tier"])
    return tuple(dict.fromkeys([place.client["tier"], own]))


def _overridden(place: Placement) -> Collection[str]:
    return {*place.client.get("controls", ()), *place.site.get("controls", ())}


def _asked(
    control: Control, tiers: Tiers, placements: Sequence[Placement], given: Handmade
) -> list[_Asked]:
    spec = control["value"]
    base = _Asked("default", Layer("default", control["id"], spec["default"]), spec["default"])
    found = [base]
    floor = spec["default"]
    if given.group is not UNSET:
        base.value, floor = UNSET, given.group
        layer = Layer("group_var", "", given.group)
        found.append(_Asked("group_var", layer, given.group))
    elif placements and is_ordered(spec):
        base.value = UNSET  # a tier stands in for the default; a silent one brings it back
    for place in placements:
        found += _asked_by_client(spec, tiers, place.client, floor)
    for place in placements:
        found += _asked_by_site(spec, tiers, place, floor)
    return found


def _asked_by_client(
    spec: dict[str, Any], tiers: Tiers, client: dict[str, Any], floor: Any
) -> list[_Asked]:
    name, who, tier = spec["name"], client["id"], client["tier"]
    value = tiers[tier]["controls"].get(name, UNSET)
    layer = Layer("tier", tier, value, f"asked for by {who}", who)
    if value is UNSET:
        layer = Layer("tier", tier, floor, f"says nothing; {who} takes what is below", who)
    base = floor if value is UNSET else value
    rows = [_Asked("tier", layer, base if is_ordered(spec) else value)]
    if name in client.get("controls", {}):
        said, reason = override(client["controls"][name])
        rows.append(_Asked("client", Layer("client", who, said, reason or "", who), said))
        if reason is not None:
            rows[0].value = UNSET  # with a reason a client may ask for less than its tier
    return rows


def _asked_by_site(
    spec: dict[str, Any], tiers: Tiers, place: Placement, floor: Any
) -> list[_Asked]:
    name, who = spec["name"], place.client["id"]
    tier = place.site.get("tier", place.client["tier"])
    rows = []
    if tier != place.client["tier"] and (is_ordered(spec) or name in tiers[tier]["controls"]):
        value = tiers[tier]["controls"].get(name, floor)
        layer = Layer("tier", tier, value, f"asked for by {place.reference}", who)
        rows.append(_Asked("site_tier", layer, value))
    if name in place.site.get("controls", {}):
        said, reason = override(place.site["controls"][name])
        rows.append(_Asked("site", Layer("site", place.reference, said, reason or "", who), said))
    return rows


def _decide(spec: dict[str, Any], asked: Sequence[_Asked]) -> Any:
    if is_ordered(spec):
        return strictest(spec, [row.value for row in asked if row.value is not UNSET])
    for kind in _NEAREST:
        values = [row.value for row in asked if row.kind == kind and row.value is not UNSET]
        if values:
            return strictest(spec, values)
    return spec["default"]


def _unique(layers: Iterable[Layer]) -> list[Layer]:
    found: list[Layer] = []
    for layer in layers:
        if layer not in found:
            found.append(layer)
    return found


def _why(spec: dict[str, Any], layers: Sequence[Layer], value: Any) -> str:
    sources = [layer for layer in layers if layer.value == value] or list(layers)
    names = dict.fromkeys(_source(layer) for layer in sources)
    if not is_ordered(spec):
        return f"the nearest word: {_source(sources[-1])}"
    if all(layer.value == value for layer in layers):
        return "all agree"
    return f"the strictest: {', '.join(names)}"


def _source(layer: Layer) -> str:
    if layer.kind == "default":
        return "the default"
    if layer.kind == "group_var":
        return "group variables"
    asker = f" of {layer.client}" if layer.kind == "tier" else ""
    return f"{layer.kind} {layer.name}{asker}"


def _causes(spec: dict[str, Any], alone: Mapping[str, Any], name: str) -> Iterator[str]:
    for other, value in alone.items():
        if other != name and is_weaker(spec, alone[name], value):
            yield other
