# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AIDE: the database that files are compared with, and what of the host it holds.

The database takes minutes on a large host, so it is built in the background, with what the host has
to spare. Until it is there, the control fails and says so.
"""

from __future__ import annotations

import os
import re

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

# check: database, programs or excluded. programs: paths whose contents are always compared.
PARAMS = {"check": "str", "programs": "list?"}
VALUE = ("str", "list")

_FOLDER = "/etc/aide/aide.conf.d"
# First in order on purpose: of two rules for a path AIDE takes the first.
_OURS = f"{_FOLDER}/00_ringfence"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_DATABASE = "/var/lib/aide/aide.db"
_UNIT = "ringfence-aide-init.service"
_ATTRIBUTES = "p+i+n+u+g+s+b+acl+xattrs+sha512"
_STRONG = ("sha256", "sha512")
_BUILD = [
    "systemd-run",
    "--quiet",
    "--no-block",
    f"--unit={_UNIT}",
    "--property=Type=oneshot",
    "--property=Nice=19",
    "--property=IOSchedulingClass=idle",
    "/bin/sh",
    "-c",
    # Debian's aideinit takes capabilities that containers do not give. The daily comparison runs as
    # the owner of the folder, so the database must be that user's.
    # No semicolon: systemd 252 escapes it in a way that it does not understand after a reload.
    "umask 077 && cd /var/lib/aide && rm -f aide.db.new"
    " && aide --config=/etc/aide/aide.conf --init > /dev/null"
    " && chown --reference=. aide.db.new && mv aide.db.new aide.db",
]


def observe(host: Host, control: Control) -> Observation:
    check = control.params["check"]
    if check == "database":
        return _observe_database(host)
    ours = host.once(_OURS, lambda: _lines(host, [_OURS])).get(_OURS, [])
    if check == "excluded":
        seen = [line for line in ours if line.startswith("!")]
        missing = [path for path in control.value if _exclusion(path) not in seen]
        wanted = {_exclusion(path) for path in control.value}
        state = {"missing": missing, "unwanted": [line for line in seen if line not in wanted]}
        return Observation(state, ", ".join(seen) or "nothing left out by Ringfence")
    there = [path for path in control.params.get("programs", []) if host.exists(path)]
    missing = [path for path in there if not _compared(path, set(ours))]
    if missing:  # Debian's own rules are hundreds of files: only where ours do not suffice
        lines = host.once("aide rules", lambda: _lines(host, _rule_files(host)))
        everywhere = {line for found in lines.values() for line in found}
        missing = [path for path in missing if not _compared(path, everywhere)]
    return Observation({"missing": missing}, f"{len(there) - len(missing)} of {len(there)}")


def judge(control: Control, observation: Observation) -> Verdict:
    check, state = control.params["check"], observation.state
    if check == "database":
        return _judge_database(state)
    if check == "programs":
        if control.value == "compared" and state["missing"]:
            return Verdict(FAIL, f"no rule compares {state['missing'][0]} by a strong checksum")
        return Verdict(PASS)
    if state["missing"]:
        return Verdict(FAIL, f"{_OURS} does not leave out {state['missing'][0]}")
    if state["unwanted"]:
        return Verdict(FAIL, f"{_OURS} leaves out more: {state['unwanted'][0]}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    check, state = control.params["check"], observation.state
    if check == "database":
        if state["unit"] != "activating":
            stage.step(_build)
    elif check == "excluded":
        stage.edit(_OURS, _with_lines(True, [_exclusion(path) for path in control.value]))
    else:
        programs = [path for path in control.params["programs"] if stage.host.exists(path)]
        lines = [f"{re.escape(path)}$ {_ATTRIBUTES}" for path in programs]
        stage.edit(_OURS, _with_lines(False, lines))


def _observe_database(host: Host) -> Observation:
    seen = host.attributes(_DATABASE)
    # Its size and not its contents: it can be as large as a hundred megabytes.
    if seen is not None and seen.kind == "file" and os.path.getsize(host.real(_DATABASE)):
        return Observation({"there": True, "unit": ""}, f"{_DATABASE} is there")
    # "is-active" answers by its exit code too, so not `output`: inactive is no failure to answer.
    unit = host.run(["systemctl", "is-active", _UNIT]).out.strip()
    if unit not in ("inactive", "failed", "activating", "active", "unknown"):
        raise HostError(f"systemd cannot say whether {_UNIT} runs")
    return Observation({"there": False, "unit": unit}, f"none; {_UNIT} is {unit}")


def _judge_database(state: dict[str, object]) -> Verdict:
    if state["there"]:
        return Verdict(PASS)
    if state["unit"] == "activating":
        return Verdict(FAIL, "the database is being built: audit again when it is done", True)
    if state["unit"] == "failed":
        return Verdict(FAIL, f"the database could not be built: see journalctl -u {_UNIT}", True)
    return Verdict(FAIL, f"there is no {_DATABASE}", True)


def _build(host: Host) -> None:
    host.run(["systemctl", "reset-failed", _UNIT])
    host.output(_BUILD)


def _rule_files(host: Host) -> list[str]:
    return ["/etc/aide/aide.conf", *(f"{_FOLDER}/{name}" for name in host.names(_FOLDER))]


def _lines(host: Host, paths: list[str]) -> dict[str, list[str]]:
    """Path -> active lines of the plain files; what is a program (a rule per boot) is not run."""
    found = {}
    for path in paths:
        attributes = host.attributes(path)
        if attributes is None or attributes.kind != "file" or attributes.mode & 0o111:
            continue
        lines = (line.strip() for line in (host.text(path) or "").splitlines())
        found[path] = [line for line in lines if line and line[0] not in "#@"]
    return found


def _compared(path: str, lines: set[str]) -> bool:
    spelt = {path, f"{path}$", re.escape(path), f"{re.escape(path)}$"}
    for line in lines:
        words = line.split()
        attributes = words[-1].split("+")
        if words[0].lstrip("=") in spelt and len(words) > 1 and set(attributes) & set(_STRONG):
            return True
    return False


def _exclusion(path: str) -> str:
    if not re.fullmatch(r"/[^\s\0]*[^\s\0/]", path):
        raise HostError(f"{path!r}: expected the path of a folder, without blanks")
    return f"!{re.escape(path)}(/|$)"


def _with_lines(exclusions: bool, lines: list[str]) -> Edit:
    """Exclusions first, then what is compared; each kind is replaced as a whole."""

    def edit(text: str) -> str:
        old = [line for line in text.splitlines() if line and not line.startswith("#")]
        others = [line for line in old if line.startswith("!") is not exclusions]
        both = lines + others if exclusions else others + lines
        return _HEADER + "".join(f"{line}\n" for line in both)

    return edit
