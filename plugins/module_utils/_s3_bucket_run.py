# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Buckets read, judged, brought to what they are to be, and judged again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket as buckets
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket_facts as facts
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket_plan as plan
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_identity as identities
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket import Bucket, Settings
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket_plan import (
    Change,
    PlanError,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import (
    Clients,
    S3Error,
    is_s3_error,
    told,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_policy import PolicyError


class RunError(Exception):
    """Why a run ended early; `calls` were made before."""

    def __init__(self, message: str, calls: Sequence[str]) -> None:
        super().__init__(message)
        self.calls = list(calls)


def outcome(
    options: Mapping[str, Any], *, applied: bool, check: bool, diff: bool
) -> dict[str, Any]:
    """What a task returns, from its checked options; `failed` with `msg` where it came to nothing.

    `applied` says whether buckets are brought to what they are to be, or only judged.
    """
    if _s3_client.MISSING is not None:
        return _failed(missing_required_lib("boto3"))
    try:
        wanted = [buckets.settings_of(one, options["compliance"]) for one in options["buckets"]]
        clients = Clients(*(options[name] for name in _s3_client.CLIENT_OPTIONS))
        if not applied:
            return {"changed": False, **audit(clients, wanted)}
        switches = {name: options[name] for name in ("account", "create")}
        result = bring(clients, wanted, check=check, **switches)
    except (buckets.SettingsError, PlanError, PolicyError, S3Error) as error:
        return _failed(str(error))
    except RunError as error:
        return _failed(str(error), error.calls)
    if not diff:
        del result["diff"]
    return result


def _failed(message: str, calls: Sequence[str] = ()) -> dict[str, Any]:
    return {"failed": True, "msg": message, "changed": bool(calls), "calls": list(calls)}


def look(clients: Clients, wanted: Sequence[Settings]) -> tuple[list[Bucket], int]:
    """The buckets as they are now, and how many calls it took to know."""
    asked = [
        facts.Wanted(one.name, one.kms_key, one.trail, tuple(one.principals)) for one in wanted
    ]
    account, by_bucket, calls = facts.read(clients, asked)
    return [Bucket(one, by_bucket[one.name], account) for one in wanted], calls


def audit(clients: Clients, wanted: Sequence[Settings]) -> dict[str, Any]:
    """See RETURN of the module s3_backup_bucket_info."""
    found, calls = look(clients, wanted)
    return {**_told(found), "calls_read": calls}


def bring(
    clients: Clients, wanted: Sequence[Settings], *, account: bool, create: bool, check: bool
) -> dict[str, Any]:
    """See RETURN of the module s3_backup_bucket. All is planned before anything is written.

    Raises PlanError where nothing was changed, and RunError where some of it was.
    """
    # A bucket of logs must be ready before another logs into it.
    ordered = sorted(wanted, key=lambda one: one.is_backup)
    found, calls = look(clients, ordered)
    changes = _planned(clients, found, account=account, create=create)
    first = [one for one in changes if one[1].operation == "create_bucket"]
    if first and not check and not clients.is_aws:
        # Only of a bucket that is there can it be seen what such a service knows.
        _make(clients, first)
        found, more = look(clients, ordered)
        calls += more
        rest = _planned(clients, found, account=account, create=create)
        made = _make(clients, rest)
        changes = [*first, *rest]
    else:
        made = [] if check else _make(clients, changes)
    if made:
        found, more = look(clients, ordered)
        calls += more
    result = _told(found)
    return {
        **result,
        "changed": bool(changes),
        "calls": [_line(where, change) for where, change in changes],
        "calls_read": calls,
        "diff": [_diff(where, change) for where, change in changes],
        "policies": policies_for(wanted),
    }


def _planned(
    clients: Clients, found: Sequence[Bucket], *, account: bool, create: bool
) -> list[tuple[str, Change]]:
    changes: list[tuple[str, Change]] = []
    if account and found:
        changes += [("account", one) for one in plan.account_changes(found[0].account)]
    for bucket in found:
        planned = plan.bucket_changes(bucket, secure=clients.secure, create=create)
        changes += [(bucket.settings.name, one) for one in planned]
    return changes


def _make(clients: Clients, changes: Iterable[tuple[str, Change]]) -> list[str]:
    made: list[str] = []
    for where, change in changes:
        try:
            made += [
                _line(where, done)
                for done in plan.apply([change], clients.of, regions=clients.is_aws)
            ]
        except Exception as error:
            if not is_s3_error(error):
                raise
            raise RunError(f"{where}: {told(error)}", made) from error
    return made


def _line(where: str, change: Change) -> str:
    return f"{where}: {change.call}"


def _diff(where: str, change: Change) -> dict[str, str]:
    return {
        "before_header": f"{where} {change.what}",
        "after_header": f"{where} {change.what}",
        "before": _text(change.before),
        "after": _text(change.after),
    }


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, default=str) + "\n"


def _told(found: Sequence[Bucket]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "name": f"s3://{bucket.settings.name}",
            "client": bucket.settings.client,
            "controls": buckets.judge(bucket),
        }
        for bucket in found
    ]
    counts: dict[str, int] = {}
    for row in rows:
        for control in row["controls"]:
            counts[control["status"]] = counts.get(control["status"], 0) + 1
    return {"buckets": rows, "counts": counts}


def policies_for(wanted: Sequence[Settings]) -> dict[str, dict[str, Any]]:
    """By ARN, the least that each writer and pruner needs of all the buckets together."""
    found: dict[str, dict[str, Any]] = {}
    for settings in wanted:
        for kind, named in (("writers", settings.writers), ("pruners", settings.pruners)):
            for one in named:
                made = identities.policy_of(kind, one, settings.name, settings.kms_key)
                if one.arn in found:
                    found[one.arn]["Statement"] += _numbered(
                        made["Statement"], len(found[one.arn]["Statement"])
                    )
                else:
                    found[one.arn] = made
    return found


def _numbered(statements: Iterable[Mapping[str, Any]], start: int) -> list[dict[str, Any]]:
    """Sids must differ within a policy."""
    return [
        {**statement, "Sid": f"{statement['Sid']}{start + number}"}
        for number, statement in enumerate(statements)
    ]
