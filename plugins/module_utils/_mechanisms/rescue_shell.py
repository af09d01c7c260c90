# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shells of rescue and emergency mode: no setting lets root in without a password."""

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

PARAMS: dict[str, str] = {}
VALUE = ("str",)  # required

_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
_UNITS = ("rescue.service", "emergency.service")
_FORCE = "SYSTEMD_SULOGIN_FORCE"
_ASKS = ("systemd-sulogin-shell", "/sulogin")
_SILENT = ("plymouth",)


def observe(host: Host, _control: Control) -> Observation:
    wrong = []
    for path in _files(host):
        for line in (host.text(path) or "").splitlines():
            said = line.strip()
            if said.startswith(("ExecStart=", "Environment=")) and _opens(said):
                wrong.append(f"{path}: {said}")
    if _empty_password(host):
        wrong.append("/etc/shadow: root has an empty password")
    return Observation({"wrong": wrong}, "; ".join(wrong) or "root's password is asked for")


def judge(_control: Control, observation: Observation) -> Verdict:
    wrong = observation.state["wrong"]
    return Verdict(FAIL, wrong[0]) if wrong else Verdict(PASS)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Whoever put the setting there had a reason that a person must hear first."""


def _files(host: Host) -> list[str]:
    found = []
    for unit in _UNITS:
        for folder in _FOLDERS:
            found += [f"{folder}/{unit}"] if host.exists(f"{folder}/{unit}") else []
            names = host.names(f"{folder}/{unit}.d")
            found += [f"{folder}/{unit}.d/{name}" for name in names if name.endswith(".conf")]
    return found


def _opens(said: str) -> bool:
    name, _equals, value = said.partition("=")
    if name == "Environment":
        return _FORCE in value and not value.strip("\"'").endswith(("=0", "=no", "=false"))
    return bool(value) and not any(mark in value for mark in (*_ASKS, *_SILENT))


def _empty_password(host: Host) -> bool:
    text = host.text("/etc/shadow")
    if text is None:
        raise HostError("there is no /etc/shadow")
    rows = [line.split(":") for line in text.splitlines()]
    return any(row[0] == "root" and len(row) > 1 and row[1] == "" for row in rows)
