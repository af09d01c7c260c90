# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may use su: the members of one group, as pam_wheel in /etc/pam.d/su says.

The value lists the accounts that may be in the group; none is the usual choice, for sudo does the
same and logs it by name. Root itself is let through by the line before.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# group: the one that is made and named where pam_wheel is not in use yet.
PARAMS = {"group": "str"}
VALUE = ("list",)

_SU = "/etc/pam.d/su"
_AUTH = re.compile(
    r"^\s*-?auth\s+(?P<control>\[[^]]*\]|\S+)\s+(?:\S*/)?(?P<module>pam_\w+\.so)(?P<rest>.*)$"
)
_ROOT_OK = re.compile(r"(?m)^\s*auth\s+sufficient\s+pam_rootok\.so.*$")
_NOTE = "# Written by Ringfence: only members of the group may use su."


class _Line(NamedTuple):
    """An auth line of /etc/pam.d/su; an included stack counts as `include`."""

    control: str
    module: str
    words: tuple[str, ...]


def observe(host: Host, control: Control) -> Observation:
    text = host.text(_SU)
    if text is None:
        raise HostError(f"there is no {_SU}")
    lines = _lines(text)
    wheel = next((line for line in lines if _guards(line)), None)
    group = control.params["group"] if wheel is None else _group(wheel)
    members = _members(host, group)
    state = {
        "guarded": wheel is not None and not _let_past(lines, wheel),
        "group": group,
        "members": members,
        "roots": bool(_ROOT_OK.search(text)),
    }
    if not state["guarded"]:
        return Observation(state, "open to every account")
    return Observation(state, f"{group}: {', '.join(members or []) or 'nobody'}")


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not state["guarded"]:
        return Verdict(FAIL, f"{_SU} lets every account use su")
    extra = [name for name in state["members"] or [] if name not in control.value]
    if extra:
        return Verdict(FAIL, f"{', '.join(extra[:10])} may use su, as members of {state['group']}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state, group = observation.state, observation.state["group"]
    extra = [name for name in state["members"] or [] if name not in control.value]
    if extra:
        raise HostError(f"{', '.join(extra[:10])} would lose su: take them out of {group} by hand")
    if not state["roots"]:
        raise HostError(f"{_SU} does not let root through (pam_rootok.so): mend that by hand first")
    if state["members"] is None:
        _stage_group(stage, group, control.value)
    stage.edit(_SU, lambda text: _guarded(text, group))


def _stage_group(stage: Stage, group: str, members: list[str]) -> None:
    def make(host: Host) -> None:
        host.output(["groupadd", "--system", "--", group])
        for name in members:
            host.output(["gpasswd", "--add", name, group])

    stage.step(make, paths=("/etc/group", "/etc/gshadow"))


def _guarded(text: str, group: str) -> str:
    line = f"auth       required   pam_wheel.so use_uid group={group}"
    return _ROOT_OK.sub(lambda found: f"{found[0]}\n{_NOTE}\n{line}", text, count=1)


def _lines(text: str) -> list[_Line]:
    found = []
    for raw in text.replace("\\\n", " ").split("\n"):
        line = raw.partition("#")[0]
        if line.strip().startswith("@include"):
            found.append(_Line("include", line.strip(), ()))
        match = _AUTH.match(line)
        if match is not None:
            found.append(
                _Line(match["control"].lower(), match["module"], tuple(match["rest"].split()))
            )
    return found


def _guards(line: _Line) -> bool:
    """Whether a line refuses those who are not in its group; one that only warns does not."""
    wheel = line.module == "pam_wheel.so" and not {"deny", "trust", "root_only"} & set(line.words)
    return wheel and line.control in ("required", "requisite") and "use_uid" in line.words


def _let_past(lines: list[_Line], wheel: _Line) -> bool:
    """Whether a line before the guard lets somebody in who is not root."""
    before = lines[: lines.index(wheel)]
    return any(line.module != "pam_rootok.so" and line.control != "required" for line in before)


def _group(wheel: _Line) -> str:
    named = [word.partition("=")[2] for word in wheel.words if word.startswith("group=")]
    return named[-1] if named else "wheel"


def _members(host: Host, group: str) -> list[str] | None:
    """Who is in the group, by its list or as their own group; None where there is no such group."""
    rows = _rows(host, "/etc/group", 4)
    row = next((row for row in rows if row[0] == group), None)
    if row is None:
        return None
    listed = [name for name in row[3].split(",") if name]
    return sorted({*listed, *(u[0] for u in _rows(host, "/etc/passwd", 7) if u[3] == row[2])})


def _rows(host: Host, path: str, width: int) -> list[list[str]]:
    text = host.text(path)
    if text is None:
        raise HostError(f"there is no {path}")
    rows = [line.split(":") for line in text.splitlines() if line.strip()]
    if any(len(row) != width for row in rows):
        raise HostError(f"{path} holds a line that cannot be understood")
    return rows
