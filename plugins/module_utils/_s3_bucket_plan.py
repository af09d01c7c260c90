# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must be called to make a bucket what it is to be: only for what differs, in an order in
which nothing is open in between, and never what would shut out those who must get in."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket as buckets
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_identity as identities
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_policy as policies
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket import Bucket, Settings
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_fact import (
    Absent,
    Unread,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_policy import Asked, Statement

SID = "Ringfence"
RULE = "ringfence-"
# What the caller must still be able to do after a policy is written.
_CALLER = (
    "s3:GetBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:ListBucket",
    "s3:GetBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:GetEncryptionConfiguration",
    "s3:PutEncryptionConfiguration",
)


class PlanError(Exception):
    """Why nothing may be written, in one line."""


@dataclass(frozen=True)
class Change:
    """One call that changes something, and what it changes, for people."""

    service: str
    operation: str
    arguments: Mapping[str, Any]
    what: str
    before: Any
    after: Any

    @property
    def call(self) -> str:
        """As it is told: `s3.put_bucket_policy`."""
        return f"{self.service}.{self.operation}"


def account_changes(account: Mapping[str, Any]) -> list[Change]:
    """The account's own block of what is public."""
    found = account["account_public_block"]
    if isinstance(found, Absent):
        return []
    if isinstance(found, Unread):
        raise PlanError(f"the account's public access block is not known: {found.why}")
    wanted = dict.fromkeys(buckets.BLOCKS, True)
    if found == wanted:
        return []
    arguments = {"AccountId": account["account"], "PublicAccessBlockConfiguration": wanted}
    return [
        Change(
            "s3control", "put_public_access_block", arguments, "account_public_block", found, wanted
        )
    ]


def bucket_changes(bucket: Bucket, *, secure: bool, create: bool) -> list[Change]:
    """The calls for one bucket, in their order. Raises PlanError; nothing is to be done then.

    `secure`: whether this connection is encrypted.
    """
    if bucket.facts["exists"] is False:
        if not create:
            raise PlanError(f"there is no bucket {bucket.settings.name}, and create is false")
        bucket = Bucket(bucket.settings, _new_facts(bucket), bucket.account)
        return [_creation(bucket.settings, bucket), *_all(bucket, secure)]
    return list(_all(bucket, secure))


def _new_facts(bucket: Bucket) -> dict[str, Any]:
    """A bucket that was just made has nothing."""
    kept: dict[str, Any] = {
        name: bucket.facts[name] for name in ("kms", "trail") if name in bucket.facts
    }
    empty: dict[str, Any] = {
        name: {} for name, fact in bucket.facts.items() if not isinstance(fact, Absent)
    }
    absent = {name: fact for name, fact in bucket.facts.items() if isinstance(fact, Absent)}
    made = {"exists": True, "acl": {"Owner": {"ID": "owner"}, "Grants": []}}
    if bucket.settings.is_backup:
        made["versioning"] = {"Status": "Enabled"}
        made["object_lock"] = {"ObjectLockEnabled": "Enabled"}
    return {**empty, **absent, **kept, **made}


def _creation(settings: Settings, bucket: Bucket) -> Change:
    arguments: dict[str, Any] = {"Bucket": settings.name}
    if settings.is_backup and not isinstance(bucket.facts.get("object_lock"), Absent):
        arguments["ObjectLockEnabledForBucket"] = True
    return Change("s3", "create_bucket", arguments, "exists", False, True)


def _all(bucket: Bucket, secure: bool) -> Iterator[Change]:
    for part in (
        _public_block,
        _acl,
        _ownership,
        _versioning,
        _object_lock,
        _encryption,
        lambda one: _policy(one, secure),
        _logging,
        _lifecycle,
        _replication,
        _events,
        _trail,
        _rotation,
        _writers,
    ):
        yield from part(bucket)


def _readable(bucket: Bucket, name: str) -> Any:
    """A fact that what is written is made from; None where the service has no such thing."""
    found = bucket.facts.get(name)
    if isinstance(found, Unread):
        raise PlanError(
            f"{bucket.settings.name}: {name} is not known, so it is not changed: {found.why}"
        )
    return None if isinstance(found, Absent) else found


def _s3(bucket: Bucket, operation: str, what: str, before: Any, after: Any, **more: Any) -> Change:
    owner = {"ExpectedBucketOwner": bucket.owner} if bucket.owner else {}
    return Change(
        "s3", operation, {"Bucket": bucket.settings.name, **owner, **more}, what, before, after
    )


def _public_block(bucket: Bucket) -> Iterator[Change]:
    found, wanted = _readable(bucket, "public_block"), dict.fromkeys(buckets.BLOCKS, True)
    # Ceph's gateway 18.2 denies every upload to a bucket with this block, the owner's too.
    if bucket.owner and found is not None and found != wanted:
        yield _s3(
            bucket,
            "put_public_access_block",
            "public_block",
            found,
            wanted,
            PublicAccessBlockConfiguration=wanted,
        )


def _acl(bucket: Bucket) -> Iterator[Change]:
    found = _readable(bucket, "acl")
    owner = found.get("Owner", {}).get("ID") if found else None
    grants = found.get("Grants", []) if found else []
    if any(grant.get("Grantee", {}).get("ID") != owner for grant in grants):
        yield _s3(bucket, "put_bucket_acl", "acl", grants, "private", ACL="private")


def _ownership(bucket: Bucket) -> Iterator[Change]:
    found = _readable(bucket, "ownership")
    wanted = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    if found is not None and found != wanted:
        yield _s3(
            bucket,
            "put_bucket_ownership_controls",
            "ownership",
            found,
            wanted,
            OwnershipControls=wanted,
        )


def _versioning(bucket: Bucket) -> Iterator[Change]:
    found = _readable(bucket, "versioning")
    if found is not None and found.get("Status") != "Enabled":
        wanted = {"Status": "Enabled"}
        yield _s3(
            bucket,
            "put_bucket_versioning",
            "versioning",
            found,
            wanted,
            VersioningConfiguration=wanted,
        )


def _object_lock(bucket: Bucket) -> Iterator[Change]:
    found = _readable(bucket, "object_lock")
    if found is None or not bucket.settings.is_backup:
        return
    mode, days = buckets.retention(found)
    # What is there is never made weaker: a longer or a harder lock stays.
    wanted_mode = "COMPLIANCE" if mode == "COMPLIANCE" else bucket.settings.lock_mode
    wanted_days = max(days, bucket.settings.lock_days)
    if (mode, days) == (wanted_mode, wanted_days):
        return
    wanted = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": wanted_mode, "Days": wanted_days}},
    }
    yield _s3(
        bucket,
        "put_object_lock_configuration",
        "object_lock",
        found,
        wanted,
        ObjectLockConfiguration=wanted,
    )


