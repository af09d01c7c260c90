# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules that take a sign-in back document alike."""

from __future__ import annotations


class ModuleDocFragment:
    """Why, and by whom."""

    DOCUMENTATION = r"""
options:
  reason:
    description: Why, in one line.
    type: str
    required: true
  operator:
    description: Who resets.
    type: str
    default: ''
"""
