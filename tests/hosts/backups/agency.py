# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clients on two hosts, a bucket that locks, and the keys of writer and keeper."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.hosts.playing import ROOT, Done, evidence, play
from tests.hosts.sites import Servers
from tests.s3.radosgw import Gateway, Key

BUCKET = "agency-backups"
PASSWORD = "a-made-up-repository-password"
# acme has a site on each host, so that both find its repository missing at the same time.
SITES = {"web1": [("acme", "shop"), ("zoo", "plain")], "web2": [("acme", "blog")]}


class Agency:
    """What the tests share; `said` is all that any playbook printed.

    `server`: where the configuration of each host is backed up, as the inventory says it.
    """

    def __init__(
        self,
        servers: Servers,
        s3: Gateway,
        folder: Path,
        of: dict[str, list[tuple[str, str]]] | None = None,
    ) -> None:
        self.servers, self.s3, self.folder, self.of = servers, s3, folder, of or SITES
        self.server: dict[str, Any] = {}
        self.said = ""
        self.settings: dict[str, Any] = {"password": PASSWORD}
        self.more_secrets: list[str] = []
        self.owner, self.writer = s3.user("owner"), s3.user("writer")
        self._make_bucket()

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence"

    def play(self, name: str, *options: str, **backup: Any) -> Done:
        """Run a playbook with the register's settings, of which `backup` replaces some."""
        inventory = self.folder / "sites.yml"
        hosts = {
            host: {"ringfence_sites": self.sites(host, **backup), "backup_server": self.server}
            for host in self.of
        }
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        done = play(self.servers, name, "-i", str(inventory), *options, evidence_in=self.evidence)
        self.said += done.output
        return done

    def ringfence(self, *words: str) -> tuple[int, str]:
        """`ringfence` as a user calls it, after any `play`: its exit code and all it printed."""
        where = ("-i", str(self.servers.inventory), "-i", str(self.folder / "sites.yml"))
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ringfence"), *words, *where],
            cwd=ROOT,
            env={**os.environ, "RINGFENCE_EVIDENCE_DIR": str(self.evidence), "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.said += done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    def sites(self, host: str, **backup: Any) -> list[dict[str, Any]]:
        return [
            {
                "client": client,
                "id": site,
                "root": f"/var/www/{site}/public",
                "database": {"name": site} if site != "plain" else {},
                "backup": {
                    "bucket": BUCKET,
                    "endpoint": self.s3.url,
                    "region": "eu-west-1",
                    **self.keys(),
                    "every": "6h",
                    "late_after": "12h",
                    "drill_every": "4w",
                    "keep": {"daily": 14},
                    "exclude": ["*.log"],
                    **self.settings,
                    **backup,
                },
            }
            for client, site in self.of[host]
        ]

    def keys(self) -> dict[str, dict[str, str]]:
        """Who writes and who keeps, as the register says it."""
        return {"writer": _key(self.writer), "keeper": _key(self.owner)}

    def findings(self, site: str) -> dict[str, dict[str, Any]]:
        """Control -> result of a site in the newest run; a pass has nothing but its status."""
        row = next(
            row for row in evidence(self.evidence)["hosts"] if row["name"] == f"backup:{site}"
        )
        return {one["id"]: one for one in row["results"]}

    def secrets(self) -> list[str]:
        return [PASSWORD, self.writer.secret, self.owner.secret, *self.more_secrets]

    def _make_bucket(self) -> None:
        client = self.s3.client(self.owner)
        client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
        client.put_object_lock_configuration(
            Bucket=BUCKET, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        bucket, everything = f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"
        writer, owner = "arn:aws:iam:::user/writer", "arn:aws:iam:::user/owner"
        statements = [
            (writer, ["s3:ListBucket", "s3:GetBucketLocation"], bucket),
            (writer, ["s3:GetObject", "s3:PutObject"], everything),
            (writer, ["s3:DeleteObject"], f"arn:aws:s3:::{BUCKET}/*/locks/*"),
            # What a writer puts is the writer's here; Amazon's buckets own it themselves.
            (owner, ["s3:*"], everything),
        ]
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": [who]},
                    "Action": actions,
                    "Resource": [what],
                }
                for who, actions, what in statements
            ],
        }
        client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))


def _key(key: Key) -> dict[str, str]:
    return {"key": key.access, "secret": key.secret}
