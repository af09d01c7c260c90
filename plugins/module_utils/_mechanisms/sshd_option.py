# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""sshd options: what `sshd -T` says is in force, and no Match block that says less."""

from __future__ import annotations

import glob
import os
import re
import shlex
from fnmatch import fnmatch
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    set_line,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._settings_file import (
    ASSIGNMENTS,
    last,
    settings,
)

# default: what holds where `sshd -T` does not print the option though this sshd knows it.
PARAMS = {"option": "str", "default": "str?"}
VALUE = ("str", "int", "list")

_CONFIG = "/etc/ssh/sshd_config"
_ARGUMENTS = "/etc/default/ssh"
# sshd takes the first value it meets, so ours must sort before other drop-ins.
DROP_IN = "/etc/ssh/sshd_config.d/00-ringfence.conf"
HEADER = "# Written by Ringfence; changes made here are lost.\n"
_INCLUDE = "Include /etc/ssh/sshd_config.d/*.conf"
_INCLUDE_OURS = f"Include {DROP_IN}"
_DEPTH = 16
# Where sshd takes the last value, against its own rule; it is not allowed in a Match block.
_LAST_WINS = {"maxstartups"}
_SAME = {"without-password": "prohibit-password"}
_TIME = re.compile(r"(?i)(\d+)([smhdw]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class _Line(NamedTuple):
    """One setting: file and line, the Match block that it stands in ("" for none), key, value."""

    path: str
    number: int
    match: str
    key: str
    value: str

    @property
    def place(self) -> str:
        return f"{self.path}:{self.number}"


def observe(host: Host, control: Control) -> Observation:
    option = control.params["option"].lower()
    in_force = host.once("sshd -T", lambda: in_force_of(host))
    lines = host.once("sshd lines", lambda: lines_of(host))
    plain = [line for line in lines if not line.match]
    set_at = [line for line in plain if line.key == option]
    seen = in_force.get(option) or _unprinted(control, set_at)
    include = next((n for n in plain if n.key == "include" and _takes_ours(n.value)), None)
    state = {
        "in_force": seen,
        "matched": [line for line in lines if line.match and line.key == option],
        "set_at": set_at,
        "started_with": any(option in word.lower() for word in _arguments(host)),
        "included": include is not None,
        "set_before": include is not None and any(_before(plain, at, include) for at in set_at),
    }
    return Observation(state, seen)


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not control.meets(_typed(control, state["in_force"])):
        set_at = state["set_at"]
        where = f", set at {set_at[0].place}" if set_at else ", sshd's own default"
        return Verdict(FAIL, f"sshd -T says {_disliked(control, state['in_force'])}{where}")
    for line in state["matched"]:
        if not control.meets(_typed(control, line.value)):
            return Verdict(FAIL, f"{line.place} says {line.value} for Match {line.match}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state, option = observation.state, control.params["option"]
    if control.meets(_typed(control, state["in_force"])):
        raise HostError(
            "a Match block weakens it; that block is not ours to rewrite: mend it by hand"
        )
    if state["started_with"]:
        raise HostError(f"{_ARGUMENTS} starts sshd with it: take it out there by hand")
    # Asked only here: an audit has no need of it, and each question is a process.
    known = _known(stage.host, option.lower()) if isinstance(control.value, list) else []
    line = f"{option} {_written(control, known)}"
    stage.edit(DROP_IN, set_line(option, line, HEADER), mode=0o600, validator="sshd")
    if option.lower() in _LAST_WINS:
        for path in sorted({at.path for at in state["set_at"] if at.path != DROP_IN}):
            stage.edit(path, lambda text: _commented_out(text, option), validator="sshd")
    if not state["included"]:
        stage.edit(_CONFIG, lambda text: _on_top(text, _INCLUDE), validator="sshd")
    elif state["set_before"]:
        stage.edit(_CONFIG, lambda text: _on_top(text, _INCLUDE_OURS), validator="sshd")


def _unprinted(control: Control, set_at: list[_Line]) -> str:
    """What holds for an option that `sshd -T` keeps to itself: the first line counts."""
    if "default" not in control.params:
        raise HostError(f"this sshd knows no option {control.params['option']}")
    return set_at[0].value if set_at else str(control.params["default"])


def _commented_out(text: str, option: str) -> str:
    setting = re.compile(rf"(?im)^([ \t]*{option}\b.*)$")
    return setting.sub(rf"# Set by Ringfence in {DROP_IN}: \1", text)


def _on_top(text: str, line: str) -> str:
    return text if text.startswith(f"{line}\n") else f"{line}\n{text}"


def _before(lines: list[_Line], line: _Line, include: _Line) -> bool:
    """Whether sshd meets `line` before it meets our drop-in through `include`."""
    if lines.index(line) < lines.index(include):
        return True
    folder, name = os.path.split(line.path)
    ours, our_name = os.path.split(DROP_IN)
    return folder == ours and name < our_name


def in_force_of(host: Host) -> dict[str, str]:
    """Option in small letters -> value, as `sshd -T` prints it; repeated ones joined by blanks."""
    values: dict[str, list[str]] = {}
    for line in host.output(["/usr/sbin/sshd", "-T", *_arguments(host)]).splitlines():
        key, _space, value = line.partition(" ")
        values.setdefault(key.lower(), []).append(_SAME.get(value, value))
    return {key: " ".join(found) for key, found in values.items()}


def _arguments(host: Host) -> list[str]:
    """What Debian's unit starts sshd with besides, which outweighs sshd_config."""
    found = last(settings(host.text(_ARGUMENTS) or "", ASSIGNMENTS), "SSHD_OPTS")
    if found is None:
        return []
    try:
        return " ".join(shlex.split(found.value, comments=True)).split()
    except ValueError as error:
        raise HostError(f"{_ARGUMENTS}:{found.number} cannot be understood: {error}") from error


def lines_of(host: Host) -> list[_Line]:
    """The settings of sshd_config and its includes, in order. Raises HostError."""
    return _lines(host, _CONFIG, "", 0)[0]


def _known(host: Host, option: str) -> list[str]:
    """The algorithms that this OpenSSH has: one that it lacks makes sshd refuse to start."""
    return host.once(f"ssh -Q {option}", lambda: host.output(["ssh", "-Q", option]).split())


def _lines(host: Host, path: str, match: str, depth: int) -> tuple[list[_Line], str]:
    """The settings of a file and its includes, in order; and the Match block open at its end."""
    if depth > _DEPTH:
        raise HostError(f"{path}: includes nest deeper than {_DEPTH}")
    found: list[_Line] = []
    around = match
    for number, raw in enumerate((host.text(path) or "").splitlines(), 1):
        key, value = _split(raw, f"{path}:{number}")
        if not key:
            continue
        if key == "match":
            # In a file that a block includes, all are those whom that block lets in.
            match = around if value.lower() == "all" else value
            continue
        found.append(_Line(path, number, match, key, _SAME.get(value, value)))
        if key == "include":
            for included in _included(host, value):
                # A Match block opened in an included file ends with that file.
                found += _lines(host, included, match, depth + 1)[0]
    return found, match


def _included(host: Host, value: str) -> list[str]:
    found: list[str] = []
    for pattern in _patterns(value):
        matches = host.glob(pattern) if glob.has_magic(pattern) else [pattern]
        found += [name for name in matches if host.exists(name)]
    return found


def _takes_ours(value: str) -> bool:
    return any(fnmatch(DROP_IN, pattern) for pattern in _patterns(value))


def _patterns(value: str) -> list[str]:
    return [word if word.startswith("/") else f"/etc/ssh/{word}" for word in value.split()]


def _split(raw: str, place: str) -> tuple[str, str]:
    """Key and value; quotes and what follows a # are taken off, as sshd does."""
    text = raw.strip()
    if not text or text.startswith("#"):
        return "", ""
    match = re.match(r"(\w+)(?:\s*=\s*|\s+|(?=\")|$)(.*)", text)
    if match is None:
        raise HostError(f"{place} cannot be understood")
    try:
        return match[1].lower(), " ".join(shlex.split(match[2], comments=True))
    except ValueError as error:
        raise HostError(f"{place} cannot be understood: {error}") from error


def _typed(control: Control, seen: str) -> Any:
    if control.params["option"].lower() == "rekeylimit":
        return control.value if _rekeying(seen) == _rekeying(str(control.value)) else seen
    if isinstance(control.value, int) and not isinstance(control.value, bool):
        return _seconds(seen)
    if isinstance(control.value, list):
        return re.split(r"[,\s]+", seen)
    return seen.lower() if seen.lower() in control.choices else seen


def _disliked(control: Control, seen: str) -> str:
    """What to name in a message: of a long list only what should not be in it."""
    if not isinstance(control.value, list):
        return seen
    return ", ".join(name for name in _typed(control, seen) if name not in control.value)


def _seconds(seen: str) -> int | str:
    """A number, or a time such as 1h30m, which `sshd -T` prints in seconds already."""
    if not re.fullmatch(f"(?:{_TIME.pattern[4:]})+", seen, re.IGNORECASE):
        return seen
    return sum(int(count) * _SECONDS[unit.lower()] for count, unit in _TIME.findall(seen))


def _rekeying(text: str) -> list[int | str]:
    """Bytes and seconds: `sshd -T` prints 1073741824 3600 for 1G 1h."""
    words = text.lower().split()
    size = re.fullmatch(r"(\d+)([kmg]?)", words[0]) if words else None
    amount = int(size[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[size[2]] if size else text
    return [amount, *(_seconds(word) for word in words[1:])]


def _written(control: Control, known: list[str]) -> str:
    if not isinstance(control.value, list):
        return str(control.value)
    usable = [name for name in control.value if name in known]
    if not usable:
        raise HostError(f"this OpenSSH has none of {', '.join(control.value)}")
    return ",".join(usable)
