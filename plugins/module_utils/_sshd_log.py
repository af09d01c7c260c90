# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How sshd's entries in the journal are told from what others write."""

from __future__ import annotations

# Anybody may log as "sshd", but not as root, which the kernel tells. The unit and the program are
# no help: journald looks them up in /proc, where a session that ended meanwhile is gone.
JOURNAL_MATCH = (
    "SYSLOG_IDENTIFIER=sshd",
    "_UID=0",
    "+",
    "SYSLOG_IDENTIFIER=sshd-session",
    "_UID=0",
)
