# SPDX-License-Identifier: GPL-3.0-or-later
"""From the register to address lists of web servers. What the servers make of it: tests/hosts."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.action import fleet_blocks
from ansible_collections.ringfence.hosting.plugins.module_utils import _expire_addresses
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    address_sources,
    register_blocked,
    site_addresses,
    site_fit,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.site_addresses import (
    EVER,
    AddressError,
    Entry,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SHOP: dict[str, Any] = {
    "client": "acme",
    "id": "shop",
    "domains": ["a.example"],
    "root": "/srv/a",
    "web_server": "nginx",
    "cms": {"name": "wordpress"},
}


def asking(addresses: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    security = {"security": {"addresses": addresses}} if addresses is not None else {}
    return {**SHOP, **security, **more}


def files(*sites: dict[str, Any], blocked: Any = (), management: Any = ()) -> dict[str, str]:
    found = site_addresses.wanted(
        sites, list(blocked), list(management), address_sources.Folder(""), NOW
    )
    return dict(found.files.files)


@pytest.mark.parametrize("site", [asking(), asking({}), asking({"deny": []})])
def test_a_site_that_asks_for_nothing_has_no_file(site: dict[str, Any]) -> None:
    assert files(site, management=["192.0.2.1"]) == {}


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        (["10.0.0.0/8", "10.1.0.0/16", "10.2.3.4"], ["10.0.0.0/8"]),
        (["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/9", "10.128.0.0/9"]),
        (["10.0.0.0/8 2026-07-01", "10.1.0.0/16"], ["10.0.0.0/8", "10.1.0.0/16"]),
        (["10.0.0.0/8", "10.1.0.0/16 2026-07-01"], ["10.0.0.0/8"]),
        (["10.0.0.1 2026-07-01", "10.0.0.1"], ["10.0.0.1/32"]),
        (["::/16", "0::1"], ["::/16"]),
    ],
)
def test_what_lies_in_another_is_left_out_if_that_one_stays_as_long(
    rows: list[str], left: list[str]
) -> None:
    entries = [
        Entry(ip_network(text), site_addresses.ends(until))
        for text, _space, until in (row.partition(" ") for row in rows)
    ]
    assert [str(entry.network) for entry in site_addresses.reduced(entries)] == left


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-31", "2026-06-01T00:00:00+00:00"),
        ("2026-06-01T12:00:01Z", "2026-06-01T12:00:01+00:00"),
        (None, EVER.isoformat()),
    ],
)
def test_a_day_still_counts_and_a_moment_is_exact(text: str | None, moment: str) -> None:
    assert site_addresses.ends(text).isoformat() == moment


@pytest.mark.parametrize("server", ["nginx", "apache"])
def test_an_allow_list_that_has_ended_is_there_and_empty(server: str) -> None:
    site = asking({"allow_only": [{"network": "10.0.0.1", "expires": "2026-05-31"}]})
    found = files({**site, "web_server": server})
    end = {"nginx": "geo", "apache": "require"}[server]
    assert found[f"{site_addresses.DATA}/acme__shop_site.{end}"] == site_addresses._HEADER
    rules = "".join(text for path, text in found.items() if "/ringfence" in path)
    assert f"acme__shop_site.{end}" in rules
    if server == "apache":  # else Apache would take the section for none
        assert "<RequireAny>\nRequire all denied\nInclude" in rules


def test_entries_that_end_are_marked_and_a_timer_is_set_to_them() -> None:
    site = asking({"deny": [{"network": "10.0.0.1", "expires": "2026-06-30"}, {"network": "::1"}]})
    row = {"scope": "client acme", "network": "10.0.0.9", "expires": "2026-06-01T12:30:00Z"}
    found = files(
        site, blocked=[row, {**row, "network": "10.0.0.8", "ended": "2026-06-01T11:00:00Z"}]
    )
    text = found[f"{site_addresses.DATA}/acme__shop_deny.geo"]
    assert text.splitlines()[1:] == [
        "# until 2026-07-01T00:00:00Z",
        "10.0.0.1/32 1;",
        "# until 2026-06-01T12:30:00Z",
        "10.0.0.9/32 1;",
        "::1/128 1;",
    ]
    timer = found["/etc/systemd/system/ringfence-site-addresses.timer"]
    assert "OnCalendar=2026-06-01 12:30:00 UTC\nOnCalendar=2026-07-01 00:00:00 UTC\n" in timer
    later = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    assert _expire_addresses.remaining(text, later).splitlines()[1:] == [
        "# until 2026-07-01T00:00:00Z",
        "10.0.0.1/32 1;",
        "::1/128 1;",
    ]
    assert _expire_addresses.remaining(text, NOW) == text


@pytest.mark.parametrize(
    ("site", "said"),
    [
        (asking({"admin_allow_only": []}, cms={"name": "php"}), "expected cms.admin_paths"),
        (asking({"deny": [{"network": "::ffff:10.0.0.1"}]}), "an IPv4 address inside IPv6"),
        (asking({"deny": [{"network": "10.0.0.1/8"}]}), "which is an address inside a network"),
        (asking({"deny": []}, cdn={"ranges": ["10.0.0.0/8"], "header": "X;y"}), "cdn.header"),
        (asking({"admin_allow_only": []}, cms={"admin_paths": ['/a"b']}), "cms.admin_paths"),
    ],
)
def test_what_cannot_be_made_is_told(site: dict[str, Any], said: str) -> None:
    with pytest.raises(AddressError, match=r"^acme/shop: ") as caught:
        files(site)
    assert said in str(caught.value)


def test_a_fleet_block_is_the_web_servers_only_behind_a_cdn() -> None:
    row = {"scope": "fleet", "network": "10.0.0.9"}
    assert files(asking(), blocked=[row]) == {}
    behind = files(asking(cdn={"ranges": ["198.18.0.0/20"]}), blocked=[row])
    assert "10.0.0.9/32 1;" in behind[f"{site_addresses.DATA}/acme__shop_deny.geo"]
    server = behind["/etc/nginx/ringfence/acme__shop/addresses.conf"]
    assert "set_real_ip_from 198.18.0.0/20;\nreal_ip_header X-Forwarded-For;" in server


def test_the_fleets_firewall_gets_what_is_left_of_each_block() -> None:
    rows = [
        {"scope": "fleet", "network": "10.0.0.1", "expires": "2026-06-01T13:00:00Z"},
        {"scope": "fleet", "network": "10.0.0.2"},
        {"scope": "fleet", "network": "10.0.0.3", "ended": "2026-06-01T11:00:00Z"},
        {"scope": "fleet", "network": "10.0.0.2", "ended": "2026-06-01T11:00:00Z"},
        {"scope": "client acme", "network": "10.0.0.4"},
    ]
    assert fleet_blocks.wanted(rows, NOW) == ({"10.0.0.1": 3600, "10.0.0.2": 0}, ["10.0.0.3"])


def test_a_host_is_told_of_its_own_blocks_and_no_name() -> None:
    about = {"reason": "scans", "by": "ada", "since": "2026-06-01T00:00:00Z"}
    rows = [
        {"network": "10.0.0.1", "fleet": True, **about},
        {"network": "10.0.0.2", "client": "acme", **about},
        {"network": "10.0.0.3", "site": "acme/other", **about},
        {"network": "10.0.0.4", "fleet": True, "expires": "2026-06-01T12:00:00Z", **about},
    ]
    found = register_blocked.for_host(rows, ["acme"], ["acme/shop"], NOW)
    assert [row["network"] for row in found] == ["10.0.0.1", "10.0.0.2"]
    assert "ada" not in str(found)
    states = [register_blocked.state(row, NOW) for row in [*rows, {**rows[0], "ended": "x"}]]
    assert states == ["active", "active", "active", "expired", "ended"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([{"domains": ["b.example"], "root": "/srv/a"}], "the host serves no site a.example"),
        ([{"domains": ["a.example"], "root": "/srv/b"}],
         "root is /srv/b on the host, the register says /srv/a"),
        ([{"domains": ["a.example"], "root": "/srv/a", "cms": {"name": "joomla"}}],
         "cms is joomla on the host, the register says wordpress"),
        ([{"domains": ["a.example"], "root": "/srv/a/",
           "cms": {"name": "wordpress", "path": "/blog"}}], None),
    ],
)  # fmt: skip
def test_a_site_that_is_otherwise_than_declared_is_told(
    found: list[dict[str, Any]], said: str | None
) -> None:
    completed, misfits = site_fit.fitted([SHOP], found)
    assert misfits == ({"acme__shop": said} if said else {})
    if said is None:
        paths = site_addresses.admin_paths(completed[0])[0]
        assert paths == ("/blog/wp-login.php", "/blog/wp-admin/")


COUNTRIES = b"10.0.0.0,10.0.0.255,GB\n10.0.1.0,10.0.2.255,KP\n2001:db8::,2001:db8::ffff,KP\n"


def test_lists_from_elsewhere_are_kept_with_date_and_checksum(tmp_path: Path) -> None:
    for name, data in (("countries", COUNTRIES), ("bad", b"# x\n10.0.0.0/9 ; SB1\n10.9.9.9\n")):
        kept = address_sources.checked(name, data, {"source": "x"}, None)
        assert address_sources.keep(tmp_path, kept, 7)["changed"] is True
        assert address_sources.keep(tmp_path, kept, 7)["changed"] is False
    folder = address_sources.Folder(str(tmp_path))
    found = folder.countries(["KP", "XX"])
    assert list(map(str, found["KP"])) == ["10.0.1.0/24", "10.0.2.0/24", "2001:db8::/112"]
    now = datetime.now(UTC)
    assert list(map(str, folder.feed("bad", now))) == ["10.0.0.0/9"]
    with pytest.raises(address_sources.SourceError, match="days old, expected at most 7"):
        folder.feed("bad", now.replace(year=now.year + 1))
    (tmp_path / "feeds" / "bad.txt").write_bytes(b"10.0.0.1\n")
    with pytest.raises(address_sources.SourceError, match="its checksum is another"):
        folder.feed("bad", now)
    with pytest.raises(address_sources.SourceError, match=r"address_sources\.yml fetches it"):
        folder.feed("worse", now)


@pytest.mark.parametrize(
    ("name", "data", "sha256", "said"),
    [
        ("bad", b"", None, "it is empty"),
        ("bad", b"<html>\n", None, "feed bad, line 1"),
        ("bad", b"0.0.0.0/0\n", None, "holds every address"),
        ("bad", b"10.0.0.1\n", "0" * 64, "expected 0000"),
        ("../x", b"10.0.0.1\n", None, "a name of small letters"),
        ("countries", b"10.0.0.0,10.0.0.255,GB\n", None, "it knows 1 countries"),
        ("countries", b"a,b,GB\nc,d,KP\n", None, "line 1"),
        ("countries", b"\x1f\x8bjunk", None, "the package cannot be read"),
    ],
)
def test_a_list_that_is_not_whole_is_refused(
    name: str, data: bytes, sha256: str | None, said: str
) -> None:
    with pytest.raises(address_sources.SourceError, match=said):
        address_sources.checked(name, data, {}, sha256)
