# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Arguments of the kernel: those it was booted with, and those GRUB gives to the next boot."""

from __future__ import annotations

import re

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Edit,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

PARAMS = {"argument": "str"}
VALUE = ("str", "int")

_MENU = "/boot/grub/grub.cfg"
# Last in order on purpose: of an argument that is given twice the kernel takes the last.
_DROP_IN = "/etc/default/grub.d/zz-ringfence.cfg"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_ENTRY = re.compile(r"^\s*linux(?:16|efi)?\s+\S+(.*)$", re.M)
_LINE = re.compile(r'^GRUB_CMDLINE_LINUX="\$GRUB_CMDLINE_LINUX (.*)"$', re.M)
_SECONDS = 120


def observe(host: Host, control: Control) -> Observation:
    name = control.params["argument"]
    now = (host.text("/proc/cmdline") or "").split()
    menu = host.once(_MENU, lambda: host.text(_MENU)) or ""
    entries = [match.split() for match in _ENTRY.findall(menu)]
    live, boot = _last(name, now), [_last(name, words) for words in entries]
    by_grub = any(word.startswith("BOOT_IMAGE=") for word in now)
    shown = ", ".join(sorted({seen or "not set" for seen in boot})) or "no entries"
    return Observation(
        {"grub": by_grub, "live": live, "boot": boot},
        f"{name} is {live or 'not set'} (at boot: {shown})",
    )


def judge(control: Control, observation: Observation) -> Verdict:
    state, name = observation.state, control.params["argument"]
    if not state["grub"]:
        return Verdict(NOT_APPLICABLE, "this machine was not booted by GRUB: its host decides")
    if not state["boot"]:
        return Verdict(FAIL, f"{_MENU} boots nothing that can be understood")
    if not all(_meets(control, seen) for seen in state["boot"]):
        return Verdict(FAIL, f"{_MENU} does not boot with {name}={control.value}")
    if not _meets(control, state["live"]):
        return Verdict(FAIL, f"{name}={control.value} waits for a reboot", True)
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if all(_meets(control, seen) for seen in observation.state["boot"]):
        return  # only the reboot is missing, and that is not ours to do
    argument = f"{control.params['argument']}={control.value}"
    if not re.fullmatch(r"[\w.]+=[\w.,:-]+", argument):
        raise HostError(f"{argument!r} cannot be an argument of the kernel")
    stage.edit(_DROP_IN, _with_argument(argument))
    stage.step(_update)


def _update(host: Host) -> None:
    host.once("update-grub", lambda: host.output(["update-grub"], timeout=_SECONDS))


def _last(name: str, words: list[str]) -> str | None:
    found = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    return found[-1] if found else None


def _meets(control: Control, seen: str | None) -> bool:
    is_number = isinstance(control.value, int) and seen is not None and seen.isdecimal()
    return control.meets(int(seen) if is_number and seen is not None else seen)


def _with_argument(argument: str) -> Edit:
    name = argument.partition("=")[0]

    def edit(text: str) -> str:
        match = _LINE.search(text)
        words = match[1].split() if match else []
        kept = [word for word in words if word.partition("=")[0] != name]
        said = " ".join(sorted([*kept, argument]))
        return f'{_HEADER}GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {said}"\n'

    return edit
