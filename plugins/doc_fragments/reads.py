# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules that only read document alike."""

from __future__ import annotations


class ModuleDocFragment:
    """That nothing is changed."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Runs the same in check mode, since it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
  idempotent:
    description: A second run finds the same unless something was changed meanwhile.
    support: full
"""
