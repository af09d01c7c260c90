# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that the modules about buckets share."""

from __future__ import annotations

from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket import (
    ENCRYPTIONS,
    LOCK_MODES,
)

# For the action plugin, which makes evidence of what a module returns.
WAIVERS: dict[str, Any] = {"type": "list", "elements": "dict", "default": []}


def _texts() -> dict[str, Any]:
    return {"type": "list", "elements": "str", "default": []}


def _principals() -> dict[str, Any]:
    options = {"arn": {"type": "str", "required": True}, "prefix": {"type": "str"}}
    return {"type": "list", "elements": "dict", "default": [], "options": options}


def _bucket() -> dict[str, Any]:
    return {
        "name": {"type": "str", "required": True},
        "client": {"type": "str", "default": ""},
        "waivers": WAIVERS,
        "purpose": {"type": "str", "choices": ["backup", "logs"], "default": "backup"},
        "encryption": {"type": "str", "choices": list(ENCRYPTIONS), "default": "aws:kms"},
        # Names of keys and the like are no secrets.
        "kms_key": {"type": "str", "default": "", "no_log": False},
        "bucket_key": {"type": "bool", "default": True, "no_log": False},
        "lock_mode": {"type": "str", "choices": list(LOCK_MODES), "default": "GOVERNANCE"},
        "lock_days": {"type": "int", "default": 30},
        "oldest_snapshot_days": {"type": "int", "default": 0},
        "noncurrent_days": {"type": "int", "default": 0},
        "upload_days": {"type": "int", "default": 7},
        "tls_version": {"type": "str", "choices": ["1.2", "1.3"], "default": "1.2"},
        "accounts": _texts(),
        "bypass": {**_texts(), "no_log": False},
        "log_bucket": {"type": "str", "default": ""},
        "log_prefix": {"type": "str", "default": ""},
        "replication": {
            "type": "dict",
            "options": {
                "bucket": {"type": "str", "required": True},
                "role": {"type": "str", "required": True},
                "kms_key": {"type": "str", "no_log": False},
                "account": {"type": "str"},
            },
        },
        "events": {
            "type": "dict",
            "options": {
                "topic": {"type": "str"},
                "queue": {"type": "str"},
                "function": {"type": "str"},
                "event_bridge": {"type": "bool"},
            },
        },
        "trail": {"type": "str", "default": ""},
        "writers": _principals(),
        "pruners": _principals(),
    }


SPEC: dict[str, Any] = {
    "buckets": {"type": "list", "elements": "dict", "required": True, "options": _bucket()},
    "compliance": _texts(),
    **_s3_client.CONNECTION_OPTIONS,
    **_s3_client.PROVIDER_OPTION,
}
APPLY_SPEC: dict[str, Any] = {
    **SPEC,
    "account": {"type": "bool", "default": True},
    "create": {"type": "bool", "default": False},
}
