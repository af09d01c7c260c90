# SPDX-License-Identifier: GPL-3.0-or-later
"""A naive bucket and its account, judged by Prowler before and after they are brought to safety.

Usage: python -m tests.s3.prowler     (about 5 minutes, and 3 for the first installation)

Prowler is put into a virtual environment of its own (.cache/prowler, several hundred packages),
asks the embedded server as it would ask Amazon, and its findings go to tests/s3/prowler.json. What
may fail afterwards, and why, is ACCEPTED; the unit tests hold the recorded findings against it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

from tests.s3 import embedded, enforced

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("prowler.json")
VERSION = "5.46.0"
_ENVIRONMENT = ROOT / ".cache" / "prowler"
REGION = {"CreateBucketConfiguration": {"LocationConstraint": embedded.REGION}}

# (check, resource) that still fails: why. A resource * stands for every one.
ACCEPTED: dict[tuple[str, str], str] = {
    ("s3_bucket_no_mfa_delete", "*"): (
        "Object Lock holds versions, and binds those with a second factor too; MFA delete rules "
        "out lifecycle rules, only the root user can switch it on, and moto does not keep it"
    ),
    ("s3_bucket_event_notifications_enabled", "*"): (
        "events are sent where somebody is named to receive them (events); nobody is here"
    ),
    ("s3_bucket_cross_region_replication", "*"): (
        "a replica is kept where one is named (replication); none is here"
    ),
    ("kms_key_enclave_attestation_unknown_image", "*"): (
        "Prowler cannot tell: it asks CloudTrail for enclaves that used the key, which moto has not"
    ),
    ("kms_key_enclave_debug_attestation_detected", "*"): (
        "Prowler cannot tell: it asks CloudTrail for enclaves that used the key, which moto has not"
    ),
    ("s3_bucket_object_lock", "agency-logs"): "the bucket takes logs, no backups",
    ("s3_bucket_kms_encryption", "agency-logs"): (
        "S3 cannot deliver access logs into a bucket whose default is a key of KMS"
    ),
    ("s3_bucket_server_access_logging_enabled", "agency-logs"): (
        "a bucket that logs into itself, or two into each other, never come to rest"
    ),
}

# moto's s3control is asked by a name that no resolver knows: the account before 127.0.0.1.
_RESOLVER = """
import socket
_ask = socket.getaddrinfo
def getaddrinfo(host, *more, **options):
    if isinstance(host, str) and host.endswith(".127.0.0.1"):
        host = "127.0.0.1"
    return _ask(host, *more, **options)
socket.getaddrinfo = getaddrinfo
"""


def program() -> Path:
    """Prowler, installed when it is not there."""
    found = _ENVIRONMENT / "bin" / "prowler"
    if not found.exists():
        venv.create(_ENVIRONMENT, with_pip=True)
        pip = [str(_ENVIRONMENT / "bin" / "pip"), "install", "--quiet", f"prowler=={VERSION}"]
        subprocess.run(pip, check=True)
    return found


def judged(prowler: Path, server: enforced.Servers, scratch: Path, name: str) -> dict[str, str]:
    """check@resource -> PASS, FAIL or MANUAL, as Prowler finds it now."""
    (scratch / "sitecustomize.py").write_text(_RESOLVER, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "PYTHONPATH": str(scratch),
        "AWS_ENDPOINT_URL": server.https,
        "AWS_CA_BUNDLE": server.ca,
        "AWS_ACCESS_KEY_ID": embedded.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": embedded.SECRET_KEY,
        "AWS_DEFAULT_REGION": embedded.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [
        str(prowler), "aws", "--services", "s3", "kms", "--region", embedded.REGION,
        "--output-formats", "json-ocsf", "--output-directory", str(scratch),
        "--output-filename", name, "--no-banner", "--ignore-exit-code-3",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    report = scratch / f"{name}.ocsf.json"
    if not report.exists():
        raise RuntimeError(f"Prowler gave no report:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    rows = json.loads(report.read_text(encoding="utf-8"))
    return {_name(row): row["status_code"] for row in rows}


def _name(row: Mapping[str, Any]) -> str:
    resource = row["resources"][0]
    what = str(resource.get("name") or resource["uid"])
    if row["metadata"]["event_code"].startswith("kms"):
        what = "the key"
    return f"{row['metadata']['event_code']}@{what.rpartition(':')[2]}"


def naive(server: enforced.Servers) -> str:
    """What somebody in a hurry makes: a bucket, a key, archives. Returns the key's ARN."""
    s3 = enforced.client(server.https, verify=server.ca)
    s3.create_bucket(Bucket="agency-backups", **REGION)
    kms = enforced.client(server.https, "kms", verify=server.ca)
    return str(kms.create_key(Description="backups")["KeyMetadata"]["Arn"])


def mend(server: enforced.Servers, key: str) -> None:
    """What the module s3_backup_bucket does."""
    init_plugin_loader([str(ROOT / "collections")])
    from ansible_collections.ringfence.hosting.plugins.module_utils import (
        _s3_bucket,
        _s3_bucket_run,
        _s3_client,
    )

    wanted = [
        {"name": "agency-logs", "purpose": "logs", "encryption": "AES256"},
        {"name": "agency-backups", "kms_key": key, "log_bucket": "agency-logs"},
    ]
    settings = [_s3_bucket.settings_of(one, ()) for one in wanted]
    clients = _s3_client.Clients(server.https, embedded.REGION, None, server.ca, "aws")
    _s3_bucket_run.bring(clients, settings, account=True, create=True, check=False)


def unaccepted(found: Mapping[str, str]) -> list[str]:
    """What fails and is in no list of reasons."""
    wrong = []
    for name, status in found.items():
        check, _at, resource = name.partition("@")
        known = (check, resource) in ACCEPTED or (check, "*") in ACCEPTED
        if status != "PASS" and not known:
            wrong.append(f"{name}: {status}")
    return sorted(wrong)


def main() -> int:
    """Judge, mend, judge again, record. Returns 1 where something fails without a reason."""
    os.environ |= {
        "AWS_ACCESS_KEY_ID": embedded.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": embedded.SECRET_KEY,
    }
    prowler = program()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        with enforced.servers(scratch) as server:
            key = naive(server)
            before = judged(prowler, server, scratch, "before")
            mend(server, key)
            after = judged(prowler, server, scratch, "after")
    result = {"prowler": VERSION, "before": before, "after": after}
    RECORDED.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for name in ("before", "after"):
        counts = [list(result[name].values()).count(status) for status in ("PASS", "FAIL")]
        print(f"{name}: {counts[0]} pass, {counts[1]} fail")
    wrong = unaccepted(after)
    print("\n".join(wrong) or "nothing fails that has no reason")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
