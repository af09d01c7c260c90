#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_restore
short_description: Restores the backup of a site
version_added: 0.1.0
description:
  - Restores the newest backup of a site, or the newest one up to a moment, below a folder of its own.
  - Never touches the live site, unless O(over_live) is the name of the site.
  - In check mode it says what would be restored.
author:
  - The Ringfence developers (@ringfence)
options:
  site:
    description: The site, as the inventory plugin gives it in C(ringfence_sites) of its host.
    type: dict
    required: true
  at:
    description: A moment such as V(2026-11-26T14:00); no newer backup is taken.
    type: str
  into:
    description: The folder; it must be empty or not there.
    type: path
  over_live:
    description: The site as C(CLIENT/SITE), to restore over the live one.
    type: str
  opening:
    description: What the action plugin makes of O(site); not given by hand.
    type: dict
    suboptions:
      url:
        description: The repository.
        type: str
      region:
        description: The region of the bucket.
        type: str
      password:
        description: Of the repository.
        type: str
      access:
        description: The key to read with.
        type: str
      secret:
        description: Its secret.
        type: str
  client:
    description: What the action plugin makes of O(site); not given by hand.
    type: str
  site_id:
    description: What the action plugin makes of O(site); not given by hand.
    type: str
  before:
    description: What the action plugin makes of O(at); not given by hand.
    type: float
  database:
    description: What the action plugin makes of O(site); not given by hand.
    type: str
  drill:
    description: Restores to prove that it can, and removes all of it; C(backup_drill) asks for it.
    type: bool
    default: false
extends_documentation_fragment:
  - ringfence.hosting.s3.authority
attributes:
  check_mode:
    description: Says which backup would be restored to where.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Each run restores again.
    support: none
"""

EXAMPLES = r"""
- name: The shop as it was before noon, to look at
  ringfence.hosting.backup_restore:
    site: "{{ ringfence_sites[0] }}"
    at: 2026-11-26T12:00
    into: /srv/restored
"""

RETURN = r"""
name:
  description: The site, as C(CLIENT/SITE).
  returned: success
  type: str
snapshot:
  description: The backup, with C(id) and C(time).
  returned: success
  type: dict
into:
  description: The folder.
  returned: success
  type: str
seconds:
  description: How long it took.
  returned: success
  type: float
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _backup_host,
    _backup_restore,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "dict", "required": True},
            "authority": {"type": "str"},
            "at": {"type": "str"},
            "into": {"type": "path"},
            "over_live": {"type": "str"},
            "opening": {
                "type": "dict",
                "options": {
                    "url": {"type": "str"},
                    "region": {"type": "str"},
                    "password": {"type": "str", "no_log": True},
                    "access": {"type": "str"},
                    "secret": {"type": "str", "no_log": True},
                },
            },
            "client": {"type": "str"},
            "site_id": {"type": "str"},
            "before": {"type": "float"},
            "database": {"type": "str"},
            "drill": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    opening = {key: value or "" for key, value in given["opening"].items()}
    began = time.monotonic()
    told = {"changed": True, "into": given["into"] or "", "over_live": given["over_live"] or ""}
    told["name"] = f"{given['client']}/{given['site_id']}"
    try:
        with _backup_host.opened(**opening, authority=given["authority"] or "") as repository:
            snapshot = _backup_restore.chosen(repository, given["site_id"], given["before"])
            told["snapshot"] = snapshot
            if not module.check_mode:
                told |= _restore(given, repository, snapshot)
    except (_backup_host.BackupError, OSError, ValueError) as error:
        module.fail_json(msg=str(error) if given["drill"] else f"{told['name']}: {error}")
    module.exit_json(**({"seconds": time.monotonic() - began} | told))


def _restore(
    given: dict[str, Any], repository: _backup_host.Repository, snapshot: dict[str, Any]
) -> dict[str, Any]:
    client, site = given["client"], given["site_id"]
    if given["drill"]:
        return {**_backup_restore.drill(repository, client, site, snapshot), "changed": False}
    if given["over_live"]:
        _backup_restore.over_live(repository, client, site, snapshot, given["database"])
    else:
        _backup_restore.into(repository, snapshot, given["into"])
    return {}


if __name__ == "__main__":
    main()
