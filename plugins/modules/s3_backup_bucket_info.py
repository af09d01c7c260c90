#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_backup_bucket_info
short_description: Whether S3 buckets are fit for backups
version_added: 0.1.0
description:
  - Reads all that concerns the safety of buckets and their account, over parallel connections, and judges it by the controls of the family aws_s3.
  - What a policy does is judged by asking it, whoever wrote it. What could not be read is an error, never a pass.
  - Changes nothing.
  - Runs on the controller, in the Python that runs Ansible, which needs boto3. Takes credentials as boto3 does, from the environment or a profile.
author:
  - The Ringfence developers (@ringfence)
extends_documentation_fragment:
  - ringfence.hosting.s3
  - ringfence.hosting.s3.provider
  - ringfence.hosting.s3.buckets
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.s3_backup_bucket
  - module: ringfence.hosting.s3_object_audit
"""

EXAMPLES = r"""
- name: See whether the bucket is fit for backups
  ringfence.hosting.s3_backup_bucket_info:
    buckets:
      - name: agency-backups
        kms_key: arn:aws:kms:eu-west-1:111122223333:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11
        log_bucket: agency-logs
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
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket_options import SPEC


def main() -> None:
    AnsibleModule(argument_spec=SPEC, supports_check_mode=True).fail_json(
        msg="the action plugin of this name did not run"
    )


if __name__ == "__main__":
    main()
