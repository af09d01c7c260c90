# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves on a host, read with systemd's own mouth and compared with literals."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

FOLDER = "/etc/ringfence/backup"


def test_restic_is_new_enough(host: Host) -> None:
    assert host.check_output("restic version").startswith("restic 0.18.")


@pytest.mark.parametrize("client", ["acme", "zoo"])
def test_each_client_has_a_timer_with_jitter(host: Host, client: str) -> None:
    timer = host.service(f"ringfence-backup-{client}.timer")
    assert timer.is_enabled
    assert timer.is_running
    shown = host.check_output(
        f"systemctl show -p RandomizedDelayUSec,Unit ringfence-backup-{client}.timer"
    )
    assert set(shown.split("\n")) == {
        "RandomizedDelayUSec=30min",
        f"Unit=ringfence-backup@{client}.service",
    }


def test_who_has_no_bucket_has_no_timer(host: Host) -> None:
    assert not host.file("/etc/systemd/system/ringfence-backup-nobody.timer").exists


def test_secrets_are_for_root_alone(host: Host) -> None:
    with host.sudo():
        for client in ("acme", "zoo"):
            for name in ("password", "key", "job.json"):
                found = host.file(f"{FOLDER}/{client}/{name}")
                assert (found.user, found.mode) == ("root", 0o600)
        assert host.file(FOLDER).mode == 0o700
        assert host.file(f"{FOLDER}/acme/password").content_string == "not-a-secret\n"
        job = host.file(f"{FOLDER}/acme/job.json").content_string
    assert "not-a-secret" not in job
    assert json.loads(job)["sites"][0]["database"] == {
        "name": "shop",
        "host": "db1",
        "defaults": f"{FOLDER}/acme/shop.cnf",
    }


def test_an_account_of_a_site_cannot_look(host: Host) -> None:
    assert host.run("runuser -u nobody -- ls /etc/ringfence/backup").rc != 0


def test_the_unit_may_read_everything_and_write_its_own(host: Host) -> None:
    shown = host.check_output(
        "systemctl show -p ProtectSystem,NoNewPrivileges,StateDirectory,CapabilityBoundingSet"
        " ringfence-backup@acme.service"
    )
    assert set(shown.split("\n")) == {
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "StateDirectory=ringfence/backup",
        "CapabilityBoundingSet=cap_dac_override cap_dac_read_search",
    }


def test_mariadb_takes_the_option_file_as_it_is(host: Host) -> None:
    with host.sudo():
        text = host.file(f"{FOLDER}/acme/shop.cnf").content_string
    assert text == '[client]\nuser = "shop"\npassword = "a #word"\n'
