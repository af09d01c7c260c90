# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of journald and rsyslog keeps the log, and that the one in charge gets all of it."""

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
from ansible_collections.ringfence.hosting.plugins.module_utils._systemd_config import (
    JOURNALD,
    drop_in,
    in_force,
    with_option,
)

PARAMS: dict[str, str] = {}
VALUE = ("str",)  # journald, rsyslog, or any: rsyslog where it is installed

_FORWARD = "ForwardToSyslog"
_YES = ("1", "yes", "y", "true", "t", "on")


def observe(host: Host, _control: Control) -> Observation:
    installed = "rsyslog" in host.capabilities()
    said = in_force(host, JOURNALD, "Journal").get(_FORWARD)
    forwards = None if not said else said.lower() in _YES
    how = "not set" if said is None else said
    state = {"installed": installed, "forwards": forwards}
    here = "rsyslog is installed" if installed else "rsyslog is not installed"
    return Observation(state, f"{here}, {_FORWARD} is {how}")


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if control.value == "rsyslog" and not state["installed"]:
        return Verdict(FAIL, "rsyslog is not installed")
    if control.value == "journald" and state["installed"]:
        return Verdict(FAIL, "rsyslog is installed and keeps the log a second time")
    if state["installed"] and not state["forwards"]:
        # Open still where another control of this run has put rsyslog on: the second pass mends it.
        return Verdict(FAIL, f"journald hands nothing on to rsyslog for certain: {_FORWARD}", True)
    if not state["installed"] and state["forwards"] is not False:
        return Verdict(FAIL, f"journald hands on to a syslog that is not there: {_FORWARD}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    installed = observation.state["installed"]
    if control.value != "any" and installed != (control.value == "rsyslog"):
        installed = not installed
        stage.package("rsyslog", "present" if installed else "absent")
    if observation.state["forwards"] is not installed:
        stage.edit(
            drop_in(JOURNALD), with_option("Journal", _FORWARD, "yes" if installed else "no")
        )
