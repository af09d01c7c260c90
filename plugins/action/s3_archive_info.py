# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils.bucket_action import ObjectsAction


class ActionModule(ObjectsAction):
    """Judges whether archives lie in a bucket that are plain, or behind a password alone."""

    module_name = "s3_archive_info"
    control = "aws_s3_old_archives"
    expected = "none"

    def judged(self, result: Mapping[str, Any]) -> tuple[str, Any, str]:
        """What could not be read is an error, for it may be plain."""
        counts = result["counts"]
        observed = f"{counts['plain']} plain, {counts['password']} behind a password"
        if counts["plain"] or counts["password"]:
            bad = [row for row in result["found"] if row["protection"] in ("plain", "password")]
            first = f"the first is {bad[0]['key']} ({bad[0]['form']})" if bad else ""
            return "fail", observed, first
        if counts["unknown"]:
            message = f"of {counts['unknown']} objects it is not known what they are"
            return "error", observed, message
        return "pass", "none", ""
