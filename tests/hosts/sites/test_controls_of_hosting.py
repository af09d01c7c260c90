# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a server with sites can show: each control fails, is applied, and holds by hand.

As `tests/hosts/test_controls_before_after.py`, on hosts with Apache, PHP-FPM and a database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.hosts.journey import Journey, travel
from tests.hosts.sites import Servers
from tests.testinfra.readings import FAMILIES, READINGS

pytestmark = pytest.mark.hosts

HOSTS = {"bookworm": "bookworm", "trixie": "trixie"}
# Controls of bans judge what playbooks/bans.yml sets up: tests/hosts/bans has hosts with it.
ELSEWHERE = FAMILIES["bans"]
SHOWN = {
    name: reading for name, reading in READINGS.items() if reading.hosted and name not in ELSEWHERE
}
BY_HAND = [name for name, reading in SHOWN.items() if reading.by_hand]
_FAMILIES = [family for family, readings in FAMILIES.items() if set(readings) & set(SHOWN)]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with Servers(f"hosting-{os.getpid()}", HOSTS, dict.fromkeys(HOSTS, "apache")) as servers:
        folder = tmp_path_factory.mktemp("evidence")
        asked = {"ringfence_families": _FAMILIES, "certificates_by_certbot": ["blog.example"]}
        yield travel(servers, HOSTS, SHOWN, folder, "-e", json.dumps(asked))


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", SHOWN)
def test_fails_before(journey: Journey, host: str, name: str) -> None:
    assert journey.broken[host][name] == "fail"


@pytest.mark.parametrize("host", HOSTS)
def test_check_announces_what_apply_then_does(journey: Journey, host: str) -> None:
    announced, applied = journey.announced[host], journey.applied[host]
    differ = {
        name: (announced[name], status)
        for name, status in applied.items()
        if announced[name] != status
    }
    assert differ == {}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", SHOWN)
def test_is_applied_or_left_to_a_person(journey: Journey, host: str, name: str) -> None:
    assert journey.applied[host][name] == ("fail" if name in BY_HAND else "changed")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", SHOWN)
def test_holds_when_read_by_hand(journey: Journey, host: str, name: str) -> None:
    assert journey.read[host][name] == SHOWN[name].expected(HOSTS[host])


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", SHOWN)
def test_passes_after(journey: Journey, host: str, name: str) -> None:
    assert journey.mended[host][name] == "pass"


@pytest.mark.parametrize("host", HOSTS)
def test_a_second_apply_changes_nothing(journey: Journey, host: str) -> None:
    assert "changed" not in journey.again[host].values()
    assert journey.runs["again"].returncode == 0, journey.runs["again"].output


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_ends_in_an_error(journey: Journey, host: str) -> None:
    stops = (journey.fresh, journey.broken, journey.announced, journey.applied, journey.mended)
    for seen in (*stops, journey.again):
        assert "error" not in seen[host].values()
