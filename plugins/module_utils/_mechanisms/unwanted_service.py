# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Services that have no place on a host: not installed, or installed and kept from running."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ansible_collections.ringfence.hosting.plugins.module_utils import _nsswitch
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# packages: what brings the service; units: all that start it, sockets and timers included.
# uses: by what the host itself may need it, of _USES; then a person stops it.
PARAMS = {"packages": "list", "units": "list", "uses": "list?"}
VALUE = ("str",)

_SHARED = "unwanted units"
_PROPERTIES = "LoadState,ActiveState,UnitFileState"
# "generated" comes from a script in /etc/init.d: whether it starts, its links decide.
_STARTS = {"enabled", "enabled-runtime", "alias", "generated", "linked", "linked-runtime"}
_DOWN = {"inactive", "failed"}
_ISCSI_SESSIONS = "/sys/class/iscsi_session"


def prepare(host: Host, controls: list[Control]) -> None:
    """One question to systemd for the units of all controls."""
    units = sorted({unit for control in controls for unit in control.params["units"]})
    with suppress(HostError):  # each control's observe raises it again
        host.once(_SHARED, lambda: _show(host, units))


def observe(host: Host, control: Control) -> Observation:
    units = control.params["units"]
    known = host.once(_SHARED, lambda: _show(host, units))
    bad = {unit: known[unit] for unit in units if _is_on(known[unit])}
    installed = host.installed_packages()
    there = [name for name in control.params["packages"] if name in installed]
    used = _used(host, control) if bad else ""
    return Observation({"bad": sorted(bad), "there": there, "used": used}, _shown(bad, there))


def judge(control: Control, observation: Observation) -> Verdict:
    bad, there = observation.state["bad"], observation.state["there"]
    seen = "allowed" if bad else "stopped" if there else "absent"
    if control.meets(seen):
        return Verdict(PASS)
    used = observation.state["used"]
    if used:
        return Verdict(FAIL, f"{observation.shown}; {used}: a person decides", by_hand=True)
    return Verdict(FAIL, observation.shown)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if observation.state["used"]:
        return
    if control.value == "absent":
        for name in observation.state["there"]:
            stage.package(name, "absent")
    if control.value == "stopped" or not observation.state["there"]:
        for unit in observation.state["bad"]:
            stage.unit(unit, "masked")


def _used(host: Host, control: Control) -> str:
    """For what this host itself needs the service; "" where nothing shows."""
    for name in control.params.get("uses", []):
        if name not in _USES:
            raise HostError(f"there is no use called {name}")
        said = _USES[name](host)
        if said:
            return said
    return ""


def _names_used(host: Host) -> str:
    """systemd's own resolver answers at two of the addresses, and asks those of its own file."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        for line in (host.text(path) or "").splitlines():
            words = line.split()
            if words[:1] == ["nameserver"] and len(words) > 1 and _is_own(words[1]):
                return f"this host asks it for names ({path})"
    return ""


def _is_own(address: str) -> bool:
    if address in ("127.0.0.53", "127.0.0.54"):
        return False
    return address.startswith("127.") or address == "::1"


def _accounts_used(host: Host, sources: set[str]) -> str:
    for database in ("passwd", "group", "shadow"):
        for name in _nsswitch.foreign(host, database):
            if name in sources:
                return f"accounts of this host may come from it ({name} in /etc/nsswitch.conf)"
    return ""


def _disks_used(host: Host) -> str:
    return "disks of this host are attached by it" if host.names(_ISCSI_SESSIONS) else ""


def _folders_used(host: Host) -> str:
    """systemd mounts some on demand too, and calls itself their source."""
    for line in (host.text("/proc/self/mounts") or "").splitlines():
        words = line.split()
        if words[2:3] == ["autofs"] and not words[0].startswith("systemd-"):
            return f"it mounts folders below {words[1]}"
    return ""


_USES: dict[str, Callable[[Host], str]] = {
    "names": _names_used,
    "winbind": partial(_accounts_used, sources={"winbind"}),
    "directory": partial(_accounts_used, sources={"ldap", "sss"}),
    "disks": _disks_used,
    "folders": _folders_used,
}


def _show(host: Host, units: list[str]) -> dict[str, dict[str, str]]:
    text = host.output(["systemctl", "show", "--property", _PROPERTIES, "--", *units])
    blocks = text.strip("\n").split("\n\n")
    if len(blocks) != len(units):
        raise HostError(f"systemctl show told of {len(blocks)} units, asked for {len(units)}")
    found = {unit: _block(block) for unit, block in zip(units, blocks, strict=True)}
    for unit, properties in found.items():
        if "LoadState" not in properties or "ActiveState" not in properties:
            raise HostError(f"systemctl show does not say whether {unit} runs")
    return found


def _block(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _is_on(properties: dict[str, str]) -> bool:
    starts = properties.get("UnitFileState", "") in _STARTS
    return starts or properties["ActiveState"] not in _DOWN


def _shown(bad: dict[str, dict[str, str]], there: list[str]) -> str:
    if bad:
        return ", ".join(
            f"{unit} is {found.get('UnitFileState') or 'not enabled'} at boot"
            f" and {found['ActiveState']} now"
            for unit, found in sorted(bad.items())
        )
    return f"{', '.join(there)} installed, not running" if there else "not installed"
