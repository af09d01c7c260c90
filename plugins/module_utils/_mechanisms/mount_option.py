# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mount options: those in force now, and those that fstab or a mount unit sets at boot."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

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
from ansible_collections.ringfence.hosting.plugins.module_utils._mounts import (
    Mount,
    mounts,
    unescaped,
)

# missing: what a path that is no mount of its own is, fail or not_applicable (the default).
PARAMS = {"path": "str", "missing": "str?"}
VALUE = ("list",)

_FSTAB = "/etc/fstab"
_DROP_IN = "zz-ringfence.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_UNIT_DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# What systemd itself mounts early, with these options, before it reads fstab.
_EARLY = {"/dev/shm": "nosuid,nodev", "/run": "nosuid,nodev"}  # noqa: S108 - these are mounts
_OPPOSITE = {"nodev": "dev", "nosuid": "suid", "noexec": "exec"}
_IMPLIED = {
    "defaults": {"dev", "suid", "exec"},
    "user": {"nodev", "nosuid", "noexec"},
    "users": {"nodev", "nosuid", "noexec"},
    "owner": {"nodev", "nosuid"},
    "group": {"nodev", "nosuid"},
}


class _Row(NamedTuple):
    """A line of fstab: its number from 1 and its six fields, as written."""

    number: int
    fields: list[str]


def observe(host: Host, control: Control) -> Observation:
    path = control.params["path"]
    mount = {one.path: one for one in mounts(host)}.get(path)
    if mount is None:
        return Observation({"mount": None}, "not a mount of its own")
    state = {"mount": mount, "in_fstab": False, "unit": None, **_at_boot(host, path)}
    shown = mount.options if state["origin"] else f"{mount.options} (at boot: not set)"
    return Observation(state, shown)


def judge(control: Control, observation: Observation) -> Verdict:
    state, path = observation.state, control.params["path"]
    if state["mount"] is None:
        fails = control.params.get("missing") == FAIL
        return Verdict(FAIL if fails else NOT_APPLICABLE, f"{path} is not a mount of its own")
    lacking = _lacking(control, _effective(state["mount"].options))
    if lacking:
        return Verdict(FAIL, f"{path} is mounted without {', '.join(lacking)}")
    lacking = _lacking(control, state["at_boot"])
    if lacking:
        if not state["origin"]:
            return Verdict(
                FAIL, f"neither fstab nor a mount unit gives {path} {lacking[0]} at boot"
            )
        return Verdict(
            FAIL, f"{state['origin']} mounts {path} without {', '.join(lacking)} at boot"
        )
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state, path, mount = observation.state, control.params["path"], observation.state["mount"]
    if mount is None:
        raise HostError(
            f"{path} is not a mount of its own: that is decided when disks are laid out"
        )
    if _lacking(control, state["at_boot"]):
        _stage_at_boot(control, stage, state)
    if _lacking(control, _effective(mount.options)):
        _stage_remount(control, stage, mount)


def _stage_at_boot(control: Control, stage: Stage, state: dict[str, Any]) -> None:
    path, wanted = control.params["path"], list(control.value)
    if state["unit"] is not None:
        text = f"{_HEADER}[Mount]\nOptions={_merged(state['unit'], wanted)}\n"
        stage.edit(f"{_UNIT_DIRECTORIES[0]}/{_unit_name(path)}.d/{_DROP_IN}", lambda _old: text)
    elif state["in_fstab"] or state["mount"].kind == "tmpfs":
        stage.edit(_FSTAB, lambda text: _with_options(text, path, wanted), validator="fstab")
    else:
        raise HostError(f"{path} was mounted by hand: set the options where it is made")
    stage.notify("reload_systemd")


def _stage_remount(control: Control, stage: Stage, mount: Mount) -> None:
    path = control.params["path"]
    wanted = _merged(mount.options, control.value)

    def remount(host: Host) -> None:
        host.output(["mount", "-o", f"remount,bind,{wanted}", path])

    stage.step(remount)


