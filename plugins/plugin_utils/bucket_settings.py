# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action plugins about a bucket's settings share: asking buckets in Ansible's process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket_run
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket import CHECKS
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket_options import SPEC
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue
from ansible_collections.ringfence.hosting.plugins.plugin_utils.bucket_action import BucketAction

# Variable of a control -> option of a bucket that takes its value.
OPTIONS = {
    "aws_s3_encryption": "encryption",
    "aws_s3_bucket_key": "bucket_key",
    "aws_s3_tls_version": "tls_version",
    "aws_s3_object_lock": "lock_mode",
    "aws_s3_object_lock_days": "lock_days",
    "aws_s3_unfinished_uploads": "upload_days",
}
# Logs are stored by Amazon, which cannot use a key of KMS there.
_OF_LOGS = {"encryption": "AES256"}


class SettingsAction(BucketAction):
    """What a bucket is: for s3_backup_bucket and s3_backup_bucket_info.

    They have no process of their own, which would cost more than all their calls: buckets are asked
    here, by the Python that runs Ansible.
    """

    spec: Mapping[str, Any] = SPEC

    def asked(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What all buckets are, and what was or would be changed."""
        del task_vars
        checked = ArgumentSpecValidator(self.spec).validate(arguments)
        if checked.unsupported_parameters:
            raise AnsibleActionFail(f"there is no option {_names(checked.unsupported_parameters)}")
        if checked.error_messages:
            raise AnsibleActionFail("; ".join(checked.error_messages))
        with self._variables():
            return _s3_bucket_run.outcome(
                checked.validated_parameters,
                applied=self.mode == "apply",
                check=self._task.check_mode,
                diff=self._task.diff,
            )

    @contextmanager
    def _variables(self) -> Iterator[None]:
        """The `environment` of the task, where boto3 looks for credentials."""
        added: dict[str, Any] = {}
        self._compute_environment_string(added)
        before = dict(os.environ)
        os.environ.update({name: str(value) for name, value in added.items()})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def wanted(
        self, known: catalogue.Catalogue, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Options that a bucket leaves out are taken from the controls' variables."""
        said = self.variables(task_vars)
        buckets = [dict(one) for one in arguments.get("buckets") or []]
        arguments["buckets"] = buckets
        for one in buckets:
            waivers = self.taken(one, known)
            asked = {**said, **self._own(one)}
            values = self.values(known, asked, list(CHECKS))
            of_logs = _OF_LOGS if one.get("purpose") == "logs" else {}
            for variable, option in OPTIONS.items():
                one.setdefault(option, of_logs.get(option, values[variable]))
            yield {
                "name": one.get("name", ""),
                "client": one.get("client", ""),
                "waivers": waivers,
                "values": values,
            }

    def _own(self, one: Mapping[str, Any]) -> dict[str, Any]:
        return {variable: one[option] for variable, option in OPTIONS.items() if option in one}

    def findings(self, one: Mapping[str, Any], result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of this bucket."""
        name = f"s3://{one['name']}"
        return next((row["controls"] for row in result["buckets"] if row["name"] == name), [])


def _names(options: Iterable[str | tuple[str, ...]]) -> str:
    return ", ".join(sorted(one if isinstance(one, str) else ".".join(one) for one in options))
