# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils.bucket_action import ObjectsAction


class ActionModule(ObjectsAction):
    """Judges how every object of a bucket is encrypted."""

    module_name = "s3_object_audit"
    control = "aws_s3_object_encryption"
    expected = "every object"

    def judged(self, result: Mapping[str, Any]) -> tuple[str, Any, str]:
        """An object that is not known is an error, for it may be plain."""
        observed = ", ".join(f"{count} {kind}" for kind, count in sorted(result["kinds"].items()))
        if result["offenders"]:
            offenders, objects = result["offenders"], result["objects"]
            return "fail", observed, f"{offenders} of {objects} objects are not encrypted as asked"
        if result["unknown"]:
            message = f"{result['unknown']} of {result['objects']} objects could not be judged"
            return "error", observed, message
        return "pass", observed or "no objects", ""
