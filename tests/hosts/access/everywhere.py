# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands beside the host: a cloud account, third parties, registries; clean or full of faults.

AWS is moto, the third parties follow their contracts (tests/third_parties), RDAP and the DNS answer
from tables. All of it is asked by the playbooks, as the real ones would be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from moto.iam.models import iam_backends

from tests.s3 import embedded
from tests.third_parties import names, servers

ACCOUNT = "123456789012"
STRANGER = "arn:aws:iam::999999999999:root"
BUCKET = "acme-backups"
DOMAINS = {
    True: ("shop.example", "blog.example", "plain.example"),
    False: ("twin.example",),
}
PARTIES = {
    "cloud": "object storage for backups", "edgeway": "content delivery", "mailer": "newsletters",
    "guru": "audits of sites", "registrar": "domains", "fast": "domains and mail",
}  # fmt: skip
# Networks of the CDN: no request of a test comes from there.
RANGES = ["198.18.0.0/20"]
_SOON = "2099-12-31"
_RECENTLY = timedelta(days=2)


# --- the register


def console(party: str, account: str, by: str, **more: Any) -> dict[str, Any]:
    """A grant of an account at a third party."""
    place = {"system": "console", "third_party": party, "scope": {"everything": True}}
    return {**place, "account": account, "granted_by": by, **more}


def _service(name: str, party: str, account: str, **more: Any) -> dict[str, Any]:
    kind = more.pop("kind", "service")
    return {
        "id": name, "kind": kind, "owner": "ada", "purpose": f"Is {account} at {party}",
        "review_by": _SOON, "accounts": {party: [account]},
        "access": [console(party, account, "ben", **more)],
    }  # fmt: skip


def people(said: dict[str, Any], faulty: bool) -> dict[str, Any]:
    """people.yml with what its people and services have beside the host. Changes `said`."""
    by_id = {one["id"]: one for one in said["people"]}
    services = [
        _service("cloud_root", "cloud", "root", kind="breakglass", privileged=True),
        _service("uploader", "cloud", "uploader"),
        _service("replicate", "cloud", "replicate"),
    ]
    grants = {
        "ada": [console("cloud", "ada", "ben", privileged=True), console("fast", "ada", "ben")],
        "ben": [console("cloud", "ben", "ada", privileged=True)],
    }
    if faulty:
        by_id["ben"]["emails"] = ["ben@agency.example"]
        by_id["lena"]["emails"] = ["lena@agency.example"]
        by_id["gus"]["accounts"]["cloud"] = ["gus"]
        by_id["lena"]["accounts"] = {"cloud": ["lena"]}
        grants["ben"].append(console("mailer", "ben@agency.example", "ada"))
        grants["omar"] = [console("cloud", "omar", "ada"), console("cloud", "both", "ada")]
        grants["nia"] = [console("cloud", "both", "ada")]
    else:
        services += [
            _service("cdn_reader", "edgeway", "media"),
            _service("news_key", "mailer", "news@agency.example", privileged=True),
            _service("auditor", "guru", "audit@agency.example", privileged=True),
        ]
    for name, some in grants.items():
        by_id[name].setdefault("access", []).extend(some)
    said["service_accounts"] += services
    return said


def third_parties(said: dict[str, Any], faulty: bool) -> dict[str, Any]:
    """third_parties.yml with those that are asked or attest. Changes `said`."""
    for name, service in PARTIES.items():
        party = {"id": name, "name": f"{name.title()} Ltd", "role": "sub_processor",
                 "services": [service], "country": "DE"}  # fmt: skip
        said["third_parties"].append(party | ({"ranges": RANGES} if name == "edgeway" else {}))
    seen = {"claim": "who has access was looked through", "value": "2 people", "method": "console",
            "observed_at": "2026-01-01", "expires_at": _SOON, "attested_by": "ada",
            "approved_by": "ben"}  # fmt: skip
    attesting = [one for one in PARTIES if not (faulty and one == "fast")]
    said["attestations"] += [
        {"id": f"{one}_users", "third_party": one, **seen} for one in attesting
    ]
    if faulty:
        mfa = {"claim": "everybody signs in with a second factor", "value": True}
        said["attestations"].append({"id": "cloud_mfa", "third_party": "cloud", **seen, **mfa})
    return said


# --- the cloud account


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


class _Cloud:
    """An account of moto's, by the calls that an administrator makes."""

    def __init__(self, url: str) -> None:
        self.iam, self.s3, self.kms = (embedded.client(url, one) for one in ("iam", "s3", "kms"))

    def user(self, name: str, *actions: str, password: bool = False, mfa: bool = False) -> None:
        self.iam.create_user(UserName=name)
        if actions:
            said = _policy(_allow(list(actions)))
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=said)
        if password:
            self.iam.create_login_profile(UserName=name, Password="Not-A-Real-1")
        if mfa:
            plain = "".join(filter(str.isalnum, name))
            made = self.iam.create_virtual_mfa_device(VirtualMFADeviceName=plain)
            self.iam.enable_mfa_device(
                UserName=name, SerialNumber=made["VirtualMFADevice"]["SerialNumber"],
                AuthenticationCode1="123456", AuthenticationCode2="234567",
            )  # fmt: skip

    def key(self, name: str, days: int = 1) -> None:
        """An access key that was made so many days ago, which only moto's own memory can have."""
        self.iam.create_access_key(UserName=name)
        (user,) = [one for one in iam_backends[ACCOUNT]["aws"].users.values() if one.name == name]
        made = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
        user.access_keys[-1].create_date = made

    def role(self, name: str, principal: dict[str, str]) -> None:
        trust = _policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal})
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)

    def bucket(self) -> str:
        """The bucket of the backups, with a key of its own; that key."""
        place = {"LocationConstraint": embedded.REGION}
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        key = str(self.kms.create_key()["KeyMetadata"]["Arn"])
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
        self.s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration=rules)
        return key


