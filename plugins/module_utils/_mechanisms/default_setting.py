# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of /etc/default: lines of KEY=value that a shell reads before a job or a service."""

from __future__ import annotations

import re
import shlex

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
    ASSIGNMENTS,
    last,
    settings,
    with_line,
)

# path: the file. key: the variable in it. package: what reads the file.
PARAMS = {"path": "str", "key": "str", "package": "str"}
VALUE = ("str",)

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def observe(host: Host, control: Control) -> Observation:
    if control.params["package"] not in host.installed_packages():
        return Observation({"there": False, "seen": None}, f"no {control.params['package']}")
    path, key = control.params["path"], control.params["key"]
    line = last(settings(host.text(path) or "", ASSIGNMENTS), key)
    seen = None if line is None else _value(path, line.value)
    return Observation({"there": True, "seen": seen}, "not set" if seen is None else seen)


def judge(control: Control, observation: Observation) -> Verdict:
    seen, path, key = observation.state["seen"], control.params["path"], control.params["key"]
    if not observation.state["there"]:
        return Verdict(FAIL, f"package {control.params['package']} is not installed")
    if seen is None:
        return Verdict(FAIL, f"{path} does not set {key}")
    if control.meets(seen):
        return Verdict(PASS)
    return Verdict(FAIL, f"{path} sets {key} to {seen or 'nothing'}")


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    key, value = control.params["key"], control.value
    if not _PLAIN.fullmatch(value):
        raise HostError(f"{key} cannot be set to {value!r}")
    if not observation.state["there"]:
        stage.package(control.params["package"], "present")
    line = f"{key}={value}"
    stage.edit(control.params["path"], lambda text: with_line(text, ASSIGNMENTS, key, line))


def _value(path: str, written: str) -> str:
    """The one word that a shell makes of it. Raises HostError where only a shell could tell."""
    try:
        words = shlex.split(written, comments=True)
    except ValueError as error:
        raise HostError(f"{path} cannot be understood: {written[:80]}") from error
    if len(words) > 1 or re.search(r"[$`;&|]", written.partition("#")[0]):
        raise HostError(f"{path} cannot be understood: {written[:80]}")
    return words[0] if words else ""
