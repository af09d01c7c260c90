# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets that are as they are to be, looked at again: our playbook against modules of amazon.aws.

Both are whole runs of ansible-playbook against the server that enforces policies, each with buckets
that it made itself. Ours looks at more: the account, the log bucket, retention, ACLs, identities.
amazon.aws comes with the package `ansible`, in an environment of its own below .cache/.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.s3 import embedded, enforced

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["ansible>=12,<13", "boto3>=1.40,<2"]
_BUCKETS = 20
_LOCK_DAYS, _KEPT_DAYS, _UPLOAD_DAYS = 100, 101, 7
_RECAP = re.compile(r"^localhost .*changed=(\d+) .*failed=(\d+)", re.MULTILINE)


class _Contestant(NamedTuple):
    programs: Path  # the bin folder of its environment
    cwd: Path
    first: list[str]  # the run that makes the buckets
    again: list[str]
    rounds: int


def measure(theirs: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of runs that change nothing; `theirs` is the bin folder with amazon.aws."""
    with tempfile.TemporaryDirectory() as folder, enforced.servers(Path(folder)) as server:
        scratch = Path(folder)
        key = enforced.client(server.https, "kms", verify=server.ca).create_key()["KeyMetadata"]
        ours = _ours(server, key["Arn"], scratch)
        every, alone = (
            _ordinary(server, key["Arn"], scratch, lifecycle=more) for more in (True, False)
        )
        contestants = {
            "ringfence": _Contestant(ROOT / ".venv" / "bin", ROOT, ours, ours, rounds),
            "amazon.aws": _Contestant(theirs, scratch, every, every, 1),
            "amazon.aws, s3_bucket alone": _Contestant(theirs, scratch, every, alone, 1),
        }
        environment = _environment(server, scratch)
        return {name: _measured(one, server, environment) for name, one in contestants.items()}


def _measured(
    one: _Contestant, server: enforced.Servers, environment: Mapping[str, str]
) -> dict[str, float]:
    _run(one, one.first, environment)
    seen = []
    for _round in range(one.rounds):
        before = len(server.requests)
        took, changed = _run(one, one.again, environment)
        if changed:
            raise RuntimeError(f"{one.again[-1]}: changed something that it had made itself")
        seen.append((took, len(server.requests) - before))
    return {
        "s": statistics.median(took for took, _requests in seen),
        "requests": seen[-1][1],
    }


def _environment(server: enforced.Servers, scratch: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **plain,
        "AWS_ACCESS_KEY_ID": embedded.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": embedded.SECRET_KEY,
        "AWS_DEFAULT_REGION": embedded.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": server.ca,
        "RINGFENCE_EVIDENCE_DIR": str(scratch / "evidence"),
    }


def _run(
    one: _Contestant, arguments: list[str], environment: Mapping[str, str]
) -> tuple[float, int]:
    """How long it took, and how many tasks changed something."""
    began = time.perf_counter()
    done = subprocess.run(
        [str(one.programs / "ansible-playbook"), *arguments],
        env=dict(environment),
        cwd=one.cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    recap = _RECAP.search(done.stdout)
    if done.returncode or recap is None or recap[2] != "0":
        raise RuntimeError(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return took, int(recap[1])


def _ours(server: enforced.Servers, key: str, scratch: Path) -> list[str]:
    """What a user has in group_vars."""
    backups = [
        {
            "name": f"ours-{number}",
            "kms_key": key,
            "lock_days": _LOCK_DAYS,
            "noncurrent_days": _KEPT_DAYS,
            "upload_days": _UPLOAD_DAYS,
            "log_bucket": "ours-logs",
        }
        for number in range(_BUCKETS)
    ]
    logs = {"name": "ours-logs", "purpose": "logs", "encryption": "AES256"}
    variables = {
        "backup_buckets": [logs, *backups],
        "s3_backup_create": True,
        "s3_backup_objects": False,
        "s3_backup_archives": False,
        "s3_backup_connection": {
            "endpoint_url": server.https,
            "region": embedded.REGION,
            "ca_bundle": server.ca,
            "provider": "aws",
        },
    }
    path = scratch / "ours.json"
    path.write_text(json.dumps(variables), encoding="utf-8")
    return ["-i", "localhost,", "-e", f"@{path}", str(ROOT / "playbooks" / "backup_buckets.yml")]


def _ordinary(server: enforced.Servers, key: str, scratch: Path, *, lifecycle: bool) -> list[str]:
    """The same settings by ordinary tasks: one for buckets, and one for their lifecycle."""
    connection = {
        "endpoint_url": server.https,
        "region": embedded.REGION,
        "aws_ca_bundle": server.ca,
    }
    bucket = {
        "amazon.aws.s3_bucket": {
            **connection,
            "name": "{{ item }}",
            "versioning": True,
            "encryption": "aws:kms",
            "encryption_key_id": key,
            "bucket_key_enabled": True,
            "public_access": {
                "block_public_acls": True,
                "ignore_public_acls": True,
                "block_public_policy": True,
                "restrict_public_buckets": True,
            },
            "object_ownership": "BucketOwnerEnforced",
            "object_lock_enabled": True,
            # No default retention: the module takes what moto answers for another, each time.
            "policy": _policy(),
        }
    }
    rule = {
        "community.aws.s3_lifecycle": {
            **connection,
            "name": "{{ item }}",
            "rule_id": "old-versions",
            "noncurrent_version_expiration_days": _KEPT_DAYS,
            "expire_object_delete_marker": True,
            "abort_incomplete_multipart_upload_days": _UPLOAD_DAYS,
        }
    }
    loop = {"loop": [f"theirs-{number}" for number in range(_BUCKETS)]}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "tasks": [{"name": "Buckets", **bucket, **loop}]
        + [{"name": "Rules", **rule, **loop}] * lifecycle,
    }
    path = scratch / f"theirs-{lifecycle}.json"
    path.write_text(json.dumps([play]), encoding="utf-8")
    return ["-i", "localhost,", str(path)]


def _policy() -> dict[str, Any]:
    """No request without TLS, nor by an old one, and none for other encryption."""
    everything = ["arn:aws:s3:::{{ item }}", "arn:aws:s3:::{{ item }}/*"]
    header = "s3:x-amz-server-side-encryption"
    denied = [
        ("s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}}),
        ("s3:*", everything, {"BoolIfExists": {"aws:SecureTransport": "false"}}),
        ("s3:*", everything, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        (
            "s3:PutObject",
            everything[1],
            {"StringNotEquals": {header: "aws:kms"}, "StringLike": {header: "*"}},
        ),
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": f"Deny{number}",
                "Effect": "Deny",
                "Principal": "*",
                "Action": action,
                "Resource": resource,
                "Condition": condition,
            }
            for number, (action, resource, condition) in enumerate(denied)
        ],
    }