def _encryption(bucket: Bucket) -> Iterator[Change]:
    found = _readable(bucket, "encryption")
    if found is None:
        return
    settings = bucket.settings
    rule = copy.deepcopy(found.get("Rules", [{}])[0]) if found.get("Rules") else {}
    current = rule.get("ApplyServerSideEncryptionByDefault", {})
    default: dict[str, Any] = {"SSEAlgorithm": settings.encryption}
    if settings.encryption == "AES256":
        if current.get("SSEAlgorithm"):
            return  # whatever it is, it is as good
    else:
        default["KMSMasterKeyID"] = settings.kms_key
    blocked = rule.get("BlockedEncryptionTypes", {}).get("EncryptionType")
    good = (
        current.get("SSEAlgorithm") in (settings.encryption, "aws:kms:dsse")
        and buckets.same_key(current.get("KMSMasterKeyID", ""), settings.kms_key)
        and (not bucket.owner or bool(rule.get("BucketKeyEnabled")) == settings.bucket_key)
        and blocked in (None, ["SSE-C"])
    )
    if good:
        return
    wanted: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": default}
    if settings.encryption != "AES256":
        wanted["BucketKeyEnabled"] = settings.bucket_key
    if bucket.owner:
        wanted["BlockedEncryptionTypes"] = {"EncryptionType": ["SSE-C"]}
    yield _s3(
        bucket,
        "put_bucket_encryption",
        "encryption",
        found,
        {"Rules": [wanted]},
        ServerSideEncryptionConfiguration={"Rules": [wanted]},
    )


# --- the policy -------------------------------------------------------------------------------


