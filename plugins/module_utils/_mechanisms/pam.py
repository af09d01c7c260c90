# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of PAM modules, the Debian way: profiles for pam-auth-update, never common-* by hand.

What is in force is the module line in /etc/pam.d/common-*: its argument, else the module's own
configuration, else the default that it is built with.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, NamedTuple

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
    LOOSE,
    settings,
    with_line,
    without,
)

# packages: what the module needs to work, the dictionary of a password check included.
PARAMS = {"module": "str", "option": "str", "packages": "list?"}
VALUE = ("int", "bool")

_STACK = "/etc/pam.d"
_PROFILES = "/usr/share/pam-configs"
_LINE = re.compile(
    r"^-?(?P<type>auth|account|password|session)\s+"
    r"(?P<control>\[[^]]*\]|\S+)\s+(?P<module>\S+)(?:\s+(?P<arguments>.*))?$"
)


class _Line(NamedTuple):
    """A module's line in a stack: where, its type, control words, module name, arguments."""

    place: str
    type: str
    control: str
    module: str
    arguments: tuple[str, ...]

    def argument(self, name: str) -> str | None:
        """The value of an argument; "" for a bare word, None where it is not there."""
        for word in reversed(self.arguments):
            key, _equals, value = word.partition("=")
            if key == name:
                return value
        return None

    def refuses(self) -> bool:
        """Whether the module's no is the stack's no."""
        if self.control.startswith("["):
            return "die" in self.control or "bad" in self.control
        return self.control in ("required", "requisite")


class _Profile(NamedTuple):
    """A pam-auth-update profile of ours; ARGS is where a control's options go."""

    name: str
    text: str


class _Module(NamedTuple):
    """`stack`: the common-* file that decides. `configs`: read in order, the last one wins.

    `once_ours`: a file that an earlier Ringfence wrote its settings into.
    """

    stack: str
    configs: tuple[str, ...]
    defaults: dict[str, int]
    once_ours: str = ""
    packaged: str = ""
    profiles: tuple[_Profile, ...] = ()
    config_since: tuple[int, ...] = ()


_MODULES = {
    "pwquality": _Module(
        stack="common-password",
        configs=("/etc/security/pwquality.conf.d/*.conf", "/etc/security/pwquality.conf"),
        defaults={
            "difok": 1,
            "minlen": 8,
            "minclass": 0,
            "maxrepeat": 0,
            "maxsequence": 0,
            "maxclassrepeat": 0,
            "dcredit": 0,
            "ucredit": 0,
            "lcredit": 0,
            "ocredit": 0,
            "dictcheck": 1,
            "usercheck": 1,
            "enforcing": 1,
        },
        once_ours="/etc/security/pwquality.conf.d/zz-ringfence.conf",
        packaged="pwquality",
    ),
    "pwhistory": _Module(
        stack="common-password",
        configs=("/etc/security/pwhistory.conf",),
        config_since=(1, 5, 3),
        defaults={"remember": 10},
        profiles=(
            _Profile(
                "ringfence-pwhistory",
                "Name: Ringfence: an old password is not taken again\n"
                "Default: yes\nPriority: 512\n"
                "Password-Type: Primary\n"
                "Password:\n\trequisite\t\t\tpam_pwhistory.so use_authtok ARGS\n"
                "Password-Initial:\n\trequisite\t\t\tpam_pwhistory.so ARGS\n",
            ),
        ),
    ),
    "faillock": _Module(
        stack="common-auth",
        configs=("/etc/security/faillock.conf",),
        defaults={"deny": 3, "fail_interval": 900, "unlock_time": 600, "root_unlock_time": 600},
        profiles=(
            _Profile(
                "ringfence-faillock-preauth",
                "Name: Ringfence: a locked account is refused\n"
                "Default: yes\nPriority: 1024\n"
                "Auth-Type: Primary\n"
                "Auth:\n\trequisite\t\t\tpam_faillock.so preauth ARGS\n"
                "Account-Type: Primary\n"
                "Account:\n\trequired\t\t\tpam_faillock.so\n",
            ),
            _Profile(
                "ringfence-faillock",
                "Name: Ringfence: wrong passwords are counted\n"
                "Default: yes\nPriority: 0\n"
                "Auth-Type: Primary\n"
                "Auth:\n\t[default=die]\t\t\tpam_faillock.so authfail ARGS\n",
            ),
        ),
    ),
}


