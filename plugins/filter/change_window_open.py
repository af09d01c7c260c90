# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a host may be changed now, by the change windows of its sites."""

from __future__ import annotations

DOCUMENTATION = r"""
name: change_window_open
short_description: Whether all change windows of a host are open now
version_added: 0.1.0
author:
  - The Ringfence developers (@ringfence)
description:
  - Takes C(ringfence_change_windows), which the client register sets on a host. Without any, every hour is good.
options:
  _input:
    description: The windows, as the client register has them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Say whether the host may be rebooted
  ansible.builtin.debug:
    msg: "{{ ringfence_change_windows | default([]) | ringfence.hosting.change_window_open }}"
"""

RETURN = r"""
_value:
  description: Whether all windows are open.
  type: bool
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.ringfence.hosting.plugins.plugin_utils import register_window


def change_window_open(windows: list[dict[str, Any]]) -> bool:
    """Whether all are open now. Raises AnsibleFilterError for what is no window."""
    try:
        opened, _why = register_window.all_open(windows, datetime.now(UTC))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise AnsibleFilterError(f"ringfence_change_windows: {error}") from None
    return opened


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> filter."""
        return {"change_window_open": change_window_open}
