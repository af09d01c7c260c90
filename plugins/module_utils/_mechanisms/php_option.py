# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of PHP in each pool of PHP-FPM: php.ini, its drop-ins, and what the pool sets itself."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _php
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# unit: `mib` for a size. extension: where PHP lacks the option, its extension is not loaded.
PARAMS = {"option": "str", "unit": "str?", "extension": "str?"}
VALUE = ("str", "int", "bool", "list")

# Last by name: PHP reads the folder in order and the last line wins.
DROP_IN = "conf.d/99-ringfence.ini"
_ON = ("on", "1", "yes", "true", "stdout", "stderr")
_OFF = ("off", "0", "no", "false", "none", "")
_SIZE = re.compile(r"(-?\d+)\s*([kmg]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_MIB = 1 << 20
# What a pool says of these is added to php.ini's and does not replace it.
_ADDING = ("disable_functions", "disable_classes")


class _Seen(NamedTuple):
    """An option in one pool, or before any (pool None): its value and where that is written."""

    runtime: _php.Runtime
    pool: _php.Pool | None
    value: str
    place: str

    def named(self) -> str:
        of = f"PHP {self.runtime.version}"
        return of if self.pool is None else f"pool {self.pool.name} of {of}"


def observe(host: Host, control: Control) -> Observation:
    option = control.params["option"]
    installed = _php.runtimes(host)
    seen = [found for runtime in installed for found in _everywhere(host, runtime, option)]
    if installed and not seen and "extension" not in control.params:
        raise HostError(f"this PHP knows no setting {option}")
    bad = [found for found in seen if not control.meets(_typed(control, found.value))]
    shown = sorted({found.value or '""' for found in bad or seen})
    state = {"seen": seen, "bad": [_located(host, control, found) for found in bad]}
    return Observation(state, ", ".join(shown))


def judge(control: Control, observation: Observation) -> Verdict:
    seen, bad = observation.state["seen"], observation.state["bad"]
    if not seen:
        lacking = control.params.get("extension")
        what = f"PHP without {lacking}" if lacking else "no PHP-FPM"
        return Verdict(NOT_APPLICABLE, f"the host has {what}")
    if not bad:
        return Verdict(PASS)
    first, option = bad[0], control.params["option"]
    where = f", set at {first.place}" if first.place else ", PHP's own default"
    others = and_others(len(bad))
    message = f'{first.named()}: {option} is "{first.value}"{where}{others}'
    return Verdict(FAIL, message, by_hand=any(found.pool is not None for found in bad))


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    """Our drop-in; what a pool's own file says is told, not rewritten."""
    option = control.params["option"]
    for found in observation.state["bad"]:
        if found.pool is not None:
            continue
        line = f"{option} = {_written(control, found.value)}"
        path = f"{found.runtime.folder}/{DROP_IN}"
        stage.edit(path, _php.with_line(option, line), validator="php_fpm")
        stage.notify("reload_php_fpm")


def _everywhere(host: Host, runtime: _php.Runtime, option: str) -> list[_Seen]:
    """The option before any pool, in sections of php.ini, and in each pool that says its own."""
    found: list[_Seen] = []
    base = runtime.values.get(option)
    if base is not None:
        found.append(_Seen(runtime, None, base, ""))
    for path, setting in _php.ini_settings(host, runtime):
        folder = setting.section.upper().startswith(("PATH=", "HOST="))
        if folder and setting.key == option:
            place = f"{path}:{setting.number} for [{setting.section}]"
            elsewhere = _php.Pool(f"at {setting.section}", {}, {}, {})
            found.append(_Seen(runtime, elsewhere, setting.value, place))
    for pool in runtime.pools:
        own = pool.admin.get(option, pool.values.get(option))
        if own is None:
            continue
        value = f"{base},{own}" if option in _ADDING and base else own
        found.append(_Seen(runtime, pool, value, ""))
    return found


def _located(host: Host, control: Control, found: _Seen) -> _Seen:
    if found.place:
        return found
    return found._replace(
        place=_php.place(host, found.runtime, control.params["option"], found.pool)
    )


def _typed(control: Control, seen: str) -> Any:
    text = seen.strip()
    if isinstance(control.value, bool):
        low = text.lower()
        return True if low in _ON else False if low in _OFF else text
    if isinstance(control.value, int):
        return _number(text, control.params.get("unit"))
    if isinstance(control.value, list):
        return [name for name in re.split(r"[,\s]+", text) if name]
    same = {str(choice).lower(): choice for choice in control.choices}
    return same.get(text.lower(), text)


def _number(text: str, unit: str | None) -> int | str:
    match = _SIZE.fullmatch(text)
    if match is None:
        return text
    count = int(match[1]) * _UNITS[match[2].lower()]
    return -(-count // _MIB) if unit == "mib" else count


def _written(control: Control, seen: str) -> str:
    value = control.value
    if isinstance(value, bool):
        return "On" if value else "Off"
    if isinstance(value, int):
        return f"{value}M" if control.params.get("unit") == "mib" else str(value)
    if isinstance(value, list):
        had = [name for name in re.split(r"[,\s]+", seen) if name]
        kept = had if control.stricter == "superset" else []
        value = ",".join(dict.fromkeys([*kept, *value]))
    if '"' in value or "\n" in value or "$" in value:
        raise HostError(f"{control.params['option']} cannot be set to a value with such marks")
    return f'"{value}"'
