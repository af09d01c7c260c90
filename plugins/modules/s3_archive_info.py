#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_archive_info
short_description: Archives and dumps in an S3 bucket that are plain, or behind a password alone
version_added: 0.1.0
description:
  - Looks at the first bytes of every object, and at the directory of zip and 7z files, by ranged GET. A name alone proves nothing.
  - Repositories of restic are known by their layout and passed over.
  - An object that could not be read, or that is not what its name says, is counted as unknown, and the result is then not clean.
  - Changes nothing. Runs where boto3 is, so on the controller. Takes credentials as boto3 does, from the environment or a profile.
author:
  - The Ringfence developers (@ringfence)
options:
  offenders:
    description: A file for what was found, a JSON object a line. Written for its owner only.
    type: path
  show:
    description: How many findings the result names at most.
    type: int
    default: 50
  threads:
    description: How many objects at once.
    type: int
    default: 16
extends_documentation_fragment:
  - ringfence.hosting.s3
  - ringfence.hosting.s3.provider
  - ringfence.hosting.s3.objects
attributes:
  check_mode:
    description: Changes nothing; in check mode it writes no local file either.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
seealso:
  - module: ringfence.hosting.s3_object_audit
"""

EXAMPLES = r"""
- name: Old backups that are plain, or behind a password alone
  ringfence.hosting.s3_archive_info:
    bucket: agency-backups
    offenders: old-archives.jsonl
  delegate_to: localhost
"""

RETURN = r"""
clean:
  description: Whether nothing was found, and nothing is unknown.
  returned: always
  type: bool
counts:
  description: How many are V(plain), behind a V(password), encrypted to a V(public_key), or V(unknown).
  returned: always
  type: dict
bytes:
  description: How many bytes they have together, by the same names.
  returned: always
  type: dict
found:
  description: The first findings, with C(key), C(size), C(modified), C(form), C(protection) and C(detail).
  returned: always
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_archives, _s3_client


def main() -> None:
    """Parse, look, exit."""
    spec: dict[str, Any] = {
        "bucket": {"type": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "client": {"type": "str", "default": ""},
        "waivers": {"type": "list", "elements": "dict", "default": []},
        "offenders": {"type": "path"},
        "show": {"type": "int", "default": 50},
        "threads": {"type": "int", "default": 16},
        **_s3_client.CONNECTION_OPTIONS,
        **_s3_client.PROVIDER_OPTION,
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    if _s3_client.MISSING:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_s3_client.MISSING)
    options: dict[str, Any] = dict(module.params)
    path = None if module.check_mode else options["offenders"]
    try:
        clients = _s3_client.Clients(*(options[name] for name in _s3_client.CLIENT_OPTIONS))
        found = _s3_archives.survey(clients.of("s3"), options, path)
    except (_s3_archives.SurveyError, _s3_client.S3Error) as error:
        module.fail_json(msg=str(error))
    except Exception as error:
        if not _s3_client.is_s3_error(error):
            raise
        module.fail_json(msg=f"{options['bucket']}: {_s3_client.told(error)}")
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
