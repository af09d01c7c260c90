# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook of buckets, run for real against an embedded service: what it shows and records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.evidence import Store
from tests.s3 import embedded, enforced

ROOT = Path(__file__).resolve().parents[4]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
REGISTER = {
    "id": "acme",
    "name": "Acme Bikes",
    "tier": "standard",
    "controller": {
        "name": "Acme",
        "country": "GB",
        "contact": {"name": "Pat", "email": "pat@acme.example"},
    },
    "backup": {"bucket": "acme-backups"},
    "sites": [
        {
            "id": "shop",
            "host": "web1",
            "domains": ["acme.example"],
            "root": "/srv/www/acme",
            "user": "acme",
            "web_server": "nginx",
            "cms": {"name": "static"},
        }
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[enforced.Servers]:
    with enforced.servers(tmp_path_factory.mktemp("moto")) as started:
        yield started


@pytest.fixture
def world(server: enforced.Servers, tmp_path: Path) -> Path:
    """An inventory with a register whose one site is backed up to a bucket, and variables."""
    inventory = tmp_path / "inventory"
    (inventory / "clients").mkdir(parents=True)
    hosts = {"all": {"hosts": {"web1": {}}}}
    (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (inventory / "ringfence.yml").write_text("plugin: ringfence.hosting.clients\n")
    (inventory / "clients" / "acme.yml").write_text(yaml.safe_dump(REGISTER))
    client = enforced.client(server.https, "kms", verify=server.ca)
    key = client.create_key()["KeyMetadata"]["Arn"]
    declared: list[dict[str, Any]] = [
        {"name": "logs", "purpose": "logs"},
        {
            "name": "acme-backups",
            "kms_key": key,
            "waivers": [
                {
                    "control": "aws_s3_access_log",
                    "reason": "the log comes next month",
                    "owner": "ada",
                    "expires": "2099-01-31",
                }
            ],
        },
    ]
    variables = {
        "backup_buckets": declared,
        "s3_backup_create": True,
        "s3_backup_connection": {
            "endpoint_url": server.https,
            "ca_bundle": server.ca,
            "region": embedded.REGION,
            "provider": "aws",
        },
    }
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    return tmp_path


def play(world: Path, *options: str) -> tuple[str, Any]:
    """(output, the newest run document) of the playbook."""
    evidence = world / "evidence"
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": embedded.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": embedded.SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "RINGFENCE_EVIDENCE_DIR": str(evidence),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [str(PLAYBOOK), "-i", str(world / "inventory" / "hosts.yml")]
    command += ["-i", str(world / "inventory" / "ringfence.yml"), "playbooks/backup_buckets.yml"]
    command += ["-e", f"@{world / 'variables.json'}", *options]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    output = done.stdout + done.stderr
    document = Store(f"sqlite:///{evidence / 'ringfence.sqlite'}").latest()
    assert document is not None, output
    return output, document


def test_buckets_of_the_register_are_brought_to_it_and_recorded(
    world: Path, server: enforced.Servers
) -> None:
    output, document = play(world, "--diff", "-vvv")
    rows = {row["name"]: row for row in document["hosts"]}
    assert set(rows) == {"s3://acme-backups", "s3://logs"}, output
    assert rows["s3://acme-backups"]["host"] == {"kind": "bucket", "client": "acme"}
    found = {row["id"]: row for row in rows["s3://acme-backups"]["results"]}
    statuses = {row["status"] for row in found.values()}
    assert statuses == {"pass", "waived", "not_applicable"}, output
    assert found["aws_s3_access_log"]["status"] == "waived"
    assert found["aws_s3_object_encryption"]["status"] == "pass"
    assert found["aws_s3_old_archives"]["status"] == "pass"
    # The standard tier keeps snapshots for three months, so the lock is longer than that.
    assert found["aws_s3_object_lock_days"]["expected"] == 94
    assert embedded.SECRET_KEY not in output
    assert embedded.SECRET_KEY not in json.dumps(document)

    client = enforced.client(server.https, verify=server.ca)
    client.put_object(Bucket="acme-backups", Key="old.sql", Body=b"-- MySQL dump\nCREATE TABLE x")
    output, document = play(world, "--check")
    assert "s3://acme-backups  FAILED        aws_s3_old_archives" in output
    assert "old.sql (SQL dump)" in output
    assert document["run"]["mode"] == "check"


def test_a_service_that_does_not_answer_is_no_pass(world: Path) -> None:
    variables = json.loads((world / "variables.json").read_text())
    variables["s3_backup_connection"]["ca_bundle"] = "/nowhere.pem"
    (world / "variables.json").write_text(json.dumps(variables))
    _output, document = play(world)
    assert {row["state"] for row in document["hosts"]} == {"error"}
    assert {row["name"] for row in document["hosts"]} == {"s3://acme-backups", "s3://logs"}


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": embedded.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": embedded.SECRET_KEY,
}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        pytest.param({"environment": CREDENTIALS}, "found 1", id="credentials of the task"),
        pytest.param({}, "no AWS credentials", id="none"),
        pytest.param(
            {"buckets": [{"name": "logs", "lock_day": 3}]},
            "there is no option buckets.lock_day",
            id="misspelt option",
        ),
        pytest.param({"regoin": "eu-west-1"}, "there is no option regoin", id="misspelt"),
    ],
)
def test_a_task_of_somebody_elses(
    server: enforced.Servers, tmp_path: Path, task: dict[str, Any], said: str
) -> None:
    arguments = {
        "buckets": [{"name": "nobodys", "purpose": "logs", "encryption": "AES256"}],
        "endpoint_url": server.https,
        "ca_bundle": server.ca,
        "region": embedded.REGION,
        **{name: value for name, value in task.items() if name != "environment"},
    }
    look = {
        "ringfence.hosting.s3_backup_bucket_info": arguments,
        "environment": task.get("environment", {}),
        "register": "seen",
    }
    tell = {"ansible.builtin.debug": {"msg": "found {{ seen.buckets | length }}"}}
    book = tmp_path / "play.json"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    book.write_text(json.dumps([{**play, "tasks": [look, tell]}]))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    none = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
    done = subprocess.run(
        [str(PLAYBOOK), "-i", "localhost,", str(book)],
        cwd=ROOT,
        env={**plain, **none, "RINGFENCE_EVIDENCE_DIR": str(tmp_path / "evidence")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert said in done.stdout + done.stderr
    assert embedded.SECRET_KEY not in done.stdout + done.stderr


def test_who_asks_for_objects_does_not_wait_for_boto3() -> None:
    script = """
import sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1] + "/collections"])
from ansible_collections.ringfence.hosting.plugins.plugin_utils import bucket_action
print("boto3" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
