# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server: Ceph's gateway with one storage daemon, in a host of its own.

It checks signatures and policies, encrypts (SSE-KMS with the keys below), keeps versions and locks
objects. What it holds is in memory and goes with it.

    with Gateway() as s3:
        writer = s3.user("writer")
        s3.client(writer).create_bucket(Bucket="acme-backups", ObjectLockEnabledForBucket=True)
        # restic -r s3:{s3.url}/acme-backups …, here or on any test host
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.fleet import Fleet, FleetError
from tests.fleet.image import ensure_image
from tests.fleet.layer import ensure_layer

REPOSITORY = "localhost/ringfence/radosgw"
RELEASE = "trixie"
REGION = "eu-west-1"
# Ids of keys for SSE-KMS; there are no others.
KMS_KEYS = ("backup-key", "other-key")

_RECIPE = Path(__file__).parent / "recipe"
_HOST = "s3"


@dataclass(frozen=True)
class Key:
    """What a user signs with."""

    user: str
    access: str
    secret: str = field(repr=False)


def ensure_gateway_image(*, say: Callable[[str], None] = print) -> str:
    """The name of the gateway's image, built when there is none of this content."""
    return ensure_layer(REPOSITORY, RELEASE, ensure_image(RELEASE, say=say), _RECIPE, say=say)


class Gateway:
    """The gateway as a context manager; it goes with the block, or with this process.

    Its address answers this machine and every test host alike, and nobody else.
    """

    def __init__(
        self,
        name: str = "s3",
        *,
        directory: str | Path | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        """`name` tells gateways apart; this process's number is added to it."""
        image = ensure_gateway_image(say=say)
        self.fleet = Fleet(
            f"{name}-{os.getpid()}",
            {_HOST: RELEASE},
            directory=directory,
            images={RELEASE: image},
            say=say,
        )

    def __enter__(self) -> Gateway:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self, *, detach: bool = False) -> Gateway:
        """Start it; it answers over http and https when this returns.

        With `detach` it stays until the fleet in its directory is stopped.
        """
        self.fleet.start(detach=detach)
        try:
            self.sh(_WAIT)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Remove it and all that it holds."""
        self.fleet.stop()

    # -- where --------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.fleet.hosts[_HOST].address

    @property
    def url(self) -> str:
        """Without encryption."""
        return f"http://{self.address}:7480"

    @property
    def tls_url(self) -> str:
        """With a certificate that `authority` vouches for."""
        return f"https://{self.address}:7443"

    @property
    def authority(self) -> str:
        """The certificate in PEM form, for whoever is to believe it."""
        return self.sh("cat /etc/ceph/s3.pem")

    # -- who ----------------------------------------------------------------------------

    def user(self, name: str, *, tenant: str = "") -> Key:
        """A new user and its key; a user of another `tenant` is a foreign account."""
        access, secret = secrets.token_hex(10).upper(), secrets.token_hex(20)
        uid = f"{tenant}${name}" if tenant else name
        self.admin(
            "user",
            "create",
            f"--uid={uid}",
            f"--display-name={name}",
            f"--access-key={access}",
            f"--secret-key={secret}",
        )
        return Key(uid, access, secret)

    def client(
        self, key: Key, service: str = "s3", *, url: str = "", verify: str | None = None
    ) -> Any:
        """boto3's client for this key; `verify` is a file of certificates to believe."""
        return boto3.client(
            service,
            endpoint_url=url or self.url,
            verify=verify,
            region_name=REGION,
            aws_access_key_id=key.access,
            aws_secret_access_key=key.secret,
        )

    def admin(self, *arguments: str) -> Any:
        """What `radosgw-admin` said, parsed; None where it said nothing."""
        said = self.fleet.exec(_HOST, "radosgw-admin", *arguments)
        try:
            return json.loads(said) if said.strip() else None
        except ValueError:
            raise FleetError(f"radosgw-admin {arguments[0]}: {said.strip()[:200]}") from None

    # -- what may befall it -------------------------------------------------------------

    def sh(self, script: str) -> str:
        """What a shell script printed as root on its host."""
        return self.fleet.exec(_HOST, "sh", "-c", script)


_WAIT = """
for _try in $(seq 240); do
    python3 - <<'END' && exit 0
import ssl, sys, urllib.request
unchecked = ssl._create_unverified_context()
try:
    for url in ("http://127.0.0.1:7480", "https://127.0.0.1:7443"):
        urllib.request.urlopen(url, timeout=5, context=unchecked).read()
except OSError:
    sys.exit(1)
END
    sleep 0.5
done
journalctl -u 's3-*' -n 5 --no-pager -o cat >&2
exit 1
"""
