#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_backup_bucket
short_description: S3 buckets that backups are safe in
version_added: 0.1.0
description:
  - Brings buckets to what the controls of the family aws_s3 ask for. Nothing public, versions kept and locked, encrypted with a named key, TLS only,
    logged, and nobody in who need not be.
  - Reads all first, plans all, and writes only what differs. Statements and rules of others stay as they are.
  - Before anything is written it sees that neither the caller nor the writers and pruners are shut out by the policy to be. Otherwise nothing is changed.
  - Never makes anything weaker. A longer lock, or a lock by COMPLIANCE, stays. Objects are never touched.
  - Runs on the controller, in the Python that runs Ansible, which needs boto3. Takes credentials as boto3 does, from the environment or a profile.
author:
  - The Ringfence developers (@ringfence)
options:
  account:
    description: Whether the account is to block what is public in all its buckets. Buckets that serve a web site to the public are then closed too.
    type: bool
    default: true
  create:
    description: Whether a bucket that is not there is made.
    type: bool
    default: false
extends_documentation_fragment:
  - ringfence.hosting.s3
  - ringfence.hosting.s3.provider
  - ringfence.hosting.s3.buckets
attributes:
  check_mode:
    description: Says what it would do, and does nothing.
    support: full
  diff_mode:
    description: Shows each setting before and after.
    support: full
  idempotent:
    description: A second run makes no call that changes anything.
    support: full
seealso:
  - module: ringfence.hosting.s3_backup_bucket_info
  - module: ringfence.hosting.s3_object_audit
"""

EXAMPLES = r"""
- name: Backups are safe in their bucket
  ringfence.hosting.s3_backup_bucket:
    create: true
    buckets:
      - name: agency-logs
        purpose: logs
        encryption: AES256
      - name: agency-backups
        kms_key: arn:aws:kms:eu-west-1:111122223333:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11
        lock_days: 100
        oldest_snapshot_days: 93
        log_bucket: agency-logs
        writers:
          - arn: arn:aws:iam::111122223333:user/backup-acme
            prefix: acme/
        pruners:
          - arn: arn:aws:iam::111122223333:user/backup-prune
  delegate_to: localhost

- name: A lock that nobody can ever end is asked for twice
  ringfence.hosting.s3_backup_bucket:
    compliance: [agency-backups]
    buckets:
      - name: agency-backups
        lock_mode: COMPLIANCE
        kms_key: arn:aws:kms:eu-west-1:111122223333:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11
  delegate_to: localhost
"""

RETURN = r"""
buckets:
  description: Each bucket with the status of each control, as in the evidence.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The bucket, as V(s3://NAME).
      type: str
    client:
      description: Its client's id.
      type: str
    controls:
      description: One row for each control, with C(id), C(status), C(expected), C(observed) and C(message).
      type: list
      elements: dict
counts:
  description: How many controls have which status.
  returned: always
  type: dict
  sample: {"pass": 31, "fail": 2, "not_applicable": 1}
calls_read:
  description: How many calls it took to read all.
  returned: always
  type: int
  sample: 14
calls:
  description: Each call that changed something, or would in check mode.
  returned: always
  type: list
  elements: str
  sample: ["agency-backups: s3.put_bucket_policy"]
policies:
  description: By ARN, the policy with the least that each writer and pruner needs. An identity without any policy is given it.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket_options import APPLY_SPEC


def main() -> None:
    AnsibleModule(argument_spec=APPLY_SPEC, supports_check_mode=True).fail_json(
        msg="the action plugin of this name did not run"
    )


if __name__ == "__main__":
    main()
