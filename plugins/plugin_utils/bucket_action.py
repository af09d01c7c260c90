# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action plugins about buckets share: values of controls in, rows of evidence out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue, targets
from ansible_collections.ringfence.hosting.plugins.plugin_utils.control_action import (
    waiver,
    waiver_problems,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import DocumentError

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
        result = self.asked(arguments, task_vars)
        rows = [self._row(one, result, known) for one in wanted]
        return {**result, **targets.returned(rows, known)}

    def asked(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the module of the same name says."""
        result: dict[str, Any] = self._execute_module(
            module_name=f"ringfence.hosting.{self.module_name}",
            module_args=arguments,
            task_vars=task_vars,
        )
        return result

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
