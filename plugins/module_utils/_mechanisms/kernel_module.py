# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel modules that must not be loaded: what modprobe would do, and what is loaded now."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

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
from ansible_collections.ringfence.hosting.plugins.module_utils._needs import needed_by

# unless: capabilities of hosts that need the modules.
PARAMS = {"modules": "list", "unless": "list?"}
VALUE = ("str",)

# First in order on purpose: modprobe takes the first install line that fits.
_DROP_IN = "/etc/modprobe.d/00-ringfence.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_REFUSALS = {"/bin/false", "/usr/bin/false", "/bin/true", "/usr/bin/true", "false", "true"}


def observe(host: Host, control: Control) -> Observation:
    needed = needed_by(host, control)
    if needed:
        return Observation({"needed_by": needed}, "needed")
    installs = host.once("modprobe --showconfig", lambda: _install_lines(host))
    loaded = host.once("/proc/modules", lambda: _loaded(host))
    built_in = host.once("modules.builtin", lambda: _built_in(host))
    names = [_plain(name) for name in control.params["modules"]]
    state = {
        "open": [name for name in names if not _refused(installs, name)],
        "loaded": [name for name in names if name in loaded],
        "built_in": [name for name in names if name in built_in],
    }
    return Observation(state, _shown(state))


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if "needed_by" in state:
        return Verdict(NOT_APPLICABLE, state["needed_by"])
    if control.meets("blocked" if not any(state.values()) else "allowed"):
        return Verdict(PASS)
    if state["built_in"]:
        name = state["built_in"][0]
        return Verdict(FAIL, f"{name} is built into this kernel and cannot be blocked")
    if state["loaded"]:
        return Verdict(FAIL, f"{state['loaded'][0]} is loaded")
    return Verdict(FAIL, f"modprobe would load {state['open'][0]}")


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state = observation.state
    names = [_plain(name) for name in control.params["modules"]]
    blockable = [name for name in names if name not in state["built_in"]]
    if any(name in state["open"] for name in blockable):
        stage.edit(_DROP_IN, lambda text: _with_blocked(text, blockable))
    for name in state["loaded"]:
        _stage_unload(stage, name)


def _stage_unload(stage: Stage, name: str) -> None:
    def unload(host: Host) -> None:
        done = host.run(["modprobe", "--remove", name])
        if done.rc != 0:
            raise HostError(f"{name} cannot be unloaded now, only kept out of the next boot")

    stage.step(unload)


def _with_blocked(text: str, names: list[str]) -> str:
    kept = {line for line in text.splitlines() if line and not line.startswith("#")}
    for name in names:
        kept |= {f"blacklist {name}", f"install {name} /bin/false"}
    return _HEADER + "".join(f"{line}\n" for line in sorted(kept))


def _install_lines(host: Host) -> list[tuple[str, str]]:
    """(pattern, command) in the order in which modprobe looks at them."""
    found = []
    for line in host.output(["modprobe", "--showconfig"]).splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[0] == "install":
            found.append((_plain(words[1]), words[2].strip()))
    return found


def _refused(installs: list[tuple[str, str]], name: str) -> bool:
    commands = [command for pattern, command in installs if fnmatchcase(name, pattern)]
    return bool(commands) and commands[0] in _REFUSALS


def _loaded(host: Host) -> set[str]:
    text = host.text("/proc/modules")
    if text is None:
        raise HostError("/proc/modules is not there: what is loaded cannot be told")
    return {_plain(line.split(" ", 1)[0]) for line in text.splitlines() if line}


def _built_in(host: Host) -> set[str]:
    path = f"/lib/modules/{os.uname().release}/modules.builtin"
    lines = (host.text(path) or "").splitlines()
    return {_plain(os.path.basename(line).partition(".ko")[0]) for line in lines}


def _plain(name: str) -> str:
    """modprobe takes - and _ as the same letter."""
    return name.replace("-", "_")


def _shown(state: dict[str, list[str]]) -> str:
    words = {"built_in": "built in", "loaded": "loaded", "open": "loadable"}
    parts = [f"{', '.join(state[key])} {word}" for key, word in words.items() if state[key]]
    return "; ".join(parts) or "blocked"
