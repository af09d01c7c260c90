#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_offboard
short_description: Takes a person's ways into an AWS account
version_added: 0.1.0
description:
  - Deactivates every active access key of the named IAM users and removes their passwords. Users, policies and second factors stay.
  - Refused, with nothing changed, where the play itself comes in as one of them.
  - Runs where boto3 is, so on the controller. Takes credentials as boto3 does, from the environment or a profile.
  - Sessions that a key has already opened with STS go on until they end by themselves.
author:
  - The Ringfence developers (@ringfence)
options:
  users:
    description: Names of IAM users that are the person's alone.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - ringfence.hosting.s3
attributes:
  check_mode:
    description: Says what would be taken, and changes nothing.
    support: full
  diff_mode:
    description: Shows each thing that is taken, a line each.
    support: full
  idempotent:
    description: A second run changes nothing unless the account was changed meanwhile.
    support: full
seealso:
  - module: ringfence.hosting.aws_access_info
  - module: ringfence.hosting.offboard
"""

EXAMPLES = r"""
- name: Cho has left
  ringfence.hosting.aws_offboard:
    users: [cho]
    profile: administrator
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
taken:
  description: What was taken, or would be in check mode, a line each.
  returned: success
  type: list
  elements: str
  sample: ["deactivate key of IAM user cho (AKIAEXAMPLE)"]
named:
  description: Users that are not there, a line each.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ringfence.hosting.plugins.module_utils import _offboard_aws, _s3_client


def main() -> None:
    """Parse, plan, carry out, exit."""
    module = AnsibleModule(
        argument_spec={
            "users": {"type": "list", "elements": "str", "required": True},
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
        iam = clients.of("iam")
        steps, absent = _offboard_aws.plan(iam, given["users"])
        if steps:
            caller = clients.of("sts").get_caller_identity()["Arn"]
            _offboard_aws.require_not_own(steps, caller)
        if not module.check_mode:
            _offboard_aws.carry_out(iam, steps)
    except (_s3_client.S3Error, _offboard_aws.LastOneError) as error:
        module.fail_json(msg=str(error))
    except Exception as error:
        if not _s3_client.is_s3_error(error):
            raise
        module.fail_json(msg=_s3_client.told(error))
    lines = _offboard_aws.shown(steps)
    module.exit_json(
        changed=bool(steps),
        taken=lines,
        named=[f"there is no IAM user {name}" for name in absent],
        diff={"before": "", "after": "".join(f"{line}\n" for line in lines)},
    )


if __name__ == "__main__":
    main()
