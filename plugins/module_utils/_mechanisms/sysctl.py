# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel settings: the live value in /proc/sys and the one that the next boot sets."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    set_line,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._needs import needed_by

# each_interface: net.ipv4.conf.all.x and its like are judged for every interface that is there, as
# the kernel may go by the interface's own value.
# unless: capabilities of hosts that need it otherwise. missing: what a setting is that this kernel
# does not have, fail (the default) or not_applicable.
PARAMS = {"keys": "list", "each_interface": "bool?", "unless": "list?", "missing": "str?"}
VALUE = ("int", "str")

# Last in order on purpose: the last line wins, and Debian 12 links 99-sysctl.conf to sysctl.conf.
_DROP_IN = "/etc/sysctl.d/zz-ringfence.conf"
# A file of its own for what the guard may have to take back, so that nothing else goes with it.
_GUARDED_DROP_IN = "/etc/sysctl.d/zz-ringfence-network.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
_FORWARDING = "net.ipv4.ip_forward"
_ALL_INTERFACES = re.compile(r"^(net\.ipv[46]\.conf)\.all\.(\w+)$")


def observe(host: Host, control: Control) -> Observation:
    settings = host.once("sysctl.d", lambda: _boot_settings(host))
    own = control.params["keys"]
    keys = own + _interface_keys(host, control)
    live = {key: _live(host, key) for key in keys}
    boot = {key: _at_boot(settings, key) for key in keys}
    state = {
        "needed_by": needed_by(host, control),
        "live": live,
        "boot": boot,
        "settable": all(host.writable(_path(key)) for key in keys),
        "exact": {key for key in keys if any(name == key for name, _value in settings)},
    }
    odd = [key for key in keys if key not in own and not control.meets(_typed(control, live[key]))]
    return Observation(state, ", ".join(_shown(key, live[key], boot[key]) for key in own + odd))


