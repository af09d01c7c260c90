# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs many controls on one host in one process.

Audit is observe, judge. Apply is observe, judge, plan, write, observe again. Free of AnsibleModule.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _control as c
from ansible_collections.ringfence.hosting.plugins.module_utils import _flush, _registry
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control, and_others
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    UMASK,
    Host,
    HostError,
)

_PASSES = 2  # a package put on in the first pass can bring files that the second one judges
_ARMED = "/var/lib/ringfence/guard/armed.json"
_LACKING = {
    "apt": "the host has no apt",
    "container": "the host is no container",
    "ipv6": "IPv6 is switched off in the kernel",
    "own_kernel": "the host is a container: its kernel is another machine's",
    "pam": "the host has no PAM as Debian sets it up",
    "sshd": "no SSH server is installed",
    "sudo": "sudo is not installed",
    "systemd": "systemd does not run this host",
}
_FIELDS = (
    "id",
    "mechanism",
    "params",
    "value",
    "stricter",
    "choices",
    "minimum",
    "maximum",
    "requires",
    "notify",
    "disruption",
    "automatic",
    "demanded",
    "waiver",
)


@dataclass
class _Result:
    control: Control
    status: str
    message: str = ""
    shown: str = ""
    observation: c.Observation | None = None
    by_hand: bool = False


def pack(controls: Iterable[Control]) -> str:
    """The compact JSON string in which controls travel to the host."""
    rows = [[getattr(control, name) for name in _FIELDS] for control in controls]
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False)


def unpack(payload: str) -> list[Control]:
    """The controls of `pack`. Raises ValueError for anything else."""
    try:
        rows = json.loads(payload)
        return [_control(row) for row in rows]
    except (TypeError, KeyError, IndexError) as error:
        raise ValueError(f"payload is not a packed list of controls: {error}") from error


def _control(row: list[Any]) -> Control:
    fields = dict(zip(_FIELDS, row, strict=True))
    for name in ("choices", "requires", "notify"):
        fields[name] = tuple(fields[name])
    return Control(**fields)


def run(host: Host, options: dict[str, Any], *, apply: bool, check: bool) -> dict[str, Any]:
    """What a module returns: the result document, with `failed` and `msg` where it must fail.

    `options`: payload (from `pack`), fail_on (statuses), guard_timeout (seconds, apply only).
    """
    # Set here so that Ansible does not send the whole payload back as the invocation.
    answer: dict[str, Any] = {"invocation": {"module_args": {"fail_on": options["fail_on"]}}}
    if not options.get("payload"):
        reason = "no controls came along: this module runs through its own action plugin"
        return {**answer, "failed": True, "msg": reason}
    os.umask(UMASK)
    try:
        controls = unpack(options["payload"])
        unconfirmed = _unconfirmed(host)
        if unconfirmed:
            answer["warnings"] = [unconfirmed]
        if apply and unconfirmed and options["guard_timeout"] and not check:
            raise HostError(f"{unconfirmed}: apply again after that")
        if apply:
            guard = _flush.GuardOptions(
                options["guard_timeout"], options["guard_id"] or "", options["operator"] or ""
            )
            answer.update(_apply(host, controls, check=check, guard=guard))
        else:
            answer.update(audit(host, controls))
    except (HostError, ValueError) as error:
        return {**answer, "failed": True, "msg": str(error)}
    bad = [
        row
        for row in answer["controls"]
        if row["status"] in options["fail_on"] and row["id"] not in answer["not_demanded"]
    ]
    for name, reason in answer.get("broken_reloads", {}).items():
        answer.update(failed=True, msg=f"{name} failed: {reason}")
    if bad:
        others = and_others(len(bad))
        reason = f"{bad[0]['id']}: {bad[0]['message']}{others}"
        answer.update(failed=True, msg=reason)
    return answer


def _unconfirmed(host: Host) -> str:
    """What waits for a confirmation: until then, what is seen may be put back. "" for nothing."""
    try:
        armed = json.loads(host.read(_ARMED) or b"{}")
        what = f"{armed['reason']}, by {armed['operator']}"
    except (ValueError, KeyError, TypeError):
        return ""
    return f"a change ({what}) is not confirmed and may be put back until {armed['expires_at']}"


def audit(host: Host, controls: list[Control]) -> dict[str, Any]:
    """Observe and judge; the host is left as it is. Returns the result document."""
    started = time.perf_counter()
    results = _observe_all(host, controls)
    return _document(host, "audit", list(results.values()), started)


def apply(
    host: Host,
    controls: list[Control],
    *,
    check: bool = False,
    guard: _flush.GuardOptions = _flush.NO_GUARD,
) -> dict[str, Any]:
    """Bring the host to what the controls say (with `check`: only plan). Returns the document.

    `guard` says how the guard is armed before what could lock the operator out.
    """
    started = time.perf_counter()
    flush = _flush.Flush(host, check=check, guard=guard)
    results = _observe_all(host, controls)
    for _number in range(_PASSES):
        stage = _plan_all(host, results)
        flush.carry_out(stage)
        _record(results, stage, flush, check)
        if check or not flush.changed:
            break
        host.forget()
        _observe_again(host, results, flush)
        if not flush.packages_changed:
            break
    flush.finish()
    _blame(results, flush)
    mode = "check" if check else "apply"
    document = {**_document(host, mode, list(results.values()), started), **flush.outcome()}
    # also where what was written mends only part of a control, whose rest is left to a person
    document["changed"] = document["changed"] or bool(document["diff"])
    return document


