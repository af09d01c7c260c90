# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a reboot is needed for what was installed to be in force."""

from __future__ import annotations

import re

from ansible_collections.ringfence.hosting.plugins.module_utils import _apt
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

# check: flag (what packages left word of), kernel (the newest that is installed runs).
PARAMS = {"check": "str"}
VALUE = ("str",)

_FLAG = "/run/reboot-required"
_IMAGE = re.compile(r"linux-image-([0-9].*)")


def observe(host: Host, control: Control) -> Observation:
    if control.params["check"] == "flag":
        return _observe_flag(host)
    return _observe_kernel(host)


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if state.get("none"):
        return Verdict(NOT_APPLICABLE, "no kernel is installed as a package")
    if not state["needed"] or control.value == control.choices[-1]:
        return Verdict(PASS)
    return Verdict(FAIL, observation.shown)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: when a host may be rebooted is for a person to say."""


def _observe_flag(host: Host) -> Observation:
    if not host.exists(_FLAG):
        return Observation({"needed": False}, "no package asks for a reboot")
    packages = sorted(set((host.text(f"{_FLAG}.pkgs") or "").split()))
    return Observation(
        {"needed": True}, f"a reboot is asked for by {', '.join(packages[:10]) or 'a package'}"
    )


def _observe_kernel(host: Host) -> Observation:
    running = (host.text("/proc/sys/kernel/osrelease") or "").strip()
    if not running:
        raise HostError("the kernel does not say which release it is")
    flavour = running.rpartition("-")[2]
    found = [match[1] for match in map(_IMAGE.fullmatch, host.installed_packages()) if match]
    images = [name for name in found if name.endswith(f"-{flavour}")]
    if not images:
        return Observation({"none": True}, running)
    newest = images[0]
    for name in images[1:]:
        newest = name if _apt.compare(name, newest) > 0 else newest
    shown = f"{running} runs, {newest} is installed"
    return Observation({"needed": _apt.compare(running, newest) < 0}, shown)
