# SPDX-License-Identifier: GPL-3.0-or-later
"""Countries and feeds joined for a host's firewall."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import address_sources
from ansible_collections.ringfence.hosting.plugins.plugin_utils.address_sources import SourceError

COUNTRIES = b"""\
192.0.2.0,192.0.2.127,AA
198.51.100.0,198.51.100.255,BB
2001:db8:a::,2001:db8:a:ffff:ffff:ffff:ffff:ffff,AA
"""
FEED = b"# who attacks\n192.0.2.128/25\n203.0.113.7 ; said twice\n203.0.113.0/29\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (("countries", COUNTRIES), ("drop", FEED)):
        kept = address_sources.checked(name, data, {"source": f"https://{name}.example/"}, None)
        address_sources.keep(tmp_path, kept, 7)
    return tmp_path


def joined(folder: Path, codes: list[str], feeds: list[str]) -> address_sources.Joined:
    return address_sources.Folder(str(folder)).joined(codes, feeds, datetime.now(UTC))


@pytest.mark.parametrize(
    ("codes", "feeds", "expected"),
    [
        ([], [], []),
        (["BB"], [], ["198.51.100.0/24"]),
        (["AA"], [], ["192.0.2.0/25", "2001:db8:a::/48"]),
        ([], ["drop"], ["192.0.2.128/25", "203.0.113.0/29"]),
        (["AA", "AA"], ["drop"], ["192.0.2.0/24", "203.0.113.0/29", "2001:db8:a::/48"]),
    ],
)
def test_lists_are_joined_without_overlap(
    folder: Path, codes: list[str], feeds: list[str], expected: list[str]
) -> None:
    assert [str(network) for network in joined(folder, codes, feeds).networks] == expected


def test_each_list_goes_with_its_source_date_and_checksum(folder: Path) -> None:
    origin = joined(folder, ["BB", "AA"], ["drop"]).origin
    about = {
        name: json.loads((folder / f"{path}.json").read_text())
        for name, path in (("countries", "countries"), ("feed drop", "feeds/drop"))
    }
    assert set(origin) == set(about)
    assert origin["countries"]["codes"] == ["AA", "BB"]
    for name, known in about.items():
        assert {key: origin[name][key] for key in ("source", "fetched", "sha256")} == {
            key: known[key] for key in ("source", "fetched", "sha256")
        }


@pytest.mark.parametrize(
    ("codes", "feeds", "said"),
    [
        (["ZZ"], [], "the country data know no ZZ"),
        (["aa"], [], "the country data know no aa"),
        ([], ["none"], "there is no .*none.txt; playbooks.address_sources.yml fetches it"),
        ([], ["../countries"], "found the feed"),
    ],
)
def test_what_is_not_there_is_told_and_not_left_out(
    folder: Path, codes: list[str], feeds: list[str], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        joined(folder, codes, feeds)


@pytest.mark.parametrize(
    ("path", "codes", "feeds"), [("countries", ["AA"], []), ("feeds/drop", [], ["drop"])]
)
def test_data_that_are_old_or_another_are_not_used(
    folder: Path, path: str, codes: list[str], feeds: list[str]
) -> None:
    about = folder / f"{path}.json"
    known = json.loads(about.read_text())
    old = (datetime.now(UTC) - timedelta(days=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    about.write_text(json.dumps({**known, "fetched": old}))
    with pytest.raises(SourceError, match="8 days old, expected at most 7"):
        joined(folder, codes, feeds)
    about.write_text(json.dumps({**known, "sha256": "0" * 64}))
    with pytest.raises(SourceError, match="its checksum is another"):
        joined(folder, codes, feeds)
