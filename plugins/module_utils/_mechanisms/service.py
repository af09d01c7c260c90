# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Units: what systemd says runs now and starts at boot. One `systemctl show` for all of a run."""

from __future__ import annotations

from contextlib import suppress

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# package: what brings the unit, put on where the unit is wanted and absent.
PARAMS = {"unit": "str", "package": "str?"}
VALUE = ("str",)

_SHARED = "systemctl show"
_PROPERTIES = "LoadState,ActiveState,UnitFileState,Type,Result,ConditionResult,ConditionTimestamp"
_STARTS = {"enabled", "alias", "generated", "static", "indirect"}
_STAYS_OFF = {"disabled", "static", "indirect", "", "transient"}


def prepare(host: Host, controls: list[Control]) -> None:
    units = sorted({control.params["unit"] for control in controls})
    with suppress(HostError):  # each control's observe raises it again
        host.once(_SHARED, lambda: _show(host, units))


def observe(host: Host, control: Control) -> Observation:
    unit = control.params["unit"]
    found = host.once(_SHARED, lambda: _show(host, [unit])).get(unit)
    if found is None:
        raise HostError(f"systemd said nothing of {unit}")
    seen = _state(unit, found)
    unmet = _condition_unmet(found) and "container" in host.capabilities()
    return Observation({"seen": seen, "unmet": unmet}, seen)


def judge(control: Control, observation: Observation) -> Verdict:
    seen, unit = observation.state["seen"], control.params["unit"]
    if seen == "absent":
        if control.value == "enabled":
            return Verdict(FAIL, f"there is no unit {unit}")
        return Verdict(PASS)
    if control.meets(seen):
        return Verdict(PASS)
    if control.value == "enabled" and observation.state["unmet"] and "enabled" in seen.split():
        return Verdict(NOT_APPLICABLE, f"{unit} does not run in containers, by its own condition")
    return Verdict(FAIL, f"{unit} is {seen}")


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if observation.state["seen"] != "absent":
        stage.unit(control.params["unit"], control.value)
    elif "package" in control.params:
        stage.package(control.params["package"], "present")


def _show(host: Host, units: list[str]) -> dict[str, dict[str, str]]:
    text = host.output(["systemctl", "show", "--property", _PROPERTIES, "--", *units])
    blocks = text.strip("\n").split("\n\n")
    if len(blocks) != len(units):
        raise HostError(f"systemctl show told of {len(blocks)} units, asked for {len(units)}")
    return {unit: _block(block) for unit, block in zip(units, blocks, strict=True)}


def _block(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _state(unit: str, found: dict[str, str]) -> str:
    """absent, enabled, disabled or masked where all is of a piece; else what is odd, in words."""
    load, active = found.get("LoadState", ""), found.get("ActiveState", "")
    at_boot = found.get("UnitFileState", "")
    if load == "not-found":
        return "absent" if active == "inactive" else f"without a unit file but {active}"
    if load not in ("loaded", "masked"):
        raise HostError(f"systemd could not load {unit}: {load or 'it said nothing'}")
    # A unit that is being started again and again is "activating": neither up nor down.
    up, down = active in ("active", "reloading"), active in ("inactive", "failed")
    if at_boot == "masked":
        return "masked" if down else "masked but running"
    if at_boot in _STARTS and (up or _done(found)):
        return "enabled"
    if at_boot in _STAYS_OFF and down:
        return "disabled"
    return f"{at_boot or 'not enabled'} at boot and {active} now"


def _done(found: dict[str, str]) -> bool:
    """A oneshot that ended well is not expected to stay."""
    ran = found.get("ConditionResult") == "yes" and found.get("Result") == "success"
    return found.get("Type") == "oneshot" and ran and bool(found.get("ConditionTimestamp"))


def _condition_unmet(found: dict[str, str]) -> bool:
    return found.get("ConditionResult") == "no" and bool(found.get("ConditionTimestamp"))
