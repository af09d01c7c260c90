# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is for can need what others must not have: containers need forwarding."""

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

_WORDS = {
    "container_engine": "the host runs containers, which need this",
    "snap": "the host runs snaps, which need this",
    "virtual_machines": "the host runs virtual machines, which need this",
}


def needed_by(host: Host, control: Control) -> str:
    """Why the control's param `unless` keeps it from this host; "" where it does not."""
    for name in control.params.get("unless", []):
        if name in host.capabilities():
            return _WORDS.get(name, f"the host has {name}, which needs this")
    return ""
