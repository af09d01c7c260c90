#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_object_audit
short_description: How every object of an S3 bucket is encrypted, and by which key
version_added: 0.1.0
description:
  - Reads the encryption of each object of a bucket, or of each version of it, and compares it with what is demanded.
  - A bucket's default encryption says nothing of the objects that were there before it.
  - Takes a finished S3 Inventory where there is one, else asks for every object by HEAD over connections that stay open.
  - An inventory does not tell the key, so where keys are demanded the objects with SSE-KMS are asked for all the same.
  - An object that could not be judged is counted as unknown, and the result is then not clean.
  - Runs where boto3 is, so on the controller. Takes credentials as boto3 does, from the environment or a profile.
author:
  - The Ringfence developers (@ringfence)
options:
  versions:
    description: Look at old versions too, not only at the newest of each object.
    type: bool
    default: false
  encryption:
    description: The kinds of encryption that an object may have, by the names that S3 Inventory gives them.
    type: list
    elements: str
    choices: [SSE-KMS, DSSE-KMS, SSE-S3]
    default: [SSE-KMS, DSSE-KMS]
  keys:
    description: The KMS keys that an object may be encrypted with, as ARNs or as key ids. Any where none is named.
    type: list
    elements: str
    default: []
  source:
    description:
      - V(auto) takes the newest inventory where there is one that covers what is asked, else asks for every object.
      - V(inventory) fails where there is none.
      - V(head) asks for every object as it is now.
    type: str
    choices: [auto, inventory, head]
    default: auto
  offenders:
    description: A file for the objects that are not as demanded or not known, a JSON object a line. Written for its owner only.
    type: path
  state:
    description: A file that says how far the audit is. A run that was ended goes on from it; the run that comes to the end removes it. For O(source=head).
    type: path
  connections:
    description: How many connections to hold open.
    type: int
    default: 32
  rate:
    description: No more than so many requests a second. As many as go for 0. When S3 says it is busy, the rate halves by itself and climbs back.
    type: int
    default: 0
extends_documentation_fragment:
  - ringfence.hosting.s3
  - ringfence.hosting.s3.objects
attributes:
  check_mode:
    description: Changes nothing in the bucket; in check mode it writes no local file either.
    support: full
  diff_mode:
    description: Changes nothing in the bucket.
    support: none
  idempotent:
    description: Changes nothing in the bucket.
    support: full
seealso:
  - name: Amazon S3 Inventory
    description: How to have one delivered; with the optional field EncryptionStatus, as CSV.
    link: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html
"""

EXAMPLES = r"""
- name: Is every backup encrypted with our key
  ringfence.hosting.s3_object_audit:
    bucket: agency-backups
    keys: [arn:aws:kms:eu-west-1:111122223333:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11]
    versions: true
    offenders: offenders.jsonl
    state: audit.state
  delegate_to: localhost
  register: audit

- name: It is, and nothing was left out
  ansible.builtin.assert:
    that: audit.clean
"""

RETURN = r"""
clean:
  description: Whether every object was judged and is as demanded.
  returned: always
  type: bool
objects:
  description: How many objects, or versions, were looked at.
  returned: always
  type: int
offenders:
  description: How many of them are not as demanded.
  returned: always
  type: int
unknown:
  description: How many of them could not be judged.
  returned: always
  type: int
gone:
  description: How many were deleted between being listed and being asked for.
  returned: always
  type: int
kinds:
  description: Objects by kind of encryption.
  returned: always
  type: dict
  sample: {"SSE-KMS": 81244, "SSE-S3": 12}
kms_keys:
  description: Objects by the ARN of their KMS key.
  returned: always
  type: dict
  sample: {"arn:aws:kms:eu-west-1:111122223333:key/2f3a6f2e": 81244}
source:
  description: V(inventory) or V(head).
  returned: always
  type: str
as_of:
  description: When the inventory was taken. Later objects are not in it. Empty where each object was asked for.
  returned: always
  type: str
  sample: 2026-01-31T01-00Z
requests:
  description: How many HEAD requests were sent by this run.
  returned: always
  type: int
resumed:
  description: Whether this run went on from where an earlier one ended.
  returned: always
  type: bool
"""

from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_object_audit import (
    KINDS,
    AuditError,
    Order,
    audit,
)


def main() -> None:
    """Parse, audit, exit."""
    spec = {
        "bucket": {"type": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "client": {"type": "str", "default": ""},
        "waivers": {"type": "list", "elements": "dict", "default": []},
        "versions": {"type": "bool", "default": False},
        "encryption": {
            "type": "list",
            "elements": "str",
            "choices": list(KINDS[:3]),
            "default": list(KINDS[:2]),
        },
        "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "source": {"type": "str", "choices": ["auto", "inventory", "head"], "default": "auto"},
        "offenders": {"type": "path"},
        "state": {"type": "path"},
        "connections": {"type": "int", "default": 32},
        "rate": {"type": "int", "default": 0},
        **_s3_client.CONNECTION_OPTIONS,
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    if _s3_client.MISSING:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_s3_client.MISSING)
    options = dict(module.params)
    where = {name: options.pop(name) for name in _s3_client.CONNECTION_OPTIONS}
    for name in ("client", "waivers"):  # for the evidence, which the action plugin makes
        del options[name]
    order = Order(**options)
    if module.check_mode:
        order = replace(order, offenders=None, state=None)
    try:
        result = audit(_s3_client.connect(**where), order)
    except (AuditError, _s3_client.S3Error) as error:
        module.fail_json(msg=str(error))
    except Exception as error:
        if not _s3_client.is_s3_error(error):
            raise
        module.fail_json(msg=f"{order.bucket}: {_s3_client.told(error)}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