def observe(host: Host, control: Control) -> Observation:
    module = _module(control)
    stacks = {
        name: host.once(f"pam {name}", partial(stack, host, name))
        for name in sorted({module.stack, "common-account"})
    }
    name = f"pam_{control.params['module']}.so"
    lines = [line for line in stacks[module.stack] if line.module == name]
    config = _configured(host, module)
    installed = host.installed_packages()
    state = {
        "lacking": [p for p in control.params.get("packages", []) if p not in installed],
        "gap": _gap(control.params["module"], lines, stacks, config),
        "values": [_value(control, module, line, config) for line in lines if line.refuses()],
        "on_line": [
            line.place for line in lines if line.argument(control.params["option"]) is not None
        ],
        "config": config,
        "ours": not lines or any(host.exists(f"{_PROFILES}/{p.name}") for p in module.profiles),
        "reads_config": _reads_config(host, module),
    }
    return Observation(state, _shown(state))


def judge(control: Control, observation: Observation) -> Verdict:
    state, option = observation.state, control.params["option"]
    if state["lacking"]:
        return Verdict(FAIL, f"package {state['lacking'][0]} is not installed")
    if state["gap"]:
        return Verdict(FAIL, state["gap"])
    wrong = [value for value in state["values"] if not control.meets(value)]
    if wrong:
        return Verdict(FAIL, f"{option} is {_word(wrong[0])} in force")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    module, state = _module(control), observation.state
    for name in state["lacking"]:
        stage.package(name, "present")
    if module.profiles and state["ours"]:
        _stage_profiles(control, module, stage)
        return
    if state["gap"] and (state["values"] or not module.packaged):
        raise HostError(f"{state['gap']}; that is not ours to rewrite: mend it by hand")
    if state["lacking"] or any(not control.meets(value) for value in state["values"] or [None]):
        _stage_config(control, module, state, stage)
    if state["gap"]:
        _stage_update(stage, module, (module.packaged,))


def _stage_profiles(control: Control, module: _Module, stage: Stage) -> None:
    argument = _argument(control)
    for profile in module.profiles:
        path = f"{_PROFILES}/{profile.name}"
        stage.edit(path, partial(_with_argument, profile, control, argument))
    _stage_update(stage, module, tuple(profile.name for profile in module.profiles))


def _stage_update(stage: Stage, module: _Module, profiles: tuple[str, ...]) -> None:
    def update(host: Host) -> None:
        if _in_stack(host, module, profiles):
            return  # an earlier control of this run has seen to it
        host.output(
            ["pam-auth-update", "--enable", *profiles],
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )
        if not _in_stack(host, module, profiles):
            raise HostError(
                "pam-auth-update leaves /etc/pam.d/common-* alone, as they were edited by hand"
            )

    stage.step(update)
    stage.notify("update_pam")


def _stage_config(control: Control, module: _Module, state: dict[str, Any], stage: Stage) -> None:
    option = control.params["option"]
    if state["on_line"]:
        raise HostError(f"{state['on_line'][0]} sets {option} itself: take it out there by hand")
    if not state["reads_config"]:
        raise HostError("this PAM has no configuration file for it: set it where the line is made")
    line, decides = _setting(control), module.configs[-1]
    # The file that is read last: no drop-in can undo it, and who reads this file alone sees it.
    stage.edit(decides, lambda text: with_line(text, LOOSE, option, line))
    if option in state["config"].get(module.once_ours, {}):
        note = f"set by Ringfence in {decides}"
        stage.edit(module.once_ours, lambda text: without(text, LOOSE, option, note))


def _module(control: Control) -> _Module:
    module = _MODULES.get(control.params["module"])
    if module is None:
        raise HostError(f"this mechanism does not know pam_{control.params['module']}.so")
    return module