def _lacking(control: Control, options: set[str]) -> list[str]:
    return [option for option in control.value if option not in options]


def _rows(text: str) -> list[_Row]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if len(fields) >= 3 and not fields[0].startswith("#"):
            fields[1] = unescaped(fields[1]).rstrip("/") or "/"
            found.append(_Row(number, fields))
    return found


def _row(text: str, path: str) -> _Row | None:
    """The line that decides `path`: the first one, of which systemd makes the unit."""
    return next((row for row in _rows(text) if row.fields[1] == path), None)


def _at_boot(host: Host, path: str) -> dict[str, Any]:
    """`at_boot`: the options that the next boot sets; `origin`: where they stand ("" nowhere)."""
    row = _row(host.once(_FSTAB, lambda: host.text(_FSTAB)) or "", path)
    # A unit in /etc or /run hides the one that systemd makes from fstab; that one hides the rest.
    directories = _UNIT_DIRECTORIES if row is None else _UNIT_DIRECTORIES[:2]
    fragment = _fragment(host, path, directories)
    if fragment is not None:
        options = _unit_options(host, path, fragment)
        return {"at_boot": _effective(options), "origin": fragment, "unit": options}
    if row is not None:
        written = row.fields[3] if len(row.fields) > 3 else "defaults"
        return {"at_boot": _effective(written), "origin": _FSTAB, "in_fstab": True}
    early = _EARLY.get(path)
    if early is not None:
        return {"at_boot": _effective(early), "origin": "systemd"}
    return {"at_boot": set(), "origin": ""}


def _fragment(host: Host, path: str, directories: tuple[str, ...]) -> str | None:
    name = _unit_name(path)
    found = next((d for d in directories if host.exists(f"{d}/{name}")), None)
    return None if found is None else f"{found}/{name}"


def _unit_options(host: Host, path: str, fragment: str) -> str:
    drop_ins: dict[str, str] = {}
    for directory in _UNIT_DIRECTORIES:
        for name in host.names(f"{directory}/{_unit_name(path)}.d"):
            if name.endswith(".conf"):
                drop_ins.setdefault(name, f"{directory}/{_unit_name(path)}.d/{name}")
    options = ""
    for file in [fragment, *(drop_ins[name] for name in sorted(drop_ins))]:
        for line in (host.text(file) or "").splitlines():
            key, equals, value = line.partition("=")
            if equals and key.strip() == "Options":
                options = value.strip()
    return options


def _unit_name(path: str) -> str:
    """As systemd-escape --path --suffix=mount spells it."""
    return "-".join(_escaped(part) for part in path.strip("/").split("/")) + ".mount"


def _escaped(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.:]", lambda match: f"\\x{ord(match[0]):02x}", part)


def _effective(options: str) -> set[str]:
    """The restrictions that are left when options are read from left to right."""
    found: set[str] = set()
    for option in options.split(","):
        for name in _IMPLIED.get(option, {option}):
            found -= {restriction for restriction, loose in _OPPOSITE.items() if loose == name}
            found.add(name)
    return found


def _merged(options: str, wanted: list[str]) -> str:
    opposite = {_OPPOSITE.get(option) for option in wanted}
    kept = [o for o in options.split(",") if o and o not in opposite and o not in wanted]
    return ",".join([*kept, *wanted])


def _with_options(text: str, path: str, wanted: list[str]) -> str:
    """fstab in which the line for `path` has `wanted`; a new tmpfs line where there is none."""
    row = _row(text, path)
    if row is None:
        end = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{end}tmpfs {path} tmpfs {_merged('defaults', wanted)} 0 0\n"
    lines = text.split("\n")
    words = re.split(r"(\s+)", lines[row.number - 1].strip())
    if len(words) > 6:
        words[6] = _merged(words[6], wanted)
    else:
        words += [" ", _merged("defaults", wanted)]
    lines[row.number - 1] = "".join(words)
    return "\n".join(lines)
