# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules that judge a host by its controls document alike."""

from __future__ import annotations


class ModuleDocFragment:
    """Which controls, and what is a failure."""

    DOCUMENTATION = r"""
options:
  families:
    description: The families of controls to take, for example V(ssh). All of them when this and O(controls) are empty.
    type: list
    elements: str
    default: []
  controls:
    description: Ids of single controls to take, beside those of O(families).
    type: list
    elements: str
    default: []
  fail_on:
    description: The task fails where a control ends in one of these. A task that hides an error would be no audit, so keep V(error) in.
    type: list
    elements: str
    choices: [error, fail, manual, waived]
    default: [error]
  payload:
    description: The resolved controls. The action plugin of this module fills it in.
    type: str
"""
