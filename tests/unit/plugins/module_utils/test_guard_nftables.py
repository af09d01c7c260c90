# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a packet filter counts as changed, and what is done about it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _guard_nftables as nft

TEXT = """\
table inet ringfence {
\tset banned {
\t\ttype ipv4_addr
\t\tflags timeout
\t\telements = { 192.0.2.1 timeout 1h expires 59m,
\t\t\t     192.0.2.2 timeout 1h expires 58m }
\t}

\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\ttcp dport 22 counter packets 5 bytes 300 accept comment "} {"
\t}
}
# Warning: table ip nat is managed by iptables-nft, do not touch!
table ip nat {
\tchain PREROUTING {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t}
}
"""


def ruleset(*items: dict[str, Any]) -> dict[str, Any]:
    return {"nftables": [{"metainfo": {"version": "1.0.6"}}, *items]}


def table(name: str = "f2b", **more: Any) -> dict[str, Any]:
    return {"table": {"family": "inet", "name": name, "handle": 1, **more}}


def rule(name: str = "f2b", verdict: str = "accept", **counter: int) -> dict[str, Any]:
    expression = [{"counter": {"packets": 0, "bytes": 0, **counter}}, {verdict: None}]
    place = {"family": "inet", "table": name, "chain": "input", "handle": 4}
    return {"rule": {**place, "expr": expression}}


def banned(*addresses: str, name: str = "f2b", flags: Any = ("timeout",)) -> dict[str, Any]:
    elements = [{"elem": {"val": a, "timeout": 3600, "expires": 9}} for a in addresses]
    place = {"family": "inet", "table": name, "name": "banned", "type": "ipv4_addr", "handle": 2}
    return {"set": {**place, "flags": list(flags), "elem": elements}}


DROP = rule(verdict="drop")
LISTED = banned(flags=["interval"])


def test_the_text_is_split_by_table() -> None:
    tables = nft.split_tables(TEXT)
    assert list(tables) == ["inet ringfence", "ip nat"]
    assert "".join(tables.values()) == "".join(
        line for line in TEXT.splitlines(keepends=True) if not line.startswith("#")
    )


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        pytest.param([rule(packets=1)], [rule(packets=99, bytes=9)], True, id="counters"),
        pytest.param([rule()], [rule(verdict="drop")], False, id="verdict"),
        pytest.param([rule()], [rule(), rule()], False, id="a rule more"),
        pytest.param([rule(), DROP], [DROP, rule()], False, id="order"),
        pytest.param([banned("192.0.2.1")], [banned()], True, id="a ban that ran out"),
        pytest.param([LISTED], [banned("::/0", flags=["interval"])], False, id="a block list"),
        pytest.param(
            [banned("192.0.2.1", "192.0.2.2", flags=[])],
            [banned("192.0.2.2", "192.0.2.1", flags=[])],
            True,
            id="order of elements",
        ),
    ],
)
def test_only_what_somebody_wrote_counts(before: list[Any], after: list[Any], same: bool) -> None:
    one = nft.shapes(ruleset(table(), *before))
    two = nft.shapes(ruleset(table(), *after))
    assert (one == two) is same


def test_our_own_sets_count_with_their_elements() -> None:
    name = "ringfence"
    one = nft.shapes(ruleset(table(name), banned(name=name)))
    two = nft.shapes(ruleset(table(name), banned("192.0.2.1", name=name)))
    assert one != two


@pytest.mark.parametrize("flags", ["owner", ["owner", "persist"]])
def test_a_table_that_a_process_owns_is_left_to_it(flags: Any) -> None:
    assert nft.shapes(ruleset(table("firewalld", flags=flags), rule("firewalld"))) == {}


def _snapshot(*names: str, version: str = "1", iptables: str = "") -> nft.Snapshot:
    return nft.Snapshot(
        tables={name: f"table {name} {{\n\tversion {version}\n}}\n" for name in names},
        shapes=dict.fromkeys(names, version),
        iptables={"ip": iptables} if iptables else {},
    )


@pytest.mark.parametrize(
    ("before", "after", "altered", "new"),
    [
        pytest.param(["inet a"], ["inet a"], [], [], id="same"),
        pytest.param(["inet a"], ["inet b"], ["inet a"], ["inet b"], id="other"),
        pytest.param([], ["inet netavark", "ip docker-bridges"], [], [], id="engine starts"),
        pytest.param(["inet netavark"], [], ["inet netavark"], [], id="engine flushed"),
        pytest.param([], ["ip filter"], [], ["ip filter"], id="filter, no iptables"),
    ],
)
def test_the_difference(
    before: list[str], after: list[str], altered: list[str], new: list[str]
) -> None:
    assert nft._difference(_snapshot(*before), _snapshot(*after)) == (altered, new)


def test_an_engine_s_table_is_its_own_affair() -> None:
    before, after = _snapshot("inet netavark", "inet a"), _snapshot("inet netavark", "inet a")
    after = copy.deepcopy(after)
    after["shapes"] = {"inet netavark": "2", "inet a": "2"}
    assert nft._difference(before, after) == (["inet a"], [])


def test_one_transaction_replaces_what_differs() -> None:
    script = nft._replacing(_snapshot("inet a", "inet b"), ["inet a"], ["inet evil"])
    assert script.splitlines() == [
        "table inet a",
        "delete table inet a",
        "table inet a {",
        "\tversion 1",
        "}",
        "",
        "delete table inet evil",
    ]


UFW = """\
# Generated by iptables-save
*filter
:INPUT ACCEPT [10:100]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:ufw-input - [0:0]
:ufw-deep - [0:0]
-A INPUT -j ufw-input
-A FORWARD -j DOCKER
-A DOCKER -d 172.17.0.2/32 -j ACCEPT
-A ufw-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-input -g ufw-deep
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
-A OUTPUT -j DOCKER
COMMIT
"""


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        pytest.param("", "", False, id="same"),
        pytest.param("INPUT ACCEPT [10:100]", "INPUT ACCEPT [99:9]", False, id="counters"),
        pytest.param("INPUT ACCEPT [10:100]", "INPUT DROP [0:0]", True, id="policy"),
        pytest.param("--dport 22", "--dport 23", True, id="in a chain of a chain"),
        pytest.param("172.17.0.2", "172.17.0.3", False, id="a container that started"),
    ],
)
def test_of_iptables_only_the_doors_are_put_back(old: str, new: str, touched: bool) -> None:
    before = nft.parse_iptables(UFW)["filter"]
    after = nft.parse_iptables(UFW.replace(old, new))["filter"]
    script = nft.iptables_script("filter", before, after)
    assert bool(script) is touched
    assert "DOCKER" not in script
    if touched:
        assert "-F INPUT" in script
        assert "-A ufw-input -p tcp -m tcp --dport 22 -j ACCEPT" in script
        assert script.endswith("COMMIT\n")


def test_a_flushed_iptables_table_comes_back_whole() -> None:
    tables = nft.parse_iptables(UFW)
    assert "-A OUTPUT -j DOCKER" in nft.iptables_script("nat", tables["nat"], None)
    assert nft.iptables_script("nat", tables["nat"], {"OUTPUT": [":OUTPUT ACCEPT [0:0]"]}) == ""


def test_a_new_iptables_table_opens_its_doors() -> None:
    script = nft.iptables_script("filter", None, nft.parse_iptables(UFW)["filter"])
    assert ":INPUT ACCEPT [0:0]" in script
    assert "-A" not in script


def test_a_snapshot_survives_json() -> None:
    snapshot = _snapshot("inet a", iptables=UFW)
    assert json.loads(json.dumps(snapshot)) == snapshot
