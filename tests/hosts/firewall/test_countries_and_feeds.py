# SPDX-License-Identifier: GPL-3.0-or-later
"""A host drops countries and feeds that the controller fetched, and never management."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.firewall import probes
from tests.hosts.firewall.conftest import Target
from tests.hosts.playing import play

pytestmark = pytest.mark.hosts

_NOTE = "/var/lib/ringfence/firewall/block.json"
_LISTED = "nft list set inet ringfence block4; nft list set inet ringfence block4_addresses"


class World:
    """The lists of the controller, and the host that is to keep to them."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target, self.folder = target, folder
        self.sources = str(folder / "sources")

    def fetch(self, **feeds: str) -> None:
        """Have address_sources.yml fetch countries and feeds; AA is where the outsider is."""
        around = self.target.outsider.rpartition(".")[0]
        texts = {
            "countries": f"{around}.0,{around}.255,AA\n198.51.100.0,198.51.100.255,BB\n",
            **feeds,
        }
        rows = []
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            rows.append({"name": name, "src": str(self.folder / name)})
        variables = {"address_sources": rows, "hosted_site_sources": self.sources}
        done = play(
            self.target.fleet, "address_sources.yml", "-e", json.dumps(variables),
            evidence_in=self.target.evidence,
        )  # fmt: skip
        assert done.returncode == 0, done.output

    def load(self, *options: str, **asked: Any) -> str:
        done = self.target.apply(*options, **asked, hosted_site_sources=self.sources)
        assert done.returncode == 0, done.output
        return done.output

    def noted(self) -> dict[str, Any]:
        found: dict[str, Any] = self.target.info()["origins"]
        return found


@pytest.fixture
def world(firewall: Target, tmp_path: Path) -> World:
    return World(firewall, tmp_path)


def test_a_feed_and_a_country_are_out_and_management_is_in(world: World) -> None:
    target = world.target
    world.fetch(drop=f"# attackers\n{target.outsider}\n{target.outsider6}/128 ; too\n")
    assert "changed=1" in world.load("--check", firewall_feeds=["drop"])
    assert target.reaches(80)
    assert "changed=1" in world.load(firewall_feeds=["drop"])
    assert not target.reaches(80)
    assert not target.reaches(80, target.address6)
    assert "changed=0" in world.load(firewall_feeds=["drop"])
    assert "changed=0" in world.load("--check", firewall_feeds=["drop"])
    noted = world.noted()["block"]
    assert noted["feed drop"]["source"] == str(world.folder / "drop")
    assert noted["feed drop"]["fetched"].endswith("Z")
    # The country holds management, too: the whole network of the test hosts.
    assert "changed=1" in world.load(firewall_blocked_countries=["AA", "BB"])
    assert "198.51.100.0/24" in target.sh(_LISTED)
    assert not target.reaches(80)
    assert target.reaches(80, target.address6)
    assert target.fleet.ssh(target.name, "echo", "in") == "in\n"
    assert world.noted()["block"]["countries"]["codes"] == ["AA", "BB"]
    # Without either, all of it goes; what others put on the list by hand then stays.
    assert "changed=1" in world.load()
    assert target.reaches(80)
    assert world.noted() == {}
    assert target.sh(f"ls {_NOTE} 2>/dev/null || echo gone").strip() == "gone"
    target.fill(list="block", entries=["192.0.2.9"])
    assert "changed=0" in world.load()
    assert "192.0.2.9" in target.sh(_LISTED)


def test_a_list_that_is_fetched_anew_is_swapped_without_a_gap(world: World) -> None:
    target = world.target
    for n in range(2):
        others = "\n".join(f"10.{n}.{m >> 8}.{m & 255}" for m in range(4000))
        world.fetch(drop=f"{target.outsider}\n{others}\n")
        if n == 0:
            world.load(firewall_feeds=["drop"])
            knocked = target.beside(probes.KNOCK, target.address, 80, 25)
    assert "changed=1" in world.load(firewall_feeds=["drop"])
    counted = json.loads(knocked.result(90))
    assert counted["tried"] > 50
    assert counted["connected"] == 0
    assert " 10.1.0.0/21" in target.sh(_LISTED)
    assert " 10.0.0.0/21" not in target.sh(_LISTED)
    # It is there again after the firewall is loaded as at boot, and drift is mended.
    target.sh("nft delete table inet ringfence; systemctl restart ringfence-firewall")
    assert not target.reaches(80)
    target.sh(f"nft delete element inet ringfence block4_addresses '{{ {target.outsider} }}'")
    assert target.reaches(80)
    assert "changed=1" in world.load(firewall_feeds=["drop"])
    assert not target.reaches(80)


def test_data_that_cannot_be_trusted_change_nothing(world: World) -> None:
    target = world.target
    world.fetch(drop=f"{target.outsider}\n")
    world.load(firewall_feeds=["drop"])
    before = target.sh(_LISTED)
    kept = Path(world.sources, "feeds/drop.txt")
    kept.write_text("198.51.100.9\n")
    for asked, told in (
        ({"firewall_feeds": ["drop"]}, "its checksum is another"),
        ({"firewall_feeds": ["none"]}, "address_sources.yml fetches it"),
        ({"firewall_blocked_countries": ["ZZ"]}, "the country data know no ZZ"),
    ):
        done = target.apply(**asked, hosted_site_sources=world.sources)
        assert done.returncode != 0
        assert told in done.output
        assert "What the host has stays as it is" in done.output
    assert target.sh(_LISTED) == before
    assert not target.reaches(80)


def test_absent_takes_the_list_along(world: World) -> None:
    target = world.target
    world.fetch(drop=f"{target.outsider}\n")
    world.load(firewall_feeds=["drop"])
    world.load(firewall_feeds=["drop"], firewall_state="absent")
    assert target.sh("ls -d /var/lib/ringfence/firewall 2>/dev/null || echo gone").strip() == "gone"
    assert target.reaches(8000)
    # Not loaded yet, and foreseen all the same.
    assert "changed=2" in world.load("--check", firewall_feeds=["drop"])
    assert "changed=2" in world.load(firewall_feeds=["drop"])
    assert not target.reaches(80)
