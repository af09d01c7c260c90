# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hard limits that pam_limits gives to every session: limits.conf, then limits.d by name.

Root's sessions are not meant: pam_limits does not give them what is said for everybody.
"""

from __future__ import annotations

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

# item: as limits.conf(5) calls it, such as core.
PARAMS = {"item": "str"}
VALUE = ("int",)

_MAIN = "/etc/security/limits.conf"
_FOLDER = "/etc/security/limits.d/*.conf"
_DROP_IN = "/etc/security/limits.d/zz-ringfence.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_KINDS = ("hard", "soft", "-")
_ALL = "every item"


class _Limit(NamedTuple):
    """A line: where it stands, whom it is for, hard, soft or - for both, what, how much."""

    place: str
    domain: str
    kind: str
    item: str
    value: str


def observe(host: Host, control: Control) -> Observation:
    lines = host.once("session limits", lambda: _read(host))
    found = [limit for limit in lines if limit.item in (control.params["item"], _ALL)]
    hard = [limit for limit in found if limit.kind != "soft"]
    for_all = [limit for limit in hard if limit.domain == "*"]
    state = {
        "all": for_all[-1] if for_all else None,
        # A line for one user or group outweighs the one for everybody.
        "apart": [limit for limit in hard if limit.domain not in ("*", "root")],
    }
    shown = ", ".join(f"{limit.domain} {limit.value}" for limit in hard) or "not limited"
    return Observation(state, shown)


def judge(control: Control, observation: Observation) -> Verdict:
    item, limit = control.params["item"], observation.state["all"]
    if limit is None:
        return Verdict(FAIL, f"no hard limit of {item} for everybody")
    for found in [limit, *observation.state["apart"]]:
        if not _meets(control, found):
            return Verdict(FAIL, f"{found.place} allows {found.domain} {item} {found.value}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    limit, item = observation.state["all"], control.params["item"]
    if limit is not None and _meets(control, limit):
        raise HostError("that line is for one user or group and not ours to rewrite")
    stage.edit(_DROP_IN, lambda _old: f"{_HEADER}* hard {item} {control.value}\n")


def _meets(control: Control, limit: _Limit) -> bool:
    return limit.value.isdecimal() and control.meets(int(limit.value))


def _read(host: Host) -> list[_Limit]:
    found = []
    for path in [_MAIN, *host.glob(_FOLDER)]:
        for number, raw in enumerate((host.text(path) or "").split("\n"), 1):
            words = raw.partition("#")[0].split()
            if not words:
                continue
            if len(words) == 2 and words[1] == "-":  # no limits at all for this one
                found.append(_Limit(f"{path}:{number}", words[0], "-", _ALL, "unlimited"))
                continue
            if len(words) != 4 or words[1] not in _KINDS:
                raise HostError(f"{path}:{number} cannot be understood: {raw.strip()[:80]}")
            found.append(_Limit(f"{path}:{number}", *words))
    return found
