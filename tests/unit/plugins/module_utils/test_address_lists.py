# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of addresses: reading them, joining them, and the transaction that changes them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _address_lists, _firewall
from ansible_collections.ringfence.hosting.plugins.module_utils._address_lists import (
    ListError,
    Networks,
    added,
    full_script,
    parse_elements,
    parse_full_script,
    read_entries,
    removed,
    script,
    seconds,
    set_of,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("lines", "entries"),
    [
        (["192.0.2.1", "192.0.2.1\n", " 192.0.2.1 # twice"], ["192.0.2.1"]),
        (["", "# nothing", "   "], []),
        (["192.0.2.0/24", "192.0.2.128/25"], ["192.0.2.0/24"]),
        (["192.0.2.0/25", "192.0.2.128/25"], ["192.0.2.0/24"]),
        (["192.0.2.1/32", "2001:db8::1/128"], ["192.0.2.1", "2001:db8::1"]),
        (["2001:DB8:0:0::1"], ["2001:db8::1"]),
        (["192.0.2.1\r\n"], ["192.0.2.1"]),
    ],
)
def test_entries_are_read_as_nft_writes_them(lines: list[str], entries: list[str]) -> None:
    assert list(read_entries(lines, "x")) == entries


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("::ffff:192.0.2.1", "feed.txt, line 2: found ::ffff:192.0.2.1, an IPv4 address inside"),
        ("192.0.2.256", "feed.txt, line 2: found 192.0.2.256, expected an address"),
        ("192.0.2.1/24", "feed.txt, line 2: found 192.0.2.1/24"),
        ("0.0.0.0/0", "feed.txt: holds every address of IPv4"),
        ("::/0", "feed.txt: holds every address of IPv6"),
        ("1.2.3.4 } ; flush ruleset", "feed.txt, line 2: found 1.2.3.4 }"),
        ("example.com", "feed.txt, line 2: found example.com"),
        ("192.0.2.1-192.0.2.9", "feed.txt, line 2: found 192.0.2.1-192.0.2.9"),
    ],
)
def test_a_wrong_line_is_named(line: str, told: str) -> None:
    with pytest.raises(ListError) as caught:
        read_entries(["192.0.2.7", line], "feed.txt")
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("name", "entry", "expected"),
    [
        ("ban", "192.0.2.1", "ban4"),
        ("ban", "2001:db8::/64", "ban6_networks"),
        ("block", "192.0.2.1", "block4_addresses"),
        ("block", "2001:db8::/64", "block6"),
        ("allow", "192.0.2.1", "allow4"),
    ],
)
def test_the_set_of_an_entry(name: str, entry: str, expected: str) -> None:
    assert set_of(name, entry) == expected
    assert expected in _address_lists.sets_of(name)


def test_elements_are_read_from_a_listing() -> None:
    listing = (
        "table inet ringfence {\n\tset ban4_networks {\n\t\ttype ipv4_addr\n\t\tflags interval,"
        "timeout\n\t\telements = { 10.0.0.0/8 timeout 1d expires 23h59m59s5ms, 192.0.2.1,\n"
        "\t\t\t     198.51.100.0-198.51.100.2 timeout 2m expires 900ms,\n"
        "\t\t\t     fe80::/10 }\n\t}\n}\n"
    )
    assert [tuple(row) for row in parse_elements(listing)] == [
        ("10.0.0.0/8", 86400, 86400),
        ("192.0.2.1", 0, 0),
        ("198.51.100.0/31", 120, 1),
        ("198.51.100.2", 120, 1),
        ("fe80::/10", 0, 0),
    ]
    assert list(parse_elements("table inet ringfence {\n\tset ban4 {\n\t}\n}\n")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("1s", 1), ("1ms", 1), ("1d1h1m1s", 90061), ("59m59s999ms", 3600), ("2d", 172800)],
)
def test_seconds(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("name", "now", "more", "after"),
    [
        ("ban", {}, {"192.0.2.1": 60}, {"192.0.2.1": 60}),
        ("ban", {"192.0.2.1": 60}, {"192.0.2.1": 60}, {"192.0.2.1": 60}),
        ("ban", {"192.0.2.1": 60}, {"192.0.2.1": 600}, {"192.0.2.1": 600}),
        ("ban", {"192.0.2.0/24": 60}, {"192.0.2.1": 60}, {"192.0.2.0/24": 60}),
        (
            "ban",
            {"192.0.2.0/24": 60},
            {"192.0.2.1": 600},
            {"192.0.2.0/24": 60, "192.0.2.1": 600},
        ),
        ("ban", {"192.0.2.0/25": 60}, {"192.0.2.0/24": 30}, {"192.0.2.0/24": 60}),
        ("ban", {"192.0.2.0/25": 0}, {"192.0.2.0/24": 30}, {"192.0.2.0/24": 0}),
        ("block", {"192.0.2.0/24": 0}, {"192.0.2.1": 0}, {"192.0.2.0/24": 0}),
        ("allow", {"192.0.2.1": 0}, {"192.0.2.0/24": 0}, {"192.0.2.0/24": 0}),
    ],
)
def test_adding(
    name: str, now: dict[str, int], more: dict[str, int], after: dict[str, int]
) -> None:
    assert added(name, now, more) == after
    assert added(name, after, more) == after


