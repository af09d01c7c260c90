# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of /etc/login.defs: what accounts are made with and passwords are hashed with."""

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
from ansible_collections.ringfence.hosting.plugins.module_utils._settings_file import (
    WORDS,
    last,
    settings,
    with_line,
)

PARAMS = {"key": "str"}
VALUE = ("str", "int", "mode")

_PATH = "/etc/login.defs"


def observe(host: Host, control: Control) -> Observation:
    text = host.once(_PATH, lambda: host.text(_PATH))
    found = last(settings(text or "", WORDS), control.params["key"])
    seen = None if found is None else found.value.strip('"')
    state = {"seen": seen, "line": found.number if found else None}
    return Observation(state, "not set" if seen is None else seen)


def judge(control: Control, observation: Observation) -> Verdict:
    seen, key = observation.state["seen"], control.params["key"]
    if seen is None:
        return Verdict(FAIL, f"{_PATH} does not set {key}")
    if _meets(control, seen):
        return Verdict(PASS)
    return Verdict(FAIL, f"{_PATH}:{observation.state['line']} sets {key} to {seen}")


def plan(control: Control, _observation: Observation, stage: Stage) -> None:
    key = control.params["key"]
    line = f"{key}\t{control.value}"
    stage.edit(_PATH, lambda text: with_line(text, WORDS, key, line))


def _meets(control: Control, seen: str) -> bool:
    if isinstance(control.value, int):
        return seen.isdecimal() and control.meets(int(seen))
    if _is_octal(control.value):
        return _is_octal(seen) and _bits_meet(control, int(seen, 8), int(control.value, 8))
    return control.meets(seen)


def _bits_meet(control: Control, seen: int, wanted: int) -> bool:
    """`superset` suits masks (more bits are stricter), `subset` modes (fewer are)."""
    if control.stricter == "superset":
        return seen & wanted == wanted and seen <= 0o777
    if control.stricter == "subset":
        return seen & ~wanted == 0
    return seen == wanted


def _is_octal(text: str) -> bool:
    return bool(text) and set(text) <= set("01234567")
