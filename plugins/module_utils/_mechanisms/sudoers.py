# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""sudo's rules and settings, as sudo's own parser (cvtsudoers) tells them.

It follows includes, aliases and continued lines as sudo does, and refuses what sudo would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _cvtsudoers, _nsswitch
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    MANUAL,
    PASS,
    Control,
    Edit,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._cvtsudoers import (
    CONFIG,
    items,
    spelt,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# option: a setting of Defaults; `default` is what sudo was built with. rules: one of _RULES.
PARAMS = {"option": "str?", "default": "str?", "rules": "str?"}
VALUE = ("bool", "int", "str", "list")

_FOLDER = "/etc/sudoers.d"
# The last setting counts, so ours must sort after the other drop-ins. sudo skips names with a dot.
_DROP_IN = f"{_FOLDER}/zz-ringfence"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_INCLUDED = re.compile(rf'(?m)^\s*[@#]includedir\s+"?{_FOLDER}/?"?\s*$')
_LOG_ROTATION = "/etc/logrotate.d/ringfence-sudo"
_ROTATED = (
    "{header}{path} {{\n\tmonthly\n\trotate 12\n\tcompress\n\tdelaycompress\n\tmissingok\n"
    "\tnotifempty\n\tcreate 0600 root root\n}}\n"
)


def observe(host: Host, control: Control) -> Observation:
    rules = host.once("cvtsudoers", lambda: _read(host))
    if "rules" in control.params:
        found = sorted(set(_found(control, rules)))
        seen = {"found": found, "elsewhere": _nsswitch.foreign(host, "sudoers")}
        return Observation(seen, "; ".join(found) or "none")
    overall, bound = _settings(control, rules)
    state = {
        "overall": overall,
        "bound": bound,
        "included": bool(_INCLUDED.search(host.text(CONFIG) or "")),
        "rotates": host.exists("/etc/logrotate.d"),
    }
    return Observation(
        state, "; ".join([_shown(overall), *(f"{w}: {_shown(v)}" for w, v in bound)])
    )


def judge(control: Control, observation: Observation) -> Verdict:
    if "rules" in control.params:
        return _judge_rules(control, observation)
    state, option = observation.state, control.params["option"]
    if not control.meets(_typed(control, state["overall"])):
        return Verdict(FAIL, f"sudo has {option} {_shown(state['overall'])}")
    for whom, seen in state["bound"]:
        if not control.meets(_typed(control, seen)):
            return Verdict(FAIL, f"sudo has {option} {_shown(seen)} for {whom}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if "rules" in control.params:
        raise HostError("this is for a person to decide: see the control's remedy")
    state, option = observation.state, control.params["option"]
    if control.meets(_typed(control, state["overall"])):
        whom = next(w for w, seen in state["bound"] if not control.meets(_typed(control, seen)))
        raise HostError(f"a rule for {whom} weakens it; that is not ours to rewrite")
    if not state["included"]:
        raise HostError(f"{CONFIG} does not read {_FOLDER}: add @includedir {_FOLDER} at its end")
    stage.edit(_DROP_IN, _with_setting(option, control.value), mode=0o440, validator="sudoers")
    if option == "logfile" and state["rotates"]:
        text = _ROTATED.format(header=_HEADER, path=control.value)
        stage.edit(_LOG_ROTATION, lambda _old: text)


def _read(host: Host) -> dict[str, list[Any]]:
    said = _cvtsudoers.parse(_cvtsudoers.ask(host))
    if not said.get("User_Specs"):
        raise HostError("cvtsudoers tells of no rule at all")
    return {name: items(said, name) for name in ("Defaults", "User_Specs")}


def _settings(control: Control, rules: dict[str, list[Any]]) -> tuple[Any, list[tuple[str, Any]]]:
    """What holds of an option for everybody, and for whom it was set apart."""
    option, overall = control.params["option"], _built_in(control)
    bound = []
    for row in rules["Defaults"]:
        whom = ", ".join(spelt(item) or "nobody" for item in items(row, "Binding"))
        for setting in items(row, "Options"):
            if option not in setting:
                continue
            if whom:
                bound.append((whom, setting[option]))
            else:
                overall = setting[option]
    return overall, bound


def _built_in(control: Control) -> Any:
    said = control.params.get("default")
    return {"on": True, "off": False}.get(str(said), said)


def _found(control: Control, rules: dict[str, list[Any]]) -> Iterator[str]:
    check = _RULES.get(control.params["rules"])
    if check is None:
        raise HostError(f"there is no check of rules called {control.params['rules']}")
    if check is _without_password:
        yield from _exempt(rules)
    for spec in rules["User_Specs"]:
        names = [spelt(u) for u in items(spec, "User_List") if not u.get("negated")]
        for grant in items(spec, "Cmnd_Specs"):
            commands = [spelt(item) for item in items(grant, "Commands")]
            if check(grant):
                yield from (f"{name}: {', '.join(commands)}" for name in names)


def _without_password(grant: dict[str, Any]) -> bool:
    return any(option.get("authenticate") is False for option in items(grant, "Options"))


def _exempt(rules: dict[str, list[Any]]) -> Iterator[str]:
    """The group that sudo never asks for a password, whatever its rules say."""
    for row in rules["Defaults"]:
        for setting in items(row, "Options"):
            if setting.get("exempt_group"):
                yield f"%{setting['exempt_group']}: exempt_group"


def _all_but(grant: dict[str, Any]) -> bool:
    """Everything less a few commands, which a copy of one of them under another name undoes."""
    return any(command.get("negated") for command in items(grant, "Commands"))


_RULES = {"without_password": _without_password, "all_but": _all_but}
_SAID = {
    "without_password": "may act as another user without a password",
    "all_but": "the commands taken out can be run all the same, under another name",
}


def _judge_rules(control: Control, observation: Observation) -> Verdict:
    found = [
        row for row in observation.state["found"] if row.partition(": ")[0] not in control.value
    ]
    elsewhere = observation.state["elsewhere"]
    if not found and elsewhere:
        said = f"{CONFIG} has none, and rules come from {', '.join(elsewhere)} as well: look there"
        return Verdict(MANUAL, said)
    if not found:
        return Verdict(PASS)
    others = and_others(len(found))
    return Verdict(FAIL, f"{found[0]}{others}: {_SAID[control.params['rules']]}")


def _typed(control: Control, seen: Any) -> Any:
    wanted = control.value
    if isinstance(wanted, bool):
        return seen
    if isinstance(wanted, int):
        return _minutes(seen)
    if isinstance(wanted, list):
        return seen.split(":") if isinstance(seen, str) else []
    return seen


def _minutes(seen: Any) -> Any:
    """Whole minutes, rounded up; False (the option taken back) is none at all."""
    if seen is False:
        return 0
    match = re.fullmatch(r"(-?\d+)(\.\d+)?", str(seen))
    if match is None:
        return seen
    return int(match[1]) + (1 if match[2] and float(match[2]) > 0 and int(match[1]) >= 0 else 0)


def _with_setting(option: str, value: Any) -> Edit:
    """Our drop-in with one line for `option`; its other lines are kept, in order of the options."""

    def edit(text: str) -> str:
        kept = {}
        for line in text.splitlines():
            if line.startswith("Defaults"):
                kept[line.split(None, 1)[1].lstrip("!").partition("=")[0]] = line
        kept[option] = f"Defaults {_written(option, value)}"
        return _HEADER + "".join(f"{kept[name]}\n" for name in sorted(kept))

    return edit


def _written(option: str, value: Any) -> str:
    if isinstance(value, bool):
        return option if value else f"!{option}"
    text = ":".join(value) if isinstance(value, list) else str(value)
    if re.search(r'["\n\\]', text):
        raise HostError(f"{option} cannot be {text!r}: it holds a sign that sudo reads otherwise")
    return f"{option}={text}" if text.isdecimal() else f'{option}="{text}"'


def _shown(seen: Any) -> str:
    if isinstance(seen, bool):
        return "on" if seen else "off"
    return "not set" if seen is None else str(seen)
