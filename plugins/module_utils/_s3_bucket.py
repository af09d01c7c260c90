# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a bucket for backups must be like, and whether it is: from facts to verdicts, nothing else.

What a policy does is judged by asking it (see `_s3_policy`), not by looking for a text in it:
somebody else's statement that refuses requests without TLS is as good as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_identity as identities
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_policy as policies
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_fact import (
    Absent,
    Fact,
    Facts,
    Unread,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_identity import Principal
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_policy import UNKNOWN, Asked

PASS, FAIL, ERROR, NOT_APPLICABLE = "pass", "fail", "error", "not_applicable"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
LOCK_MODES = ("GOVERNANCE", "COMPLIANCE")
ENCRYPTIONS = ("aws:kms", "aws:kms:dsse", "AES256")
_EVERYBODY = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
_DAYS_OF_A_YEAR = 365


class SettingsError(Exception):
    """A setting of a bucket that cannot be, in one line."""


@dataclass(frozen=True)
class Settings:
    """What a bucket must be like. Fields are the options of a bucket in the module."""

    name: str
    client: str = ""
    purpose: str = "backup"  # or logs: takes the access logs of the others
    encryption: str = "aws:kms"
    kms_key: str = ""
    bucket_key: bool = True
    lock_mode: str = "GOVERNANCE"
    lock_days: int = 30
    oldest_snapshot_days: int = 0
    noncurrent_days: int = 0  # 0: as long as the lock, and longer than the oldest snapshot
    upload_days: int = 7
    tls_version: str = "1.2"
    accounts: Sequence[str] = ()  # other accounts that may come in
    bypass: Sequence[str] = ()  # who may shorten a GOVERNANCE lock
    log_bucket: str = ""
    log_prefix: str = ""
    replication: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, Any] = field(default_factory=dict)
    trail: str = ""
    writers: Sequence[Principal] = ()
    pruners: Sequence[Principal] = ()

    @property
    def is_backup(self) -> bool:
        """Whether it holds backups: a bucket of logs has no lock and no key of ours."""
        return self.purpose == "backup"

    @property
    def kept_days(self) -> int:
        """How long what was overwritten or deleted stays."""
        return max(self.noncurrent_days, self.lock_days, self.oldest_snapshot_days + 1)

    @property
    def arn(self) -> str:
        """The bucket's ARN."""
        return f"arn:aws:s3:::{self.name}"

    @property
    def principals(self) -> list[str]:
        """The ARNs of writers and pruners."""
        return [one.arn for one in (*self.writers, *self.pruners)]


def settings_of(options: Mapping[str, Any], compliance: Sequence[str]) -> Settings:
    """Settings from a bucket's options; `compliance` names the buckets whose lock nobody may ever
    shorten, which must agree with their `lock_mode`. Raises SettingsError."""
    known = {one.name for one in fields(Settings)}
    given = {key: value for key, value in options.items() if key in known and value is not None}
    for kind in ("writers", "pruners"):
        given[kind] = [
            Principal(one["arn"], one.get("prefix") or "") for one in given.get(kind, ())
        ]
    found = Settings(**given)
    where = f"bucket {found.name}"
    if (found.lock_mode == "COMPLIANCE") != (found.name in compliance):
        raise SettingsError(
            f"{where}: a COMPLIANCE lock can never be shortened, by nobody: to have it, set "
            "lock_mode: COMPLIANCE and name the bucket in compliance too; found only one of the two"
        )
    if found.is_backup and found.encryption != "AES256" and not found.kms_key:
        raise SettingsError(
            f"{where}: kms_key: expected the ARN of the key that {found.encryption} uses"
        )
    if found.kms_key and not found.kms_key.startswith("arn:") and "/" in found.kms_key:
        raise SettingsError(
            f"{where}: kms_key: found an alias, expected the ARN or the id of a key"
        )
    if found.log_bucket == found.name:
        raise SettingsError(
            f"{where}: log_bucket: a bucket that logs into itself never comes to rest"
        )
    for one in (*found.writers, *found.pruners):
        if not identities.is_identity(one.arn):
            raise SettingsError(f"{where}: {one.arn}: expected the ARN of an IAM user or role")
    return found