def statements_for(settings: Settings, owner: str) -> list[Statement]:
    """Our statements, all of them denials but the one that lets logs in."""
    both = [settings.arn, f"{settings.arn}/*"]
    found = [
        # One service passes by the first, another by the second, and some judges know one only.
        _deny("TlsOnly", "s3:*", both, {"Bool": {"aws:SecureTransport": "false"}}),
        _deny("TlsOnlyIfExists", "s3:*", both, {"BoolIfExists": {"aws:SecureTransport": "false"}}),
        _deny(
            "TlsVersion", "s3:*", both, {"NumericLessThan": {"s3:TlsVersion": settings.tls_version}}
        ),
    ]
    if owner:
        outside = {
            "StringNotEquals": {"aws:PrincipalAccount": sorted({owner, *settings.accounts})},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        }
        found.append(_deny("OtherAccounts", "s3:*", both, outside))
    found.append(
        _deny(
            "CustomerKeys",
            "s3:PutObject",
            both[1],
            {"StringLike": {"s3:x-amz-server-side-encryption-customer-algorithm": "*"}},
        )
    )
    if settings.is_backup:
        found += _of_backups(settings, both)
    else:
        found.append(_log_delivery(settings, owner))
    return found


def _of_backups(settings: Settings, both: list[str]) -> Iterator[Statement]:
    # Only where there is such a header: restic sends none, and the bucket's default then holds.
    # StringNotEqualsIfExists would deny that, for it is true where there is no header; and Null
    # means the opposite on Ceph's gateway where it says false.
    header = "s3:x-amz-server-side-encryption"
    yield _deny_other("OtherEncryption", both[1], header, settings.encryption)
    if settings.encryption != "AES256":
        yield _deny_other("OtherKey", both[1], f"{header}-aws-kms-key-id", settings.kms_key)
    unless = (
        {"ArnNotEquals": {"aws:PrincipalArn": list(settings.bypass)}} if settings.bypass else {}
    )
    yield _deny("LockBypass", "s3:BypassGovernanceRetention", both[1], unless)
    if settings.principals:
        them = {"ArnEquals": {"aws:PrincipalArn": sorted(settings.principals)}}
        yield _deny("WritersNever", list(identities.NEVER), both, them)
    if settings.writers:
        kept = [
            arn
            for one in settings.writers
            for arn in identities.lock_files(settings.name, one.prefix)
        ]
        statement = _deny(
            "WritersDelete",
            "s3:DeleteObject",
            "",
            {"ArnEquals": {"aws:PrincipalArn": sorted(one.arn for one in settings.writers)}},
        )
        del statement["Resource"]
        yield {**statement, "NotResource": kept}


def _deny(sid: str, action: Any, resource: Any, condition: dict[str, Any]) -> Statement:
    found = {
        "Sid": SID + sid,
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": action,
        "Resource": resource,
    }
    return {**found, "Condition": condition} if condition else found


def _deny_other(sid: str, resource: str, key: str, value: str) -> Statement:
    condition = {"StringLike": {key: "*"}, "StringNotEquals": {key: value}}
    return _deny(sid, "s3:PutObject", resource, condition)


def _log_delivery(settings: Settings, owner: str) -> Statement:
    found: Statement = {
        "Sid": f"{SID}LogDelivery",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": ["s3:PutObject"],
        "Resource": f"{settings.arn}/*",
    }
    if owner:
        found["Condition"] = {"StringEquals": {"aws:SourceAccount": owner}}
    return found


def _policy(bucket: Bucket, secure: bool) -> Iterator[Change]:
    found = _readable(bucket, "policy")
    if found is None:
        return
    current = policies.parse(found if isinstance(found, str) else None)
    wanted = policies.merged(current, statements_for(bucket.settings, bucket.owner), SID)
    _see_that_all_get_in(bucket, current, wanted, secure)
    if not policies.same(current, wanted):
        yield _s3(bucket, "put_bucket_policy", "policy", current, wanted, Policy=json.dumps(wanted))


def _see_that_all_get_in(
    bucket: Bucket, current: policies.Policy, wanted: policies.Policy, secure: bool
) -> None:
    """Raises PlanError where the policy to be would deny what must go on, and denies not yet."""
    for who, asked in _must_go_on(bucket, secure):
        sid = policies.denied_by([wanted], asked)
        if sid and not policies.denied_by([current], asked):
            hint = ""
            if not secure and sid.startswith(f"{SID}Tls"):
                hint = "; this connection has no TLS, give an endpoint_url with https"
            raise PlanError(
                f"{bucket.settings.name}: the policy would shut out {who}: {sid} denies "
                f"{asked.action}{hint}; nothing was changed"
            )


