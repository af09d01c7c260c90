# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a host's accounts, groups and rules of sudo come from: /etc/nsswitch.conf."""

from __future__ import annotations

import re

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

_PATH = "/etc/nsswitch.conf"
# Files of the host itself, and what systemd makes up for its own units.
_LOCAL = {"files", "compat", "systemd", "db"}


def foreign(host: Host, database: str) -> list[str]:
    """The sources of `database` (passwd, group, sudoers …) that are not on the host, in order."""
    match = re.search(rf"^\s*{database}:([^#\n]*)", host.text(_PATH) or "", re.MULTILINE)
    words = re.sub(r"\[[^]]*\]", "", match[1] if match else "").split()
    return [word for word in words if word not in _LOCAL]
