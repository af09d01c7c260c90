# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of the merge, whatever the register: no example could show that none is weakened."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_merge import (
    UNSET,
    Handmade,
    HostValues,
    Placement,
    explain,
    forced,
    host_value,
    spoken_of,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_order import (
    IrreconcilableError,
    is_ordered,
    is_weaker,
    strictest,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from register_samples import BY_NAME, CONTROLS, SPECS

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ssh_tries": st.integers(1, 10),
    "password_length": st.integers(8, 64),
    "root_login": st.sampled_from(["no", "keys", "yes"]),
    "audit_log": st.booleans(),
    "mount_options": st.lists(st.sampled_from(["nodev", "nosuid", "noexec"]), unique=True),
    "ciphers": st.lists(st.sampled_from("abcde"), unique=True, min_size=1),
    "home_mode": st.sampled_from(["0755", "0750", "0711", "0700", "750"]),
    "umask": st.sampled_from(["022", "027", "077", "002"]),
    "time_server": st.sampled_from(["a.example", "b.example"]),
}
ORDERED = [name for name in VALUES if is_ordered({"name": name, **SPECS[name]})]
TIERS = ("standard", "enhanced", "strict")

names = st.sampled_from(sorted(VALUES))
ordered_names = st.sampled_from(ORDERED)


def spec(name: str) -> dict[str, Any]:
    return dict(BY_NAME[name]["value"])


@st.composite
def tiers_saying(draw: st.DrawFn, name: str) -> dict[str, dict[str, Any]]:
    said = draw(st.dictionaries(st.sampled_from(TIERS), VALUES[name]))
    return {
        tier: {"rank": rank, "controls": {name: said[tier]} if tier in said else {}}
        for rank, tier in enumerate(TIERS)
    }


@st.composite
def overrides(draw: st.DrawFn, name: str, with_reason: bool) -> dict[str, Any]:
    kind = draw(st.sampled_from(["none", "value", "reason"] if with_reason else ["none", "value"]))
    if kind == "none":
        return {}
    value = draw(VALUES[name])
    return {"controls": {name: {"value": value, "reason": "Agreed"} if kind == "reason" else value}}