def judge(control: Control, observation: Observation) -> Verdict:
    live, boot = observation.state["live"], observation.state["boot"]
    if observation.state["needed_by"]:
        return Verdict(NOT_APPLICABLE, observation.state["needed_by"])
    absent = [key for key, value in live.items() if value is None]
    if absent:
        status = NOT_APPLICABLE if control.params.get("missing") == NOT_APPLICABLE else FAIL
        return Verdict(status, f"the kernel has no setting {absent[0]}")
    wrong_live = [key for key, value in live.items() if not control.meets(_typed(control, value))]
    wrong_boot = [key for key, value in boot.items() if not _boots_right(control, value)]
    if not observation.state["settable"] and (wrong_live or wrong_boot):
        return Verdict(NOT_APPLICABLE, "this setting belongs to the kernel of the container's host")
    if wrong_live:
        key = wrong_live[0]
        return Verdict(FAIL, f"{key} is {live[key]} now")
    if wrong_boot:
        key = wrong_boot[0]
        seen = boot[key]
        how = "is not set for the next boot" if seen is None else f"will be {seen} after a boot"
        return Verdict(FAIL, f"{key} {how}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state = observation.state
    drop_in = _GUARDED_DROP_IN if control.disruption == "access" else _DROP_IN
    for key, seen in state["boot"].items():
        if not _boots_right(control, seen):
            named = key in control.params["keys"] or key in state["exact"]
            written = key if named else _every_interface(key)
            line = f"{written} = {control.value}"
            stage.edit(drop_in, set_line(written, line, _HEADER))
    for key, seen in state["live"].items():
        if seen is not None and not control.meets(_typed(control, seen)):
            _stage_live(control, stage, key)


def _stage_live(control: Control, stage: Stage, key: str) -> None:
    def write(host: Host) -> None:
        kept = _redirects(host) if key == _FORWARDING else {}
        _write(host, key, control.value)
        for name, value in kept.items():
            _write(host, name, value)

    # The guard puts back what can cut a connection; it wants paths, as eth0.5 has a dot.
    stage.step(write, sysctls=(_relative(key),) if key.startswith("net.") else ())


def _write(host: Host, key: str, value: Any) -> None:
    try:
        Path(host.real(_path(key))).write_text(f"{value}\n", encoding="ascii")
    except OSError as error:
        raise HostError(f"{key} cannot be set: {error.strerror}") from error


def _redirects(host: Host) -> dict[str, str]:
    """What the kernel sets anew, to a host's ways or a router's, when forwarding is switched."""
    keys = [f"net.ipv4.conf.{name}.accept_redirects" for name in host.names(_path("net.ipv4.conf"))]
    live = {key.replace("/", "."): _live(host, key) for key in keys if "/" not in key}
    return {key: value for key, value in live.items() if value is not None}


def _interface_keys(host: Host, control: Control) -> list[str]:
    if not control.params.get("each_interface"):
        return []
    found = []
    for key in control.params["keys"]:
        match = _ALL_INTERFACES.match(key)
        if match is None:
            continue
        for name in host.names(_path(match[1])):
            if name not in ("all", "default"):
                # An interface such as eth0.100: sysctl writes the dot of a name as a slash.
                found.append(f"{match[1]}.{name.replace('.', '/')}.{match[2]}")
    return found


def _every_interface(key: str) -> str:
    return re.sub(r"^(net\.ipv[46]\.conf)\..*\.(\w+)$", r"\1.*.\2", key)


def _path(key: str) -> str:
    return f"/proc/sys/{_relative(key)}"


def _relative(key: str) -> str:
    return key.translate(str.maketrans("./", "/."))


def _live(host: Host, key: str) -> str | None:
    text = host.text(_path(key))
    return None if text is None else " ".join(text.split())


def _typed(control: Control, seen: str | None) -> int | str | None:
    if seen is not None and isinstance(control.value, int):
        return int(seen) if re.fullmatch(r"-?[0-9]+", seen) else seen
    return seen


def _boots_right(control: Control, seen: str | None) -> bool:
    return seen is not None and control.meets(_typed(control, seen))


def _boot_settings(host: Host) -> list[tuple[str, str | None]]:
    """(key or pattern, value) in the order in which systemd-sysctl meets them; None excludes."""
    files: dict[str, str] = {}
    for directory in _DIRECTORIES:
        for name in host.names(directory):
            if name.endswith(".conf"):
                files.setdefault(name, f"{directory}/{name}")
    found = []
    for name in sorted(files):
        for line in (host.text(files[name]) or "").splitlines():
            entry = _entry(line)
            if entry is not None:
                found.append(entry)
    return found


def _entry(line: str) -> tuple[str, str | None] | None:
    text = line.strip()
    if not text or text[0] in "#;":
        return None
    key, equals, value = text.lstrip("-").partition("=")
    if not equals:
        return (_dotted(key.strip()), None) if text.startswith("-") else None
    return _dotted(key.strip()), " ".join(value.split())


def _dotted(key: str) -> str:
    """One spelling for a key: systemd takes slashes too, and the first separator decides."""
    first = next((mark for mark in key if mark in "./"), ".")
    return key.translate(str.maketrans("./", "/.")) if first == "/" else key


def _at_boot(settings: list[tuple[str, str | None]], key: str) -> str | None:
    """An exact key beats every pattern; among equals the last one wins."""
    exact = [value for name, value in settings if name == key and value is not None]
    if exact:
        return exact[-1]
    if any(name == key for name, value in settings if value is None):
        return None
    matches = [value for name, value in settings if _fits(key, name)]
    return matches[-1] if matches else None


def _fits(key: str, pattern: str) -> bool:
    """As systemd does: a star stands for one part of the path, never for several."""
    parts, patterns = _path(key).split("/"), _path(pattern).split("/")
    if not any(mark in pattern for mark in "*?[") or len(parts) != len(patterns):
        return False
    return all(fnmatchcase(part, wanted) for part, wanted in zip(parts, patterns, strict=True))


def _shown(key: str, live: str | None, boot: str | None) -> str:
    return f"{key}={live}" if live == boot else f"{key}={live} (at boot: {boot or 'not set'})"