def stack(host: Host, name: str) -> list[_Line]:
    path = f"{_STACK}/{name}"
    text = host.text(path)
    if text is None:
        raise HostError(f"there is no {path}")
    found = []
    for number, raw in enumerate(text.replace("\\\n", "  ").split("\n"), 1):
        line = raw.partition("#")[0].strip()
        if not line or line.startswith("@include"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise HostError(f"{path}:{number} cannot be understood: {line[:80]}")
        module, arguments = os.path.basename(match["module"]), match["arguments"] or ""
        control = match["control"].lower()
        found.append(
            _Line(f"{path}:{number}", match["type"], control, module, tuple(arguments.split()))
        )
    return found


def _gap(
    module: str,
    lines: list[_Line],
    stacks: dict[str, list[_Line]],
    config: dict[str, dict[str, str]],
) -> str:
    """Why the module enforces nothing; "" where it does."""
    refusing = [line for line in lines if line.refuses()]
    if not refusing:
        how = "only advises in" if lines else "is not in"
        return f"pam_{module} {how} {_STACK}/{_MODULES[module].stack}"
    if module == "faillock":
        return _faillock_gap(stacks)
    if module == "pwquality":
        advises = [line for line in refusing if _text(line, "enforcing", config) == "0"]
        return "pam_pwquality only warns: enforcing is 0" if advises else ""
    return ""


def _faillock_gap(stacks: dict[str, list[_Line]]) -> str:
    order = [_role(line) for line in stacks["common-auth"]]
    for role in ("preauth", "authfail", "password"):
        if role not in order:
            return f"{_STACK}/common-auth has no {role} line of pam_faillock"
    if not order.index("preauth") < order.index("password") < order.index("authfail"):
        return "pam_faillock does not stand around the password check in common-auth"
    if not any(line.module == "pam_faillock.so" for line in stacks["common-account"]):
        return "pam_faillock is not in common-account: a good sign-in does not clear the count"
    return ""


def _role(line: _Line) -> str:
    if line.module == "pam_unix.so":
        return "password"
    if line.module != "pam_faillock.so" or not line.refuses():
        return ""
    return next((word for word in ("preauth", "authfail") if word in line.arguments), "")


def _configured(host: Host, module: _Module) -> dict[str, dict[str, str]]:
    """Path -> the settings in it, in the order in which the module reads them."""
    if not _reads_config(host, module):
        return {}
    found = {}
    for pattern in module.configs:
        for path in host.glob(pattern):
            rows = settings(host.text(path) or "", LOOSE)
            found[path] = {row.key: row.value for row in rows}
    return found


def _reads_config(host: Host, module: _Module) -> bool:
    if not module.config_since:
        return True
    version = host.installed_packages().get("libpam-modules", "")
    numbers = re.match(r"(?:\d+:)?(\d+)\.(\d+)\.(\d+)", version)
    if numbers is None:
        raise HostError(f"the version of libpam-modules cannot be told from {version!r}")
    return tuple(int(part) for part in numbers.groups()) >= module.config_since


def _text(line: _Line, option: str, config: dict[str, dict[str, str]]) -> str | None:
    """What a line or the configuration says of an option; None where neither does."""
    given = line.argument(option)
    if given is not None:
        return given
    said = [rows[option] for rows in config.values() if option in rows]
    return said[-1] if said else None


def _value(
    control: Control, module: _Module, line: _Line, config: dict[str, dict[str, str]]
) -> int | bool | str:
    option = control.params["option"]
    text = _text(line, option, config)
    if isinstance(control.value, bool):
        return text is not None
    if text is None:
        if option not in module.defaults:
            raise HostError(f"the default of {option} is not known: set it in the control's file")
        return module.defaults[option]
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _argument(control: Control) -> str:
    option, value = control.params["option"], control.value
    if isinstance(value, bool):
        return option if value else ""
    return f"{option}={value}"


def _setting(control: Control) -> str:
    option, value = control.params["option"], control.value
    if isinstance(value, bool):
        return option if value else f"# {option}"
    return f"{option} = {value}"


def _with_argument(profile: _Profile, control: Control, argument: str, old: str) -> str:
    """The profile with the options that it had, and `argument` among them."""
    kept = [word for word in _options(profile, old) if _name(word) != control.params["option"]]
    always = profile.text.split()
    words = sorted(word for word in [*kept, argument] if word and word not in always)
    return profile.text.replace(" ARGS", "".join(f" {word}" for word in words))


def _options(profile: _Profile, old: str) -> list[str]:
    """The options in an earlier text of the profile, less the words that it always has."""
    fixed = set(profile.text.replace("ARGS", "").split())
    for line in old.splitlines():
        words = line.split()
        if len(words) > 1 and words[1].startswith("pam_") and len(words) > 2:
            return [word for word in words[2:] if word not in fixed]
    return []


def _name(word: str) -> str:
    return word.partition("=")[0]


def _in_stack(host: Host, module: _Module, profiles: tuple[str, ...]) -> bool:
    """Whether the stack holds the module lines of these profiles as the profiles have them."""
    lines = {(line.module, frozenset(line.arguments)) for line in stack(host, module.stack)}
    kind = "Auth" if module.stack == "common-auth" else "Password"
    for name in profiles:
        wanted = _profile_lines(host.text(f"{_PROFILES}/{name}") or "", kind)
        if not wanted or not any(line in lines for line in wanted):
            return False
    return True


def _profile_lines(text: str, kind: str) -> set[tuple[str, frozenset[str]]]:
    found, section = set(), ""
    for line in text.splitlines():
        if not line[:1].isspace():
            section = line.partition(":")[0].removesuffix("-Initial")
            continue
        module, *arguments = re.sub(r"^\s*(\[[^]]*\]|\S+)\s+", "", line).split() or [""]
        if section == kind and module:
            found.add((module, frozenset(arguments)))
    return found


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _shown(state: dict[str, Any]) -> str:
    if state["gap"]:
        return "not in force"
    return ", ".join(sorted({_word(value) for value in state["values"]}))
