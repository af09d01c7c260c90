# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules that work on the sites of a host document alike."""

from __future__ import annotations


class ModuleDocFragment:
    """Which sites, and what their addresses are made of."""

    DOCUMENTATION = r"""
options:
  sites:
    description: The sites of this host, as C(ringfence_sites) has them.
    type: list
    elements: dict
    required: true
"""

    OF_HOST = r"""
options:
  sites:
    description: The sites of the host. The variable C(ringfence_sites) unless given.
    type: list
    elements: dict
"""

    ADDRESSES = r"""
options:
  management:
    description: Addresses and networks of those who administer the host.
    type: list
    elements: str
    default: []
  sources:
    description: The folder of the controller with the data of countries and the feeds.
    type: str
    default: ""
"""
