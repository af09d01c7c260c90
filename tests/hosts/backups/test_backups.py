# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of backups, in the order of this file: made, judged, restored, lost, brought back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backups, restic_program
from botocore.exceptions import ClientError

from tests.hosts.backups.agency import BUCKET, Agency
from tests.hosts.playing import sh
from tests.hosts.sites import Servers
from tests.s3.radosgw import Gateway

pytestmark = pytest.mark.hosts

_UNIT = "ringfence-backup@{}.service"
# Everything that is in any process's arguments or environment, until the backup has ended.
_WATCH = """
systemctl start --no-block ringfence-backup@acme.service
while systemctl is-active -q ringfence-backup@acme.service ||
      systemctl show -p ActiveState ringfence-backup@acme.service | grep -q activating; do
    cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null | tr '\\000' '\\n'
done
systemctl show -p Result --value ringfence-backup@acme.service
"""


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    hosts = {"web1": "bookworm", "web2": "trixie"}
    web = dict.fromkeys(hosts, "nginx")
    with (
        Gateway("s3-backups") as s3,
        Servers(f"backups-{os.getpid()}", hosts, web) as servers,
    ):
        yield Agency(servers, s3, tmp_path_factory.mktemp("backups"))


def test_set_up_on_both_hosts_at_once_then_nothing_changes(agency: Agency) -> None:
    trial = agency.play("backup_hosts.yml", "--check", "--diff")
    assert trial.returncode == 0, trial.output
    first = agency.play("backup_hosts.yml", "--diff")
    assert first.returncode == 0, first.output
    second = agency.play("backup_hosts.yml")
    assert second.returncode == 0, second.output
    assert second.output.count("changed=0") == 2
    for host in agency.servers.hosts:
        seen = sh(
            agency.servers, host, "stat -c %a:%U /etc/ringfence/backup /etc/ringfence/backup/acme/*"
        )
        assert set(seen.split()) == {"700:root", "600:root"}


def test_before_the_first_backup_its_lack_is_a_finding(agency: Agency) -> None:
    agency.play("backup_audit.yml")
    found = agency.findings("acme/shop")
    assert found["backups_configured"]["status"] == "pass"
    for control in ("backups_recent", "backups_succeeded", "backups_drilled"):
        assert found[control]["status"] == "fail", found[control]


def test_a_backup_shows_no_secret_to_anybody(agency: Agency) -> None:
    for host in agency.servers.hosts:
        seen = sh(agency.servers, host, _WATCH)
        assert seen.strip().endswith("success")
        assert "restic" in seen
        assert not [secret for secret in agency.secrets() if secret in seen]
    sh(agency.servers, "web1", "systemctl start ringfence-backup@zoo.service")


def test_a_drill_proves_every_site_and_the_audit_is_clean(agency: Agency) -> None:
    # A hardened host gives root a temporary folder that no other user can use.
    hardened = "install -d -m 0700 /run/own; echo TMPDIR=/run/own >> /etc/environment"
    for host in agency.servers.hosts:
        sh(agency.servers, host, hardened)
    done = agency.play("backup_drill.yml")
    assert done.returncode == 0, done.output
    agency.play("backup_audit.yml")
    for site in ("acme/shop", "acme/blog", "zoo/plain"):
        found = agency.findings(site)
        assert {one["status"] for one in found.values()} == {"pass"}, found
        assert "recovery time" in found["backups_drilled"]["observed"]
    for host in agency.servers.hosts:
        assert "ringfence" not in sh(agency.servers, host, "ls /var/tmp")
    code, said = agency.ringfence("backups")
    assert (code, "3 of 3 sites as agreed" in said) == (0, True), said
    code, said = agency.ringfence("drill", "--on", "web2")
    assert (code, "3 of 3 sites as agreed" in said) == (0, True), said
    assert "acme: 2 sites back in" in said


