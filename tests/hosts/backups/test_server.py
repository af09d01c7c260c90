# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a host: backed up beside its sites, judged, tried, restored, pruned."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups

from tests.hosts.backups.agency import BUCKET, Agency
from tests.hosts.playing import sh
from tests.hosts.sites import Servers
from tests.s3.radosgw import Gateway

pytestmark = pytest.mark.hosts

_SECRET = "a-made-up-password-of-the-agency"
_NAME = "_server/web1"


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    with (
        Gateway("s3-server") as s3,
        Servers(f"server-{os.getpid()}", {"web1": "bookworm"}, {"web1": "nginx"}) as servers,
    ):
        folder = tmp_path_factory.mktemp("server")
        made = Agency(servers, s3, folder, {"web1": [("acme", "shop")]})
        made.server = {
            "bucket": BUCKET,
            "endpoint": s3.url,
            "region": "eu-west-1",
            "password": _SECRET,
            **made.keys(),
        }
        made.more_secrets += [_SECRET, backups.server_password(_SECRET, "web1")]
        yield made


def test_it_is_set_up_once_and_its_lack_is_a_finding(agency: Agency) -> None:
    first = agency.play("backup_hosts.yml", "--diff")
    assert first.returncode == 0, first.output
    assert "changed=0" in agency.play("backup_hosts.yml").output
    agency.play("backup_audit.yml")
    found = agency.findings(_NAME)
    assert found["backups_configured"]["status"] == "pass"
    for control in ("backups_recent", "backups_succeeded", "backups_drilled"):
        assert found[control]["status"] == "fail", found[control]


def test_it_has_what_a_new_server_needs_and_no_clients_password(agency: Agency) -> None:
    rules = "table inet agency_rules { chain entry { tcp dport 22 accept; }; }"
    seen = sh(
        agency.servers,
        "web1",
        "set -e; mkdir -p /etc/cron.d; echo '* * * * * root true' > /etc/cron.d/ours;"
        f"echo '{rules}' | nft -f -; nft list ruleset | grep -q agency_rules;"
        "systemctl start ringfence-backup@acme ringfence-backup@_server; echo fine",
    )
    assert seen.strip().endswith("fine")
    drill = agency.play("backup_drill.yml")
    assert drill.returncode == 0, drill.output
    agency.play("backup_audit.yml")
    assert {one["status"] for one in agency.findings(_NAME).values()} == {"pass"}
    code, said = agency.ringfence("restore", _NAME, "--into", "/srv/config", "--yes")
    assert code == 0, said
    spool = "/srv/config/var/lib/ringfence/backup/spool/_server/web1"
    for command, words in (
        ("cat /srv/config/etc/cron.d/ours", "* * * * * root true"),
        (f"cat {spool}/packages.txt", "openssh-server:"),
        (f"cat {spool}/nftables.nft", "table inet agency_rules"),
        ("ls /srv/config/etc/nginx/nginx.conf", "nginx.conf"),
        ("cmp /etc/ssh/ssh_host_ed25519_key /srv/config/etc/ssh/ssh_host_ed25519_key && echo same",
         "same"),
        ("ls /srv/config/etc/ringfence/backup 2>&1 || true", "No such file"),
        ("stat -c %a:%U /srv/config", "700:root"),
    ):  # fmt: skip
        assert words in sh(agency.servers, "web1", command), command


def test_a_client_cannot_open_it_and_it_opens_no_client(agency: Agency) -> None:
    folder = "/etc/ringfence/backup"
    passwords = sh(agency.servers, "web1", f"cat {folder}/_server/password {folder}/acme/password")
    assert len(set(passwords.split())) == 2
    assert _SECRET not in passwords
    sh(agency.servers, "web1", f"cp {folder}/acme/password {folder}/_server/password")
    failed = "systemctl start ringfence-backup@_server || true"
    sh(agency.servers, "web1", failed)
    agency.play("backup_audit.yml")
    found = agency.findings(_NAME)["backups_succeeded"]
    assert (found["status"], "password is wrong" in found["message"]) == ("fail", True)
    assert agency.play("backup_hosts.yml").returncode == 0
    sh(agency.servers, "web1", "systemctl start ringfence-backup@_server")


def test_it_is_never_put_over_the_live_server(agency: Agency) -> None:
    said = ("-e", f"restore_site={_NAME}", "-e", f"restore_over_live={_NAME}")
    assert "into a folder only" in agency.play("restore.yml", *said).output


def test_it_is_pruned_by_the_keeper(agency: Agency) -> None:
    agency.server["keep"] = {"hourly": 1}
    say = ("-e", f"care_client={_NAME}", "-e", "care_what=prune")
    for changed in (1, 0):
        done = agency.play("backup_care.yml", *say)
        assert f"changed={changed}" in done.output, done.output


def test_what_is_no_longer_asked_for_goes(agency: Agency) -> None:
    kept, agency.server = agency.server, {}
    assert agency.play("backup_hosts.yml").returncode == 0
    seen = sh(agency.servers, "web1", "ls -d /etc/systemd/system/*_server* 2>&1 || true")
    assert "No such file" in seen
    assert "acme" in sh(agency.servers, "web1", "ls /etc/ringfence/backup")
    agency.server = kept


def test_no_secret_was_printed(agency: Agency) -> None:
    logs = sh(agency.servers, "web1", "journalctl --no-pager")
    for secret in agency.secrets():
        assert secret not in agency.said
        assert secret not in logs
