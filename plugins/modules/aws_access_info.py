#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_access_info
short_description: Who can get at an AWS account and at the buckets of the backups
version_added: 0.1.0
description:
  - Lists passwords and access keys of users with age, last use and second factor, roles with who may assume them, and who may read, write, delete or
    unlock what lies in the named buckets, or decrypt it.
  - What somebody may do is judged by asking the policies, those of groups and of the bucket among them. A condition that hangs on the request counts
    as met. Permission boundaries and policies of an organisation are not subtracted.
  - Reads only, and has AWS make its credential report. Runs where boto3 is, so on the controller. Takes credentials as boto3 does, from the
    environment or a profile.
  - What the caller may not read is told as not collected.
author:
  - The Ringfence developers (@ringfence)
options:
  party:
    description: The third party, by its id in third_parties.yml; the collection is kept under it.
    type: str
    default: aws
  buckets:
    description: The buckets of the backups.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - ringfence.hosting.s3
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.access_info
  - module: ringfence.hosting.s3_backup_bucket_info
"""

EXAMPLES = r"""
- name: Who can get at the backups
  ringfence.hosting.aws_access_info:
    party: cloudvault
    profile: auditor
    buckets: [acme-backups]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
access:
  description: What was found, in the shape that the evidence keeps; see M(ringfence.hosting.access_info).
  returned: always
  type: dict
access_target:
  description: The value of O(party).
  returned: always
  type: str
  sample: aws
"""

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _access_row,
    _aws_access,
    _s3_client,
)


def main() -> None:
    """Parse, ask, exit."""
    module = AnsibleModule(
        argument_spec={
            "party": {"type": "str", "default": "aws"},
            "buckets": {"type": "list", "elements": "str", "default": []},
            **_s3_client.CONNECTION_OPTIONS,
        },
        supports_check_mode=True,
    )
    if _s3_client.MISSING is not None:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_s3_client.MISSING)
    given = module.params
    try:
        connection = {name: given[name] for name in _s3_client.CONNECTION_OPTIONS}
        clients = _s3_client.Clients(**connection, provider="aws")
        found = _aws_access.collect(clients.of, given["buckets"], datetime.now(UTC))
    except _s3_client.S3Error as error:
        module.fail_json(msg=f"{given['party']}: {error}")
    document = _access_row.document(
        "aws_access_info", _access_row.utc_now(), found.rows, found.covered, found.facts
    )
    module.exit_json(changed=False, access=document, access_target=given["party"])


if __name__ == "__main__":
    main()
