#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set
short_description: Backs up the sites of a host by the clock, each client into a repository of its own
version_added: 0.1.0
description:
  - Sets up a systemd timer for each client with sites on the host, by which restic takes site files and a
    consistent dump of the database into the client's repository, with a manifest to prove a restore by.
  - Passwords and keys are files that only root can read. They are in no argument, environment or diff.
  - The configuration of the host itself is one more such job, into a repository of the agency; the filter
    P(ringfence.hosting.server_backups#filter) makes it.
  - Clients that are no longer named lose their timer, and their keys on this host.
  - Needs restic 0.18 or newer on the host; the role P(ringfence.hosting.backup#role) installs it.
author:
  - The Ringfence developers (@ringfence)
options:
  jobs:
    description: What the action plugin makes of O(sites), a job a client; not given by hand.
    type: list
    elements: dict
    default: []
    suboptions:
      client:
        description: The client.
        type: str
        required: true
      repository:
        description: Its repository.
        type: str
        required: true
      region:
        description: The region of the bucket.
        type: str
        default: ''
      host:
        description: The host's name in the repository.
        type: str
        required: true
      every:
        description: Seconds between two backups.
        type: int
        required: true
      password:
        description: Of the repository.
        type: str
        required: true
      access_key:
        description: With which the host writes.
        type: str
        required: true
      secret_key:
        description: Its secret.
        type: str
        required: true
      authority:
        description: As O(authority).
        type: str
        default: ''
      sites:
        description: The sites.
        type: list
        elements: dict
        required: true
        suboptions:
          site:
            description: The site.
            type: str
            required: true
          paths:
            description: What is backed up.
            type: list
            elements: str
            required: true
          exclude:
            description: Patterns of what is left out.
            type: list
            elements: str
            default: []
          optional:
            description: What is backed up too where it is there.
            type: list
            elements: str
            default: []
          server:
            description: It is no site but the configuration of the host.
            type: bool
            default: false
          database:
            description: The database.
            type: dict
            suboptions:
              name:
                description: Its name.
                type: str
                required: true
              host:
                description: Its server, where that is another.
                type: str
              user:
                description: Who dumps it there.
                type: str
              password:
                description: Of the user.
                type: str
extends_documentation_fragment:
  - ringfence.hosting.sites
  - ringfence.hosting.s3.authority
attributes:
  check_mode:
    description: Says what would be written.
    support: full
  diff_mode:
    description: Shows everything but secrets.
    support: full
  idempotent:
    description: Writes only what differs.
    support: full
"""

EXAMPLES = r"""
- name: The sites of this host are backed up
  ringfence.hosting.backup_set:
    sites: "{{ ringfence_sites }}"
"""

RETURN = r"""
clients:
  description: The clients that are backed up from this host.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_set
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_TEXT = {"type": "str", "required": True}
_SECRET = {"type": "str", "required": True, "no_log": True}
_DATABASE = {
    "name": _TEXT,
    "host": {"type": "str"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
}
_SITE = {
    "site": _TEXT,
    "paths": {"type": "list", "elements": "str", "required": True},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "optional": {"type": "list", "elements": "str", "default": []},
    "server": {"type": "bool", "default": False},
    "database": {"type": "dict", "options": _DATABASE},
}
_JOB = {
    "client": _TEXT,
    "repository": _TEXT,
    "region": {"type": "str", "default": ""},
    "host": _TEXT,
    "every": {"type": "int", "required": True},
    "password": _SECRET,
    "access_key": {**_TEXT, "no_log": False},
    "secret_key": _SECRET,
    "authority": {"type": "str", "default": ""},
    "sites": {"type": "list", "elements": "dict", "required": True, "options": _SITE},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "list", "elements": "dict", "required": True},
            "authority": {"type": "str"},
            "jobs": {"type": "list", "elements": "dict", "default": [], "options": _JOB},
        },
        supports_check_mode=True,
    )
    jobs = module.params["jobs"]
    host = Host()
    try:
        asked = _backup_set.wanted(jobs)
        todo = _backup_set.changes(host, asked, trial=module.check_mode)
        shown = _backup_set.diff(host, asked, todo) if module._diff else []
        if todo and not module.check_mode:
            _backup_set.carry_out(host, asked, todo)
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    clients = [job["client"] for job in jobs]
    module.exit_json(changed=bool(todo), diff=shown, clients=clients)


if __name__ == "__main__":
    main()