class _UnknownError(Exception):
    pass


class _DoesNotApplyError(Exception):
    pass


@dataclass(frozen=True)
class Bucket:
    """A bucket as it was read, with what it must be like."""

    settings: Settings
    facts: Facts
    account: Facts

    def fact(self, name: str) -> Fact:
        """A fact that a verdict needs: ends the verdict where it is not there."""
        found = self.account.get(name) if name in _OF_ACCOUNT else self.facts.get(name)
        if isinstance(found, Unread):
            raise _UnknownError(f"not known: {found.why}")
        if isinstance(found, Absent):
            raise _DoesNotApplyError(f"the service does not have it ({found.why})")
        if found is None:
            raise _DoesNotApplyError("the service has no such thing")
        return found

    @property
    def policy(self) -> dict[str, Any]:
        """The bucket's policy, parsed."""
        found = self.fact("policy")
        return policies.parse(found if isinstance(found, str) else None)

    @property
    def owner(self) -> str:
        """The account's number; empty where there are no accounts."""
        return str(self.account.get("account", ""))

    def blocks(self, which: str) -> bool:
        """Whether the bucket or the account blocks something public; what is not known does not."""
        return any(
            isinstance(found, Mapping) and found.get(which) is True
            for found in (self.facts.get("public_block"), self.account.get("account_public_block"))
        )


_OF_ACCOUNT = ("account_public_block", "access_points")


class Verdict(NamedTuple):
    """How a control stands. `expected` and `observed` as they are shown."""

    status: str
    observed: Any
    message: str = ""


class Check(NamedTuple):
    """A control: what it expects of a bucket, and how it is judged."""

    expected: Callable[[Settings], Any]
    judge: Callable[[Bucket], Verdict]


def judge(bucket: Bucket) -> list[dict[str, Any]]:
    """One row for each control: id, status, expected, observed, message."""
    return [_row(control, check, bucket) for control, check in CHECKS.items()]


def _row(control: str, check: Check, bucket: Bucket) -> dict[str, Any]:
    if bucket.facts.get("exists") is False:
        verdict = Verdict(FAIL, "no such bucket", f"there is no bucket {bucket.settings.name}")
    else:
        verdict = _judged(check, bucket)
    return {
        "id": control,
        "status": verdict.status,
        "expected": check.expected(bucket.settings),
        "observed": verdict.observed,
        "message": verdict.message,
    }


def _judged(check: Check, bucket: Bucket) -> Verdict:
    try:
        return check.judge(bucket)
    except _UnknownError as error:
        return Verdict(ERROR, None, str(error))
    except _DoesNotApplyError as error:
        return Verdict(NOT_APPLICABLE, None, str(error))
    except policies.PolicyError as error:
        return Verdict(ERROR, None, f"the policy cannot be judged: {error}")


def _outcome(good: bool, observed: Any, message: str) -> Verdict:
    return Verdict(PASS, observed) if good else Verdict(FAIL, observed, message)


def _only_backups(bucket: Bucket) -> None:
    if not bucket.settings.is_backup:
        raise _DoesNotApplyError("the bucket holds logs, no backups")


# --- who may get in ---------------------------------------------------------------------------


def _block(name: str, whose: str) -> Callable[[Bucket], Verdict]:
    def check(bucket: Bucket) -> Verdict:
        if not bucket.owner:
            raise _DoesNotApplyError("with it, Ceph's gateway denies every upload")
        found = bucket.fact(name)
        missing = [block for block in BLOCKS if found.get(block) is not True]
        observed = "all four" if not missing else f"without {', '.join(missing)}"
        return _outcome(not missing, observed, f"{whose} does not set {', '.join(missing)}")

    return check


class _Else(dict[str, Sequence[str]]):
    """A context in which all that is not said is unknown."""

    def get(self, key: str, default: Any = None) -> Any:
        del default
        return super().get(key, UNKNOWN)


