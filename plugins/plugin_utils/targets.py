# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Results of controls that are judged of something other than a server: a bucket, a backup, access.

An action plugin, which runs on the controller, collects facts, has them judged by pure functions,
and returns `returned(rows, known)`; the callback puts each row into the evidence under its name.
Its name stands in _targets.ACTIONS.

    known = catalogue.load()
    values = targets.values(known, "bucket", asked)
    findings = judge(facts, values)        # [{"id", "status", "expected", "observed", "message"}]
    rows = [targets.row("s3://acme-backups", "bucket", findings, values, client="acme")]
    return {"changed": False, **targets.returned(rows, known)}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _control as c
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue
from ansible_collections.ringfence.hosting.plugins.plugin_utils._targets import KEY


def values(
    known: catalogue.Catalogue, target: str, asked: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Control id -> the value that holds for one target.

    `asked`: variable (value.name) -> value, as the register or an inventory says it; variables of
    other controls are passed over. Raises ValueError, which names the variable.
    """
    found = {}
    for name, control in known.of_target(target).items():
        variable = control["value"]["name"]
        value = (asked or {}).get(variable, control["value"]["default"])
        wrong = catalogue.value_problem(control, value)
        if wrong:
            raise ValueError(f"variable {variable}: {wrong}")
        found[name] = value
    return found


def row(
    name: str,
    kind: str,
    findings: Iterable[Mapping[str, Any]],
    wanted: Mapping[str, Any],
    *,
    client: str | None = None,
    waivers: Mapping[str, Mapping[str, Any]] | None = None,
    mode: str = "audit",
) -> dict[str, Any]:
    """What is known of one target: `name` as reports show it, `kind` as controls name it.

    `findings`: a mapping for each control with `id`, `status` and, as far as there is something to
    say, `expected`, `observed`, `message`. `waivers`: control id -> waiver as it travels to hosts
    (control_action.waiver). A control of `wanted` that no finding speaks of is an error: what was
    not looked at must not look like a pass.
    """
    given = list(findings)
    spoken = {finding["id"] for finding in given}
    silent = [name for name in wanted if name not in spoken]
    given += [{"id": one, "status": c.ERROR, "message": "was not looked at"} for one in silent]
    controls = [_waived(finding, waivers or {}) for finding in given]
    facts = {"kind": kind} | ({"client": client} if client else {})
    plain = [one["id"] for one in controls if one["status"] == c.PASS and not one.get("observed")]
    return {
        "name": name,
        "state": "ok",
        "ok_ids": plain,
        "controls": [one for one in controls if one["id"] not in plain],
        "values": dict(wanted),
        "host": facts,
        "mode": mode,
    }


def unread(name: str, kind: str, why: str, *, client: str | None = None) -> dict[str, Any]:
    """A target that could not be asked; `why` in one line."""
    facts = {"kind": kind} | ({"client": client} if client else {})
    return {"name": name, "state": "error", "message": why, "host": facts}


def returned(rows: Sequence[Mapping[str, Any]], known: catalogue.Catalogue) -> dict[str, Any]:
    """The part of an action's result that the callback takes for evidence."""
    return {KEY: [{**one, "catalogue_sha256": known.sha256} for one in rows]}


def _waived(finding: Mapping[str, Any], waivers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The finding under its waiver: one that has ended is told, and changes nothing."""
    granted = waivers.get(finding["id"])
    if granted is None:
        return dict(finding)
    if finding["status"] != c.FAIL:
        return {**finding, "waiver": dict(granted)}
    if not granted.get("expired"):
        return {**finding, "status": c.WAIVED, "waiver": dict(granted)}
    said = f"the waiver ended on {granted.get('expires')}"
    message = f"{finding['message']}; {said}" if finding.get("message") else said
    return {**finding, "message": message, "waiver": dict(granted)}
