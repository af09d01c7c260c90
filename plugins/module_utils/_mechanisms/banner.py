# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Notices at sign-in: the text that was chosen, and nothing of what the host runs."""

from __future__ import annotations

import re

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

PARAMS = {"path": "str"}
VALUE = ("str",)

# What getty fills in (\n, \r, \s …), and the names a version is told by.
_DETAIL = re.compile(r"\\[a-zA-Z]|\b(?:debian|gnu/linux|linux|kernel|openssh)\b", re.IGNORECASE)


def observe(host: Host, control: Control) -> Observation:
    text = host.text(control.params["path"])
    shown = "there is none" if text is None else " ".join(text.split())[:200] or "empty"
    return Observation({"text": text}, shown)


def judge(control: Control, observation: Observation) -> Verdict:
    path, text = control.params["path"], observation.state["text"]
    if (text or "").strip() == control.value.strip():
        return Verdict(PASS)
    detail = _DETAIL.search(text or "")
    if detail is not None:
        return Verdict(FAIL, f"{path} tells what the host runs: {detail[0]}")
    return Verdict(FAIL, f"{path} is not the notice that was chosen")


def plan(control: Control, _observation: Observation, stage: Stage) -> None:
    detail = _DETAIL.search(control.value)
    if detail is not None:
        raise HostError(f"the chosen notice tells what the host runs: {detail[0]}")
    text = f"{control.value.strip()}\n" if control.value.strip() else ""
    stage.edit(control.params["path"], lambda _old: text)