def _asked(bucket: Bucket, action: str, who: str = "", account: str = "", **context: str) -> Asked:
    target = bucket.settings.arn + ("" if action in _ON_BUCKET else "/some/object")
    said = {name.replace("__", ":"): (value,) for name, value in context.items()}
    return Asked(action, target, who, account, _Else(said))


_ON_BUCKET = ("s3:ListBucket", "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy")


def _anonymous(bucket: Bucket, *actions: str) -> str:
    """The statement that lets anybody do one of these; empty where none does."""
    policy = bucket.policy
    for action in actions:
        asked = _asked(bucket, action, aws__securetransport="true", aws__principaltype="Anonymous")
        granted = policies.allowed_by([policy], asked)
        if granted and not policies.denied_by([policy], asked):
            return granted
    return ""


def _public(permissions: Sequence[str], *actions: str) -> Callable[[Bucket], Verdict]:
    def check(bucket: Bucket) -> Verdict:
        granted = _acl_grants(bucket, permissions)
        if granted and not bucket.blocks("IgnorePublicAcls") and not _acls_are_off(bucket):
            return Verdict(FAIL, granted, f"the bucket's ACL grants {granted}")
        statement = _anonymous(bucket, *actions)
        if statement and not bucket.blocks("RestrictPublicBuckets"):
            return Verdict(FAIL, statement, f"the policy lets anybody in by {statement}")
        return Verdict(PASS, "nobody")

    return check


def _acl_grants(bucket: Bucket, permissions: Sequence[str]) -> str:
    for grant in bucket.fact("acl").get("Grants", ()):
        who = grant.get("Grantee", {}).get("URI", "")
        if who in _EVERYBODY and grant.get("Permission") in permissions:
            return f"{grant['Permission']} to {who.rpartition('/')[2]}"
    return ""


def _acls_are_off(bucket: Bucket) -> bool:
    return _ownership(bucket.facts.get("ownership")) == "BucketOwnerEnforced"


def _ownership(found: Fact) -> str:
    rules = found.get("Rules", []) if isinstance(found, Mapping) else []
    return str(rules[0].get("ObjectOwnership", "")) if rules else ""


def _public_policy(bucket: Bucket) -> Verdict:
    statement = _anonymous(
        bucket, "s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"
    )
    if statement:
        return Verdict(FAIL, statement, f"the policy lets anybody in by {statement}")
    status = bucket.facts.get("policy_status")
    if isinstance(status, Mapping) and status.get("IsPublic"):
        return Verdict(FAIL, "public", "S3 holds the bucket's policy for public")
    return Verdict(PASS, "not public")


def _owner_enforced(bucket: Bucket) -> Verdict:
    found = _ownership(bucket.fact("ownership")) or "not set"
    return _outcome(found == "BucketOwnerEnforced", found, f"ownership is {found}: ACLs count")


def _acl(bucket: Bucket) -> Verdict:
    found = bucket.fact("acl")
    owner = found.get("Owner", {}).get("ID")
    others = [
        str(grantee.get("URI") or grantee.get("ID") or grantee.get("EmailAddress"))
        for grantee in (grant.get("Grantee", {}) for grant in found.get("Grants", ()))
        if grantee.get("ID") != owner or owner is None
    ]
    return _outcome(not others, others or "the owner alone", f"the ACL names {', '.join(others)}")


def _foreign(bucket: Bucket) -> Verdict:
    if not bucket.owner:
        raise _DoesNotApplyError("the service has no accounts")
    stranger = "000000000000"
    context = {"aws__principalaccount": stranger, "aws__principalisawsservice": "false"}
    who = f"arn:aws:iam::{stranger}:user/stranger"
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObjectVersion", "s3:ListBucket"):
        asked = _asked(bucket, action, who, stranger, aws__principalarn=who, **context)
        if not policies.denied_by([bucket.policy], asked):
            message = f"the policy does not deny {action} to other accounts"
            return Verdict(FAIL, "not denied", message)
    named = _accounts_let_in(bucket)
    return _outcome(not named, named or "denied", f"the policy lets in {', '.join(named)}")


