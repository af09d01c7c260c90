# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action plugins of control_info and control_apply share: from variables to a payload."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from types import MappingProxyType
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.module_utils import _engine
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue, profiles
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import (
    DocumentError,
    nearest,
)

_WAIVER_KEYS = ("control", "reason", "owner", "expires")


class ControlAction(ActionBase):  # type: ignore[misc]
    """Resolves the controls of a host and runs the module of the same name with them."""

    module_name = ""
    whole = True  # also what the host's profile does not demand
    added_arguments: Mapping[str, Any] = MappingProxyType({})

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result, with the values and the catalogue's hash beside it."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        arguments = {**self._task.args, **self.added_arguments}
        try:
            known = catalogue.load()
        except DocumentError as error:
            raise AnsibleActionFail("; ".join(error.problems[:20])) from None
        by_name = _names(arguments, "controls")
        chosen = select(known, _names(arguments, "families"), by_name)
        profile = self._profile(task_vars)
        controls = self._resolve(known, chosen, task_vars, profile, by_name)
        with no_search_for_cycles():
            result: dict[str, Any] = self._execute_module(
                module_name=f"ringfence.hosting.{self.module_name}",
                module_args={**arguments, "payload": _engine.pack(controls)},
                task_vars=task_vars,
            )
        result["values"] = {control.id: control.value for control in controls}
        result["catalogue_sha256"] = known.sha256
        if isinstance(result.get("host"), dict):
            result["host"]["profile"] = profile
        return result

    def _resolve(
        self,
        known: catalogue.Catalogue,
        chosen: list[str],
        task_vars: dict[str, Any],
        profile: str,
        by_name: list[str],
    ) -> list[Control]:
        waivers = self._waivers(known, task_vars)
        found = []
        for name in chosen:
            declared = known.controls[name]
            value = self._value(declared, task_vars)
            demanded = name in by_name or profiles.is_demanded(declared, value, profile)
            if demanded or self.whole:
                found.append(to_control(declared, value, waivers.get(name), demanded=demanded))
        return found

    def _profile(self, task_vars: dict[str, Any]) -> str:
        names = (profiles.VARIABLE, profiles.TIER_VARIABLE)
        found = {
            name: self._templar.template(task_vars[name]) for name in names if name in task_vars
        }
        try:
            return profiles.of_host(found)
        except ValueError as error:
            raise AnsibleActionFail(f"{error} (host {task_vars['inventory_hostname']})") from None

    def _value(self, control: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        name = control["value"]["name"]
        if name not in task_vars:
            return control["value"]["default"]
        value = _as_declared(control, self._templar.template(task_vars[name]))
        wrong = catalogue.value_problem(control, value)
        if wrong:
            raise AnsibleActionFail(
                f"variable {name} of {task_vars['inventory_hostname']}: {wrong}"
            )
        return value

    def _waivers(
        self, known: catalogue.Catalogue, task_vars: dict[str, Any]
    ) -> dict[str, dict[str, Any]]:
        rows = self._templar.template(task_vars.get("ringfence_waivers", []))
        problems = list(waiver_problems(known, rows))
        if problems:
            raise AnsibleActionFail("; ".join(problems))
        today = date.today()
        return {row["control"]: waiver(row, today) for row in rows}


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    """Python's search for reference cycles rests meanwhile.

    To find out what a module imports, Ansible parses it and all of that: hundreds of thousands of
    objects, and a search of the whole of Ansible after every some of them is half of the time.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def _as_declared(control: dict[str, Any], value: Any) -> Any:
    """`-e name=3` arrives as text: a number or a truth value that is spelt as such is one."""
    kind = control["value"]["type"]
    if kind == "int" and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if kind == "bool" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def select(known: catalogue.Catalogue, families: list[str], controls: list[str]) -> list[str]:
    """Ids of the controls asked for, in the catalogue's order; all where nothing is asked."""
    of_hosts = known.of_target("host")
    others = {name: one for name, one in known.controls.items() if name not in of_hosts}
    targets = {key: one["target"] for name, one in others.items() for key in (name, one["family"])}
    for kind, asked, there in (
        ("family", families, {one["family"] for one in of_hosts.values()}),
        ("control", controls, set(of_hosts)),
    ):
        for name in asked:
            if name in there:
                continue
            if name in targets:
                said = f"{kind} {name} is asked of a {targets[name]}, not of hosts"
                raise AnsibleActionFail(said)
            raise AnsibleActionFail(f"there is no {kind} {name}{nearest(name, there)}")
    if not families and not controls:
        return list(of_hosts)
    return [
        control_id
        for control_id, control in of_hosts.items()
        if control["family"] in families or control_id in controls
    ]


def to_control(
    declared: dict[str, Any],
    value: Any,
    granted: dict[str, Any] | None = None,
    *,
    demanded: bool = True,
) -> Control:
    """A declaration with its value for a host, as it travels there: without prose."""
    spec, apply = declared["value"], declared.get("apply", {})
    choices = spec.get("choices", [False, True] if spec["type"] == "bool" else [])
    return Control(
        id=declared["id"],
        mechanism=declared["mechanism"],
        params=declared["params"],
        value=value,
        stricter=spec.get("stricter"),
        choices=tuple(choices),
        minimum=spec.get("min"),
        maximum=spec.get("max"),
        requires=tuple(declared.get("applies", {}).get("requires", ())),
        notify=tuple(apply.get("notify", ())),
        disruption=apply.get("disruption", "none"),
        automatic=apply.get("automatic", True),
        demanded=demanded,
        waiver=granted,
    )


def waiver_problems(known: catalogue.Catalogue, rows: Any) -> Iterable[str]:
    """What is wrong with `ringfence_waivers`, a line each."""
    if not isinstance(rows, list):
        yield f"ringfence_waivers: found {type(rows).__name__}, expected a list"
        return
    for number, row in enumerate(rows):
        where = f"ringfence_waivers[{number}]"
        if not isinstance(row, dict):
            yield f"{where}: expected a mapping with {', '.join(_WAIVER_KEYS)}"
            continue
        missing = [key for key in _WAIVER_KEYS if not row.get(key)]
        if missing:
            yield f"{where}.{missing[0]}: is missing"
        elif row["control"] not in known.controls:
            hint = nearest(str(row["control"]), known.controls)
            yield f"{where}.control: there is no control {row['control']}{hint}"
        elif _day(row["expires"]) is None:
            yield f"{where}.expires: found {row['expires']}, expected a date such as 2027-01-31"


def waiver(row: dict[str, Any], today: date) -> dict[str, Any]:
    """A waiver as it travels: whether it has ended (its last day still counts), dates as text."""
    ends = _day(row["expires"])
    fields = {name: str(row[name]) for name in ("reason", "owner", "approver") if row.get(name)}
    return {**fields, "expires": str(ends), "expired": ends is None or ends < today}


def waivers(rows: Iterable[dict[str, Any]], today: date) -> dict[str, dict[str, Any]]:
    """Waivers as they travel, by the control that they are of."""
    return {row["control"]: waiver(row, today) for row in rows}


def _day(found: Any) -> date | None:
    """A day, YAML's own or as text; None of all else, a time of day included."""
    try:
        return date.fromisoformat(str(found))
    except ValueError:
        return None


def _names(arguments: dict[str, Any], key: str) -> list[str]:
    found = arguments.get(key) or []
    return [str(name) for name in ([found] if isinstance(found, str) else found)]