def _clean_cloud(cloud: _Cloud) -> None:
    # moto has no root, so a user whose name it has in the credential report stands for it.
    cloud.user("<root_account>", password=True, mfa=True)
    cloud.user("ada", "*", password=True, mfa=True)
    cloud.user("ben", "*", password=True, mfa=True)
    cloud.user("uploader", "s3:PutObject")
    cloud.key("uploader")
    cloud.role("replicate", {"Service": "s3.amazonaws.com"})
    cloud.bucket()


def _faulty_cloud(cloud: _Cloud) -> None:
    """Every fault is a line, or what it is without: `mfa`."""
    cloud.user("<root_account>", password=True)
    cloud.key("<root_account>")
    cloud.user("ada", "*", password=True, mfa=True)
    cloud.user("ben", "*", password=True)
    cloud.user("uploader", "s3:PutObject", "s3:DeleteObjectVersion")
    cloud.key("uploader", 800)
    cloud.role("replicate", {"Service": "s3.amazonaws.com"})
    cloud.user("lena", password=True, mfa=True)
    cloud.user("nobody", password=True, mfa=True)
    cloud.user("gus", password=True, mfa=True)
    cloud.user("omar", "iam:AttachUserPolicy", password=True, mfa=True)
    cloud.user("both", password=True, mfa=True)
    cloud.role("care-support", {"AWS": STRANGER})
    key = cloud.bucket()
    arn = f"arn:aws:iam::{ACCOUNT}:user/lena"
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    cloud.kms.put_key_policy(
        KeyId=key, PolicyName="default",
        Policy=_policy(
            _allow("kms:*", Principal=root), _allow("kms:Decrypt", Principal={"AWS": arn})
        ),
    )  # fmt: skip
    cloud.s3.delete_public_access_block(Bucket=BUCKET)
    cloud.s3.put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    objects = f"arn:aws:s3:::{BUCKET}/*"
    cloud.s3.put_bucket_policy(
        Bucket=BUCKET,
        Policy=_policy(_allow("s3:GetObject", objects, Principal={"AWS": STRANGER}, Sid="Old")),
    )


# --- third parties, registries, names


def _vendors(faulty: bool) -> dict[str, Any]:
    godaddy, cdn, mailer, guru = (
        servers.GoDaddy(0), servers.Cdn77(), servers.Mailchimp(0), servers.MySitesGuru(),
    )  # fmt: skip
    held = {"locked": False} if faulty else {}
    godaddy.rows = [godaddy.domain(name, **held) for name in DOMAINS[faulty]]
    mailer.owner = "ben@agency.example" if faulty else "news@agency.example"
    if faulty:
        mailer.linked = ["unknown@example.net", "lena@agency.example"]
    else:
        mailer.last_login = (datetime.now(UTC) - _RECENTLY).isoformat(timespec="seconds")
    return {"registrar": ("godaddy", godaddy, ""), "edgeway": ("cdn77", cdn, ""),
            "mailer": ("mailchimp", mailer, "/3.0"),
            "guru": ("mysites_guru", guru, "/api/v1")}  # fmt: skip


def _registry(faulty: bool) -> servers.Rdap:
    found, lock = servers.Rdap(), ["client transfer prohibited"]
    if not faulty:
        found.add("twin.example", lock, signed=True, expires="2099-01-01")
        return found
    soon = str(date.today() + timedelta(days=10))
    found.add("shop.example", ["active"], signed=True, expires="2099-01-01")
    # It lists no status at all: of the lock the registrar tells.
    found.add("blog.example", [], signed=False, expires="2099-01-01")
    found.add("plain.example", lock, signed=True, expires=soon)
    return found


def _zones(faulty: bool) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {("example", "SOA"): [_SOA]}
    for zone in DOMAINS[faulty]:
        found |= {
            (zone, "SOA"): [_SOA], (zone, "NS"): [f"ns1.{zone}."],
            (zone, "TXT"): ['"v=spf1 -all"'],
        }  # fmt: skip
        if zone != "blog.example":
            found |= {
                (zone, "DS"): ["12345 13 2 " + "ab" * 32],
                (zone, "DNSKEY"): ["257 3 13 " + "A" * 86 + "=="],
            }
    return found


_SOA = "ns1.example. ops.example. 1 3600 600 86400 60"


@contextmanager
def standing(faulty: bool) -> Iterator[dict[str, Any]]:
    """Variables by which the playbooks find all of it, while it stands."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        url = stack.enter_context(embedded.server())
        embedded.forget(url)
        (_faulty_cloud if faulty else _clean_cloud)(_Cloud(url))
        connectors = []
        for party, (connector, vendor, path) in _vendors(faulty).items():
            base = stack.enter_context(servers.serving(vendor))
            secret = {"secret": vendor.secret} if connector == "godaddy" else {}
            connectors.append({"party": party, "connector": connector, "key": vendor.key,
                               "url": base + path, **secret})  # fmt: skip
        address, port = stack.enter_context(names.serving(_zones(faulty)))
        yield {
            "ringfence_connectors": connectors,
            "ringfence_aws": {"party": "cloud", "buckets": [BUCKET], "endpoint_url": url,
                              "region": embedded.REGION},
            "ringfence_rdap_url": stack.enter_context(servers.serving(_registry(faulty))),
            "ringfence_resolver": f"{address}:{port}",
        }  # fmt: skip
        embedded.forget(url)
