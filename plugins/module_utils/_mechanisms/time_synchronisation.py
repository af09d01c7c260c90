# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clock: which daemon keeps it right, whom that asks, and whether it is right now."""

from __future__ import annotations

import re
from typing import Any

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

# check: daemon (exactly one starts at boot), servers, user (chrony's), synchronised.
PARAMS = {"check": "str"}
VALUE = ("str", "list")

# In the order in which one of several is kept: the package that brings it, and its unit.
_DAEMONS = {
    "chrony": ("chrony", "chrony.service"),
    "ntpsec": ("ntpsec", "ntpsec.service"),
    "openntpd": ("openntpd", "openntpd.service"),
    "ntp": ("ntp", "ntp.service"),
    "systemd-timesyncd": ("systemd-timesyncd", "systemd-timesyncd.service"),
}
_UNITS = [unit for _package, unit in _DAEMONS.values()]
_TIMESYNCD = "/etc/systemd/timesyncd.conf.d/zz-ringfence.conf"
_TIMESYNCD_FOLDERS = (
    "/usr/lib/systemd/timesyncd.conf.d",
    "/usr/local/lib/systemd/timesyncd.conf.d",
    "/run/systemd/timesyncd.conf.d",
    "/etc/systemd/timesyncd.conf.d",
)
_CHRONY = "/etc/chrony/chrony.conf"
_CHRONY_SOURCES = "/etc/chrony/sources.d/ringfence.sources"
_NTPSEC = "/etc/ntpsec/ntp.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_DIRECTIVE = re.compile(r"^\s*(server|pool|peer)\s+(\S+)", re.IGNORECASE)
_USER = re.compile(r"^[ \t]*user[ \t]+(\S+).*$", re.MULTILINE | re.IGNORECASE)
_CHRONY_USER = "_chrony"


def observe(host: Host, control: Control) -> Observation:
    return _OBSERVE[control.params["check"]](host, control)


def judge(control: Control, observation: Observation) -> Verdict:
    return _JUDGE[control.params["check"]](control, observation.state)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    planner = _PLAN.get(control.params["check"])
    if planner is not None:
        planner(control, observation.state, stage)


def _enabled(host: Host) -> list[str]:
    return host.once("time daemons", lambda: _read_enabled(host))


def _read_enabled(host: Host) -> list[str]:
    argv = ["systemctl", "show", "--property", "UnitFileState,LoadState", "--", *_UNITS]
    blocks = host.output(argv).strip("\n").split("\n\n")
    if len(blocks) != len(_UNITS) or not all("LoadState=" in block for block in blocks):
        raise HostError("systemctl show does not tell of all daemons that keep the time")
    lines = [set(block.splitlines()) for block in blocks]
    starts = {"UnitFileState=enabled", "UnitFileState=generated", "UnitFileState=enabled-runtime"}
    return [name for name, found in zip(_DAEMONS, lines, strict=True) if found & starts]


def _observe_daemon(host: Host, _control: Control) -> Observation:
    enabled = _enabled(host)
    shown = ", ".join(enabled) or "none starts at boot"
    return Observation({"enabled": enabled, "installed": _installed(host)}, shown)


def _judge_daemon(control: Control, state: dict[str, Any]) -> Verdict:
    enabled = state["enabled"]
    if not enabled:
        return Verdict(FAIL, "no daemon that keeps the time starts at boot")
    if len(enabled) > 1:
        return Verdict(FAIL, f"{' and '.join(enabled)} work against each other")
    if control.value not in ("any", enabled[0]):
        return Verdict(FAIL, f"{enabled[0]} keeps the time")
    return Verdict(PASS)


def _plan_daemon(control: Control, state: dict[str, Any], stage: Stage) -> None:
    installed, enabled = state["installed"], state["enabled"]
    keep = control.value if control.value != "any" else _best(installed, enabled)
    package, unit = _DAEMONS[keep]
    if keep not in installed:
        if package not in stage.packages:  # else another control already puts it on
            stage.package(package, "present")
    elif keep not in enabled:
        stage.unit(unit, "enabled")
    for other in enabled:
        if other != keep:
            stage.unit(_DAEMONS[other][1], "disabled")


def _best(installed: list[str], enabled: list[str]) -> str:
    """Which daemon is kept, or put on: a unit without a package is nobody's choice."""
    both = [name for name in enabled if name in installed]
    return next(iter([*both, *installed]), "systemd-timesyncd")


def _installed(host: Host) -> list[str]:
    known = host.installed_packages()
    return [name for name, (package, _unit) in _DAEMONS.items() if package in known]


def _observe_servers(host: Host, _control: Control) -> Observation:
    enabled = _enabled(host)
    daemon = _best(_installed(host), enabled) if enabled else ""
    reader = _SERVERS.get(daemon)
    servers = reader(host) if reader else []
    return Observation(
        {"daemon": daemon, "known": reader is not None, "servers": servers},
        f"{daemon or 'no daemon'}: {' '.join(servers) or 'none configured'}",
    )


def _judge_servers(control: Control, state: dict[str, Any]) -> Verdict:
    if not state["known"]:
        who = state["daemon"] or "none that starts at boot"
        return Verdict(FAIL, f"there is no daemon whose servers could be read ({who})")
    strange = [name for name in state["servers"] if name not in control.value]
    if strange:
        return Verdict(FAIL, f"{state['daemon']} asks {', '.join(strange)}")
    if not state["servers"]:
        return Verdict(FAIL, f"{state['daemon']} is told of no server")
    return Verdict(PASS)