def test_a_restore_is_the_same_and_an_older_one_is_older(agency: Agency) -> None:
    web1 = agency.servers
    live = "/var/www/shop/public"
    sh(web1, "web1", f"echo first > {live}/note.txt; systemctl start ringfence-backup@acme")
    between = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 1))
    time.sleep(2)  # the moment between the two backups
    sh(web1, "web1", f"echo second > {live}/note.txt; systemctl start ringfence-backup@acme")
    say = ("-e", "restore_site=acme/shop")
    plan = agency.play("restore.yml", *say, "-e", "restore_into=/srv/new", "--check")
    assert "would restore acme/shop" in plan.output
    for into, more in (("/srv/new", ()), ("/srv/old", ("-e", f"restore_at={between}"))):
        done = agency.play("restore.yml", *say, "-e", f"restore_into={into}", *more)
        assert done.returncode == 0, done.output
    assert sh(web1, "web1", f"diff -r {live} /srv/new{live} && echo same").strip() == "same"
    assert sh(web1, "web1", f"cat /srv/old{live}/note.txt").strip() == "first"
    again = agency.play("restore.yml", *say, "-e", "restore_into=/srv/new")
    assert "is not empty: nothing was restored" in again.output
    for words, code, told in (
        (("--into", "/srv/elsewhere"), 3, "give --yes"),
        (("--into", "/srv/elsewhere", "--to", "web2", "--yes"), 0, "on web2, into /srv/elsewhere"),
    ):
        ended, said = agency.ringfence("restore", "acme/shop", *words)
        assert (ended, told in " ".join(said.split())) == (code, True), said
    assert sh(web1, "web2", f"cat /srv/elsewhere{live}/note.txt").strip() == "second"


def test_all_sites_of_a_client_are_restored_at_once(agency: Agency) -> None:
    say = ("restore", "acme", "--into", "/srv/all", "--yes")
    code, said = agency.ringfence(*say, "--at", "2001-01-01T00:00")
    assert (code, "there is no backup of" in said) == (3, True), said
    code, said = agency.ringfence(*say, "--to", "web2")
    assert (code, said.count("Restored acme/")) == (0, 2), said
    for site in ("shop", "blog"):
        live = f"/var/www/{site}/public"
        assert "index.php" in sh(agency.servers, "web2", f"ls /srv/all/{site}{live}")
    code, said = agency.ringfence("restore", "acme", "--into", "/srv/own", "--yes", "--json")
    rows = json.loads(said[said.index("{") : said.rindex("}") + 1])["restored"]
    assert [(row["site"], row["host"]) for row in rows] == [
        ("acme/blog", "web2"),
        ("acme/shop", "web1"),
    ]


def test_over_the_live_site_only_when_it_is_named_twice(agency: Agency) -> None:
    web1, live = agency.servers, "/var/www/shop/public"
    sh(
        web1,
        "web1",
        f"rm {live}/note.txt; touch {live}/new.txt; mariadb shop -e 'DROP TABLE wp_posts'",
    )
    say = ("-e", "restore_site=acme/shop")
    refused = agency.play("restore.yml", *say, "-e", "restore_over_live=acme/blog")
    assert "nothing was restored" in refused.output
    assert sh(web1, "web1", f"ls {live}/new.txt")
    done = agency.play("restore.yml", *say, "-e", "restore_over_live=acme/shop")
    assert done.returncode == 0, done.output
    assert (
        sh(web1, "web1", f"cat {live}/note.txt; ls {live}/new.txt 2>&1 || true").split("\n")[0]
        == "second"
    )
    assert "opening-hours" in sh(
        web1, "web1", "curl -ks --resolve shop.example:443:127.0.0.1 https://shop.example/"
    )


