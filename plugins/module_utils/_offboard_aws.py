# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes a person's ways into an AWS account: access keys are deactivated, the password is removed.

The users themselves, their policies and second factors stay: keys can be made active again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import (
    code_of,
    is_s3_error,
)

Step = tuple[str, str, str]  # what, user, id of a key or ""


class LastOneError(Exception):
    """The account could not be administered any more, in one line."""


def plan(iam: Any, users: Iterable[str]) -> tuple[list[Step], list[str]]:
    """(steps, users that are not there) for users by name. `iam`: boto3's client."""
    steps: list[Step] = []
    absent = []
    for user in sorted(set(users)):
        try:
            iam.get_user(UserName=user)
        except Exception as error:
            if not _is_absent(error):
                raise
            absent.append(user)
            continue
        for page in iam.get_paginator("list_access_keys").paginate(UserName=user):
            steps += [
                ("deactivate key", user, key["AccessKeyId"])
                for key in page["AccessKeyMetadata"]
                if key["Status"] == "Active"
            ]
        if _has_password(iam, user):
            steps.append(("remove password", user, ""))
    return steps, absent


def require_not_own(steps: Iterable[Step], caller_arn: str) -> None:
    """Raises LastOneError where the play itself comes in as one of these users."""
    for _what, user, _key in steps:
        if caller_arn.endswith(f"/{user}"):
            raise LastOneError(
                f"{user}: this play comes in by it, expected another identity of AWS; "
                "nothing was changed"
            )


def carry_out(iam: Any, steps: Iterable[Step]) -> None:
    """Do the steps of `plan`."""
    for what, user, key in steps:
        if what == "deactivate key":
            iam.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")
        else:
            iam.delete_login_profile(UserName=user)


def shown(steps: Iterable[Step]) -> list[str]:
    """A line a step."""
    return [f"{what} of IAM user {user}{f' ({key})' if key else ''}" for what, user, key in steps]


def _has_password(iam: Any, user: str) -> bool:
    try:
        iam.get_login_profile(UserName=user)
    except Exception as error:
        if not _is_absent(error):
            raise
        return False
    return True


def _is_absent(error: Exception) -> bool:
    return is_s3_error(error) and code_of(error) == "NoSuchEntity"