def _must_go_on(bucket: Bucket, secure: bool) -> Iterator[tuple[str, Asked]]:
    settings, caller = bucket.settings, str(bucket.account.get("caller", ""))
    context = {
        "aws:securetransport": (str(secure).lower(),),
        "s3:tlsversion": ("1.2",) if settings.tls_version == "1.2" else ("1.3",),
        "aws:principalarn": (policies.role_of(caller),),
        "aws:principalaccount": (bucket.owner,),
        "aws:principalisawsservice": ("false",),
    }
    if not bucket.owner:
        context = {"aws:securetransport": context["aws:securetransport"]}
    for action in _CALLER:
        yield (
            f"the caller {caller}".rstrip(),
            Asked(action, settings.arn, caller, bucket.owner, context),
        )
    for kind, named in (("writers", settings.writers), ("pruners", settings.pruners)):
        for one in named:
            for action, resource in identities.needs(kind, one, settings.name):
                yield f"{kind[:-1]} {one.arn}", identities.request(one, action, resource)


# --- the rest ---------------------------------------------------------------------------------


def _logging(bucket: Bucket) -> Iterator[Change]:
    settings, found = bucket.settings, _readable(bucket, "logging")
    if found is None or not settings.log_bucket or found.get("TargetBucket") == settings.log_bucket:
        return
    wanted = {
        "TargetBucket": settings.log_bucket,
        "TargetPrefix": settings.log_prefix or f"{settings.name}/",
    }
    yield _s3(
        bucket,
        "put_bucket_logging",
        "logging",
        found,
        wanted,
        BucketLoggingStatus={"LoggingEnabled": wanted},
    )


def _lifecycle(bucket: Bucket) -> Iterator[Change]:
    found = _readable(bucket, "lifecycle")
    if found is None:
        return
    rules = found.get("Rules", [])
    judged = Bucket(bucket.settings, bucket.facts, bucket.account)
    old = buckets.CHECKS["aws_s3_old_versions"].judge(judged).status
    uploads = buckets.CHECKS["aws_s3_unfinished_uploads"].judge(judged).status
    if old == uploads == buckets.PASS:
        return
    ours = [
        {
            "ID": f"{RULE}old-versions",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": bucket.settings.kept_days},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        {
            "ID": f"{RULE}unfinished-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": bucket.settings.upload_days},
        },
    ]
    wanted = {"Rules": [r for r in rules if not str(r.get("ID", "")).startswith(RULE)] + ours}
    yield _s3(
        bucket,
        "put_bucket_lifecycle_configuration",
        "lifecycle",
        {"Rules": rules},
        wanted,
        LifecycleConfiguration=wanted,
    )


def _replication(bucket: Bucket) -> Iterator[Change]:
    settings, found = bucket.settings, _readable(bucket, "replication")
    if found is None or not settings.replication:
        return
    if buckets.CHECKS["aws_s3_replication"].judge(bucket).status == buckets.PASS:
        return
    asked = settings.replication
    destination: dict[str, Any] = {"Bucket": asked["bucket"]}
    rule: dict[str, Any] = {
        "ID": f"{RULE}replica",
        "Status": "Enabled",
        "Priority": 1 + max((int(r.get("Priority", 0)) for r in found.get("Rules", ())), default=0),
        "Filter": {"Prefix": ""},
        # What is deleted here stays there.
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": destination,
    }
    if asked.get("kms_key"):
        destination["EncryptionConfiguration"] = {"ReplicaKmsKeyID": asked["kms_key"]}
        rule["SourceSelectionCriteria"] = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
    if asked.get("account"):
        destination["Account"] = asked["account"]
        destination["AccessControlTranslation"] = {"Owner": "Destination"}
    kept = [r for r in found.get("Rules", ()) if r.get("ID") != rule["ID"]]
    wanted = {"Role": asked["role"], "Rules": [*kept, rule]}
    yield _s3(
        bucket,
        "put_bucket_replication",
        "replication",
        found,
        wanted,
        ReplicationConfiguration=wanted,
    )


