# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All that is to be known of buckets and of their account, read at once over parallel connections.

See `_s3_fact` for what a fact is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import (
    Clients,
    code_of,
    is_s3_error,
    told,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_fact import (
    NOTHING,
    Absent,
    Fact,
    Facts,
    Unread,
)

_PARALLEL = 24
_NOT_THERE = frozenset({"NotImplemented", "MethodNotAllowed", "UnsupportedOperation"})
_NONE = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration",
        "OwnershipControlsNotFoundError",
        "ObjectLockConfigurationNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
        "NoSuchBucketPolicy",
        "NoSuchLifecycleConfiguration",
        "ReplicationConfigurationNotFoundError",
        "NoSuchBucket",
    }
)


@dataclass(frozen=True)
class Wanted:
    """What to read beside the bucket itself."""

    bucket: str
    kms_key: str = ""
    trail: str = ""
    principals: Sequence[str] = ()


def read(clients: Clients, wanted: Sequence[Wanted]) -> tuple[Facts, dict[str, Facts], int]:
    """(facts of the account, facts by bucket, how many calls that took)."""
    account = account_of(clients)
    tasks: dict[tuple[str, str], Callable[[], Fact]] = {}
    for name, call in _account_reads(clients, account).items():
        tasks["", name] = call
    for one in wanted:
        for name, call in _bucket_reads(clients, one, account).items():
            tasks[one.bucket, name] = call
        for (_name, shared), call in _shared_reads(clients, one).items():
            tasks["", shared] = call
        for arn in one.principals:
            tasks["", f"policies of {arn}"] = partial(identity_policies, clients, arn)
    with ThreadPoolExecutor(min(_PARALLEL, max(len(tasks), 1))) as pool:
        found = dict(zip(tasks, pool.map(known, tasks.values()), strict=True))
    of_account = {name: fact for (bucket, name), fact in found.items() if not bucket}
    by_bucket: dict[str, Facts] = {one.bucket: {} for one in wanted}
    for (bucket, name), fact in found.items():
        if bucket:
            by_bucket[bucket][name] = fact
    for one in wanted:
        for name, shared in _shared_reads(clients, one):
            by_bucket[one.bucket][name] = of_account[shared]
    return {**of_account, **account}, by_bucket, len(tasks) + 1


def known(call: Callable[[], Fact]) -> Fact:
    """What a call says, or that there is nothing, or why it cannot be known."""
    try:
        return call()
    except Exception as error:
        if not is_s3_error(error):
            raise
        if code_of(error) in _NONE:
            return NOTHING
        if code_of(error) in _NOT_THERE:
            return Absent(code_of(error))
        return Unread(told(error))


def account_of(clients: Clients) -> Facts:
    """Who asks, and for which account; empty where the service has no accounts to ask about."""
    if not clients.is_aws:
        return {"account": "", "caller": ""}
    found = known(lambda: clients.of("sts").get_caller_identity())
    if isinstance(found, (Absent, Unread)):
        return {"account": "", "caller": "", "caller_unread": found.why}
    return {"account": str(found["Account"]), "caller": str(found["Arn"])}


def _account_reads(clients: Clients, account: Facts) -> dict[str, Callable[[], Fact]]:
    if not clients.is_aws:
        missing = Absent("the service has no account-wide settings")
        return {"account_public_block": lambda: missing, "access_points": lambda: missing}
    if not account["account"]:
        unread = Unread(str(account.get("caller_unread", "the account is not known")))
        return {"account_public_block": lambda: unread, "access_points": lambda: unread}
    control, number = clients.of("s3control"), account["account"]
    return {
        "account_public_block": lambda: control.get_public_access_block(AccountId=number)[
            "PublicAccessBlockConfiguration"
        ],
        "access_points": lambda: _access_points(control, number),
    }


