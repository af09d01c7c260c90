# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who can get at an AWS account, at the buckets of the backups, and at the keys of these.

Users and roles come from the account's authorization details and its credential report, in a few
calls whatever their number. What they may do at a bucket is judged by asking their policies and the
bucket's; a condition that hangs on the request (an address, a second factor) counts as met, and is
told. Permission boundaries and the organisation's own policies can only take away: they are told
where they are, and not subtracted. Sources: AWS IAM API reference, IAM User Guide.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row as shape
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_policy as policies
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import (
    code_of,
    is_s3_error,
    told,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_policy import Asked
from ansible_collections.ringfence.hosting.plugins.module_utils._third_parties import Collected

_ROOT = "<root_account>"
_NONE = ("", "N/A", "no_information", "not_supported")
_REPORT_TRIES = 30
# Who may do these makes rights for himself.
_ADMINISTRATION = (
    "iam:CreateAccessKey",
    "iam:AttachUserPolicy",
    "iam:PutUserPolicy",
    "iam:AttachRolePolicy",
    "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy",
)
# What somebody may do at a bucket, in the words of a report -> the actions that show it.
_AT_BUCKET = {
    "reads objects": ("s3:GetObject",),
    "writes objects": ("s3:PutObject",),
    "deletes objects": ("s3:DeleteObject",),
    "deletes versions": ("s3:DeleteObjectVersion",),
    "ends locks": ("s3:BypassGovernanceRetention", "s3:PutObjectRetention"),
    "changes the bucket": (
        *("s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutLifecycleConfiguration"),
        *("s3:PutBucketVersioning", "s3:DeleteBucket"),
    ),
}
_OF_BUCKETS = ("changes the bucket",)
_GRAVE = {"deletes versions", "ends locks", "changes the bucket"}
_REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_ACL_ALL = "http://acs.amazonaws.com/groups/"

Of = Callable[[str], Any]


@dataclass(frozen=True)
class Principal:
    """A user or role: `own` are all policies that hold for it, those of its groups among them."""

    arn: str
    name: str
    kind: str
    own: tuple[Mapping[str, Any], ...]
    groups: tuple[str, ...]
    created: str
    trusted: tuple[str, ...] = ()
    bounded: bool = False
    conditional_trust: bool = False

    def may(self, action: str, resource: str, account: str) -> bool:
        """Whether its own policies allow it; a condition that is not known counts as met."""
        asked = _asked(action, resource, self.arn, account)
        denied = policies.denied_by(self.own, asked)
        return not denied and bool(policies.allowed_by(self.own, asked))


class _Unsent(dict[str, Sequence[str]]):
    """The condition keys of a request that nobody has sent: who would, and all else unknown."""

    def get(self, key: str, _default: Any = None) -> Sequence[str]:
        return super().get(key, policies.UNKNOWN)


def _asked(action: str, resource: str, arn: str, account: str) -> Asked:
    known = _Unsent({"aws:principalarn": [arn], "aws:principalaccount": [account]})
    return Asked(action, resource, arn, account, known)


@dataclass
class _Seen:
    account: str = ""
    principals: list[Principal] = field(default_factory=list)
    keys: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)


def collect(
    of: Of, buckets: Iterable[str], now: datetime, wait: Callable[[float], None] = time.sleep
) -> Collected:
    """Ask the account. `of` gives boto3's client of a service; `buckets` hold the backups."""
    found, seen = Collected(), _Seen()
    looks: list[tuple[str, Callable[[], int]]] = [
        ("account", lambda: _account(of, seen)),
        ("users and roles", lambda: _principals(of, seen)),
        ("access keys", lambda: _keys(of, seen)),
        ("credential report", lambda: _report(of, seen, found, now, wait)),
        ("roles", lambda: _roles(seen, found)),
    ]
    looks += [(f"bucket {name}", lambda n=name: _bucket(of, n, seen, found)) for name in buckets]  # type: ignore[misc]
    for source, look in looks:
        _try_to(found, source, look)
    return found


def _try_to(found: Collected, source: str, look: Callable[[], int]) -> None:
    try:
        found.read(source, look())
    except (KeyError, TypeError, ValueError, policies.PolicyError) as error:
        said = f"an answer of another shape ({type(error).__name__})"
        found.covered.append(shape.coverage(source, "failed", said))
    except Exception as error:
        if not is_s3_error(error):
            raise
        state = "not_collected" if code_of(error) in _REFUSED else "failed"
        found.covered.append(shape.coverage(source, state, told(error)))


def _account(of: Of, seen: _Seen) -> int:
    seen.account = of("sts").get_caller_identity()["Account"]
    return 1


