# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of systemd's daemons: what `systemd-analyze cat-config` says is in force."""

from __future__ import annotations

import re
from typing import Any

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
from ansible_collections.ringfence.hosting.plugins.module_utils._systemd_config import (
    drop_in,
    in_force,
    with_option,
)

# file: as in /etc. kind: word (the default), switch, mebibytes or days. default: what the daemon
# takes where nothing is set. package: what brings the daemon. An empty value asks for nothing.
PARAMS = {
    "file": "str",
    "section": "str",
    "option": "str",
    "kind": "str?",
    "default": "str?",
    "package": "str?",
}
VALUE = ("str", "int")

_SWITCH = {
    **dict.fromkeys(("1", "yes", "y", "true", "t", "on"), "yes"),
    **dict.fromkeys(("0", "no", "n", "false", "f", "off"), "no"),
}
_MEBIBYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3, "E": 1024**4}
_SPAN = re.compile(r"([0-9]+)\s*([a-zA-Z]*)\s*")
_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
    **dict.fromkeys(("M", "month", "months"), 2629800),
    **dict.fromkeys(("y", "year", "years"), 31557600),
}
_DAY = 86400


def observe(host: Host, control: Control) -> Observation:
    if control.value == "":
        return Observation({"asked": False}, "not asked for")
    params = control.params
    if "package" in params and params["package"] not in host.installed_packages():
        return Observation({"asked": True, "seen": None}, f"no {params['package']}")
    options = in_force(host, params["file"], params["section"])
    seen = options.get(params["option"]) or params.get("default")
    return Observation({"asked": True, "seen": seen}, "not set" if seen is None else seen)


def judge(control: Control, observation: Observation) -> Verdict:
    params = control.params
    if not observation.state["asked"]:
        return Verdict(NOT_APPLICABLE, f"no {params['option']} is declared for this host")
    seen = observation.state["seen"]
    if seen is None:
        return Verdict(FAIL, f"/etc/{params['file']} and its drop-ins set no {params['option']}")
    if control.meets(_typed(params.get("kind", "word"), seen)):
        return Verdict(PASS)
    return Verdict(FAIL, f"systemd-analyze cat-config says {params['option']}={seen}")


def plan(control: Control, _observation: Observation, stage: Stage) -> None:
    params = control.params
    if "package" in params and params["package"] not in stage.host.installed_packages():
        stage.package(params["package"], "present")
    text = _written(params.get("kind", "word"), control.value)
    if not text.isprintable():
        raise HostError(f"{params['option']} cannot be set to {text!r}")
    stage.edit(drop_in(params["file"]), with_option(params["section"], params["option"], text))


def _typed(kind: str, seen: str) -> Any:
    if kind == "switch":
        return _SWITCH.get(seen.lower(), seen)
    if kind == "mebibytes":
        return _mebibytes(seen)
    return _days(seen) if kind == "days" else seen


def _mebibytes(seen: str) -> int | str:
    """Whole mebibytes; the text itself where it is no size (a percentage, say)."""
    match = re.fullmatch(r"([0-9]+)([KMGTPE]?)", seen)
    if match is None:
        return seen
    size = int(match[1]) * _MEBIBYTES.get(match[2], 1 / 1024**2)
    return int(size) if size == int(size) else seen


def _days(seen: str) -> int | str:
    """Whole days; the text itself for what is no whole number of them."""
    parts = _SPAN.findall(seen)
    if not parts or _SPAN.sub("", seen).strip() or any(unit not in _SECONDS for _n, unit in parts):
        return seen
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    return seconds // _DAY if seconds % _DAY == 0 else seen


def _written(kind: str, value: Any) -> str:
    if kind == "mebibytes":
        return f"{value}M"
    return f"{value}day" if kind == "days" else str(value)