def _accounts_let_in(bucket: Bucket) -> list[str]:
    known = {bucket.owner, *bucket.settings.accounts}
    found = []
    for statement in policies.statements(bucket.policy):
        named = statement.get("Principal")
        listed = named.get("AWS", []) if isinstance(named, Mapping) else []
        for name in listed if isinstance(listed, list) else [listed]:
            account = name.split(":")[4] if name.startswith("arn:") else name
            if statement.get("Effect") == "Allow" and account.isdigit() and account not in known:
                found.append(name)
    return found


# --- how it is carried and stored -------------------------------------------------------------


def _somebody(bucket: Bucket) -> tuple[str, str]:
    account = bucket.owner or "111111111111"
    return f"arn:aws:iam::{account}:user/anybody", account


def _tls(bucket: Bucket) -> Verdict:
    who, account = _somebody(bucket)
    for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket"):
        asked = _asked(bucket, action, who, account, aws__securetransport="false")
        if not policies.denied_by([bucket.policy], asked):
            return Verdict(FAIL, "not denied", f"the policy does not deny {action} without TLS")
    return Verdict(PASS, "denied")


def _tls_version(bucket: Bucket) -> Verdict:
    who, account = _somebody(bucket)
    below = {"1.2": "1.1", "1.3": "1.2"}[bucket.settings.tls_version]
    asked = _asked(
        bucket, "s3:GetObject", who, account, aws__securetransport="true", s3__tlsversion=below
    )
    denied = policies.denied_by([bucket.policy], asked)
    return _outcome(bool(denied), denied or "not denied", f"the policy does not deny TLS {below}")


def _default(bucket: Bucket) -> Mapping[str, Any]:
    rules = bucket.fact("encryption").get("Rules", [])
    return rules[0] if rules else {}


def _encryption(bucket: Bucket) -> Verdict:
    default = _default(bucket).get("ApplyServerSideEncryptionByDefault", {})
    found = default.get("SSEAlgorithm", "none")
    wanted = bucket.settings.encryption
    good = found == wanted or (found, wanted) == ("aws:kms:dsse", "aws:kms")
    good = good or (wanted == "AES256" and found != "none")
    return _outcome(good, found, f"the default encryption is {found}")


def _uses_kms(bucket: Bucket) -> None:
    if bucket.settings.encryption == "AES256":
        raise _DoesNotApplyError("encryption without a key of one's own is asked for")


def _kms_key(bucket: Bucket) -> Verdict:
    _uses_kms(bucket)
    default = _default(bucket).get("ApplyServerSideEncryptionByDefault", {})
    found = default.get("KMSMasterKeyID") or "none named"
    if not same_key(found, bucket.settings.kms_key):
        return Verdict(FAIL, found, f"the default key is {found}")
    if "kms" not in bucket.facts:
        return Verdict(PASS, found)
    about = bucket.fact("kms")
    if about["state"] != "Enabled" or about["manager"] == "AWS":
        said = "Amazon's own" if about["manager"] == "AWS" else about["state"]
        return Verdict(FAIL, said, f"the key is {said}: what it encrypted is not in our hands")
    return Verdict(PASS, found)


def same_key(one: str, other: str) -> bool:
    """Whether two names, ARNs or ids, are of one KMS key."""
    return one == other or (
        ":alias/" not in one and one.rpartition("/")[2] == other.rpartition("/")[2]
    )


def _kms_rotation(bucket: Bucket) -> Verdict:
    _uses_kms(bucket)
    found = bucket.fact("kms")["rotation"]
    if isinstance(found, Unread):
        raise _UnknownError(f"not known: {found.why}")
    return _outcome(found is True, "on" if found is True else "off", "the key is never turned over")


def _kms_policy(bucket: Bucket) -> Verdict:
    _uses_kms(bucket)
    text = bucket.fact("kms")["policy"]
    if isinstance(text, Unread):
        raise _UnknownError(f"not known: {text.why}")
    key = bucket.fact("kms")["arn"]
    asked = Asked("kms:Decrypt", key, "", "", _Else())
    named = policies.allowed_by([policies.parse(text)], asked)
    bound = _is_bound(policies.parse(text), named)
    return _outcome(not named or bound, named or "closed", f"anybody may use the key by {named}")