# --- users, groups and roles with their policies


def _principals(of: Of, seen: _Seen) -> int:
    parts: dict[str, list[Any]] = {f"{kind}DetailList": [] for kind in ("User", "Group", "Role")}
    managed: dict[str, dict[str, Any]] = {}
    kinds = ["User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"]
    for page in of("iam").get_paginator("get_account_authorization_details").paginate(Filter=kinds):
        for key, rows in parts.items():
            rows += page.get(key, [])
        for policy in page.get("Policies", []):
            version = next(v for v in policy["PolicyVersionList"] if v["IsDefaultVersion"])
            managed[policy["Arn"]] = _document(version["Document"])
    groups = {
        group["GroupName"]: _own(group, "GroupPolicyList", managed)
        for group in parts["GroupDetailList"]
    }
    for user in parts["UserDetailList"]:
        names = tuple(user.get("GroupList", []))
        own = _own(user, "UserPolicyList", managed)
        own += [policy for name in names for policy in groups.get(name, [])]
        seen.principals.append(
            Principal(
                user["Arn"], user["UserName"], "user", tuple(own), names, _time(user["CreateDate"]),
                bounded="PermissionsBoundary" in user,
            )
        )  # fmt: skip
    for role in parts["RoleDetailList"]:
        trust = policies.statements(_document(role["AssumeRolePolicyDocument"]))
        seen.principals.append(
            Principal(
                role["Arn"], role["RoleName"], "role",
                tuple(_own(role, "RolePolicyList", managed)), (), _time(role["CreateDate"]),
                trusted=tuple(sorted(set(_trusted(trust)))), bounded="PermissionsBoundary" in role,
                conditional_trust=any(statement.get("Condition") for statement in trust),
            )
        )  # fmt: skip
    return len(seen.principals)


