#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_reencrypt
short_description: Objects of an S3 bucket brought under another key
version_added: 0.1.0
description:
  - Encrypts each object anew that is not encrypted with the named KMS key. A bucket's default says nothing of the objects that were there before it.
  - Changes an object in place where Amazon S3 can, without a copy. Else copies it onto itself with its metadata, tags, checksum, storage class and
    lock, in parts where it is larger than 5 GB.
  - Never deletes anything. S3 puts a copy in the place of the old object in one step or not at all, so a run that is killed loses nothing, and the
    next goes on.
  - In a bucket with versions a copy is a new version. The old one stays as it was until its lock ends and the lifecycle removes it.
  - What cannot be done is left as it is and told. Objects with a key of the sender's (SSE-C), and objects in Glacier that were not restored.
  - Runs where boto3 is, so on the controller. Takes credentials as boto3 does, from the environment or a profile.
author:
  - The Ringfence developers (@ringfence)
requirements:
  - boto3 >= 1.44, for changes in place
options:
  bucket:
    description: The bucket.
    type: str
    required: true
  prefix:
    description: Only objects whose keys begin with this.
    type: str
    default: ''
  encryption:
    description: The kind of encryption.
    type: str
    choices: ['aws:kms', 'aws:kms:dsse']
    default: aws:kms
  kms_key:
    description: The ARN of the key; for a service other than Amazon's, its id there.
    type: str
    required: true
  bucket_key:
    description: Whether one key of KMS serves the bucket for a time.
    type: bool
    default: true
  method:
    description:
      - V(auto) changes in place at Amazon where S3 can, and copies otherwise.
      - V(copy) always copies.
      - V(in_place) changes in place at other services too. One that does not know the call may take it for an upload and B(replace the object) by
        the request; try it with a bucket that nobody needs.
    type: str
    choices: [auto, copy, in_place]
    default: auto
  journal:
    description: A file that says how far the run is. A run that was ended goes on from it; the run that comes to the end removes it.
    type: path
  offenders:
    description: A file for the objects that were left or failed, a JSON object a line. Written for its owner only.
    type: path
  threads:
    description: How many objects at once.
    type: int
    default: 16
  rate:
    description: No more than so many calls a second. As many as go for 0.
    type: int
    default: 0
extends_documentation_fragment:
  - ringfence.hosting.s3
  - ringfence.hosting.s3.provider
attributes:
  check_mode:
    description: Says what it would do with how many objects, and does nothing.
    support: full
  diff_mode:
    description: Objects are no text.
    support: none
  idempotent:
    description: A second run changes nothing.
    support: full
seealso:
  - module: ringfence.hosting.s3_object_audit
  - name: UpdateObjectEncryption
    description: What S3 can change in place.
    link: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateObjectEncryption.html
"""

EXAMPLES = r"""
- name: All objects are encrypted with our key
  ringfence.hosting.s3_reencrypt:
    bucket: agency-backups
    kms_key: arn:aws:kms:eu-west-1:111122223333:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11
    journal: reencrypt.journal
    offenders: left.jsonl
  delegate_to: localhost
"""

RETURN = r"""
objects:
  description: How many objects were looked at.
  returned: always
  type: int
done:
  description: How many were encrypted anew, or would be in check mode.
  returned: always
  type: int
left:
  description: How many were left as they are, for a reason that the file of offenders tells.
  returned: always
  type: int
not_done:
  description: How many could not be encrypted anew, or are not known.
  returned: always
  type: int
ways:
  description: How it was done, by number of objects.
  returned: always
  type: dict
  sample: {"in place": 81244, "copy": 12}
clean:
  description: Whether nothing was left and nothing failed.
  returned: always
  type: bool
resumed:
  description: Whether this run went on from where an earlier one ended.
  returned: always
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_object_audit import AuditError
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_reencrypt import (
    Order,
    ReencryptError,
    reencrypt,
)


def main() -> None:
    """Parse, encrypt anew, exit."""
    spec: dict[str, Any] = {
        "bucket": {"type": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "encryption": {"type": "str", "choices": ["aws:kms", "aws:kms:dsse"], "default": "aws:kms"},
        "kms_key": {"type": "str", "required": True, "no_log": False},
        "bucket_key": {"type": "bool", "default": True, "no_log": False},
        "method": {"type": "str", "choices": ["auto", "copy", "in_place"], "default": "auto"},
        "journal": {"type": "path"},
        "offenders": {"type": "path"},
        "threads": {"type": "int", "default": 16},
        "rate": {"type": "int", "default": 0},
        **_s3_client.CONNECTION_OPTIONS,
        **_s3_client.PROVIDER_OPTION,
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    if _s3_client.MISSING:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_s3_client.MISSING)
    options: dict[str, Any] = dict(module.params)
    where = [options.pop(name) for name in _s3_client.CLIENT_OPTIONS]
    order = Order(**options, check=module.check_mode)
    try:
        result = reencrypt(_s3_client.Clients(*where), order)
    except (ReencryptError, AuditError, _s3_client.S3Error) as error:
        module.fail_json(msg=str(error))
    except Exception as error:
        if not _s3_client.is_s3_error(error):
            raise
        module.fail_json(msg=f"{order.bucket}: {_s3_client.told(error)}")
    result["changed"] = bool(result["done"])
    if result["not_done"]:
        message = f"{order.bucket}: {result['not_done']} objects could not be encrypted anew"
        module.fail_json(msg=message, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
