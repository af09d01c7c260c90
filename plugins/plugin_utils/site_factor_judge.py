# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judges the second factor of a site from what its host found. See _site_factor_facts.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    ERROR,
    FAIL,
    NOT_APPLICABLE,
    PASS,
)

Finding = dict[str, Any]
_SHOWN = 20
# By e-mail is what the must-use plugin gives to those who have nothing; backup codes are no factor.
_NO_FACTOR = ("Two_Factor_Email", "Two_Factor_Backup_Codes", "Two_Factor_Dummy")
_FAMILY = "second_factor_site"


def judge(facts: Mapping[str, Any], values: Mapping[str, Any]) -> list[Finding]:
    """A finding for each control of the family. `facts`: one site; `values`: control id -> bool."""
    parts = {
        "gate_closed": (facts["gate"], _gate_closed),
        "gate_people": (facts["gate"], _gate_people),
        "cms_forced": (facts["cms"], _cms_forced),
        "cms_enrolled": (facts["cms"], _cms_enrolled),
        "ssh": (facts["ssh"], _ssh),
    }
    found = []
    for name, (seen, look) in parts.items():
        control = f"{_FAMILY}_{name}"
        if control in values:
            found.append({"id": control, **_judged(seen, look, asked=values[control])})
    return found


def _judged(seen: Any, look: Any, *, asked: bool) -> Finding:
    if seen is None:
        return {"status": NOT_APPLICABLE, "message": "the register asks for none here"}
    if not asked:
        return {"status": NOT_APPLICABLE, "message": "its variable says that this is not asked for"}
    if "error" in seen:
        return {"status": ERROR, "message": seen["error"]}
    found: Finding = look(seen)
    return found


def _gate_closed(seen: Mapping[str, Any]) -> Finding:
    portal = seen["portal"]
    expected = f"a redirect to {portal or 'the sign-in page of the gate'}"
    if not seen["answers"]:
        return {"status": ERROR, "message": "no path was tried"}
    wrong = [
        f"{path} answers {status}" + (f" to {target}" if target else "")
        for path, status, target in seen["answers"]
        if not _is_closed(status, target, portal)
    ]
    if wrong:
        return _failed(expected, wrong)
    if not any(status in (302, 403) for _path, status, _target in seen["answers"]):
        # Nothing lies there, so nothing was seen to be shut: the register may have the wrong paths.
        said = f"no request met the gate: {seen['answers'][0][0]} answers {seen['answers'][0][1]}"
        return {"status": ERROR, "expected": expected, "message": said}
    return {"status": PASS, "expected": expected, "observed": f"{len(seen['answers'])} requests"}


def _is_closed(status: int, target: str, portal: str) -> bool:
    """Refused, or sent to the portal: nothing of the site itself was said."""
    return status in (400, 403, 404) or (bool(portal) and status == 302 and target == portal)


def _gate_people(seen: Mapping[str, Any]) -> Finding:
    wrong = [f"{name} has a sign-in and is named for no site" for name in seen["strangers"]]
    wrong += [
        f"{name} may pass and is not named for this site"
        for name in sorted({*seen["admitted"]} - {*seen["people"]})
    ]
    wrong += [
        f"{name} is named and may not pass"
        for name in sorted({*seen["people"]} - {*seen["admitted"]})
    ]
    return _failed(", ".join(seen["people"]), wrong) if wrong else {"status": PASS}


def _cms_forced(seen: Mapping[str, Any]) -> Finding:
    expected = f"a second factor for {', '.join(seen['roles'])}"
    wrong = _wordpress_wrong(seen) if seen["cms"] == "wordpress" else _joomla_wrong(seen)
    return _failed(expected, wrong) if wrong else {"status": PASS, "expected": expected}


def _wordpress_wrong(seen: Mapping[str, Any]) -> list[str]:
    wrong = []
    if not seen["active"]:
        wrong.append("the plugin two-factor is not active")
    missing = [role for role in seen["roles"] if role not in seen["forced"]]
    if missing:
        wrong.append(f"nothing forces it for {', '.join(missing)}")
    if seen["refused"] is False:
        wrong.append(f"a session of {seen['tried_as']} that passed no factor opens the admin area")
    not_asked = [one["login"] for one in seen["users"] if not one["asked"]]
    if seen["active"] and not_asked:
        wrong.append(f"a password alone signs in {_some(not_asked)}")
    return wrong


def _joomla_wrong(seen: Mapping[str, Any]) -> list[str]:
    wrong = []
    missing = [number for number in seen["wanted"] if number not in seen["forced"]]
    if missing:
        wrong.append(f"nothing forces it for the groups {', '.join(map(str, missing))}")
    spared = [number for number in seen["wanted"] if number in seen["never"]]
    if spared:
        wrong.append(f"the groups {', '.join(map(str, spared))} are never asked")
    if not [one for one in seen["methods"] if one not in ("fixed", "backupcodes")]:
        wrong.append("no method is switched on, so nobody can be asked")
    return wrong


def _cms_enrolled(seen: Mapping[str, Any]) -> Finding:
    if not seen["users"]:
        return {"status": FAIL, "message": "nobody has one of the roles"}
    without = [one["login"] for one in seen["users"] if not _has_own(one["own"])]
    if without:
        return _failed("a factor of their own", [f"none have {_some(without)}"])
    return {"status": PASS, "observed": f"{len(seen['users'])} people"}


def _has_own(own: Any) -> bool:
    if isinstance(own, int):
        return own > 0
    return any(provider not in _NO_FACTOR for provider in own)


def _ssh(seen: Mapping[str, Any]) -> Finding:
    if not seen["asked"]:
        return _failed("key and code", [f"sshd asks {seen['user']} for no code"])
    enrolled = "enrolled" if seen["enrolled"] else "not enrolled, so cannot sign in"
    return {"status": PASS, "expected": "key and code", "observed": enrolled}


def _failed(expected: str, wrong: Iterable[str]) -> Finding:
    said = list(wrong)
    message = "; ".join(said[:_SHOWN])
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return {"status": FAIL, "expected": expected, "message": message + more}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
