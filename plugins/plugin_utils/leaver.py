# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What people.yml says of somebody who leaves: keys, names, and which of them are theirs alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _access_keys

# Accounts for SFTP are accounts of the server.
_SYSTEMS = {"sftp": "server"}


class LeaverError(Exception):
    """There is no such person, in one line."""


def subject(people: Mapping[str, Any], person: str) -> dict[str, Any]:
    """{person, fingerprints, emails, accounts, kept, owns} of a person of people.yml's content.

    `accounts` and `kept`: system -> names; `kept` are those that others or a service use too.
    `owns`: ids of service accounts that are in their name. Raises LeaverError.
    """
    everybody = list(people.get("people") or [])
    services = list(people.get("service_accounts") or [])
    mine = next((one for one in everybody if one["id"] == person), None)
    if mine is None:
        raise LeaverError(f"person: there is no {person!r} in people.yml")
    own = _names(mine)
    others = _joined(_names(one) for one in [*everybody, *services] if one is not mine)
    kept = {
        system: sorted({name for name in names if name.casefold() in _folded(others, system)})
        for system, names in own.items()
    }
    return {
        "person": person,
        "fingerprints": sorted(filter(None, map(_fingerprint, mine.get("keys") or []))),
        "emails": [str(mail) for mail in mine.get("emails") or []],
        "accounts": {system: sorted(names) for system, names in own.items()},
        "kept": {system: names for system, names in kept.items() if names},
        "owns": [one["id"] for one in services if one.get("owner") == person],
    }


def _names(holder: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for system, names in (holder.get("accounts") or {}).items():
        found.setdefault(_SYSTEMS.get(system, system), set()).update(map(str, names))
    for grant in holder.get("access") or []:
        if grant.get("account"):
            system = grant.get("third_party") or grant["system"]
            found.setdefault(_SYSTEMS.get(system, system), set()).add(str(grant["account"]))
    return found


def _joined(all_names: Iterable[dict[str, set[str]]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for names in all_names:
        for system, some in names.items():
            found.setdefault(system, set()).update(some)
    return found


def _folded(names: Mapping[str, set[str]], system: str) -> set[str]:
    return {name.casefold() for name in names.get(system, ())}


def _fingerprint(key: Mapping[str, Any]) -> str:
    return str(
        key.get("fingerprint") or _access_keys.fingerprint_of(str(key.get("public_key", "")))
    )