def _access_points(control: Any, account: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        page = control.list_access_points(AccountId=account, **more)
        for point in page.get("AccessPointList", ()):
            detail = control.get_access_point(AccountId=account, Name=point["Name"])
            found.append({**point, "block": detail.get("PublicAccessBlockConfiguration", {})})
        if not page.get("NextToken"):
            return found
        more = {"NextToken": page["NextToken"]}


def _bucket_reads(
    clients: Clients, wanted: Wanted, account: Facts
) -> dict[str, Callable[[], Fact]]:
    s3, bucket = clients.of("s3"), wanted.bucket
    owner = {"ExpectedBucketOwner": account["account"]} if account["account"] else {}

    # A service that does not know a setting answers with a list of objects, which has no such key.
    unknown = Absent("it answers with something else")

    def part(operation: str, *keys: str, missing: Fact = unknown) -> Callable[[], Fact]:
        def call() -> Fact:
            found = getattr(s3, operation)(Bucket=bucket, **owner)
            found.pop("ResponseMetadata", None)
            for key in keys:
                if key not in found:
                    return missing
                found = found[key]
            return found

        return call

    ownership = part("get_bucket_ownership_controls", "OwnershipControls")
    return {
        "exists": partial(_exists, s3, bucket, owner),
        "public_block": part("get_public_access_block", "PublicAccessBlockConfiguration"),
        "ownership": lambda: _with_rules(ownership()),
        "acl": part("get_bucket_acl"),
        "versioning": part("get_bucket_versioning"),
        "object_lock": part("get_object_lock_configuration", "ObjectLockConfiguration"),
        "encryption": part("get_bucket_encryption", "ServerSideEncryptionConfiguration"),
        "policy": part("get_bucket_policy", "Policy"),
        "policy_status": part("get_bucket_policy_status", "PolicyStatus"),
        "logging": part("get_bucket_logging", "LoggingEnabled", missing=NOTHING),
        "lifecycle": part("get_bucket_lifecycle_configuration"),
        "replication": part("get_bucket_replication", "ReplicationConfiguration"),
        "notification": part("get_bucket_notification_configuration"),
    }


def _shared_reads(clients: Clients, wanted: Wanted) -> dict[tuple[str, str], Callable[[], Fact]]:
    """What buckets may have in common and is read once, by (name in the bucket, its own name)."""
    reads: dict[tuple[str, str], Callable[[], Fact]] = {}
    if wanted.kms_key and clients.is_aws:
        reads["kms", f"key {wanted.kms_key}"] = partial(_kms, clients.of("kms"), wanted.kms_key)
    if wanted.trail and clients.is_aws:
        trail = partial(_trail, clients.of("cloudtrail"), wanted.trail)
        reads["trail", f"trail {wanted.trail}"] = trail
    return reads


def _with_rules(found: Fact) -> Fact:
    """A list of objects, misunderstood as an answer, has none."""
    if isinstance(found, dict) and "Rules" not in found:
        return Absent("it answers with something else")
    return found


def _exists(s3: Any, bucket: str, owner: Mapping[str, str]) -> Fact:
    try:
        s3.head_bucket(Bucket=bucket, **owner)
    except Exception as error:
        if is_s3_error(error) and code_of(error) in ("404", "NoSuchBucket"):
            return False
        raise
    return True


def _kms(kms: Any, key: str) -> Fact:
    """A key, its policy, and whether it is turned over every year."""
    about = kms.describe_key(KeyId=key)["KeyMetadata"]
    found = {
        "arn": about["Arn"],
        "state": about.get("KeyState", ""),
        "manager": about.get("KeyManager", ""),
        "multi_region": bool(about.get("MultiRegion")),
    }
    found["rotation"] = known(lambda: kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"])
    found["policy"] = known(lambda: kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    return found


def _trail(cloudtrail: Any, name: str) -> Fact:
    found = cloudtrail.get_event_selectors(TrailName=name)
    return {
        "events": found.get("EventSelectors") or [],
        "advanced": found.get("AdvancedEventSelectors") or [],
        "logging": bool(cloudtrail.get_trail_status(Name=name).get("IsLogging")),
    }


def identity_policies(clients: Clients, arn: str) -> Fact:
    """All policies of a user or a role, those of a user's groups and its boundary included: a dict
    with `policies` and, where there is one, `boundary`."""
    iam, kind, name = clients.of("iam"), _kind(arn), arn.rpartition("/")[2]
    about = getattr(iam, f"get_{kind}")(**{f"{kind.title()}Name": name})[kind.title()]
    found = _policies(iam, kind, name)
    if kind == "user":
        for group in iam.list_groups_for_user(UserName=name)["Groups"]:
            found += _policies(iam, "group", group["GroupName"])
    boundary = about.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return {"policies": found} | ({"boundary": _managed(iam, boundary)} if boundary else {})


def _kind(arn: str) -> str:
    return "role" if ":role/" in arn else "user"


def _policies(iam: Any, kind: str, name: str) -> list[dict[str, Any]]:
    who = {f"{kind.title()}Name": name}
    found = []
    for page in iam.get_paginator(f"list_{kind}_policies").paginate(**who):
        for policy in page["PolicyNames"]:
            get = getattr(iam, f"get_{kind}_policy")
            found.append(_document(get(**who, PolicyName=policy)["PolicyDocument"]))
    for page in iam.get_paginator(f"list_attached_{kind}_policies").paginate(**who):
        found += [_managed(iam, one["PolicyArn"]) for one in page["AttachedPolicies"]]
    return found


def _managed(iam: Any, arn: str) -> dict[str, Any]:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId=version)
    return _document(found["PolicyVersion"]["Document"])


def _document(found: Any) -> dict[str, Any]:
    document = json.loads(unquote(found)) if isinstance(found, str) else found
    if not isinstance(document, dict):  # IAM stores nothing else
        raise AssertionError("a policy of IAM is no JSON object")
    return document


def unread(facts: Iterable[Fact]) -> str:
    """Why the first of these facts is not known; empty where all are."""
    return next((fact.why for fact in facts if isinstance(fact, Unread)), "")