def _is_bound(policy: Mapping[str, Any], sid: str) -> bool:
    """Whether the statement holds for callers of one account, as those do that Amazon writes."""
    for number, statement in enumerate(policies.statements(policy)):
        if sid in (statement.get("Sid"), f"Statement[{number}]"):
            conditions = statement.get("Condition", {})
            keys = {key.lower() for part in conditions.values() for key in part}
            return bool(keys & {"kms:calleraccount", "aws:principalaccount", "aws:principalorgid"})
    return False


def _bucket_key(bucket: Bucket) -> Verdict:
    _uses_kms(bucket)
    if not bucket.owner:
        raise _DoesNotApplyError("the service keeps its keys itself")
    found = bool(_default(bucket).get("BucketKeyEnabled"))
    return _outcome(
        found == bucket.settings.bucket_key, found, "each object asks KMS for a key of its own"
    )


def _upload_encryption(bucket: Bucket) -> Verdict:
    _only_backups(bucket)
    who, account = _somebody(bucket)
    other = "AES256" if bucket.settings.encryption != "AES256" else "made-up"
    asked = _asked(bucket, "s3:PutObject", who, account, **{_SSE: other})
    if not policies.denied_by([bucket.policy], asked):
        return Verdict(FAIL, "not denied", f"an upload may ask for {other}")
    if bucket.settings.encryption != "AES256":
        key = "arn:aws:kms:eu-west-1:111111111111:key/other"
        with_other = _asked(
            bucket,
            "s3:PutObject",
            who,
            account,
            **{_SSE: bucket.settings.encryption, f"{_SSE}-aws-kms-key-id": key},
        )
        if not policies.denied_by([bucket.policy], with_other):
            return Verdict(FAIL, "not denied", "an upload may ask for another key")
    return Verdict(PASS, "denied")


_SSE = "s3__x-amz-server-side-encryption"


def _customer_keys(bucket: Bucket) -> Verdict:
    blocked = _default(bucket).get("BlockedEncryptionTypes", {}).get("EncryptionType", [])
    if "SSE-C" in blocked:
        return Verdict(PASS, "blocked")
    who, account = _somebody(bucket)
    asked = _asked(bucket, "s3:PutObject", who, account, **{f"{_SSE}-customer-algorithm": "AES256"})
    denied = policies.denied_by([bucket.policy], asked)
    return _outcome(
        bool(denied), denied or "not refused", "an upload may bring a key that we have not"
    )


# --- that nothing is lost ---------------------------------------------------------------------


def _versioning(bucket: Bucket) -> Verdict:
    found = bucket.fact("versioning").get("Status", "never on")
    return _outcome(found == "Enabled", found, f"versioning is {found}")


def retention(fact: Fact) -> tuple[str, int]:
    """(mode, days) of a bucket's default retention; ("", 0) where there is none."""
    rule = fact.get("Rule", {}).get("DefaultRetention", {}) if isinstance(fact, Mapping) else {}
    days = int(rule.get("Days") or 0) + int(rule.get("Years") or 0) * _DAYS_OF_A_YEAR
    return (str(rule.get("Mode", "")), days) if days else ("", 0)


def _object_lock(bucket: Bucket) -> Verdict:
    _only_backups(bucket)
    mode, _days = retention(bucket.fact("object_lock"))
    good = mode in (bucket.settings.lock_mode, "COMPLIANCE")
    return _outcome(good, mode or "none", f"new objects are locked by {mode or 'nothing'}")


def _object_lock_days(bucket: Bucket) -> Verdict:
    _only_backups(bucket)
    _mode, days = retention(bucket.fact("object_lock"))
    return _outcome(
        days >= bucket.settings.lock_days, days, f"new objects are locked for {days} days"
    )


def _lock_covers(bucket: Bucket) -> Verdict:
    _only_backups(bucket)
    oldest = bucket.settings.oldest_snapshot_days
    if not oldest:
        raise _DoesNotApplyError("it is not said how old the oldest snapshot becomes")
    _mode, days = retention(bucket.fact("object_lock"))
    message = f"snapshots are kept for {oldest} days, and what they need is locked for {days}"
    return _outcome(days > oldest, days, message)


