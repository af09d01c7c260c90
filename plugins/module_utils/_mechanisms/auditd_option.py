# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of auditd, in the one file that it reads."""

from __future__ import annotations

import re

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._settings_file import (
    Syntax,
    last,
    settings,
    with_line,
)

PARAMS = {"option": "str"}
VALUE = ("str", "int")

_PATH = "/etc/audit/auditd.conf"
_SYNTAX = Syntax(re.compile(r"^\s*(?P<key>[A-Za-z]\w*)\s*=\s*(?P<value>.*?)\s*$"))


def observe(host: Host, control: Control) -> Observation:
    text = host.once(_PATH, lambda: host.text(_PATH))
    if text is None:
        raise HostError(f"there is no {_PATH}")
    found = last(settings(text.lower(), _SYNTAX), control.params["option"])
    seen = None if found is None else found.value
    return Observation({"seen": seen}, "not set" if seen is None else seen)


def judge(control: Control, observation: Observation) -> Verdict:
    seen, option = observation.state["seen"], control.params["option"]
    if seen is None:
        return Verdict(FAIL, f"{_PATH} does not set {option}")
    is_number = isinstance(control.value, int) and re.fullmatch(r"[0-9]+", seen)
    if control.meets(int(seen) if is_number else seen):
        return Verdict(PASS)
    return Verdict(FAIL, f"{_PATH} sets {option} to {seen}")


def plan(control: Control, _observation: Observation, stage: Stage) -> None:
    option = control.params["option"]
    line = f"{option} = {control.value}"
    stage.edit(_PATH, lambda text: with_line(text, _SYNTAX, option, line), mode=0o640)