def test_what_fails_is_said_and_is_a_finding(agency: Agency) -> None:
    folder = "/etc/ringfence/backup/zoo"
    run = "systemctl start ringfence-backup@zoo.service || true"
    tail = (
        "python3 -c \"import json; print(json.load(open('/var/lib/ringfence/backup/zoo.json'))"
        "['sites']['plain']['error'])\""
    )
    full = "mount -t tmpfs -o size=8k none /var/lib/ringfence/backup/spool/zoo"
    cases = {
        "password is wrong": (f"echo wrong > {folder}/password", ""),
        "refuses the access key": (
            f"sed -i 's/secret_access_key = .*/secret_access_key = x/' {folder}/key",
            "",
        ),
        "not there": (
            "mv /var/www/plain/public /var/www/plain/gone",
            "mv /var/www/plain/gone /var/www/plain/public",
        ),
        "o space left": (
            f"{full}; head -c 8k /dev/zero > /var/lib/ringfence/backup/spool/zoo/x",
            "umount /var/lib/ringfence/backup/spool/zoo",
        ),
    }
    for words, (breaks, mends) in cases.items():
        sh(agency.servers, "web1", f"cp -a {folder} /root/kept; {breaks} || true; {run}")
        said = sh(agency.servers, "web1", tail)
        sh(agency.servers, "web1", f"rm -r {folder}; mv /root/kept {folder}; {mends}")
        assert words in said, (words, said)
    agency.play("backup_audit.yml", late_after="6h")
    found = agency.findings("zoo/plain")
    assert found["backups_succeeded"]["status"] == "fail"
    assert "o space left" in found["backups_succeeded"]["message"]
    assert found["backups_recent"]["status"] == "pass"
    agency.play("backup_audit.yml", every="1s", late_after="1s")
    assert agency.findings("zoo/plain")["backups_recent"]["status"] == "fail"
    sh(agency.servers, "web1", "systemctl start ringfence-backup@zoo.service")


def test_killed_at_any_moment_the_next_one_succeeds(agency: Agency) -> None:
    for delay in ("0.3", "1", "2"):
        sh(
            agency.servers,
            "web2",
            "head -c 20M /dev/urandom > /var/www/blog/public/big.bin;"
            f"systemctl start --no-block ringfence-backup@acme; sleep {delay};"
            "systemctl kill -s KILL ringfence-backup@acme || true;"
            "while systemctl is-active -q ringfence-backup@acme; do :; done",
        )
    sh(agency.servers, "web2", "systemctl start ringfence-backup@acme")
    done = agency.play("backup_drill.yml", "-l", "web2")
    assert done.returncode == 0, done.output


def test_a_network_that_goes_and_comes_back_costs_nothing(agency: Agency) -> None:
    cut = f"ip route add blackhole {agency.s3.address}/32"
    seen = sh(
        agency.servers,
        "web2",
        "head -c 30M /dev/urandom > /var/www/blog/public/big.bin; "
        f"systemctl start --no-block ringfence-backup@acme; sleep 1; {cut}; sleep 8; "
        f"{cut.replace('add', 'del')}; systemctl start ringfence-backup@acme; "
        "systemctl show -p Result --value ringfence-backup@acme",
    )
    assert seen.strip() == "success"


def test_a_stolen_writers_key_destroys_nothing_for_good(agency: Agency) -> None:
    client = agency.s3.client(agency.writer)
    owner = agency.s3.client(agency.owner)
    names = [
        row["Key"]
        for page in owner.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="acme/")
        for row in page["Contents"]
        if "/locks/" not in row["Key"]  # those a writer may delete
    ]
    for name in names:
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=BUCKET, Key=name)
        client.put_object(Bucket=BUCKET, Key=name, Body=b"your files are ours")
    client.put_object(Bucket=BUCKET, Key=f"acme/index/{'0' * 64}", Body=b"junk")
    # Somebody with a stronger key deletes on top of it; the lock leaves all versions.
    for name in names[::2]:
        owner.delete_object(Bucket=BUCKET, Key=name)
    say = ("-e", "recover_client=acme")
    code, trial = agency.ringfence("recover", "acme", "--check")
    assert (code, "would be put back" in trial) == (0, True), trial
    done = agency.play("backup_recover.yml", *say)
    assert done.returncode == 0, done.output
    assert "1 strange ones hidden, 0 lost" in " ".join(done.output.split())
    assert "all data read and sound" in " ".join(done.output.split())
    again = agency.play("backup_recover.yml", *say)
    assert "changed=0" in again.output
    drill = agency.play("backup_drill.yml")
    assert drill.returncode == 0, drill.output