def _bypass(bucket: Bucket) -> Verdict:
    _only_backups(bucket)
    who, account = _somebody(bucket)
    asked = _asked(
        bucket,
        "s3:BypassGovernanceRetention",
        who,
        account,
        aws__principalarn=who,
        aws__principalaccount=account,
    )
    denied = policies.denied_by([bucket.policy], asked)
    return _outcome(
        bool(denied), denied or "not denied", "whoever has the right may pass over a lock"
    )


def rules_of(fact: Fact) -> list[dict[str, Any]]:
    """The lifecycle rules that are in force."""
    found = fact.get("Rules", []) if isinstance(fact, Mapping) else []
    return [rule for rule in found if rule.get("Status") == "Enabled"]


def covers_all(rule: Mapping[str, Any]) -> bool:
    """Whether a lifecycle rule is about every object."""
    narrowed = rule.get("Filter") or {}
    return not rule.get("Prefix") and all(
        key == "Prefix" and not value for key, value in narrowed.items()
    )


def _noncurrent(bucket: Bucket) -> Verdict:
    rules = rules_of(bucket.fact("lifecycle"))
    days = [
        int(rule["NoncurrentVersionExpiration"]["NoncurrentDays"])
        for rule in rules
        if covers_all(rule) and rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
    ]
    if not days:
        return Verdict(FAIL, "never", "what was deleted or overwritten is kept for ever")
    kept = bucket.settings.kept_days
    message = f"what was deleted is gone after {min(days)} days, expected {kept}"
    return _outcome(min(days) >= kept, min(days), message)


def _uploads(bucket: Bucket) -> Verdict:
    days = [
        int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        for rule in rules_of(bucket.fact("lifecycle"))
        if covers_all(rule) and "AbortIncompleteMultipartUpload" in rule
    ]
    if not days:
        return Verdict(FAIL, "never", "unfinished uploads stay, unseen and paid for")
    return _outcome(
        min(days) <= bucket.settings.upload_days, min(days), f"they stay for {min(days)} days"
    )


def _lifecycle_keeps(bucket: Bucket) -> Verdict:
    _only_backups(bucket)
    for rule in rules_of(bucket.fact("lifecycle")):
        name = rule.get("ID", "without a name")
        expires = rule.get("Expiration", {})
        if expires.get("Days") or expires.get("Date"):
            return Verdict(FAIL, name, f"the lifecycle rule {name} deletes backups by their age")
        after = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        if after and int(after) < bucket.settings.lock_days:
            message = f"the lifecycle rule {name} deletes old versions after {after} days"
            return Verdict(FAIL, name, message)
    return Verdict(PASS, "none")


def _mfa_delete(bucket: Bucket) -> Verdict:
    if bucket.fact("versioning").get("MFADelete") == "Enabled":
        return Verdict(PASS, "on")
    mode, days = retention(bucket.facts.get("object_lock"))
    if mode:
        raise _DoesNotApplyError(
            f"versions are held for {days} days by Object Lock ({mode}), which binds those with a "
            "second factor too; MFA delete would rule out lifecycle rules, and only the root user "
            "can switch it on"
        )
    if not bucket.settings.is_backup:
        raise _DoesNotApplyError("the bucket holds logs; MFA delete would rule out lifecycle rules")
    return Verdict(FAIL, "off", "neither MFA delete nor Object Lock holds old versions")


# --- what is seen, and copied away ------------------------------------------------------------


def _access_log(bucket: Bucket) -> Verdict:
    if not bucket.settings.is_backup:
        raise _DoesNotApplyError("the bucket takes the logs itself")
    found = bucket.fact("logging").get("TargetBucket") or "none"
    wanted = bucket.settings.log_bucket
    good = found == wanted if wanted else found != "none"
    return _outcome(good, found, f"access is logged to {found}")


