# SPDX-License-Identifier: GPL-3.0-or-later
"""Every control on real hosts: it fails in a wrong state, is applied, and holds when read by hand.

One journey: all controls are broken, audited, applied, read with plain commands, audited, applied
again. What Ringfence only tells of is mended by hand in between.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.fleet import Fleet
from tests.hosts.journey import Journey, bring_up_to_date, travel
from tests.testinfra.readings import READINGS

pytestmark = pytest.mark.hosts

HOSTS = {"bookworm": "bookworm", "trixie": "trixie"}
SHOWN = {
    name: reading
    for name, reading in READINGS.items()
    if not (reading.own_kernel or reading.hosted)
}
HIDDEN = [name for name, reading in READINGS.items() if reading.own_kernel]
HOSTED = [name for name, reading in READINGS.items() if reading.hosted]
BY_HAND = [name for name, reading in SHOWN.items() if reading.by_hand]
# Built in the background: a quick host has it by the time that apply looks again.
# The list of what lost its support comes with apply, of the release that the host says it has.
MAY_BE_DONE_BY_THEN = ("auditing_integrity_database", "updates_supported_packages")


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with Fleet(f"controls-{os.getpid()}", HOSTS) as fleet:
        bring_up_to_date(fleet, HOSTS)
        yield travel(fleet, HOSTS, SHOWN, tmp_path_factory.mktemp("evidence"))


def test_every_control_has_a_reading(journey: Journey) -> None:
    for host in HOSTS:
        assert set(journey.fresh[host]) == set(READINGS)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", SHOWN)
def test_fails_before(journey: Journey, host: str, name: str) -> None:
    assert journey.broken[host][name] == "fail"


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", SHOWN)
def test_is_applied_or_left_to_a_person(journey: Journey, host: str, name: str) -> None:
    right = {"fail"} if name in BY_HAND else {"changed"}
    assert journey.applied[host][name] in right | (
        {"changed"} if name in MAY_BE_DONE_BY_THEN else set()
    )


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
@pytest.mark.parametrize("name", HIDDEN)
def test_a_container_does_not_show_what_is_the_kernels(
    journey: Journey, host: str, name: str
) -> None:
    for seen in (journey.fresh, journey.broken, journey.applied, journey.mended):
        assert seen[host][name] == "not_applicable"


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", HOSTED)
def test_a_host_without_sites_has_nothing_to_show_of_them(
    journey: Journey, host: str, name: str
) -> None:
    assert journey.fresh[host][name] == "not_applicable"


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_ends_in_an_error(journey: Journey, host: str) -> None:
    for seen in (journey.fresh, journey.broken, journey.applied, journey.mended, journey.again):
        assert "error" not in seen[host].values()