def _plan_servers(control: Control, state: dict[str, Any], stage: Stage) -> None:
    names = [str(name) for name in control.value]
    if not names or any(re.search(r"[\s#]", name) for name in names):
        raise HostError("the list of time servers is empty or has a name with a space in it")
    if state["daemon"] == "systemd-timesyncd":
        text = f"{_HEADER}[Time]\nNTP=\nNTP={' '.join(names)}\nFallbackNTP=\n"
        stage.edit(_TIMESYNCD, lambda _old: text)
        stage.step(_restart_if_running("systemd-timesyncd.service"))
    elif state["daemon"] == "chrony":
        stage.edit(_CHRONY, lambda old: _without_strangers(old, names))
        text = _HEADER + "".join(f"pool {name} iburst\n" for name in names)
        stage.edit(_CHRONY_SOURCES, lambda _old: text)
        stage.step(_restart_if_running("chrony.service"))


def _without_strangers(text: str, names: list[str]) -> str:
    """Servers that are not approved are commented out, and our folder of sources is read."""
    lines = []
    for line in text.splitlines():
        found = _DIRECTIVE.match(line)
        lines.append(f"#{line}" if found and found[2] not in names else line)
    folder = _CHRONY_SOURCES.rpartition("/")[0]
    if not re.search(rf"^\s*sourcedir\s+{re.escape(folder)}\b", text, re.MULTILINE):
        lines.append(f"sourcedir {folder}")
    return "".join(f"{line}\n" for line in lines)


def _restart_if_running(unit: str) -> Any:
    def act(host: Host) -> None:
        if host.run(["systemctl", "is-active", "-q", unit]).rc == 0:
            host.output(["systemctl", "restart", unit])

    return act


def _timesyncd_servers(host: Host) -> list[str]:
    """`NTP=` of the main file and its drop-ins, as systemd adds them up; an empty one resets."""
    found: list[str] = []
    for path in ["/etc/systemd/timesyncd.conf", *_drop_ins(host)]:
        section = ""
        for line in (host.text(path) or "").splitlines():
            stripped = line.strip()
            if stripped.startswith("["):
                section = stripped
            key, equals, value = stripped.partition("=")
            if equals and section == "[Time]" and key.strip() == "NTP":
                found = found + value.split() if value.strip() else []
    return found


def _drop_ins(host: Host) -> list[str]:
    """By name; a file in a later folder hides one of the same name."""
    by_name = {
        name: f"{folder}/{name}"
        for folder in _TIMESYNCD_FOLDERS
        for name in host.names(folder)
        if name.endswith(".conf")
    }
    return [by_name[name] for name in sorted(by_name)]


def _chrony_servers(host: Host) -> list[str]:
    paths = [_CHRONY, *host.glob("/etc/chrony/conf.d/*.conf")]
    paths += host.glob("/etc/chrony/sources.d/*.sources")
    return _directives(host, paths)


def _ntpsec_servers(host: Host) -> list[str]:
    return _directives(host, [_NTPSEC, *host.glob("/etc/ntpsec/ntp.d/*.conf")])


def _directives(host: Host, paths: list[str]) -> list[str]:
    lines = [line for path in paths for line in (host.text(path) or "").splitlines()]
    return [match[2] for match in map(_DIRECTIVE.match, lines) if match]


def _observe_user(host: Host, _control: Control) -> Observation:
    text = host.text(_CHRONY)
    if text is None:
        return Observation({"user": None}, "chrony is not installed")
    named = _USER.findall(text)
    user = named[-1] if named else _CHRONY_USER  # what Debian builds chronyd with
    return Observation({"user": user}, user)


def _judge_user(control: Control, state: dict[str, Any]) -> Verdict:
    if state["user"] is None:
        return Verdict(NOT_APPLICABLE, "chrony is not installed")
    if state["user"] == control.value:
        return Verdict(PASS)
    return Verdict(FAIL, f"chronyd runs as {state['user']}")


def _plan_user(control: Control, _state: dict[str, Any], stage: Stage) -> None:
    stage.edit(_CHRONY, lambda old: _USER.sub("", old).rstrip("\n") + f"\nuser {control.value}\n")
    stage.step(_restart_if_running("chrony.service"))


def _observe_synchronised(host: Host, _control: Control) -> Observation:
    said = host.output(["timedatectl", "show", "--property", "NTPSynchronized"]).strip()
    if said not in ("NTPSynchronized=yes", "NTPSynchronized=no"):
        raise HostError("timedatectl does not say whether the clock is synchronised")
    seen = said.partition("=")[2]
    return Observation({"seen": seen}, seen)


def _judge_synchronised(control: Control, state: dict[str, Any]) -> Verdict:
    if control.meets(state["seen"]):
        return Verdict(PASS)
    return Verdict(FAIL, "the kernel says that nobody has set the clock right")


_SERVERS = {
    "systemd-timesyncd": _timesyncd_servers,
    "chrony": _chrony_servers,
    "ntpsec": _ntpsec_servers,
}
_OBSERVE = {
    "daemon": _observe_daemon,
    "servers": _observe_servers,
    "user": _observe_user,
    "synchronised": _observe_synchronised,
}
_JUDGE = {
    "daemon": _judge_daemon,
    "servers": _judge_servers,
    "user": _judge_user,
    "synchronised": _judge_synchronised,
}
_PLAN = {"daemon": _plan_daemon, "servers": _plan_servers, "user": _plan_user}