def _replication(bucket: Bucket) -> Verdict:
    wanted = bucket.settings.replication
    if not wanted:
        raise _DoesNotApplyError("no replica is asked for")
    found = bucket.fact("replication").get("Rules", [])
    targets = [
        rule["Destination"]["Bucket"]
        for rule in found
        if rule.get("Status") == "Enabled" and covers_all(rule)
    ]
    return _outcome(wanted["bucket"] in targets, targets or "none", "not replicated there")


EVENTS = {
    "topic": ("TopicConfigurations", "TopicArn"),
    "queue": ("QueueConfigurations", "QueueArn"),
    "function": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
}


def _events(bucket: Bucket) -> Verdict:
    wanted = bucket.settings.events
    if not wanted:
        raise _DoesNotApplyError("no receiver of events is named")
    found = bucket.fact("notification")
    missing = [
        kind for kind, target in wanted.items() if target and not has_event(found, kind, target)
    ]
    return _outcome(not missing, missing or "sent", f"events are not sent to {', '.join(missing)}")


def has_event(fact: Mapping[str, Any], kind: str, target: Any) -> bool:
    """Whether a bucket tells a receiver of its kind that objects are removed."""
    if kind == "event_bridge":
        return "EventBridgeConfiguration" in fact
    section, name = EVENTS[kind]
    return any(
        one.get(name) == target
        and any(event.startswith(("s3:ObjectRemoved:", "s3:*")) for event in one.get("Events", ()))
        for one in fact.get(section, ())
    )


def _data_events(bucket: Bucket) -> Verdict:
    if not bucket.settings.trail:
        raise _DoesNotApplyError("no trail is named")
    found = bucket.fact("trail")
    if not found["logging"]:
        return Verdict(FAIL, "stopped", f"the trail {bucket.settings.trail} is stopped")
    good = is_in_trail(found, bucket.settings.arn)
    return _outcome(good, "logged" if good else "not logged", "writes to objects leave no trace")


def is_in_trail(fact: Mapping[str, Any], arn: str) -> bool:
    """Whether a trail records writes to the objects of a bucket."""
    for selector in fact["events"]:
        if selector.get("ReadWriteType", "All") == "ReadOnly":
            continue
        for resource in selector.get("DataResources", ()):
            wanted = resource.get("Type") == "AWS::S3::Object"
            if wanted and {"arn:aws:s3", "arn:aws:s3:::", f"{arn}/"} & set(
                resource.get("Values", ())
            ):
                return True
    return any(_advanced(selector, arn) for selector in fact["advanced"])


def _advanced(selector: Mapping[str, Any], arn: str) -> bool:
    tests = {test["Field"]: test for test in selector.get("FieldSelectors", ())}
    if "Data" not in tests.get("eventCategory", {}).get("Equals", ()):
        return False
    if "AWS::S3::Object" not in tests.get("resources.type", {}).get("Equals", ()):
        return False
    if "true" in tests.get("readOnly", {}).get("Equals", ()):
        return False
    if set(tests) - {"eventCategory", "resources.type", "readOnly", "resources.ARN"}:
        return False  # narrowed by something else
    where = tests.get("resources.ARN")
    return where is None or any(
        f"{arn}/".startswith(start) for start in where.get("StartsWith", ())
    )


def _access_points(bucket: Bucket) -> Verdict:
    points = [
        one for one in bucket.fact("access_points") if one.get("Bucket") == bucket.settings.name
    ]
    if not points:
        return Verdict(PASS, "none")
    open_ones = [
        one["Name"]
        for one in points
        if one.get("NetworkOrigin") != "VPC"
        and any(one.get("block", {}).get(name) is not True for name in BLOCKS)
    ]
    return _outcome(
        not open_ones, [one["Name"] for one in points], f"not closed to the public: {open_ones}"
    )


# --- who writes and who prunes ----------------------------------------------------------------


