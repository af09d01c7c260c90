# SPDX-License-Identifier: GPL-3.0-or-later
"""A moto server that enforces policies as AWS does: Deny and Allow, Conditions, principals, TLS.

moto keeps policies and does not read their Conditions. This stands before it: each request of S3 is
named by its action, its sender found by the access key, and the bucket's policy with the sender's
own policies judged by `tests.s3.conditions`. What is denied never reaches moto.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server
from moto.iam.models import iam_backends
from moto.s3.models import FakeBucket, s3_backends

from tests.s3 import conditions, embedded

ACCOUNT = "123456789012"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
_THREADS = 32
# Access keys that are nobody's in moto: principals of another account.
FOREIGN_KEY, FOREIGN_ACCOUNT = "AKIAFOREIGN", "999999999999"

_SUBRESOURCES = {
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "ownershipControls": "BucketOwnershipControls",
    "versioning": "BucketVersioning",
    "object-lock": "BucketObjectLockConfiguration",
    "encryption": "EncryptionConfiguration",
    "logging": "BucketLogging",
    "lifecycle": "LifecycleConfiguration",
    "replication": "ReplicationConfiguration",
    "notification": "BucketNotification",
    "acl": "BucketAcl",
    "tagging": "BucketTagging",
    "location": "BucketLocation",
    "inventory": "InventoryConfiguration",
    "cors": "BucketCORS",
    "website": "BucketWebsite",
}
_OBJECT_PARTS = {
    "acl": "ObjectAcl",
    "tagging": "ObjectTagging",
    "retention": "ObjectRetention",
    "legal-hold": "ObjectLegalHold",
}
_CONTEXT_HEADERS = {
    "x-amz-server-side-encryption": "s3:x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm": (
        "s3:x-amz-server-side-encryption-customer-algorithm"
    ),
    "x-amz-acl": "s3:x-amz-acl",
    "x-amz-storage-class": "s3:x-amz-storage-class",
    "x-amz-object-lock-mode": "s3:object-lock-mode",
}


class Servers(NamedTuple):
    """Where the one backend is reached: in the clear, and by TLS that `ca` (a file) vouches for."""

    http: str
    https: str
    ca: str
    requests: list[tuple[str, str]]  # (action, decision) of each request, as they came


@contextmanager
def servers(scratch: Path) -> Iterator[Servers]:
    """Both servers on loopback; `scratch` takes the certificate. They keep connections open between
    requests, as Amazon's do."""
    certificate, key = _certificate(scratch)
    seen: list[tuple[str, str]] = []
    own = FakeBucket.get_permission
    FakeBucket.get_permission = _says_nothing  # type: ignore[method-assign]
    started = []
    try:
        for tls in (None, BuiltinSSLAdapter(str(certificate), str(key))):
            server = Server(
                ("127.0.0.1", 0),
                _Enforcing(_moto(), seen),
                numthreads=_THREADS,
                request_queue_size=_THREADS,
            )
            server.ssl_adapter = tls
            server.prepare()
            threading.Thread(target=server.serve, daemon=True).start()
            started.append(server)
        http, https = (server.bind_addr[1] for server in started)
        yield Servers(
            f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", str(certificate), seen
        )
    finally:
        for server in started:
            server.stop()
        FakeBucket.get_permission = own  # type: ignore[method-assign]


def _says_nothing(_bucket: FakeBucket, _action: str, _resource: str) -> Any:
    from moto.iam.access_control import PermissionResult

    return PermissionResult.PERMITTED


def _moto() -> Any:
    from moto.server import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


class _Enforcing:
    def __init__(self, app: Any, seen: list[tuple[str, str]]) -> None:
        self._app, self._seen = app, seen

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = request_of(environ)
        if request is None:
            return self._app(environ, start_response)
        bucket, identity = request.pop("bucket"), request.pop("identity")
        stored = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
        policy = json.loads(stored.policy) if stored is not None and stored.policy else None
        outcome = conditions.decide(request, identity, policy, ACCOUNT)
        self._seen.append((request["action"], outcome))
        if outcome == conditions.ALLOW and request["action"] == "s3:UpdateObjectEncryption":
            return _update_encryption(environ, start_response)
        if outcome == conditions.ALLOW:
            if "HTTP_X_AMZ_COPY_SOURCE" in environ:
                # moto asks copies under a lock for a checksum of a body that they do not have.
                environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "SHA256")
            return self._app(environ, start_response)
        body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>"
        body += b"<Message>Access Denied</Message></Error>"
        _drain(environ)
        head = environ["REQUEST_METHOD"] == "HEAD"
        length = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", length)
        return [] if head else [body]


def _update_encryption(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """What Amazon S3 has and moto has not: moto would store the request as the object."""
    bucket, _slash, key = _path(environ)
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) or None)
    found = s3_backends[ACCOUNT]["aws"].get_object(bucket, key)
    arn = re.search(rb"<KMSKeyArn>([^<]+)</KMSKeyArn>", body)
    if found is None or arn is None or found.encryption not in (None, "AES256", "aws:kms"):
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    found.encryption, found.kms_key_id = "aws:kms", arn[1].decode()
    start_response("200 OK", [("Content-Length", "0")])
    return []


def _path(environ: dict[str, Any]) -> tuple[str, str, str]:
    text = environ["PATH_INFO"].encode("latin-1").decode()  # WSGI's way with paths
    return text.lstrip("/").partition("/")


