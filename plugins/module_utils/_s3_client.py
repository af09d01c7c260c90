# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections to S3: boto3's clients, and where a bucket is asked without them."""

from __future__ import annotations

import re
import ssl
import threading
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_heads import Endpoint
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_signing import Credentials

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    MISSING: str | None = traceback.format_exc()
else:
    MISSING = None

CONNECTION_OPTIONS: dict[str, Any] = {
    "endpoint_url": {"type": "str"},
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "ca_bundle": {"type": "path"},
}


class S3Error(Exception):
    """What S3, or the way there, has against a request, in one line."""


# Whether beside S3 there are Amazon's other services: accounts, keys, trails, identities.
PROVIDER_OPTION: dict[str, Any] = {
    "provider": {"type": "str", "choices": ["auto", "aws", "s3"], "default": "auto"}
}
CLIENT_OPTIONS = (*CONNECTION_OPTIONS, *PROVIDER_OPTION)  # as Clients takes them
_AMAZON = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$")


class Connection(NamedTuple):
    """A boto3 client, and the credentials it signs with, as they are at the time of asking."""

    client: Any
    credentials: Callable[[], Credentials]
    ca_bundle: str | None


def connect(
    endpoint_url: str | None, region: str | None, profile: str | None, ca_bundle: str | None
) -> Connection:
    """Credentials and region are found as boto3 finds them. Raises S3Error."""
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        found = session.get_credentials()
        if found is None:
            raise S3Error("no AWS credentials: set a profile, or the variables that boto3 reads")
        client = _client(session, "s3", endpoint_url, ca_bundle)
    except (BotoCoreError, ValueError) as error:
        raise S3Error(str(error)) from error

    return Connection(client, _asking(found), ca_bundle)


def _asking(found: Any) -> Callable[[], Credentials]:
    def credentials() -> Credentials:
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    return credentials


def _client(session: Any, service: str, endpoint_url: str | None, ca_bundle: str | None) -> Any:
    # Checksums that some services beside Amazon's do not know are sent where they must be.
    settings = Config(
        # boto3 puts its own together anew for each request, a tenth of what that costs.
        user_agent=f"ringfence Boto3/{boto3.__version__}",
        retries={"mode": "adaptive" if service == "s3" else "standard", "max_attempts": 8},
        max_pool_connections=32,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if endpoint_url else None,
    )
    client = session.client(service, endpoint_url=endpoint_url, verify=ca_bundle, config=settings)
    if service == "s3control" and endpoint_url:
        client.meta.events.register("before-sign.s3-control", _without_account)
    return client


def _without_account(request: Any, **_more: Any) -> None:
    """boto3 puts the account before the host's name, which a service of one's own has not."""
    request.url = re.sub(r"//\d{12}\.", "//", request.url)


class Clients:
    """boto3's clients for S3 and what stands beside it, each made when it is first asked for."""

    def __init__(
        self,
        endpoint_url: str | None,
        region: str | None,
        profile: str | None,
        ca_bundle: str | None,
        provider: str = "auto",
    ) -> None:
        """Raises S3Error."""
        self._endpoint_url, self._ca_bundle = endpoint_url, ca_bundle
        host = urlsplit(endpoint_url or "https://s3.amazonaws.com").hostname or ""
        self.is_amazon = bool(_AMAZON.search(host))
        self.is_aws = self.is_amazon if provider == "auto" else provider == "aws"
        self.secure = not endpoint_url or endpoint_url.startswith("https:")
        self._made: dict[str, Any] = {}
        self._making = threading.Lock()
        try:
            self._session = boto3.Session(profile_name=profile, region_name=region)
            if self._session.get_credentials() is None:
                raise S3Error(
                    "no AWS credentials: set a profile, or the variables that boto3 reads"
                )
        except (BotoCoreError, ValueError) as error:
            raise S3Error(str(error)) from error

    def connection(self) -> Connection:
        """What asks for objects in bulk."""
        found = self._session.get_credentials()
        return Connection(self.of("s3"), _asking(found), self._ca_bundle)

    def of(self, service: str) -> Any:
        """The client of a service such as s3, kms, sts. Raises S3Error."""
        with self._making:
            if service not in self._made:
                try:
                    self._made[service] = _client(
                        self._session, service, self._endpoint_url, self._ca_bundle
                    )
                except (BotoCoreError, ValueError) as error:
                    raise S3Error(str(error)) from error
            return self._made[service]


def endpoint_of(connection: Connection, bucket: str) -> Endpoint:
    """Where to ask for the objects of a bucket: in its own host at Amazon, else by path."""
    client = connection.client
    url = urlsplit(client.meta.endpoint_url)
    host = url.hostname or ""
    in_host = host.endswith((".amazonaws.com", ".amazonaws.com.cn")) and "." not in bucket
    tls = ssl.create_default_context(cafile=connection.ca_bundle) if url.scheme == "https" else None
    return Endpoint(
        host=f"{bucket}.{host}" if in_host else host,
        port=url.port or (443 if tls else 80),
        bucket=bucket,
        region=client.meta.region_name or "us-east-1",
        in_host=in_host,
        tls=tls,
    )


def told(error: Exception) -> str:
    """What an error of boto3 says, in one line: the call, the code, the message."""
    if MISSING is None and isinstance(error, ClientError):
        said = error.response.get("Error", {})
        words = f"{error.operation_name}: {said.get('Code', 'error')}: {said.get('Message', '')}"
        return " ".join(words.split()).rstrip(": ")
    return " ".join(str(error).split())


def is_s3_error(error: Exception) -> bool:
    """Whether an error is boto3's."""
    return MISSING is None and isinstance(error, (ClientError, BotoCoreError))


def code_of(error: Exception) -> str:
    """The code that S3 gave for an error; empty where it is none of S3's."""
    if MISSING is None and isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""
