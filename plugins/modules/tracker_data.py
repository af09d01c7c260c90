#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tracker_data
short_description: Cuts the security tracker's data down to what hosts of each release need
version_added: 0.1.0
description:
  - Reads the data of Debian's security tracker (C(https://security-tracker.debian.org/tracker/data/json)) from a file
    and writes one small file a release, which the control C(updates_known_vulnerabilities) reads on hosts.
  - Runs on the controller. Hosts need no access to the tracker.
author:
  - The Ringfence developers (@ringfence)
options:
  src:
    description: The tracker's data.
    type: path
    required: true
  dest:
    description: Folder for the files, each called after its release, such as C(bookworm.json).
    type: path
    required: true
  releases:
    description: The code names of the releases.
    type: list
    elements: str
    default: [bookworm, trixie]
  sha256:
    description: What the data's SHA-256 must be. Not compared where it is empty.
    type: str
    default: ''
  date:
    description: When the data were fetched, such as V(2026-01-31T02:00:00Z). The time of the file where it is not given.
    type: str
attributes:
  check_mode:
    description: Reads and checks, writes nothing.
    support: full
  diff_mode:
    description: Shows no diff of data.
    support: none
  idempotent:
    description: The same data with the same date change nothing.
    support: full
"""

EXAMPLES = r"""
- name: Cut the tracker's data down
  ringfence.hosting.tracker_data:
    src: /srv/mirror/tracker.json
    dest: .cache/vulnerabilities
  delegate_to: localhost
"""

RETURN = r"""
files:
  description: The files, by release.
  returned: always
  type: dict
sha256:
  description: The SHA-256 of the data that were read.
  returned: always
  type: str
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _tracker


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "releases": {"type": "list", "elements": "str", "default": ["bookworm", "trixie"]},
            "sha256": {"type": "str", "default": ""},
            "date": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    source, folder = Path(given["src"]), Path(given["dest"])
    try:
        data = source.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if given["date"]:
            date = datetime.fromisoformat(given["date"].replace("Z", "+00:00"))
        else:
            date = datetime.fromtimestamp(source.stat().st_mtime, UTC)
        document = _tracker.read(data, given["sha256"])
        texts = {
            folder / f"{name}.json": _tracker.of_release(document, name, date, digest)
            for name in given["releases"]
        }
        stale = [p for p, text in texts.items() if not p.exists() or p.read_text() != text]
        if stale and not module.check_mode:
            folder.mkdir(parents=True, exist_ok=True)
            for path in stale:
                path.write_text(texts[path])
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    except (_tracker.TrackerError, ValueError) as error:
        module.fail_json(msg=f"{source}: {error}")
    files = {path.stem: str(path) for path in texts}
    module.exit_json(changed=bool(stale), files=files, sha256=digest)


if __name__ == "__main__":
    main()