def _drain(environ: dict[str, Any]) -> None:
    """A client that still sends when the answer comes sees a broken connection."""
    if environ.get("wsgi.input_terminated"):
        environ["wsgi.input"].read()
    elif environ.get("CONTENT_LENGTH"):
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))


def request_of(environ: dict[str, Any]) -> dict[str, Any] | None:
    """A request of S3 as `conditions.decide` takes it, with `bucket` and `identity` beside; None
    for one of another service."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    scope = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", authorization)
    path, raw = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if (scope and scope[2] != "s3") or path.startswith(("/moto-api", "/v20180820")):
        return None
    query = {name: values[0] for name, values in parse_qs(raw, keep_blank_values=True).items()}
    bucket, _slash, key = _path(environ)
    if not bucket:
        return None
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    principal, account, identity = sender(scope[1] if scope else None)
    return {
        "bucket": bucket,
        "identity": identity,
        "action": action_of(environ["REQUEST_METHOD"], key, query, headers),
        "resource": f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""),
        "principal": principal,
        "account": account,
        "context": _context(environ, headers, query, principal, account),
    }


def _context(
    environ: dict[str, Any],
    headers: dict[str, str],
    query: dict[str, str],
    principal: str | None,
    account: str,
) -> dict[str, Any]:
    scheme = headers.get("x-forwarded-proto", environ["wsgi.url_scheme"])
    found: dict[str, Any] = {
        "aws:SecureTransport": str(scheme == "https").lower(),
        "aws:SourceIp": headers.get("x-forwarded-for", environ.get("REMOTE_ADDR", "")),
    }
    if scheme == "https":
        found["s3:TlsVersion"] = headers.get("x-test-tls-version", "1.3")
    if principal is not None:
        found |= {
            "aws:PrincipalArn": principal,
            "aws:PrincipalAccount": account,
            "aws:PrincipalIsAWSService": "false",
            "aws:username": principal.rpartition("/")[2],
        }
    if "prefix" in query:
        found["s3:prefix"] = query["prefix"]
    return found | {key: headers[name] for name, key in _CONTEXT_HEADERS.items() if name in headers}


def sender(access_key: str | None) -> tuple[str | None, str, list[dict[str, Any]]]:
    """(ARN, account, own policies) of who holds a key; whom moto does not know is the root."""
    if access_key is None:
        return None, "", []
    if access_key == FOREIGN_KEY:
        return f"arn:aws:iam::{FOREIGN_ACCOUNT}:root", FOREIGN_ACCOUNT, []
    iam = iam_backends[ACCOUNT]["aws"]
    for user in iam.users.values():
        if any(key.access_key_id == access_key for key in user.access_keys):
            groups = [g for g in iam.groups.values() if user in g.users]
            inline = [text for holder in (user, *groups) for text in holder.policies.values()]
            managed = [
                version.document
                for holder in (user, *groups)
                for policy in holder.managed_policies.values()
                for version in policy.versions
                if version.is_default
            ]
            documents = [
                json.loads(text) if isinstance(text, str) else text for text in (*inline, *managed)
            ]
            return user.arn, ACCOUNT, documents
    return ROOT, ACCOUNT, []


def action_of(method: str, key: str, query: dict[str, str], headers: dict[str, str]) -> str:
    """The action that S3 asks permission for."""
    return "s3:" + (_object_action if key else _bucket_action)(method, query, headers)


def _bucket_action(method: str, query: dict[str, str], headers: dict[str, str]) -> str:
    del headers
    for name, what in _SUBRESOURCES.items():
        if name in query:
            if name == "policy" and method == "DELETE":
                return "DeleteBucketPolicy"
            return ("Get" if method in ("GET", "HEAD") else "Put") + what
    if "uploads" in query:
        return "ListBucketMultipartUploads"
    if "versions" in query:
        return "ListBucketVersions"
    if "delete" in query:
        return "DeleteObject"
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket"}.get(method, "ListBucket")


def _object_action(method: str, query: dict[str, str], headers: dict[str, str]) -> str:
    verb = "Get" if method in ("GET", "HEAD") else "Put"
    if method == "PUT" and "encryption" in query:
        return "UpdateObjectEncryption"
    version = "Version" if "versionId" in query else ""
    if method == "DELETE":
        if "uploadId" in query:
            return "AbortMultipartUpload"
        return f"DeleteObject{version}"
    for name, what in _OBJECT_PARTS.items():
        if name in query:
            return verb + what
    if headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        return "BypassGovernanceRetention"
    return f"{verb}Object{version if verb == 'Get' else ''}"


def client(url: str, service: str = "s3", *, key: str = embedded.ACCESS_KEY, **more: Any) -> Any:
    """boto3's client for one of the servers; `verify` for the certificate."""
    import boto3
    from botocore.config import Config

    made = boto3.client(
        service,
        endpoint_url=url,
        region_name=embedded.REGION,
        aws_access_key_id=key,
        aws_secret_access_key=embedded.SECRET_KEY,
        config=Config(retries={"max_attempts": 0}),
        **more,
    )
    if service == "s3control":
        made.meta.events.register("before-sign.s3-control", _without_account)
    return made


def _without_account(request: Any, **_more: Any) -> None:
    """boto3 puts the account before the name of the host, which loopback has no address for."""
    request.url = re.sub(r"//\d{12}\.", "//", request.url)


def _certificate(scratch: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "moto")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    x509.DNSName(f"{ACCOUNT}.127.0.0.1"),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = scratch / "moto.pem", scratch / "moto.key"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
