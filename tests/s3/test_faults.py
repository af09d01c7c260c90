# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever befalls a backup: the reason is said in one line, and no object is lost."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host

from tests.s3.embedded import FaultyWay
from tests.s3.faults import BUCKET, PASSWORD, Host, WrongClock
from tests.s3.radosgw import Gateway

pytestmark = pytest.mark.hosts

_HOUR = 3600


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    # Not in /tmp, over which a test puts a disk that is full.
    with (
        tempfile.TemporaryDirectory(prefix="ringfence-faults-", dir="/var/tmp") as folder,
        Gateway("faults") as s3,
    ):
        key = s3.user("owner")
        s3.client(key).create_bucket(Bucket=BUCKET)
        made = Host(s3, key, Path(folder))
        made.write(8, "first.bin")
        code, said = made.run()
        assert code == 0, said
        yield made


@contextmanager
def nothing_is_lost(host: Host, *, more: int) -> Iterator[None]:
    """What lay in the bucket still does, all data is right, and `more` backups are there."""
    snapshots, objects = host.snapshots(), host.objects()
    try:
        yield
    finally:
        host.aim(host.s3.url)
    assert objects <= host.objects()
    assert snapshots <= host.snapshots()
    assert len(host.snapshots() - snapshots) == more
    host.check()
    host.write(1)
    code, said = host.run()  # and the next one is made as if nothing had been
    assert code == 0, said


@pytest.mark.parametrize(("off", "told"), [(_HOUR, "60 min ahead of"), (-_HOUR, "60 min behind")])
def test_a_clock_that_is_off_is_told_and_not_the_key_blamed(
    host: Host, off: int, told: str
) -> None:
    with nothing_is_lost(host, more=0), WrongClock(host.s3.url, host.key, off) as way:
        host.aim(way.url)
        code, said = host.run()
        assert way.seen
    assert (code, f"the clock of this host is {told} S3's" in said) == (1, True), said


def test_a_clock_that_is_a_little_off_does_no_harm(host: Host) -> None:
    with nothing_is_lost(host, more=1), WrongClock(host.s3.url, host.key, 240) as way:
        host.aim(way.url)
        host.write(2)
        code, said = host.run()
    assert code == 0, said


@pytest.mark.parametrize("what", [503, "drop", "slow"])
def test_a_storm_that_not_all_requests_come_through_is_weathered(
    host: Host, what: int | str
) -> None:
    chance, refused = random.Random(7), 0  # noqa: S311 - no secret

    def fault(_number: int, _line: str) -> int | str | None:
        nonlocal refused
        if chance.random() < 0.4:
            refused += 1
            return what
        return None

    with nothing_is_lost(host, more=1), FaultyWay(host.s3.url, fault) as way:
        host.aim(way.url)
        host.write(24)
        code, said = host.run()
    assert (code, refused > 5) == (0, True), (said, refused)


@pytest.mark.parametrize(
    ("what", "told"), [(503, "S3 is too busy to answer"), ("drop", "S3 cannot be reached")]
)
def test_a_storm_without_an_end_is_told(host: Host, what: int | str, told: str) -> None:
    with (
        nothing_is_lost(host, more=0),
        FaultyWay(host.s3.url, lambda _number, _line: what) as way,
        pytest.raises(_backup_host.BackupError) as caught,
    ):
        host.restic("snapshots", "--no-lock", url=way.url, seconds=12)
    assert f"no end after 12 s: {told}" in str(caught.value)


def test_the_network_goes_in_mid_backup_for_good(host: Host) -> None:
    host.write(24)
    with nothing_is_lost(host, more=0):
        gone = FaultyWay(host.s3.url, lambda number, _line: "drop" if number > 12 else None)
        with gone as way, pytest.raises(_backup_host.BackupError) as caught:
            host.restic("backup", "--json", "--quiet", str(host.live), url=way.url, seconds=15)
        assert way.seen > 12
        host.restic("unlock", "--remove-all")
    assert "S3 cannot be reached" in str(caught.value)


def test_killed_at_random_moments_the_next_one_succeeds(host: Host) -> None:
    chance, killed = random.Random(11), 0  # noqa: S311 - no secret
    snapshots, objects = host.snapshots(), host.objects()
    for _attempt in range(12):
        host.write(16)
        killed += host.run_and_kill(chance.uniform(0.2, 2.0))
        assert objects <= host.objects()
    assert killed >= 6
    host.check()
    assert snapshots <= host.snapshots()
    code, said = host.run()
    assert code == 0, said
    host.check()


_FULL = (
    'mount -t tmpfs -o size=8k none {0}; head -c 1M /dev/zero 2> /dev/null > {0}/full; exec "$@"'
)


@pytest.mark.parametrize("place", ["state", "temporary"])
def test_no_room_on_the_hosts_disk(host: Host, place: str) -> None:
    folder = {"state": str(host.state), "temporary": "/tmp"}[place]
    host.write(24)
    with nothing_is_lost(host, more=0):
        code, said = host.run("unshare", "--mount", "sh", "-c", _FULL.format(folder), "sh")
    assert (code, "o space left" in said) == (1, True), said


def test_a_run_that_cannot_be_written_down_is_not_spoken_for_by_the_one_before(host: Host) -> None:
    state = host.state / "acme.json"
    assert state.is_file()
    # The file of the run's own lock stays; there is room for no other.
    state.with_suffix(".json.new").mkdir()
    try:
        code, said = host.run()
    finally:
        state.with_suffix(".json.new").rmdir()
    assert (code, state.exists()) == (1, False), said
    assert host.run()[0] == 0
    assert state.is_file()


def test_no_room_in_the_bucket(host: Host) -> None:
    quota = ("--quota-scope=user", f"--uid={host.key.user}")
    host.write(24)
    with nothing_is_lost(host, more=0):
        host.s3.admin("quota", "set", *quota, "--max-objects=1")
        host.s3.admin("quota", "enable", *quota)
        try:
            with pytest.raises(_backup_host.BackupError) as caught:
                host.restic("backup", "--json", "--quiet", str(host.live), seconds=20)
        finally:
            host.s3.admin("quota", "disable", *quota)
        host.restic("unlock", "--remove-all")
    assert "no end after 20 s: the bucket or its owner has no room left" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("password", "the repository's password is wrong"),
        ("secret", "S3 refuses the access key"),
        ("key", "S3 refuses the access key"),
        ("bucket", "there is no repository in this bucket, or no such bucket"),
    ],
)
def test_what_opens_it_is_wrong(host: Host, fault: str, told: str) -> None:
    with nothing_is_lost(host, more=0):
        key = host.key
        key = replace(key, secret="wrong") if fault == "secret" else key
        key = replace(key, access="NOBODY") if fault == "key" else key
        host.aim(host.s3.url, password="wrong" if fault == "password" else PASSWORD, key=key)
        if fault == "bucket":
            job = Path(host.settings / "job.json")
            job.write_text(job.read_text().replace(BUCKET, "no-such-bucket"))
        code, said = host.run()
    assert (code, told in said) == (1, True), said
    assert "clock" not in said
