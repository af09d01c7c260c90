# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Debian test hosts with systemd and sshd, on loopback ports of this machine."""

from __future__ import annotations

from tests.fleet.command import FleetError
from tests.fleet.fleet import Fleet
from tests.fleet.inventory import Host
from tests.fleet.vm import Machine, UnavailableError

__all__ = ["Fleet", "FleetError", "Host", "Machine", "UnavailableError"]