_apply = apply  # `run` takes a parameter of that name


def _observe_all(host: Host, controls: list[Control]) -> dict[str, _Result]:
    _prepare(host, controls)
    return {control.id: _observe(host, control) for control in controls}


def _prepare(host: Host, controls: list[Control]) -> None:
    # What the host lacks is not asked for: its mechanism is not even loaded.
    wanted: dict[str, list[Control]] = {}
    for control in controls:
        if not _lacking(host, control):
            wanted.setdefault(control.mechanism, []).append(control)
    for name, members in wanted.items():
        prepare = getattr(_registry.load(name), "prepare", None)
        if prepare is not None:
            prepare(host, members)


def _lacking(host: Host, control: Control) -> list[str]:
    """What the control needs and the host does not have."""
    return [need for need in control.requires if need not in host.capabilities()]


def _observe(host: Host, control: Control) -> _Result:
    lacking = _lacking(host, control)
    if lacking:
        said = "; ".join(_LACKING.get(need, f"the host has no {need}") for need in lacking)
        return _Result(control, c.NOT_APPLICABLE, said)
    try:
        mechanism = _registry.load(control.mechanism)
        observation = mechanism.observe(host, control)
        verdict = mechanism.judge(control, observation)
    except Exception as error:  # one control's trouble must not hide the others' results
        return _Result(control, c.ERROR, _reason(error))
    result = _Result(
        control, verdict.status, verdict.message, observation.shown, observation, verdict.by_hand
    )
    if verdict.status == c.FAIL and control.waiver is not None:
        return _waived(result)
    return result


def _waived(result: _Result) -> _Result:
    waiver = result.control.waiver or {}
    if waiver.get("expired"):
        note = f"the waiver ended on {waiver.get('expires')}"
        result.message = f"{result.message}; {note}" if result.message else note
        return result
    result.status = c.WAIVED
    return result


def _plan_all(host: Host, results: dict[str, _Result]) -> c.Stage:
    stage = c.Stage(host)
    for result in results.values():
        control, observation = result.control, result.observation
        if result.status != c.FAIL or observation is None:
            continue
        if not (control.automatic and control.demanded):
            continue
        stage.begin(control)
        try:
            _registry.load(control.mechanism).plan(control, observation, stage)
        except Exception as error:
            stage.drop(control.id)
            result.status, result.message = c.ERROR, _reason(error)
    return stage


def _record(results: dict[str, _Result], stage: c.Stage, flush: _flush.Flush, check: bool) -> None:
    for control_id, reason in flush.failures.items():
        results[control_id].status, results[control_id].message = c.ERROR, reason
    if not check:
        return
    for control_id in stage.staged_controls() - set(flush.failures):
        if not results[control_id].by_hand:
            results[control_id].status = c.CHANGED


def _observe_again(host: Host, results: dict[str, _Result], flush: _flush.Flush) -> None:
    _prepare(host, [result.control for result in results.values()])
    for control_id, before in list(results.items()):
        if before.status == c.ERROR:
            continue
        # A new package can bring what a control had nothing to say of without it.
        if before.status == c.NOT_APPLICABLE and not flush.packages_changed:
            continue
        after = _observe(host, before.control)
        touched = control_id in flush.touched
        if before.status == c.CHANGED and after.status == c.PASS:
            after = before  # changed in an earlier pass: what it was before that still stands
        elif after.status == c.PASS and (touched or (before.status == c.FAIL and flush.changed)):
            # What another control brought about (a package, say) was brought about by this run.
            after.status, after.message = c.CHANGED, f"was {before.shown}"
        elif touched and after.status == c.FAIL and not after.by_hand:
            after.status = c.ERROR
            after.message = f"changed, yet the host still shows it otherwise: {after.message}"
        results[control_id] = after


def _blame(results: dict[str, _Result], flush: _flush.Flush) -> None:
    """What a service was not made to read is not in force, whatever its file says."""
    for name, reason in flush.broken_reloads.items():
        for control_id in flush.touched:
            if name in results[control_id].control.notify:
                results[control_id].status = c.ERROR
                results[control_id].message = f"{name} failed: {reason}"


def _document(host: Host, mode: str, results: list[_Result], started: float) -> dict[str, Any]:
    counts = Counter(result.status for result in results if result.control.demanded)
    return {
        "mode": mode,
        "changed": counts[c.CHANGED] > 0,
        "counts": {status: counts[status] for status in c.STATUSES},
        "controls": [_row(result) for result in results if result.status != c.PASS],
        "ok_ids": [result.control.id for result in results if result.status == c.PASS],
        "not_demanded": [result.control.id for result in results if not result.control.demanded],
        "host": _printable(host.facts()),
        "timing_ms": {"total": round((time.perf_counter() - started) * 1000, 1)},
    }


def _row(result: _Result) -> dict[str, Any]:
    control = result.control
    row = {
        "id": control.id,
        "status": result.status,
        "expected": control.value,
        "observed": result.shown,
        "message": result.message,
    }
    if control.waiver is not None:
        row["waiver"] = control.waiver
    if result.status == c.CHANGED and control.disruption != "none":
        row["disruption"] = control.disruption
    return {name: _printable(value) for name, value in row.items()}


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return text if isinstance(error, HostError) else f"{type(error).__name__}: {text}"


def _printable(value: Any) -> Any:
    """The value with bytes that are not UTF-8 spelt out, so that it can travel as JSON."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    return value
