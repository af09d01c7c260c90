# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of PHP-FPM's master process: the part [global] of its configuration."""

from __future__ import annotations

import re

from ansible_collections.ringfence.hosting.plugins.module_utils import _php
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

# A time in seconds.
PARAMS = {"option": "str"}
VALUE = ("int",)

# Included after php-fpm.conf's own lines, so what it says wins.
DROP_IN = "pool.d/00-ringfence.conf"
_TIME = re.compile(r"(\d+)([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def observe(host: Host, control: Control) -> Observation:
    option = control.params["option"]
    seen = [(runtime, runtime.general.get(option)) for runtime in _php.runtimes(host)]
    missing = [runtime.version for runtime, value in seen if value is None]
    if missing:
        raise HostError(f"php-fpm {missing[0]} -tt says nothing of {option}")
    return Observation({"seen": seen}, ", ".join(sorted({str(value) for _runtime, value in seen})))


def judge(control: Control, observation: Observation) -> Verdict:
    if not observation.state["seen"]:
        return Verdict(NOT_APPLICABLE, "the host has no PHP-FPM")
    for runtime, value in observation.state["seen"]:
        if not control.meets(_seconds(value)):
            option = control.params["option"]
            return Verdict(FAIL, f"PHP-FPM {runtime.version}: {option} is {value}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    option = control.params["option"]
    for runtime, value in observation.state["seen"]:
        if control.meets(_seconds(value)):
            continue
        edit = _php.with_line(option, f"{option} = {control.value}", "[global]\n")
        stage.edit(f"{runtime.folder}/{DROP_IN}", edit, validator="php_fpm")
        stage.notify("reload_php_fpm")


def _seconds(text: str) -> int | str:
    match = _TIME.fullmatch(text)
    return int(match[1]) * _SECONDS[match[2]] if match else text
