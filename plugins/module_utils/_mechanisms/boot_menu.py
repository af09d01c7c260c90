# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GRUB's menu: who may change an entry, and that a boot nobody attends goes on by itself."""

from __future__ import annotations

import re

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

PARAMS: dict[str, str] = {}
VALUE = ("str",)  # set or none

_MENU = "/boot/grub/grub.cfg"
_NAMES = re.compile(r"^\s*set superusers=[\"']?([^\"'\s]+)", re.M)
_HASH = re.compile(r"^\s*password_pbkdf2\s+(\S+)\s+grub\.pbkdf2\.", re.M)
_PLAIN = re.compile(r"^\s*password\s+\S+", re.M)
_ENTRY = re.compile(r"^\s*menuentry\s+.*$", re.M)


def observe(host: Host, _control: Control) -> Observation:
    menu = host.once(_MENU, lambda: host.text(_MENU)) or ""
    by_grub = "BOOT_IMAGE=" in (host.text("/proc/cmdline") or "")
    names = {name for found in _NAMES.findall(menu) for name in found.split(",")}
    entries = _ENTRY.findall(menu)
    state = {
        "grub": by_grub,
        "plain": bool(_PLAIN.search(menu)),
        "set": bool(names & set(_HASH.findall(menu))),
        "stops": bool(entries) and "--unrestricted" not in entries[0],
    }
    return Observation(state, "a password is set" if state["set"] else "no password is set")


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not state["grub"]:
        return Verdict(NOT_APPLICABLE, "this machine was not booted by GRUB: its host decides")
    if state["plain"]:
        return Verdict(FAIL, f"{_MENU} holds a password in the clear")
    if state["set"] and state["stops"]:
        return Verdict(FAIL, "the first entry asks for the password: a reboot would wait for it")
    if control.value == "set" and not state["set"]:
        return Verdict(FAIL, "anybody at the console can change what is booted")
    return Verdict(PASS)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """A password is a person's to choose: there is nothing to stage."""