def _events(bucket: Bucket) -> Iterator[Change]:
    found = _readable(bucket, "notification")
    asked = {kind: target for kind, target in bucket.settings.events.items() if target}
    missing = {
        kind: target
        for kind, target in asked.items()
        if found is not None and not buckets.has_event(found, kind, target)
    }
    if not missing:
        return
    wanted = copy.deepcopy(dict(found))
    for kind, target in missing.items():
        if kind == "event_bridge":
            wanted["EventBridgeConfiguration"] = {}
            continue
        section, name = buckets.EVENTS[kind]
        rest = [one for one in wanted.get(section, []) if one.get("Id") != f"{RULE}{kind}"]
        ours = {"Id": f"{RULE}{kind}", name: target, "Events": ["s3:ObjectRemoved:*"]}
        wanted[section] = [*rest, ours]
    yield _s3(
        bucket,
        "put_bucket_notification_configuration",
        "notification",
        found,
        wanted,
        NotificationConfiguration=wanted,
    )


def _trail(bucket: Bucket) -> Iterator[Change]:
    found, settings = _readable(bucket, "trail"), bucket.settings
    if not found or buckets.is_in_trail(found, settings.arn):
        return
    arguments: dict[str, Any] = {"TrailName": settings.trail}
    if found["advanced"]:
        ours = {
            "Name": f"{RULE}{settings.name}",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                {"Field": "resources.ARN", "StartsWith": [f"{settings.arn}/"]},
            ],
        }
        wanted = [*found["advanced"], ours]
        arguments["AdvancedEventSelectors"] = wanted
        yield Change(
            "cloudtrail", "put_event_selectors", arguments, "trail", found["advanced"], wanted
        )
        return
    selectors = copy.deepcopy(found["events"]) or [
        {"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}
    ]
    usable = next((one for one in selectors if one.get("ReadWriteType") != "ReadOnly"), None)
    if usable is None:
        usable = {"ReadWriteType": "All", "IncludeManagementEvents": False, "DataResources": []}
        selectors.append(usable)
    resources = usable.setdefault("DataResources", [])
    resources.append({"Type": "AWS::S3::Object", "Values": [f"{settings.arn}/"]})
    arguments["EventSelectors"] = selectors
    yield Change(
        "cloudtrail", "put_event_selectors", arguments, "trail", found["events"], selectors
    )


def _rotation(bucket: Bucket) -> Iterator[Change]:
    found = bucket.facts.get("kms")
    if (
        not isinstance(found, Mapping)
        or found["rotation"] is not False
        or found["manager"] == "AWS"
    ):
        return
    yield Change(
        "kms",
        "enable_key_rotation",
        {"KeyId": bucket.settings.kms_key},
        "kms_rotation",
        False,
        True,
    )


def _writers(bucket: Bucket) -> Iterator[Change]:
    """An identity with no policy of this bucket gets the least that it needs; one that has too much
    is told of and left alone: what else it does with its rights is not known here."""
    settings = bucket.settings
    for kind, named in (("writers", settings.writers), ("pruners", settings.pruners)):
        for one in named:
            found = bucket.account.get(f"policies of {one.arn}")
            if not isinstance(found, Mapping) or found.get("policies") != []:
                continue
            wanted = identities.policy_of(kind, one, settings.name, settings.kms_key)
            what = "role" if ":role/" in one.arn else "user"
            arguments = {
                f"{what.title()}Name": one.arn.rpartition("/")[2],
                "PolicyName": f"{identities.NAME}-{settings.name}",
                "PolicyDocument": json.dumps(wanted),
            }
            yield Change(
                "iam", f"put_{what}_policy", arguments, f"policy of {one.arn}", None, wanted
            )


def apply(
    changes: Sequence[Change], client: Callable[[str], Any], *, regions: bool
) -> Iterator[Change]:
    """Make the calls in their order; yields each that was made. boto3's errors come through.

    `regions`: whether the service has any, which a new bucket must be told of.
    """
    for change in changes:
        arguments = dict(change.arguments)
        service = client(change.service)
        if change.operation == "create_bucket":
            region = service.meta.region_name
            if regions and region and region != "us-east-1":
                arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        getattr(service, change.operation)(**arguments)
        yield change
