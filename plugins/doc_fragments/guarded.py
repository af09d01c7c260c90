# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules that arm a guard themselves document alike."""

from __future__ import annotations


class ModuleDocFragment:
    """How the guard is named, and how long it waits."""

    DOCUMENTATION = r"""
options:
  guard_id:
    description: What the guard is to be called. The action plugin of this module makes it up.
    type: str
    default: ''
  operator:
    description: Who changes this. The action plugin of this module fills it in.
    type: str
    default: ''
"""

    TIMEOUT = r"""
options:
  guard_timeout:
    description:
      - Seconds that the guard waits for the confirmation before it puts the host back.
      - V(0) arms no guard, which is right only where a console is at hand.
    type: int
    default: 120
"""
