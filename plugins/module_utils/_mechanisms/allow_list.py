# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may use crontab or at: the accounts listed in cron.allow or at.allow, one a line."""

from __future__ import annotations

from functools import partial

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

# program: without it there is nothing to allow. group: as whom the program reads the list.
PARAMS = {"path": "str", "program": "str", "group": "str"}
VALUE = ("list",)

_MODE = 0o640


def observe(host: Host, control: Control) -> Observation:
    path = control.params["path"]
    text, attributes = host.text(path), host.attributes(path)
    names = None if text is None else sorted({n.strip() for n in text.splitlines() if n.strip()})
    state = {
        "there": host.exists(control.params["program"]),
        "names": names,
        "open": attributes is not None
        and (attributes.uid != 0 or bool(attributes.mode & ~_MODE) or attributes.kind != "file"),
    }
    return Observation(state, "everybody" if names is None else ", ".join(names) or "nobody")


def judge(control: Control, observation: Observation) -> Verdict:
    state, path = observation.state, control.params["path"]
    if not state["there"]:
        return Verdict(NOT_APPLICABLE, f"there is no {control.params['program']}")
    if state["names"] is None:
        return Verdict(FAIL, f"there is no {path}, so it is not said who may")
    extra = [name for name in state["names"] if name not in control.value]
    if extra:
        return Verdict(FAIL, f"{path} lists {', '.join(extra[:10])}")
    if state["open"]:
        return Verdict(FAIL, f"{path} can be read or changed by others")
    return Verdict(PASS)


def plan(control: Control, _observation: Observation, stage: Stage) -> None:
    path, group = control.params["path"], control.params["group"]
    text = "".join(f"{name}\n" for name in control.value)
    stage.edit(path, lambda _old: text, mode=_MODE)
    stage.step(partial(_close, path=path, group=group))


def _close(host: Host, path: str, group: str) -> None:
    """The program reads the list as this group: root's alone would shut out those listed."""
    attributes = host.attributes(path)
    if attributes is None or attributes.kind != "file":
        raise HostError(f"{path} is not a plain file: left alone")
    host.output(["chown", "--no-dereference", f"root:{group}", path])
    host.output(["chmod", "0640", path])