def test_pruning_keeps_what_the_register_keeps(agency: Agency) -> None:
    sh(agency.servers, "web1", "systemctl start ringfence-backup@zoo")
    say = ("-e", "care_client=zoo", "-e", "care_what=prune")
    asked: dict[str, Any] = {"keep": {"hourly": 1}, "prune_within": "1s"}
    agency.play("backup_audit.yml", **asked)
    found = agency.findings("zoo/plain")["backups_pruned"]
    assert (found["status"], "are still there" in found["message"]) == ("fail", True), found
    done = agency.play("backup_care.yml", *say, keep={"hourly": 1})
    assert done.returncode == 0, done.output
    assert "changed=1" in done.output
    agency.play("backup_audit.yml", **asked)
    assert agency.findings("zoo/plain")["backups_pruned"]["status"] == "pass"
    again = agency.play("backup_care.yml", *say, keep={"hourly": 1})
    assert "changed=0" in again.output, again.output
    denied = agency.play("backup_care.yml", *say, keep={})
    assert "nothing was pruned" in denied.output


def test_an_old_archive_is_adopted_once_and_as_it_was(agency: Agency, tmp_path: Path) -> None:
    owner = agency.s3.client(agency.owner)
    owner.create_bucket(Bucket="old-backups")
    archive = os.urandom(3_000_000)
    owner.put_object(Bucket="old-backups", Key="2023/shop backup.zip", Body=archive)
    say = ("-e", "care_client=zoo", "-e", "care_what=adopt", "-e", "care_bucket=old-backups")
    names = ("-e", '{"care_archives": ["2023/shop backup.zip"]}')
    for changed in (1, 0):
        done = agency.play("backup_care.yml", *say, *names)
        assert f"changed={changed}" in done.output, done.output
    (site,) = [site for site in agency.sites("web1") if site["client"] == "zoo"]
    with _backup_host.opened(**backups.opening(site), cache=str(tmp_path)) as repository:
        (row,) = [
            row
            for row in _backup_host.snapshots(repository, program=restic_program.program())
            if not row["site"]
        ]
        dumped = subprocess.run(
            [
                restic_program.program(),
                "dump",
                "--no-lock",
                row["id"],
                "/old-backups%2F2023%2Fshop%20backup.zip",
            ],
            env=repository.environment(),
            capture_output=True,
            check=True,
        )
    assert dumped.stdout == archive


def test_a_password_is_changed_in_an_order_that_never_shuts_out(agency: Agency) -> None:
    new = "the-next-made-up-password"
    agency.more_secrets.append(new)
    for client in ("acme", "zoo"):
        say = ("-e", f"care_client={client}", "-e", "care_what=add_password")
        for changed in (1, 0):
            done = agency.play("backup_care.yml", *say, next={"password": new})
            assert f"changed={changed}" in done.output, done.output
    # web1 alone has the new one: nothing is dropped while web2 would be shut out.
    drop = ("backup_care.yml", "-e", "care_client=acme", "-e", "care_what=drop_passwords")
    assert agency.play("backup_hosts.yml", "-l", "web1", password=new).returncode == 0
    for words, told in (
        ((), "removed: web2 has another password than backup.password: run"),
        (("-l", "localhost,web1"), "removed: web2 does not say which password it has: run"),
    ):
        refused = agency.play(*drop, *words, password=new)
        assert told in " ".join(refused.output.split()), refused.output
    sh(agency.servers, "web2", "systemctl start ringfence-backup@acme")
    assert agency.play("backup_hosts.yml", password=new).returncode == 0
    for client in ("acme", "zoo"):
        say = ("-e", f"care_client={client}", "-e", "care_what=drop_passwords")
        done = agency.play("backup_care.yml", *say, password=new)
        assert "changed=1" in done.output, done.output
    for host in agency.servers.hosts:
        sh(agency.servers, host, "systemctl start ringfence-backup@acme")
    agency.play("backup_audit.yml")
    found = agency.findings("acme/shop")["backups_recent"]
    assert (found["status"], "password is wrong" in found["message"]) == ("error", True)
    agency.settings["password"] = new