def _own(
    said: Mapping[str, Any], inline: str, managed: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    found = [_document(policy["PolicyDocument"]) for policy in said.get(inline, [])]
    for policy in said.get("AttachedManagedPolicies", []):
        found.append(managed[policy["PolicyArn"]])
    return found


def _document(found: Any) -> dict[str, Any]:
    """A policy as IAM gives it: decoded by boto3, or JSON that is quoted for addresses."""
    if not isinstance(found, str):
        return policies.parse(json.dumps(found))
    return policies.parse(found if found.startswith("{") else unquote(found))


def _trusted(trust: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for statement in trust:
        principal = statement.get("Principal", {})
        if statement.get("Effect") != "Allow":
            continue
        if principal == "*":
            yield "everybody"
            continue
        for kind, names in principal.items():
            for name in names if isinstance(names, list) else [names]:
                yield "everybody" if name == "*" else f"{kind} {name}"


def _privileged(principal: Principal, account: str) -> bool:
    return any(principal.may(action, "*", account) for action in _ADMINISTRATION)


def _keys(of: Of, seen: _Seen) -> int:
    iam, count = of("iam"), 0
    for principal in seen.principals:
        if principal.kind != "user":
            continue
        rows = iam.get_paginator("list_access_keys").paginate(UserName=principal.name)
        seen.keys[principal.name] = [key for page in rows for key in page["AccessKeyMetadata"]]
        count += len(seen.keys[principal.name])
    return count


# --- the credential report


def _report(
    of: Of, seen: _Seen, found: Collected, now: datetime, wait: Callable[[float], None]
) -> int:
    iam = of("iam")
    for _try in range(_REPORT_TRIES):
        if iam.generate_credential_report()["State"] == "COMPLETE":
            break
        wait(2.0)
    else:
        raise ValueError("the report was not made in time")
    text = iam.get_credential_report()["Content"].decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    by_name = {one.name: one for one in seen.principals if one.kind == "user"}
    for line in lines:
        if line["user"] == _ROOT:
            found.facts["cloud"] = _root(line, seen.account)
            found.rows += _ways_in(line, None, seen, now)
        else:
            found.rows += _ways_in(line, by_name.get(line["user"]), seen, now)
    return len(lines)


def _root(line: Mapping[str, str], account: str) -> dict[str, Any]:
    used = [
        line.get(name, "")
        for name in (
            *("password_last_used", "access_key_1_last_used_date", "access_key_2_last_used_date"),
        )
    ]
    return {
        "account": account,
        "root_last_used": max((one for one in used if one not in _NONE), default=""),
        "root_keys": sum(line.get(f"access_key_{n}_active") == "true" for n in (1, 2)),
        "root_mfa": _yes_or_no(line.get("mfa_active")),
    }


def _ways_in(
    line: Mapping[str, str], principal: Principal | None, seen: _Seen, now: datetime
) -> Iterator[shape.Row]:
    """A row for the password and for each active key; one without either for who has none."""
    root = line["user"] == _ROOT
    name = "root" if root else line["user"]
    known: dict[str, Any] = {
        "created": _moment(line.get("user_creation_time")),
        "privileged": True if root else principal and _privileged(principal, seen.account),
        "roles": ["root of the account"] if root else _roles_of(principal),
    }
    mfa, any_way = _yes_or_no(line.get("mfa_active")), False
    if line.get("password_enabled") == "true" or root:
        any_way = True
        yield shape.row(
            "console", line["arn"], name, credential_type="password", mfa=mfa,
            last_login=_moment(line.get("password_last_used")), **known,
        )  # fmt: skip
    for number in (1, 2):
        if line.get(f"access_key_{number}_active") != "true":
            continue
        any_way = True
        rotated = _moment(line.get(f"access_key_{number}_last_rotated"))
        yield shape.row(
            "console", line["arn"], name, credential_type="access_key",
            # A key alone is one factor, whatever device the user has besides.
            mfa="no", key_age=_age(rotated, now),
            last_key_use=_moment(line.get(f"access_key_{number}_last_used_date")),
            details={"credential": _key_id(seen.keys.get(name, []), rotated), "rotated": rotated},
            **known,
        )  # fmt: skip
    if not any_way:
        known |= {"credential_type": "none", "mfa": mfa, "flags": ["no_way_in"]}
        yield shape.row("console", line["arn"], name, **known)


def _roles_of(principal: Principal | None) -> list[str]:
    if principal is None:
        return []
    return [f"group {name}" for name in principal.groups]


def _key_id(keys: Iterable[Mapping[str, Any]], rotated: str) -> str:
    """The id of the active key that was made at that moment; the report itself names none."""
    active = [key for key in keys if key["Status"] == "Active"]
    same = [key for key in active if _time(key["CreateDate"]) == rotated]
    chosen = same if same else active
    return str(chosen[0]["AccessKeyId"]) if len(chosen) == 1 else ""


def _roles(seen: _Seen, found: Collected) -> int:
    roles = [one for one in seen.principals if one.kind == "role"]
    for role in roles:
        found.rows.append(
            shape.row(
                "console", role.arn, role.name, account_type="service", credential_type="role",
                privileged=_privileged(role, seen.account), created=role.created,
                grant_path=[f"assumed by {name}" for name in role.trusted],
                flags=["trusts_everybody"] if "everybody" in role.trusted else [],
                details={"bounded": role.bounded, "conditional_trust": role.conditional_trust},
            )
        )  # fmt: skip
    return len(roles)


# --- the buckets of the backups


def _bucket(of: Of, name: str, seen: _Seen, found: Collected) -> int:
    s3 = of("s3")
    policy = _or_none(lambda: s3.get_bucket_policy(Bucket=name)["Policy"], "NoSuchBucketPolicy")
    bucket_policy = policies.parse(policy)
    key = _or_none(
        lambda: _kms_key(s3.get_bucket_encryption(Bucket=name)),
        "ServerSideEncryptionConfigurationNotFoundError",
    )
    key_policy = None
    if key:
        text = of("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
        key_policy = policies.parse(text)
    rows = [
        *_by_policy(name, seen, bucket_policy, key, key_policy),
        *_by_acl(name, s3.get_bucket_acl(Bucket=name)),
        *_strangers(name, bucket_policy, seen.account),
    ]
    found.rows += rows
    return len(rows)


def _or_none(ask: Callable[[], Any], missing: str) -> Any:
    try:
        return ask()
    except Exception as error:
        if code_of(error) == missing:
            return None
        raise


def _kms_key(said: Mapping[str, Any]) -> str | None:
    for rule in said["ServerSideEncryptionConfiguration"]["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        if default.get("KMSMasterKeyID"):
            return str(default["KMSMasterKeyID"])
    return None


def _by_policy(
    bucket: str,
    seen: _Seen,
    bucket_policy: Mapping[str, Any],
    key: str | None,
    key_policy: Mapping[str, Any] | None,
) -> Iterator[shape.Row]:
    for principal in seen.principals:
        may = [
            words
            for words, actions in _AT_BUCKET.items()
            if _may_any(principal, actions, _resource(bucket, words), bucket_policy, seen)
        ]
        if key_policy is not None and key and _decrypts(principal, key, key_policy, seen):
            may.append("decrypts")
        if not may:
            continue
        yield shape.row(
            "bucket", principal.arn, principal.name,
            account_type="service" if principal.kind == "role" else None,
            roles=may, privileged=bool(_GRAVE & set(may)), credential_type=principal.kind,
            grant_path=[f"{principal.kind} {principal.name}"],
            flags=["bounded"] if principal.bounded else [], details={"place": bucket},
        )  # fmt: skip


def _resource(bucket: str, words: str) -> str:
    return f"arn:aws:s3:::{bucket}" if words in _OF_BUCKETS else f"arn:aws:s3:::{bucket}/any"


def _may_any(
    principal: Principal,
    actions: Iterable[str],
    resource: str,
    policy: Mapping[str, Any],
    seen: _Seen,
) -> bool:
    return any(_may_at(principal, action, resource, policy, seen) for action in actions)


def _may_at(
    principal: Principal, action: str, resource: str, policy: Mapping[str, Any], seen: _Seen
) -> bool:
    asked = _asked(action, resource, principal.arn, seen.account)
    if policies.denied_by([policy], asked):
        return False
    if policies.denied_by(principal.own, asked):
        return False
    # In one account either side's word is enough.
    return bool(policies.allowed_by([_direct(policy, seen.account), *principal.own], asked))


def _direct(policy: Mapping[str, Any], account: str) -> dict[str, Any]:
    """The policy without what it grants to the account as such: that leaves it to IAM."""
    itself = {account, f"arn:aws:iam::{account}:root"}
    kept = []
    for statement in policies.statements(policy):
        principal = statement.get("Principal")
        if statement.get("Effect") == "Allow" and isinstance(principal, dict):
            named = principal.get("AWS", [])
            listed = named if isinstance(named, list) else [named]
            others = [one for one in listed if one not in itself]
            statement = {**statement, "Principal": {**principal, "AWS": others}}
        kept.append(statement)
    return {**policy, "Statement": kept}


def _decrypts(principal: Principal, key: str, key_policy: Mapping[str, Any], seen: _Seen) -> bool:
    asked = _asked("kms:Decrypt", key, principal.arn, seen.account)
    if policies.denied_by([key_policy, *principal.own], asked):
        return False
    if policies.allowed_by([_direct(key_policy, seen.account)], asked):
        return True
    root = f"arn:aws:iam::{seen.account}:root"
    delegated = _asked("kms:Decrypt", key, root, seen.account)
    # The key's policy leaves it to IAM where it lets the account itself in.
    return bool(policies.allowed_by([key_policy], delegated)) and bool(
        policies.allowed_by(principal.own, asked)
    )


def _by_acl(bucket: str, said: Mapping[str, Any]) -> Iterator[shape.Row]:
    owner = said["Owner"].get("ID")
    for grant in said["Grants"]:
        grantee = grant["Grantee"]
        if grantee.get("ID") == owner and owner:
            continue
        uri = str(grantee.get("URI", ""))
        name = uri.removeprefix(_ACL_ALL) or str(grantee.get("DisplayName") or grantee.get("ID"))
        yield shape.row(
            "bucket", uri or grantee.get("ID", name), name, roles=[f"ACL {grant['Permission']}"],
            privileged=grant["Permission"] in ("WRITE", "WRITE_ACP", "FULL_CONTROL"),
            credential_type="acl", flags=["public"] if uri.startswith(_ACL_ALL) else ["foreign"],
            details={"place": bucket},
        )  # fmt: skip


def _strangers(bucket: str, policy: Mapping[str, Any], account: str) -> Iterator[shape.Row]:
    """Who is let in by the bucket's policy and is none of this account."""
    for statement in policies.statements(policy):
        if statement.get("Effect") != "Allow":
            continue
        for name in _trusted([statement]):
            if name != "everybody" and (f":{account}:" in name or name == f"AWS {account}"):
                continue
            actions = statement.get("Action", statement.get("NotAction", "*"))
            listed = actions if isinstance(actions, list) else [actions]
            yield shape.row(
                "bucket", name, name, account_type="service", credential_type="bucket_policy",
                roles=[str(action) for action in listed],
                flags=["public"] if name == "everybody" else ["foreign"],
                grant_path=[f"policy of {bucket}: {statement.get('Sid') or 'without a Sid'}"],
                details={"place": bucket, "conditional": bool(statement.get("Condition"))},
            )  # fmt: skip


def _yes_or_no(text: str | None) -> str:
    return {"true": "yes", "false": "no"}.get(str(text), "unknown")


def _moment(text: str | None) -> str:
    if text is None or text in _NONE:
        return ""
    return _time(datetime.fromisoformat(text.replace("Z", "+00:00")))


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _age(since: str, now: datetime) -> int | None:
    if not since:
        return None
    return (now - datetime.fromisoformat(since.replace("Z", "+00:00"))).days
