# SPDX-License-Identifier: GPL-3.0-or-later
"""The enforcing server as a program of its own, with a bucket in it that has a lock and no more.

Usage: python -m tests.s3.serve start FOLDER    returns when it answers; FOLDER/server.json says how
       python -m tests.s3.serve stop FOLDER     right also when there is none

It ends by itself after a quarter of an hour.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.s3 import embedded, enforced

ROOT = Path(__file__).resolve().parents[2]
BUCKET, OBJECT, LOCK_DAYS = "agency-backups", "acme/config", 40
THEIRS = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{enforced.ACCOUNT}:user/reader"},
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
}
_LIFE, _PATIENCE = 15 * 60, 60


def start(folder: Path) -> None:
    """Start it in the background, and wait until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "tests.s3.serve", "serve", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + _PATIENCE
    while not (folder / "server.json").exists():
        if running.poll() is not None or time.monotonic() > end:
            raise SystemExit((folder / "log").read_text())
        time.sleep(0.1)


def stop(folder: Path) -> None:
    """End the one that was started for this folder."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(json.loads((folder / "server.json").read_text())["pid"], signal.SIGTERM)
        print("removed")
    (folder / "server.json").unlink(missing_ok=True)


def serve(folder: Path) -> None:
    """Until the process is ended."""
    signal.alarm(_LIFE)
    with enforced.servers(folder) as server:
        told = {"pid": os.getpid(), "http": server.http, "https": server.https, "ca": server.ca}
        staged = folder / "server.new"
        staged.write_text(json.dumps({**told, **_naive(server)}))
        staged.replace(folder / "server.json")
        signal.pause()


def _naive(server: enforced.Servers) -> dict[str, Any]:
    """A bucket with a lock, somebody's statement and an old object, a KMS key, who is to write."""
    s3, iam, kms = (
        enforced.client(server.https, name, verify=server.ca) for name in ("s3", "iam", "kms")
    )
    where = {"LocationConstraint": embedded.REGION}
    s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration=where, ObjectLockEnabledForBucket=True
    )
    # Amazon takes this later too, moto not where objects are.
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": LOCK_DAYS}}
    s3.put_object_lock_configuration(
        Bucket=BUCKET, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    policy = {"Version": "2012-10-17", "Statement": [THEIRS]}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    s3.put_object(Bucket=BUCKET, Key=OBJECT, Body=b"old", Metadata={"client": "acme"})
    return {
        "kms_key": kms.create_key()["KeyMetadata"]["Arn"],
        "writer": iam.create_user(UserName="writer")["User"]["Arn"],
        "writer_key": iam.create_access_key(UserName="writer")["AccessKey"]["AccessKeyId"],
    }


if __name__ == "__main__":
    {"start": start, "stop": stop, "serve": serve}[sys.argv[1]](Path(sys.argv[2]))