def test_a_new_master_key_is_a_new_repository_with_all_backups(
    agency: Agency, tmp_path: Path
) -> None:
    old, new = agency.settings["password"], "a-password-of-the-new-repository"
    agency.more_secrets.append(new)
    moved = {"repository": "zoo-2", "password": new}
    say = ("-e", "care_client=zoo", "-e", "care_what=copy", "-e", "care_old_repository=zoo")
    secret = agency.folder / "old-password.json"
    secret.write_text(json.dumps({"care_old_password": old}))
    missing = agency.play("backup_care.yml", *say, "-e", f"@{secret}", **moved)
    assert "there is no repository" in missing.output
    (site,) = [site for site in agency.sites("web1", **moved) if site["client"] == "zoo"]
    opened = _backup_host.opened(**backups.opening(site, "keeper"), cache=str(tmp_path))
    with opened as repository:
        _backup_host.restic(repository, "init", program=restic_program.program())
    for changed in (1, 0):
        done = agency.play("backup_care.yml", *say, "-e", f"@{secret}", **moved)
        assert f"changed={changed}" in done.output, done.output


def test_each_person_of_the_escrow_can_open_it_alone(agency: Agency, tmp_path: Path) -> None:
    people = []
    for name in ("one", "two"):
        made = subprocess.run(
            ["age-keygen", "-o", str(tmp_path / name)], capture_output=True, text=True, check=True
        )
        people.append(made.stderr.split()[-1])
    say = ("-e", "care_client=zoo", "-e", "care_what=escrow")
    done = agency.play("backup_care.yml", *say, escrow=people)
    assert done.returncode == 0, done.output
    kept = agency.evidence / "backup-escrow" / "zoo.age"
    for name in ("one", "two"):
        opened = subprocess.run(
            ["age", "--decrypt", "-i", str(tmp_path / name), str(kept)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert opened.stdout == agency.settings["password"]
    alone = agency.play("backup_care.yml", *say, escrow=people[:1])
    assert "expected two recipients" in alone.output


def test_the_keys_of_a_client_that_left_are_shredded(agency: Agency) -> None:
    say = ("-e", "care_client=zoo", "-e", "care_what=shred")
    refused = agency.play("backup_care.yml", *say, "-e", "care_confirm=acme")
    assert "nothing was shredded" in refused.output
    done = agency.play("backup_care.yml", *say, "-e", "care_confirm=zoo")
    assert done.returncode == 0, done.output
    # Object Lock holds old versions for its time, and that is said.
    said = " ".join(done.output.split())
    assert '"locked": [ "zoo/keys/' in said
    assert "zoo.age" in said
    run = "systemctl start ringfence-backup@{} && echo fine || echo failed"
    assert sh(agency.servers, "web1", run.format("zoo")).strip().endswith("failed")
    assert sh(agency.servers, "web1", run.format("acme")).strip().endswith("fine")


def test_no_secret_was_printed_or_recorded(agency: Agency) -> None:
    kept = [path.read_bytes() for path in Path(agency.evidence).rglob("*") if path.is_file()]
    assert kept
    logs = "".join(
        sh(agency.servers, host, "journalctl --no-pager") for host in agency.servers.hosts
    )
    for secret in agency.secrets():
        assert secret not in agency.said
        assert secret not in logs
        assert not [data for data in kept if secret.encode() in data]
