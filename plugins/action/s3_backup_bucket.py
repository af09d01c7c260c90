# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket_options import APPLY_SPEC
from ansible_collections.ringfence.hosting.plugins.plugin_utils.bucket_settings import (
    SettingsAction,
)


class ActionModule(SettingsAction):
    """Judges buckets, and brings them to what they are to be."""

    module_name = "s3_backup_bucket"
    mode = "apply"
    spec = APPLY_SPEC
