# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action plugins about buckets share: values of controls in, rows of evidence out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_bucket import CHECKS
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue, targets
from ansible_collections.ringfence.hosting.plugins.plugin_utils.control_action import (
    waiver,
    waiver_problems,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import DocumentError

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
_KIND = "bucket"


class BucketAction(ActionBase):  # type: ignore[misc]
    """Runs the module of the same name here on the controller, and reports what it judged."""

    _supports_check_mode = True
    _supports_async = False
    module_name = ""

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result, with rows for the evidence."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        if self._connection.transport != "local":
            raise AnsibleActionFail(
                f"{self.module_name} runs on the controller: use it with connection: local, or "
                "delegate_to: localhost"
            )
        try:
            known = catalogue.load()
        except DocumentError as error:
            raise AnsibleActionFail("; ".join(error.problems[:20])) from None
        arguments = dict(self._task.args)
        wanted = list(self.wanted(known, arguments, task_vars))
        result: dict[str, Any] = self._execute_module(
            module_name=f"ringfence.hosting.{self.module_name}",
            module_args=arguments,
            task_vars=task_vars,
        )
        rows = [self._row(one, result, known) for one in wanted]
        return {**result, **targets.returned(rows, known)}

    def wanted(
        self, known: catalogue.Catalogue, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """For each bucket its `name`, `client`, `waivers` and `values`; `arguments` are made what
        the module takes."""
        raise NotImplementedError

    def findings(self, one: Mapping[str, Any], result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the module found of a bucket."""
        raise NotImplementedError

    def variables(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The variables of the family that are set."""
        return {
            name: self._templar.template(value)
            for name, value in task_vars.items()
            if name.startswith("aws_s3_")
        }

    def taken(self, given: dict[str, Any], known: catalogue.Catalogue) -> dict[str, Any]:
        """The waivers of a bucket, taken out of its options. Raises AnsibleActionFail."""
        rows = given.pop("waivers", None) or []
        problems = list(waiver_problems(known, rows))
        if problems:
            raise AnsibleActionFail("; ".join(problems))
        return {row["control"]: waiver(row, date.today()) for row in rows}

    def values(
        self, known: catalogue.Catalogue, asked: Mapping[str, Any], ids: Sequence[str]
    ) -> dict[str, Any]:
        """Control id -> value, of these controls. Raises AnsibleActionFail."""
        try:
            found = targets.values(known, _KIND, asked)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        return {name: found[name] for name in ids}

    def _row(
        self, one: Mapping[str, Any], result: Mapping[str, Any], known: catalogue.Catalogue
    ) -> dict[str, Any]:
        del known
        name, client = f"s3://{one['name']}", one["client"] or None
        if result.get("failed"):
            why = " ".join(str(result.get("msg", "the module failed")).split())
            return targets.unread(name, _KIND, why, client=client)
        return targets.row(
            name,
            _KIND,
            self.findings(one, result),
            one["values"],
            client=client,
            waivers=one["waivers"],
            mode="check" if self._task.check_mode else self.mode,
        )

    mode = "audit"


class SettingsAction(BucketAction):
    """What a bucket is: for s3_backup_bucket and s3_backup_bucket_info."""

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


class ObjectsAction(BucketAction):
    """What lies in a bucket: one control, one bucket."""

    control = ""

    def wanted(
        self, known: catalogue.Catalogue, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """The one bucket."""
        yield {
            "name": arguments.get("bucket", ""),
            "client": arguments.get("client", ""),
            "waivers": self.taken(arguments, known),
            "values": self.values(known, self.variables(task_vars), [self.control]),
        }

    def findings(self, one: Mapping[str, Any], result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One row."""
        del one
        status, observed, message = self.judged(result)
        return [
            {
                "id": self.control,
                "status": status,
                "expected": self.expected,
                "observed": observed,
                "message": message,
            }
        ]

    expected = ""

    def judged(self, result: Mapping[str, Any]) -> tuple[str, Any, str]:
        """(status, observed, message)."""
        raise NotImplementedError