def _identity(kind: str) -> Callable[[Bucket], Verdict]:
    def check(bucket: Bucket) -> Verdict:
        named: Sequence[Principal] = getattr(bucket.settings, kind)
        if not named:
            raise _DoesNotApplyError(f"no {kind} are named")
        problems = []
        for one in named:
            found = bucket.account.get(f"policies of {one.arn}")
            if isinstance(found, Unread):
                raise _UnknownError(f"not known: {found.why}")
            if not isinstance(found, Mapping) or "policies" not in found:
                raise _UnknownError(f"there is no {one.arn}")
            problems += identities.problems(
                kind, one, found, bucket.policy, bucket.settings.name, bucket.settings.kms_key
            )
        return _outcome(not problems, problems or "least privilege", "; ".join(problems))

    return check


def _said(text: Any) -> Callable[[Settings], Any]:
    return lambda _settings: text


CHECKS: dict[str, Check] = {
    "aws_s3_account_public_block": Check(
        _said("all four"), _block("account_public_block", "the account")
    ),
    "aws_s3_public_block": Check(_said("all four"), _block("public_block", "the bucket")),
    "aws_s3_public_list": Check(
        _said("nobody"), _public(("READ", "FULL_CONTROL"), "s3:ListBucket", "s3:ListBucketVersions")
    ),
    "aws_s3_public_read": Check(
        _said("nobody"),
        _public(("READ_ACP", "FULL_CONTROL"), "s3:GetObject", "s3:GetObjectVersion"),
    ),
    "aws_s3_public_write": Check(
        _said("nobody"),
        _public(("WRITE", "WRITE_ACP", "FULL_CONTROL"), "s3:PutObject", "s3:DeleteObject"),
    ),
    "aws_s3_public_policy": Check(_said("not public"), _public_policy),
    "aws_s3_ownership": Check(_said("BucketOwnerEnforced"), _owner_enforced),
    "aws_s3_acl": Check(_said("the owner alone"), _acl),
    "aws_s3_foreign_accounts": Check(_said("denied"), _foreign),
    "aws_s3_access_points": Check(_said("closed to the public"), _access_points),
    "aws_s3_tls": Check(_said("plain requests denied"), _tls),
    "aws_s3_tls_version": Check(lambda settings: settings.tls_version, _tls_version),
    "aws_s3_encryption": Check(lambda settings: settings.encryption, _encryption),
    "aws_s3_kms_key": Check(lambda settings: settings.kms_key, _kms_key),
    "aws_s3_kms_rotation": Check(_said("on"), _kms_rotation),
    "aws_s3_kms_policy": Check(_said("closed"), _kms_policy),
    "aws_s3_bucket_key": Check(lambda settings: settings.bucket_key, _bucket_key),
    "aws_s3_upload_encryption": Check(_said("other encryption denied"), _upload_encryption),
    "aws_s3_customer_keys": Check(_said("refused"), _customer_keys),
    "aws_s3_versioning": Check(_said("Enabled"), _versioning),
    "aws_s3_object_lock": Check(lambda settings: settings.lock_mode, _object_lock),
    "aws_s3_object_lock_days": Check(lambda settings: settings.lock_days, _object_lock_days),
    "aws_s3_lock_covers_snapshots": Check(
        lambda settings: f"more than {settings.oldest_snapshot_days} days", _lock_covers
    ),
    "aws_s3_lock_bypass": Check(_said("denied"), _bypass),
    "aws_s3_old_versions": Check(lambda settings: settings.kept_days, _noncurrent),
    "aws_s3_unfinished_uploads": Check(lambda settings: settings.upload_days, _uploads),
    "aws_s3_lifecycle_keeps_backups": Check(_said("no rule deletes backups"), _lifecycle_keeps),
    "aws_s3_mfa_delete": Check(_said("on, or Object Lock"), _mfa_delete),
    "aws_s3_access_log": Check(lambda settings: settings.log_bucket or "on", _access_log),
    "aws_s3_replication": Check(lambda settings: settings.replication.get("bucket"), _replication),
    "aws_s3_events": Check(lambda settings: dict(settings.events), _events),
    "aws_s3_data_events": Check(lambda settings: settings.trail, _data_events),
    "aws_s3_writer": Check(_said("least privilege"), _identity("writers")),
    "aws_s3_pruner": Check(_said("least privilege"), _identity("pruners")),
}
