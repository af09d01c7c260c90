# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the callback must know of results that are no server's; see targets.py for the rest."""

from __future__ import annotations

KEY = "ringfence_targets"
# The actions (short names, a line each) whose results may speak of what is no server. They run on
# the controller: a server that was broken into must not be able to speak for anything but itself.
ACTIONS: frozenset[str] = frozenset(
    {
        "s3_archive_info",
        "s3_backup_bucket",
        "s3_backup_bucket_info",
        "s3_object_audit",
        "backup_drill",
        "backup_info",
        "site_factor_info",
        "site_addresses_info",
    }
)
