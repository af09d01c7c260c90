# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules that speak to S3 and its neighbours document alike."""

from __future__ import annotations


class ModuleDocFragment:
    """How the service is reached; whether it is Amazon's; what a bucket is to be."""

    DOCUMENTATION = r"""
requirements:
  - boto3 >= 1.40
options:
  endpoint_url:
    description: The address of a service other than Amazon's.
    type: str
  region:
    description: The region. What boto3 finds where it is left out.
    type: str
  profile:
    description: A profile of the AWS configuration files.
    type: str
  ca_bundle:
    description: A file with the authorities to trust in place of the system's.
    type: path
"""

    PROVIDER = r"""
options:
  provider:
    description:
      - V(aws) where accounts, keys, trails and identities can be asked for beside S3; V(s3) where there is S3 alone, and the controls of the others
        do not apply.
      - V(auto) tells by the address.
    type: str
    choices: [auto, aws, s3]
    default: auto
"""

    BUCKETS = r"""
options:
  buckets:
    description: The buckets, each as it is to be.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The bucket's name.
        type: str
        required: true
      client:
        description: The client whose backups it holds, by the id of the register; for evidence and reports.
        type: str
        default: ''
      waivers:
        description: What is accepted for a time, each with C(control), C(reason), C(owner) and C(expires). For the evidence; nothing is judged or
          changed by it.
        type: list
        elements: dict
        default: []
      purpose:
        description: V(backup), or V(logs) for one that takes the access logs of the others.
        type: str
        choices: [backup, logs]
        default: backup
      encryption:
        description: The default encryption. V(AES256) is what S3 does by itself, with a key that is Amazon's.
        type: str
        choices: ['aws:kms', 'aws:kms:dsse', AES256]
        default: aws:kms
      kms_key:
        description: The ARN of the KMS key, or its id. Needed unless O(buckets[].encryption=AES256).
        type: str
        default: ''
      bucket_key:
        description: Whether one key of KMS serves the bucket for a time, instead of a call for each object.
        type: bool
        default: true
      lock_mode:
        description: What the default retention is. V(COMPLIANCE) only together with O(compliance).
        type: str
        choices: [GOVERNANCE, COMPLIANCE]
        default: GOVERNANCE
      lock_days:
        description: How long a new object can neither be changed nor deleted. A longer lock that is there stays.
        type: int
        default: 30
      oldest_snapshot_days:
        description: How old the oldest snapshot becomes before it is pruned. The lock has to be longer.
        type: int
        default: 0
      noncurrent_days:
        description: After how many days what was deleted or overwritten is removed. Never sooner than the lock ends, nor than the oldest snapshot does.
        type: int
        default: 0
      upload_days:
        description: After how many days an upload that was never finished is removed.
        type: int
        default: 7
      tls_version:
        description: The least version of TLS.
        type: str
        choices: ['1.2', '1.3']
        default: '1.2'
      accounts:
        description: Numbers of other accounts that may come in.
        type: list
        elements: str
        default: []
      bypass:
        description: ARNs of who may end a GOVERNANCE lock early. Nobody where none is named.
        type: list
        elements: str
        default: []
      log_bucket:
        description: The bucket that access is logged into.
        type: str
        default: ''
      log_prefix:
        description: What the logs' keys begin with. The bucket's name where left out.
        type: str
        default: ''
      replication:
        description: A replica in another bucket, best of another account and region.
        type: dict
        suboptions:
          bucket:
            description: ARN of the bucket.
            type: str
            required: true
          role:
            description: ARN of the role that S3 copies with.
            type: str
            required: true
          kms_key:
            description: ARN of the key that the replica is encrypted with.
            type: str
          account:
            description: The account that owns the replica, where it is another one.
            type: str
      events:
        description: Who is told that an object was removed.
        type: dict
        suboptions:
          topic:
            description: ARN of an SNS topic.
            type: str
          queue:
            description: ARN of an SQS queue.
            type: str
          function:
            description: ARN of a Lambda function.
            type: str
          event_bridge:
            description: Whether EventBridge is told.
            type: bool
      trail:
        description: The CloudTrail trail that has to record each write to an object.
        type: str
        default: ''
      writers:
        description: Who writes backups. Their keys lie on the servers and are taken to be stolen with them.
        type: list
        elements: dict
        default: []
        suboptions:
          arn:
            description: ARN of the IAM user or role.
            type: str
            required: true
          prefix:
            description: What the keys of its repository begin with, such as V(acme/).
            type: str
      pruners:
        description: Who prunes, from the controller.
        type: list
        elements: dict
        default: []
        suboptions:
          arn:
            description: ARN of the IAM user or role.
            type: str
            required: true
          prefix:
            description: What the keys that it prunes begin with.
            type: str
  compliance:
    description:
      - Names of the buckets with O(buckets[].lock_mode=COMPLIANCE). Nobody can ever end such a lock, the root user and Amazon included.
      - Both must agree, or nothing is done.
    type: list
    elements: str
    default: []
"""

    AUTHORITY = r"""
options:
  authority:
    description: The certificates, in PEM form, to believe the S3 server by; those of the system by default.
    type: str
"""

    OBJECTS = r"""
options:
  bucket:
    description: The bucket to look at.
    type: str
    required: true
  prefix:
    description: Only objects whose keys begin with this.
    type: str
    default: ''
  client:
    description: The client whose backups the bucket holds, by the id of the register; for evidence and reports.
    type: str
    default: ''
  waivers:
    description: What is accepted for a time, each with C(control), C(reason), C(owner) and C(expires). For the evidence; nothing is judged or changed by it.
    type: list
    elements: dict
    default: []
"""