@pytest.mark.parametrize(
    ("now", "less", "after"),
    [
        (["192.0.2.1", "192.0.2.2"], ["192.0.2.1"], ["192.0.2.2"]),
        (["192.0.2.1"], ["192.0.2.0/24"], []),
        (["192.0.2.0/30"], ["192.0.2.1"], ["192.0.2.0", "192.0.2.2/31"]),
        (["192.0.2.0/24"], ["192.0.2.0/25", "192.0.2.128/25"], []),
        (["192.0.2.0/29"], ["192.0.2.0/30", "192.0.2.4"], ["192.0.2.5", "192.0.2.6/31"]),
        (["192.0.2.1"], ["198.51.100.1"], ["192.0.2.1"]),
        (["2001:db8::/126"], ["2001:db8::/127"], ["2001:db8::2/127"]),
    ],
)
def test_removing(now: list[str], less: list[str], after: list[str]) -> None:
    assert sorted(removed(dict.fromkeys(now, 0), dict.fromkeys(less, 0))) == sorted(after)


_NETS = st.lists(
    st.tuples(st.integers(0, 63), st.integers(26, 32)).map(
        lambda pair: str(ipaddress.ip_network((0xC0000200 + pair[0], pair[1]), strict=False))
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(now=_NETS, less=_NETS)
def test_removing_leaves_exactly_the_other_addresses(now: list[str], less: list[str]) -> None:
    before = dict.fromkeys(read_entries(now, "x"), 0)
    left = removed(before, dict.fromkeys(read_entries(less, "x"), 0))
    assert _addresses(left) == _addresses(now) - _addresses(less)


@settings(max_examples=150, deadline=None)
@given(now=_NETS, more=_NETS)
def test_adding_leaves_no_overlap(now: list[str], more: list[str]) -> None:
    after = added("allow", read_entries(now, "x"), read_entries(more, "x"))
    assert _addresses(after) == _addresses(now) | _addresses(more)
    assert sum(ipaddress.ip_network(entry).num_addresses for entry in after) == len(
        _addresses(after)
    )


def _addresses(entries: Iterable[str]) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    return {address for entry in entries for address in ipaddress.ip_network(entry)}


def test_the_narrowest_and_the_widest_network() -> None:
    nets = Networks(["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"])
    assert nets.covering("10.1.2.3") == "10.1.0.0/16"
    assert nets.covering("10.1.2.3", outermost=True) == "10.0.0.0/8"
    assert nets.covering("11.1.2.3") is None
    assert nets.covering("2001:db8::1") == "2001:db8::/32"
    assert nets.covering("0.0.0.0/0") is None


def test_a_hash_set_gets_the_difference_and_an_interval_set_everything() -> None:
    before = {"192.0.2.1": 0, "192.0.2.2": 0, "10.0.0.0/8": 0}
    after = {"192.0.2.2": 0, "192.0.2.3": 0, "10.0.0.0/8": 0, "11.0.0.0/8": 0}
    assert script("block", before, after).splitlines() == [
        "flush set inet ringfence block4",
        "add element inet ringfence block4 {",
        "10.0.0.0/8,",
        "11.0.0.0/8",
        "}",
        "delete element inet ringfence block4_addresses {",
        "192.0.2.1",
        "}",
        "add element inet ringfence block4_addresses {",
        "192.0.2.3",
        "}",
    ]
    assert script("block", after, after) == ""


def test_another_time_replaces_the_ban() -> None:
    others = {"192.0.2.2": 60, "192.0.2.3": 60}
    change = script("ban", {"192.0.2.1": 60, **others}, {"192.0.2.1": 90, **others})
    assert change.splitlines() == [
        "delete element inet ringfence ban4 {",
        "192.0.2.1",
        "}",
        "add element inet ringfence ban4 {",
        "192.0.2.1 timeout 90s",
        "}",
    ]


def test_the_file_for_the_next_boot_is_the_same_whatever_the_order() -> None:
    one = full_script("block", {"192.0.2.9": 0, "192.0.2.1": 0})
    assert one == full_script("block", {"192.0.2.1": 0, "192.0.2.9": 0})
    assert one.count("flush set") == 4


def test_the_file_for_the_next_boot_can_be_read_back() -> None:
    entries = ["192.0.2.9", "10.0.0.0/8", "fe80::1", "::2", "2001:db8::/64", "abcd::/16", "a::b"]
    text = full_script("block", dict.fromkeys(entries, 0))
    assert sorted(parse_full_script(text)) == sorted(entries)
    assert list(parse_full_script(full_script("block", {}))) == []


def test_a_list_that_mostly_changes_is_filled_anew() -> None:
    before = {f"192.0.2.{n}": 0 for n in range(10)}
    after = {f"192.0.3.{n}": 0 for n in range(10)}
    assert script("block", before, after).startswith("flush set inet ringfence block4_addresses")


def test_where_a_list_comes_from_is_noted_beside_it(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    path = tmp_path / _address_lists.origin_file("block").lstrip("/")

    def noted(origin: dict[str, Any], state: str = "exact", *, check: bool = False) -> bool:
        asked = {"list": "block", "state": state, "origin": origin}
        return _address_lists._note_origin(host, asked, check=check)

    origin = {"feed drop": {"sha256": "ab"}}
    assert noted(origin, check=True)
    assert not path.exists()
    assert [noted(origin), noted(origin)] == [True, False]
    assert _firewall.origins(host) == {"block": origin}
    # Who adds an entry by hand leaves the note, who fills the whole list drops it.
    assert not noted({}, "present")
    assert noted({}, check=True)
    assert path.exists()
    assert [noted({}), noted({})] == [True, False]
    assert _firewall.origins(host) == {}


@pytest.mark.parametrize(("name", "state"), [("ban", "exact"), ("block", "present")])
def test_only_a_whole_block_list_has_an_origin(tmp_path: Path, name: str, state: str) -> None:
    asked = {"list": name, "state": state, "origin": {"feed drop": {}}}
    with pytest.raises(ListError, match="origin: expected with the list block"):
        _address_lists.run(Host(str(tmp_path)), asked, None, check=True)
