# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who writes backups and who prunes them: the least that each needs, and whether it has no more.

A writer's key lies on the web server and is taken to be stolen with it: it adds and reads, and
deletes nothing but restic's own locks. A pruner's key stays on the controller; what it deletes is
kept as an old version until the lock on it has ended, and the lifecycle removes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_policy as policies
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_policy import Asked

NAME = "ringfence-backup"
_IDENTITY = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(user|role)/[\w+=,.@/-]+")
# What neither may do: end a lock, lose a version, or change what the bucket is.
_NEVER_OBJECT = (
    "s3:DeleteObjectVersion",
    "s3:BypassGovernanceRetention",
    "s3:PutObjectRetention",
    "s3:PutObjectLegalHold",
    "s3:PutObjectAcl",
)
_NEVER_BUCKET = (
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:DeleteBucket",
    "s3:PutBucketVersioning",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutEncryptionConfiguration",
    "s3:PutReplicationConfiguration",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketLogging",
)
NEVER = (*_NEVER_OBJECT, *_NEVER_BUCKET)


class Principal(NamedTuple):
    """An IAM user or role, and the part of the bucket that is its own: a prefix, `acme/`."""

    arn: str
    prefix: str = ""


def is_identity(arn: str) -> bool:
    """Whether this is the ARN of a user or role of IAM."""
    return bool(_IDENTITY.fullmatch(arn))


def lock_files(bucket: str, prefix: str) -> list[str]:
    """Where restic's locks lie, as ARNs."""
    below = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    return [f"arn:aws:s3:::{bucket}/{below}locks/*", f"arn:aws:s3:::{bucket}/{below}*/locks/*"]


def policy_of(kind: str, who: Principal, bucket: str, kms_key: str) -> dict[str, Any]:
    """The policy that a writer or a pruner needs (`kind`: writers, pruners), and no more."""
    bucket_arn = f"arn:aws:s3:::{bucket}"
    objects = f"{bucket_arn}/{who.prefix}*"
    deletes = lock_files(bucket, who.prefix) if kind == "writers" else [objects]
    listing: dict[str, Any] = {
        "Sid": "List",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": bucket_arn,
    }
    if who.prefix:
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{who.prefix}*"]}}
    found: list[dict[str, Any]] = [
        {
            "Sid": "Find",
            "Effect": "Allow",
            "Action": ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
            "Resource": bucket_arn,
        },
        listing,
        {
            "Sid": "AddAndRead",
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ],
            "Resource": objects,
        },
        {"Sid": "Delete", "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": deletes},
    ]
    if kms_key.startswith("arn:"):
        key = {"Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": kms_key}
        found.append({"Sid": "Key", "Effect": "Allow", **key})
    return {"Version": "2012-10-17", "Statement": found}


def needs(kind: str, who: Principal, bucket: str) -> list[tuple[str, str]]:
    """(action, ARN) of what restic does with the key; it sends no header about encryption."""
    below = f"arn:aws:s3:::{bucket}/{who.prefix}"
    deleted = "locks/1" if kind == "writers" else "data/00/1"
    return [
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        ("s3:GetObject", f"{below}config"),
        ("s3:PutObject", f"{below}data/00/1"),
        ("s3:DeleteObject", f"{below}{deleted}"),
    ]


def problems(
    kind: str,
    who: Principal,
    found: Mapping[str, Any],
    bucket_policy: Mapping[str, Any],
    bucket: str,
    kms_key: str,
) -> list[str]:
    """What is wrong with an identity's rights to a bucket, each in a few words."""
    rights = _Rights(who, list(found["policies"]), found.get("boundary"), bucket_policy)
    wrong = []
    for action, resource in needs(kind, who, bucket):
        if not rights.may(action, resource):
            wrong.append(f"{_name(who)} may not {action} on {_short(resource)}")
    bucket_arn = f"arn:aws:s3:::{bucket}"
    for action in _NEVER_OBJECT:
        if rights.may(action, f"{bucket_arn}/{who.prefix}data/00/1"):
            wrong.append(f"{_name(who)} may {action}")
    for action in _NEVER_BUCKET:
        if rights.may(action, bucket_arn):
            wrong.append(f"{_name(who)} may {action}")
    data = f"{bucket_arn}/{who.prefix}data/00/1"
    if kind == "writers" and rights.may("s3:DeleteObject", data):
        wrong.append(f"{_name(who)} may delete backups")
    other = f"{bucket_arn}/another-client/config"
    if who.prefix and rights.may("s3:GetObject", other):
        wrong.append(f"{_name(who)} may read what is not below {who.prefix}")
    if kms_key.startswith("arn:") and rights.may("kms:ScheduleKeyDeletion", kms_key):
        wrong.append(f"{_name(who)} may delete the key")
    return wrong


class _Rights:
    """What an identity may do, as far as policies tell."""

    def __init__(
        self,
        who: Principal,
        own: Sequence[Mapping[str, Any]],
        boundary: Mapping[str, Any] | None,
        bucket_policy: Mapping[str, Any],
    ) -> None:
        self._who, self._own, self._boundary = who, own, boundary
        self._bucket_policy = bucket_policy

    def _asked(self, action: str, resource: str) -> Asked:
        return request(self._who, action, resource)

    def may(self, action: str, resource: str) -> bool:
        """Allowed by something, and not surely denied."""
        asked = self._asked(action, resource)
        everything = [*self._own, self._bucket_policy]
        limits = [self._boundary] if self._boundary else []
        within = not limits or policies.allowed_by(limits, asked)
        granted = policies.allowed_by(everything, asked)
        return bool(granted and within) and not policies.denied_by([*everything, *limits], asked)


def request(who: Principal, action: str, resource: str) -> Asked:
    """A request of an identity over TLS, as restic and boto3 send it."""
    account = who.arn.split(":")[4]
    context = {
        "aws:securetransport": ("true",),
        "s3:tlsversion": ("1.3",),
        "aws:principalarn": (who.arn,),
        "aws:principalaccount": (account,),
        "aws:principalisawsservice": ("false",),
        "aws:username": (who.arn.rpartition("/")[2],),
    }
    if action == "s3:ListBucket":
        context["s3:prefix"] = (f"{who.prefix}data/",)
    return Asked(action, resource, who.arn, account, context)


def _name(who: Principal) -> str:
    return who.arn.rpartition("/")[2]


def _short(arn: str) -> str:
    return arn.rpartition(":::")[2]
