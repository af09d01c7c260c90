# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules of the kernel's audit in /etc/audit/rules.d: what is to be recorded from boot on.

Whether the kernel has them is what audit_state asks. What lies in a folder that the host does not
have is not asked for: auditctl would refuse the rule, and all that come after it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from ansible_collections.ringfence.hosting.plugins.module_utils._audit_rules import (
    RULES_FOLDER,
    Known,
    load,
    parse,
    persisted,
    spelt_out,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Edit,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

# key: what the records are found by. rules: as auditctl takes them, without -a, -k and arch.
# privileged: one rule for each program that runs with its owner's or group's rights.
PARAMS = {"key": "str", "rules": "list?", "privileged": "bool?"}
VALUE = ("str",)  # recorded or ignored

_OURS = f"{RULES_FOLDER}/50-ringfence.rules"
_HEADER = "## Written by Ringfence; changes made here are lost.\n"
_SECTION = "## "
_RECORDED = "recorded"
_PROGRAM_FOLDERS = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/lib",
)
_DEEPEST = 4
_NO_PROGRAMS = frozenset(("firmware", "locale", "modules", "python3", "systemd"))
_PRIVILEGED = stat.S_ISUID | stat.S_ISGID
_PATH = re.compile(r"(?:-w |-F (?:path|dir)=)(\S+)")


def observe(host: Host, control: Control) -> Observation:
    wanted = [line for line in _wanted(host, control) if _possible(host, line)]
    on_disk = persisted(host)
    everywhere = host.once("audit rules", lambda: _known(_lines(on_disk)))
    elsewhere = host.once("audit rules of others", lambda: _known(_lines(on_disk, _OURS)))
    missing = [line for line in wanted if not _covered(everywhere, line)]
    state = {
        "wanted": wanted,
        "missing": missing,
        "ours": [line for line in wanted if not _covered(elsewhere, line)],
        "written": control.params["key"] in _sections("\n".join(on_disk.get(_OURS, []))),
    }
    return Observation(state, f"{len(wanted) - len(missing)} of {len(wanted)} rules")


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if control.value != _RECORDED:
        return Verdict(FAIL, f"{_OURS} still records this") if state["written"] else Verdict(PASS)
    if not state["wanted"]:
        return Verdict(NOT_APPLICABLE, "the host has nothing of what these rules are about")
    if not state["missing"]:
        return Verdict(PASS)
    others = and_others(len(state["missing"]))
    # A package that this run puts on can bring another program: the second pass has its rule.
    grows = bool(control.params.get("privileged"))
    return Verdict(FAIL, f"{RULES_FOLDER} has no {state['missing'][0]}{others}", grows)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    lines = observation.state["ours"] if control.value == _RECORDED else []
    stage.edit(_OURS, _with_section(control.params["key"], lines), mode=0o640)
    if "own_kernel" in stage.host.capabilities():
        stage.step(load)


def _wanted(host: Host, control: Control) -> Iterator[str]:
    key = control.params["key"]
    for text in control.params.get("rules", []):
        yield from spelt_out(text, key)
    if control.params.get("privileged"):
        for path in host.once("privileged programs", lambda: list(_privileged(host))):
            yield from spelt_out(f"-F path={path} -F perm=x -F auid>=1000 -F auid!=unset", key)


def _possible(host: Host, line: str) -> bool:
    match = _PATH.search(line)
    if match is None:
        return True
    parent = os.path.dirname(match[1].rstrip("/"))
    return host.once(f"there is {parent}", lambda: os.path.isdir(host.real(parent)))


def _lines(on_disk: dict[str, list[str]], without: str = "") -> Iterator[str]:
    return (line for path, lines in on_disk.items() if path != without for line in lines)


def _known(lines: Iterator[str]) -> Known:
    return Known(rule for rule in map(parse, lines) if rule is not None)


def _covered(known: Known, line: str) -> bool:
    rule = parse(line)
    return rule is not None and known.covers(rule)


def _privileged(host: Host) -> Iterator[str]:
    """Programs with set-user-id or set-group-id in the folders that packages put programs into."""
    waiting = [(folder, 0) for folder in _PROGRAM_FOLDERS]
    found = []
    while waiting:
        folder, depth = waiting.pop()
        try:
            entries = list(os.scandir(host.real(folder)))
        except OSError:  # not there, or gone meanwhile
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST and folder.startswith("/usr/lib") and not _skipped(entry.name):
                    waiting.append((path, depth + 1))
            elif entry.is_file(follow_symlinks=False):
                if folder.startswith("/usr/lib") and _library(entry.name):
                    continue
                if entry.stat(follow_symlinks=False).st_mode & _PRIVILEGED:
                    found.append(path)
    yield from sorted(path for path in found if not re.search(r"\s", path))


def _skipped(name: str) -> bool:
    return name in _NO_PROGRAMS or name.startswith(("python3.", "gcc"))


def _library(name: str) -> bool:
    return name.endswith((".so", ".a", ".py", ".pm", ".h")) or ".so." in name


def _with_section(key: str, lines: list[str]) -> Edit:
    def edit(text: str) -> str:
        sections = _sections(text)
        sections.pop(key, None)
        if lines:
            sections[key] = lines
        parts = [_SECTION + name + "\n" + "\n".join(sections[name]) for name in sorted(sections)]
        return _HEADER + "".join(f"\n{part}\n" for part in parts)

    return edit


def _sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        if line.startswith(_SECTION):
            name = line[len(_SECTION) :]
            current = found.setdefault(name, []) if " " not in name else None
        elif line.strip() and current is not None:
            current.append(line)
    return found
