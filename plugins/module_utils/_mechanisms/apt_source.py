# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where packages come from: apt's sources, the keys that it believes, what it prefers by pins."""

from __future__ import annotations

from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _apt
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

# check: signatures (none is waived), keys (each source names its own), keyring (apt's old one is
# empty), security (Debian's security updates are among the sources, and were fetched), pins (none
# takes an older version; the value: packages, as written in a pin, that may be taken back).
PARAMS = {"check": "str"}
VALUE = ("str", "list")

# From here on apt takes a version even where that is older than the one installed.
_TAKES_BACK = 1000
_OLD_KEYRING = "/etc/apt/trusted.gpg"
# Options of a source that make apt believe what is not signed, badly signed or long out of date.
_WAIVING = ("trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure")
_DEMANDING = ("check-valid-until", "check-date")


def observe(host: Host, control: Control) -> Observation:
    wrong = _CHECKS[control.params["check"]](host, control)
    return Observation({"wrong": wrong}, "; ".join(wrong[:5]) or "as it should be")


def judge(control: Control, observation: Observation) -> Verdict:
    wrong = observation.state["wrong"]
    allowed = isinstance(control.value, str) and control.value == control.choices[-1]
    if not wrong or allowed:
        return Verdict(PASS)
    more = and_others(len(wrong))
    return Verdict(FAIL, f"{wrong[0]}{more}")


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: which source is given up is for a person to say."""


def _signatures(host: Host, _control: Control) -> list[str]:
    found = []
    for source in _apt.sources(host):
        where = f"{source.path}:{source.line}"
        found += [f"{where}: {name} is on" for name in _WAIVING if source.is_set(name)]
        found += [f"{where}: {name} is off" for name in _DEMANDING if source.is_set(name) is False]
    return found


def _keys(host: Host, control: Control) -> list[str]:
    return [
        f"{source.path}:{source.line}: {name} is believed with any key that apt knows"
        for source in _apt.sources(host)
        if not source.options.get("signed-by")
        for name in source.hosts()
        if name not in control.value
    ]


def _keyring(host: Host, _control: Control) -> list[str]:
    data: bytes | None = host.read(_OLD_KEYRING)
    return [f"{_OLD_KEYRING} holds keys, each good for any source"] if data else []


def _security(host: Host, _control: Control) -> list[str]:
    codename = _apt.codename(host) or "stable"
    wanted = {f"{codename}-security", "stable-security"}
    for source in _apt.sources(host):
        suites = {suite.rstrip("/").partition("/")[0] for suite in source.suites}
        if "deb" in source.types and suites & wanted:
            fetched = any(release.is_security for release in _apt.releases(host))
            return [] if fetched else [f"no list was fetched from {source.uris[0]}"]
    return [f"no source has {codename}-security"]


def _pins(host: Host, control: Control) -> list[str]:
    return [
        f"{pin.path}:{pin.line}: {pin.packages} has the priority {pin.priority}: older versions too"
        for pin in _apt.pins(host)
        if pin.priority >= _TAKES_BACK and pin.packages not in control.value
    ]


_CHECKS: dict[str, Any] = {
    "signatures": _signatures,
    "keys": _keys,
    "keyring": _keyring,
    "security": _security,
    "pins": _pins,
}
