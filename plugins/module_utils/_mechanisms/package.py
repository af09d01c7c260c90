# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Packages: what dpkg says is installed."""

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

# any: one of the names is enough to be present; the first is the one put on.
PARAMS = {"names": "list", "any": "bool?"}
VALUE = ("str",)


def observe(host: Host, control: Control) -> Observation:
    installed = host.installed_packages()
    names = control.params["names"]
    there = [name for name in names if name in installed]
    missing = [name for name in names if name not in installed]
    shown = ", ".join(f"{name} {installed[name]}" for name in there) or "not installed"
    return Observation({"there": there, "missing": missing}, shown)


def judge(control: Control, observation: Observation) -> Verdict:
    wrong = _wrong(control, observation)
    if not wrong:
        return Verdict(PASS)
    how = "is not installed" if control.value == "present" else "is installed"
    return Verdict(FAIL, f"{' or '.join(wrong) if control.params.get('any') else wrong[0]} {how}")


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    wrong = _wrong(control, observation)
    only_one = control.value == "present" and control.params.get("any")
    for name in wrong[:1] if only_one else wrong:
        stage.package(name, control.value)


def _wrong(control: Control, observation: Observation) -> list[str]:
    state = observation.state
    if control.value == "absent":
        return list(state["there"])
    if control.params.get("any") and state["there"]:
        return []
    return list(state["missing"])
