# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long the passwords of the accounts that exist last: /etc/shadow, changed with chage.

Only accounts that have a password count. One whose password would be out of date at once is left
to a person: sign-in by key is refused too while a password has expired.
"""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# field: one of _FIELDS.
PARAMS = {"field": "str"}
VALUE = ("int",)

_SHADOW = "/etc/shadow"
_DAY = 86400
_SAID = {
    "minimum": "may be changed again after {} days",
    "maximum": "lasts {} days",
    "warning": "warns {} days before it ends",
    "inactive": "locks the account {} days after it has ended",
}
_PLACES = {"minimum": 3, "maximum": 4, "warning": 5, "inactive": 6}
_OPTIONS = {
    "minimum": "--mindays",
    "maximum": "--maxdays",
    "warning": "--warndays",
    "inactive": "--inactive",
}


class _Age(NamedTuple):
    """An account with a password: its days (None where the field is empty), its last change."""

    name: str
    days: dict[str, int | None]
    changed: int | None


def observe(host: Host, control: Control) -> Observation:
    field = control.params["field"]
    if field not in _PLACES:
        raise HostError(f"there is no field {field} of a password's age")
    ages = host.once("password ages", lambda: _read(host))
    wrong = [age for age in ages if not _meets(control, age.days[field])]
    late = [age.name for age in wrong if _expires_at_once(control, age)]
    shown = ", ".join(f"{age.name} {_word(age.days[field])}" for age in ages) or "no passwords"
    return Observation({"wrong": wrong, "late": late}, shown)


def judge(control: Control, observation: Observation) -> Verdict:
    wrong, late = observation.state["wrong"], observation.state["late"]
    if not wrong:
        return Verdict(PASS)
    field = control.params["field"]
    said = _SAID[field].format(_word(wrong[0].days[field]))
    others = and_others(len(wrong))
    message = f"the password of {wrong[0].name} {said}{others}"
    if late:
        message += f"; that of {', '.join(late[:10])} would have ended already: let it be changed"
    return Verdict(FAIL, message, by_hand=bool(late))


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state = observation.state
    able = [age.name for age in state["wrong"] if age.name not in state["late"]]
    if not able:
        raise HostError("these passwords would have ended already: let them be changed first")
    for name in able:
        _stage_change(stage, [_OPTIONS[control.params["field"]], str(control.value), name])


def _stage_change(stage: Stage, arguments: list[str]) -> None:
    def change(host: Host) -> None:
        host.output(["chage", *arguments])

    stage.step(change, paths=(_SHADOW,))


def _meets(control: Control, days: int | None) -> bool:
    return days is not None and days >= 0 and control.meets(days)


def _expires_at_once(control: Control, age: _Age) -> bool:
    """Whether the account would be shut out, or made to choose a new password, by this change."""
    field = control.params["field"]
    limit = control.value if field == "maximum" else age.days["maximum"]
    if field in ("minimum", "warning") or limit is None or limit < 0:
        return False
    return age.changed is None or age.changed + int(limit) <= int(time.time()) // _DAY


def _read(host: Host) -> list[_Age]:
    text = host.text(_SHADOW)
    if text is None:
        raise HostError(f"there is no {_SHADOW}")
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = line.split(":")
        if len(row) != 9 or not all(re.fullmatch(r"-?[0-9]*", part) for part in row[2:7]):
            raise HostError(f"{_SHADOW}:{number} cannot be understood: expected 9 fields")
        if row[1] and not row[1].startswith(("!", "*")):
            days = {field: _number(row[place]) for field, place in _PLACES.items()}
            found.append(_Age(row[0], days, _number(row[2])))
    return found


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else None


def _word(days: int | None) -> str:
    return "unlimited" if days is None or days < 0 else str(days)
