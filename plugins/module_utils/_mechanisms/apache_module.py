# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules that Apache loads and should not. The value: their names, without `_module`."""

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.module_utils import _apache
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

PARAMS: dict[str, str] = {}
VALUE = ("list",)


def observe(host: Host, control: Control) -> Observation:
    configuration = _apache.read(host)
    unwanted = [name for name in control.value if f"{name}_module" in configuration.modules]
    places = [
        at.place
        for at in configuration.main.own("loadmodule")
        if at.args and at.args[0].removesuffix("_module") in unwanted
    ]
    return Observation({"unwanted": unwanted, "places": places}, ", ".join(unwanted) or "none")


def judge(_control: Control, observation: Observation) -> Verdict:
    unwanted, places = observation.state["unwanted"], observation.state["places"]
    if not unwanted:
        return Verdict(PASS)
    at = f", the first at {places[0]}" if places else ""
    return Verdict(FAIL, f"Apache loads {', '.join(unwanted)}{at}", by_hand=True)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    raise HostError("a person has to see that no site uses the module: a2dismod takes it out")