@st.composite
def fleets(draw: st.DrawFn, name: str) -> list[Placement]:
    """Sites of up to four clients on one host."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        client = {
            "id": f"client{number}",
            "tier": draw(st.sampled_from(TIERS)),
            **draw(overrides(name, with_reason=True)),
        }
        for site in range(draw(st.integers(1, 3))):
            own = draw(st.sampled_from([None, *TIERS]))
            body = {"id": f"site{site}", **draw(overrides(name, with_reason=False))}
            found.append(Placement(client, {**body, **({"tier": own} if own else {})}, site))
    return found


@st.composite
def values_of_one_control(draw: st.DrawFn, least: int, most: int) -> tuple[str, list[Any]]:
    name = draw(ordered_names)
    return name, draw(st.lists(VALUES[name], min_size=least, max_size=most))


@st.composite
def situations(draw: st.DrawFn, which: st.SearchStrategy[str] = names) -> tuple[Any, ...]:
    name = draw(which)
    group = draw(st.one_of(st.just(UNSET), VALUES[name]))
    return name, draw(tiers_saying(name)), draw(fleets(name)), Handmade(group=group)


def outcome(name: str, tiers: Any, placements: list[Placement], handmade: Handmade) -> Any:
    try:
        return host_value(BY_NAME[name], tiers, placements, handmade)
    except IrreconcilableError as error:
        return str(error)


quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(situations(), st.randoms(use_true_random=False))
@quick
def test_the_order_of_sites_makes_no_difference(situation: Any, random: Any) -> None:
    name, tiers, placements, handmade = situation
    shuffled = list(placements)
    random.shuffle(shuffled)
    assert outcome(name, tiers, placements, handmade) == outcome(name, tiers, shuffled, handmade)


@given(situations())
@quick
def test_saying_a_thing_twice_makes_no_difference(situation: Any) -> None:
    name, tiers, placements, handmade = situation
    once = outcome(name, tiers, placements, handmade)
    assert outcome(name, tiers, placements * 2, handmade) == once
    assert outcome(name, tiers, copy.deepcopy(placements) + placements, handmade) == once


@given(situations(ordered_names))
@quick
def test_no_client_gets_less_than_it_asks_for(situation: Any) -> None:
    name, tiers, placements, handmade = situation
    try:
        together = host_value(BY_NAME[name], tiers, placements, handmade)
    except IrreconcilableError:
        assume(False)
    for place in placements:
        alone = host_value(BY_NAME[name], tiers, [place], handmade)
        assert not is_weaker(spec(name), together, alone)
        for holder in (place.client, place.site):
            row = holder.get("controls", {}).get(name, UNSET)
            asked = row["value"] if isinstance(row, dict) else row
            if asked is not UNSET:
                assert not is_weaker(spec(name), together, asked)
    if handmade.group is not UNSET:
        assert not is_weaker(spec(name), together, handmade.group)


@given(situations(ordered_names), st.data())
@quick
def test_a_site_never_weakens_its_host(situation: Any, data: st.DataObject) -> None:
    name, tiers, placements, handmade = situation
    more = data.draw(fleets(name))
    try:
        before = host_value(BY_NAME[name], tiers, placements, handmade)
        after = host_value(BY_NAME[name], tiers, placements + more, handmade)
    except IrreconcilableError:
        assume(False)
    assert not is_weaker(spec(name), after, before)


@given(situations(ordered_names))
@quick
def test_what_a_site_says_itself_only_tightens(situation: Any) -> None:
    name, tiers, placements, handmade = situation
    bare = [Placement(place.client, {"id": place.site["id"]}) for place in placements]
    try:
        without = host_value(BY_NAME[name], tiers, bare, handmade)
        with_sites = host_value(BY_NAME[name], tiers, placements, handmade)
    except IrreconcilableError:
        assume(False)
    assert not is_weaker(spec(name), with_sites, without)


@given(situations(), st.one_of(st.just(UNSET), st.integers(1, 10)))
@quick
def test_the_explanation_ends_at_the_value(situation: Any, by_hand: Any) -> None:
    name, tiers, placements, handmade = situation
    if name == "ssh_tries":
        handmade = Handmade(handmade.group, by_hand)
    try:
        value = host_value(BY_NAME[name], tiers, placements, handmade)
        layers = explain(BY_NAME[name], tiers, placements, "web1", handmade)
    except IrreconcilableError:
        assume(False)
    assert (layers[-1].kind, layers[-1].value) == ("effective", value)
    assert layers[0].kind == "default"
    assert len(set(map(repr, layers))) == len(layers)


@given(situations())
@quick
def test_the_quick_way_for_many_hosts_is_the_slow_way(situation: Any) -> None:
    name, tiers, placements, handmade = situation
    given_ = {} if handmade == Handmade() else {name: handmade}
    anyway = SPECS[name]["default"] if handmade.group is UNSET else handmade.group
    try:
        expected = host_value(BY_NAME[name], tiers, placements, handmade)
    except IrreconcilableError:
        with pytest.raises(IrreconcilableError, match=name):
            HostValues(CONTROLS, tiers).of(placements, given_)
        return
    found = HostValues(CONTROLS, tiers).of(placements, given_)
    if spoken_of(tiers, placements):
        assert found.get(name, anyway) == expected
    assert name not in found or found[name] != anyway


@given(situations(ordered_names))
@quick
def test_forced_names_exactly_who_gets_more_than_it_asked_for(situation: Any) -> None:
    name, tiers, placements, handmade = situation
    try:
        rows = forced(BY_NAME[name], tiers, placements, "web1", handmade)
        together = host_value(BY_NAME[name], tiers, placements, handmade)
    except IrreconcilableError:
        assume(False)
    for client in {place.client["id"] for place in placements}:
        own = [place for place in placements if place.client["id"] == client]
        alone = host_value(BY_NAME[name], tiers, own, handmade)
        surprised = is_weaker(spec(name), alone, together)
        assert (client in {row.client for row in rows}) == surprised
    for row in rows:
        assert row.by
        assert row.client not in row.by


@given(values_of_one_control(1, 5))
@quick
def test_strictest_is_a_meet(case: tuple[str, list[Any]]) -> None:
    name, values = case
    try:
        best = strictest(spec(name), values)
    except IrreconcilableError:
        assume(False)
    for value in values:
        assert not is_weaker(spec(name), best, value)
    assert strictest(spec(name), [*values, best]) == best
    for few in itertools.islice(itertools.permutations(values), 6):
        assert strictest(spec(name), list(few)) == best


@given(values_of_one_control(3, 3))
@quick
def test_weaker_is_an_order(case: tuple[str, list[Any]]) -> None:
    name, (first, second, third) = case
    assert not is_weaker(spec(name), first, first)
    if not is_weaker(spec(name), first, second) and not is_weaker(spec(name), second, third):
        assert not is_weaker(spec(name), first, third)


def place(tier: str, site: Any = None, **client: Any) -> Placement:
    said = {"controls": client.pop("said")} if "said" in client else {}
    return Placement(
        {"id": client.pop("id", "acme"), "tier": tier, **said, **client},
        {"id": "s", **(site or {})},
    )


PLAIN = {
    "standard": {"rank": 1, "controls": {"ssh_tries": 5}},
    "strict": {"rank": 2, "controls": {"ssh_tries": 2, "time_server": "tier"}},
    "silent": {"rank": 0, "controls": {}},
}
STANDARD, STRICT, SILENT = place("standard"), place("strict"), place("silent")
AGREED = {"ssh_tries": {"value": 6, "reason": "Agreed"}}
LOOSER = place("strict", said=AGREED)
GROUP_3, GROUP_7, HOST_9 = Handmade(group=3), Handmade(group=7), Handmade(host=9)
NONE = Handmade()
CLIENT_TIME = {"time_server": "client"}
SITE_TIME = {"controls": {"time_server": "site"}}


@pytest.mark.parametrize(
    ("why", "name", "placements", "handmade", "expected"),
    [
        ("no site: the default", "ssh_tries", [], NONE, 4),
        ("no site: the group variable", "ssh_tries", [], GROUP_7, 7),
        ("a silent tier: the default", "ssh_tries", [SILENT], NONE, 4),
        ("a silent tier: the group variable", "ssh_tries", [SILENT], GROUP_7, 7),
        ("a tier replaces the default", "ssh_tries", [STANDARD], NONE, 5),
        ("a group variable is a floor", "ssh_tries", [STANDARD], GROUP_3, 3),
        ("a tier tightens a group variable", "ssh_tries", [STRICT], GROUP_3, 2),
        ("a host variable stands", "ssh_tries", [STRICT], HOST_9, 9),
        (
            "without a reason only tighter",
            "ssh_tries",
            [place("strict", said={"ssh_tries": 6})],
            NONE,
            2,
        ),
        ("a reason loosens the client's own tier", "ssh_tries", [LOOSER], NONE, 6),
        ("but no neighbour's", "ssh_tries", [LOOSER, place("standard", id="zoo")], NONE, 5),
        ("a site's tier tightens", "ssh_tries", [place("standard", {"tier": "strict"})], NONE, 2),
        (
            "a site's tier loosens nothing",
            "ssh_tries",
            [place("strict", {"tier": "standard"})],
            NONE,
            2,
        ),
        (
            "a site tightens",
            "ssh_tries",
            [place("standard", {"controls": {"ssh_tries": 1}})],
            NONE,
            1,
        ),
        ("no order: the default", "time_server", [STANDARD], NONE, "ntp.example"),
        ("no order: the tier", "time_server", [STRICT], NONE, "tier"),
        ("no order: a group variable first", "time_server", [STRICT], Handmade("group"), "group"),
        (
            "no order: a client before that",
            "time_server",
            [place("strict", said=CLIENT_TIME)],
            Handmade("group"),
            "client",
        ),
        (
            "no order: a site before all",
            "time_server",
            [place("strict", SITE_TIME, said=CLIENT_TIME)],
            NONE,
            "site",
        ),
        ("masks add up", "umask", [place("silent", said={"umask": "007"})], Handmade("070"), "077"),
        (
            "permissions are what all grant",
            "home_mode",
            [place("silent", said={"home_mode": "0711"})],
            Handmade("0750"),
            "0710",
        ),
    ],
)
def test_the_layers(
    why: str, name: str, placements: list[Placement], handmade: Handmade, expected: Any
) -> None:
    assert host_value(BY_NAME[name], PLAIN, placements, handmade) == expected, why


@pytest.mark.parametrize(
    ("placements", "handmade", "expected"),
    [
        ([], {}, {}),
        ([SILENT], {}, {}),
        ([STANDARD], {}, {"ssh_tries": 5}),
        ([STANDARD], {"ssh_tries": GROUP_3}, {}),
        ([STRICT], {"ssh_tries": GROUP_3}, {"ssh_tries": 2, "time_server": "tier"}),
        ([STANDARD], {"ssh_tries": HOST_9}, {}),
        ([STANDARD], {"ssh_tries": Handmade(group=5)}, {}),
        ([STANDARD, place("strict", id="zoo")], {}, {"ssh_tries": 2, "time_server": "tier"}),
        ([place("silent", said={"audit_log": True})], {}, {"audit_log": True}),
    ],
)
def test_a_host_is_given_only_what_it_would_not_have_anyway(
    placements: list[Placement], handmade: dict[str, Handmade], expected: dict[str, Any]
) -> None:
    assert HostValues(CONTROLS, PLAIN).of(placements, handmade) == expected


@pytest.mark.parametrize("values", [[1, True], [0, False]])
def test_a_switch_is_not_a_number(values: list[Any]) -> None:
    with pytest.raises(IrreconcilableError):
        strictest({"name": "x", "type": "int", "default": 0}, values)
