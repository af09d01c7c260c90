# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a sign-in shell ends up with: bash is started as one and asked.

/etc/profile and what it reads are programs; only running them tells what comes out of them.
"""

from __future__ import annotations

import os
import re
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Edit,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# who: root, or user for an account without rights. setting: idle (seconds, 0 is for ever), umask,
# or path, whose value lists folders that are excepted.
PARAMS = {"who": "str", "setting": "str"}
VALUE = ("int", "mode", "list")

# Read after the other files of the folder, so that it has the last word.
_DROP_IN = "/etc/profile.d/zz-ringfence.sh"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_ASKED = 'printf "\\n=ringfence=%s=%s=%s=\\n" "$(umask)" "${TMOUT-0}" "$PATH"'
_ANSWER = re.compile(r"^=ringfence=([0-7]+)=([^=\n]*)=([^\n]*)=$", re.MULTILINE)
_SECONDS = 10
# Whatever the profile does not set stays as open as can be, and shows.
_START = 'umask 000; exec env -i HOME="$1" USER="$2" LOGNAME="$2" SHELL=/bin/bash TERM=dumb '
_START += 'PATH=/usr/bin:/bin bash --login -c "$3"'


class _Shell(NamedTuple):
    """The mask, the seconds after which it ends, and the search path of a sign-in shell."""

    umask: str
    idle: str
    path: str


def observe(host: Host, control: Control) -> Observation:
    who, setting = control.params["who"], control.params["setting"]
    if who not in _USERS or setting not in ("idle", "umask", "path"):
        raise HostError(f"this mechanism does not know {setting} of {who}")
    shell = host.once(f"sign-in shell of {who}", partial(_asked, host, who))
    if setting == "path":
        bad = [said for part in shell.path.split(":") if (said := _bad(host, control, part))]
        return Observation({"bad": bad}, shell.path)
    seen = shell.idle if setting == "idle" else shell.umask
    return Observation({"seen": seen}, seen)


def judge(control: Control, observation: Observation) -> Verdict:
    who, setting = control.params["who"], control.params["setting"]
    if setting == "path":
        bad = observation.state["bad"]
        return Verdict(FAIL, f"the search path of {who}: {bad[0]}") if bad else Verdict(PASS)
    seen = observation.state["seen"]
    if setting == "idle":
        meets = seen.isdecimal() and control.meets(int(seen))
        return Verdict(PASS) if meets else Verdict(FAIL, f"a shell of {who} ends after {seen} s")
    wanted = int(control.value, 8)
    if int(seen, 8) & wanted == wanted:
        return Verdict(PASS)
    return Verdict(FAIL, f"a sign-in shell of {who} makes files with the mask {seen}")


def plan(control: Control, _observation: Observation, stage: Stage) -> None:
    who, setting = control.params["who"], control.params["setting"]
    if setting == "path":
        raise HostError("this is for a person to decide: see the control's remedy")
    stage.edit(_DROP_IN, _with_line(_line(who, setting, control.value), f"# {who} {setting}"))


def _line(who: str, setting: str, value: object) -> str:
    if setting == "idle":
        enough = f'[ "${{TMOUT:-0}}" -gt 0 ] 2>/dev/null && [ "$TMOUT" -le {value} ]'
        return f"{enough} || TMOUT={value}"
    test = "-eq" if who == "root" else "-ne"
    return f'[ "$(id -u)" {test} 0 ] && umask {value}'


def _with_line(line: str, mark: str) -> Edit:
    """Our file with one line under `mark`; those of other controls are kept."""

    def edit(text: str) -> str:
        lines = text.splitlines()
        kept = {
            note: after
            for note, after in pairwise(lines)
            if re.fullmatch(r"# (?:root|user) \w+", note)
        }
        kept[mark] = line
        rows = [f"{note}\n{kept[note]}\n" for note in sorted(kept)]
        end = "export TMOUT 2>/dev/null\nreadonly TMOUT 2>/dev/null\n" if _idles(kept) else ""
        # The last word of the file is its result, which a shell with set -e would end on.
        return f"{_HEADER}{''.join(rows)}{end}:\n"

    return edit


def _idles(kept: dict[str, str]) -> bool:
    return any(note.endswith(" idle") for note in kept)


# Account: its home, and how a process becomes it.
_USERS = {
    "root": ("/root", []),
    "user": (
        "/nonexistent",
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"],
    ),
}
_NAMES = {"root": "root", "user": "nobody"}


def _asked(host: Host, who: str) -> _Shell:
    home, become = _USERS[who]
    argv = [*become, "sh", "-c", _START, "sh", home, _NAMES[who], _ASKED]
    answers = _ANSWER.findall(host.output(argv, timeout=_SECONDS))
    if not answers:
        raise HostError("a sign-in shell did not say what it was set to")
    return _Shell(*answers[-1])


def _bad(host: Host, control: Control, part: str) -> str:
    """What is wrong with a folder of the search path; "" for nothing."""
    if part in control.value:
        return ""
    if not part.startswith("/"):
        return f"{part or 'an empty part'} depends on the folder that one is in"
    real = "/" + os.path.relpath(os.path.realpath(host.real(part)), host.real("/"))
    attributes = host.attributes(real if host.root == "" else part)
    if attributes is None:
        return f"{part} is not there, for others to make" if _makeable(host, part) else ""
    if attributes.kind != "directory":
        return f"{part} is no folder"
    if attributes.uid != 0 or attributes.mode & 0o022:
        return f"others can put programs into {part}"
    return ""


def _makeable(host: Host, part: str) -> bool:
    above = host.attributes(os.path.dirname(part))
    return above is None or above.uid != 0 or bool(above.mode & 0o022)
