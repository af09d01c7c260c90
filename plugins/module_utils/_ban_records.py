# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bans of a host as they are told: read from the record of its service, lifted through it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent import agent, store
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import Ban
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_CLIENT = "/usr/bin/fail2ban-client"
_USER_ID = "site={site} user={user}"


def info(host: Host, days: int) -> dict[str, Any]:
    """The module ban_info: `bans` in force or ended within `days`, `peers`, `set_up`.

    Raises HostError.
    """
    now = int(time.time())
    try:
        bans, notes = store.read(host.real(store.PATH), now - days * 86400)
    except OSError as error:
        raise HostError(str(error.args[-1])) from error
    return {
        "set_up": host.exists(agent.CONFIGURATION),
        "days": days,
        "bans": [told(ban, now) for ban in bans],
        "peers": _peers(notes),
    }


def told(ban: Ban, now: int) -> dict[str, Any]:
    """A ban as people read it."""
    state = "in force"
    if ban.ended is not None:
        state = "lifted"
    elif ban.until <= now:
        state = "over"
    return {
        "kind": ban.kind,
        "subject": ban.subject,
        "site": ban.site,
        "reason": ban.reason,
        "rule": ban.jail,
        "source": ban.source,
        "failures": ban.failures,
        "since": shown(ban.since),
        "until": shown(ban.until),
        "seconds": ban.until - ban.since,
        "state": state,
        "lifted": shown(ban.ended) if ban.ended is not None else "",
        "why": ban.why,
    }


def shown(moment: int) -> str:
    """As 2026-01-31T12:00:00Z."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _peers(notes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Peer -> when it was last told (heard), when it last told (told), what went wrong."""
    found: dict[str, dict[str, str]] = {}
    for name, value in sorted(notes.items()):
        kind, _space, peer = name.partition(" ")
        moment, _space, text = value.partition(" ")
        with suppress(ValueError):
            word = shown(int(moment)) + (f" {text}" if text else "")
            found.setdefault(peer, {})[kind] = word
    return found


def lift(host: Host, subject: str, site: str, why: str, *, check: bool) -> dict[str, Any]:
    """Lift all that is in force against an address or a user. Raises HostError."""
    now = int(time.time())
    if not host.exists(agent.CONFIGURATION):
        return {"changed": False, "lifted": []}
    wanted = f"{site} {subject}" if site else subject
    live = [ban for ban in store.read(store.PATH, now)[0] if ban.ended is None and ban.until > now]
    found = [ban for ban in live if agent.is_named(ban, wanted)]
    if not found or check:
        return {"changed": bool(found), "lifted": sorted({ban.subject for ban in found})}
    answer = _tell({"do": "unban", "subject": wanted, "why": why})
    for ban in found:
        _forget(host, ban)
    return {"changed": True, "lifted": answer["lifted"]}


def _forget(host: Host, ban: Ban) -> None:
    """A ban that fail2ban still counts keeps it from another.

    One that does not answer, since it is down or starts, is told by the service once it is back.
    """
    if ban.kind == store.ADDRESS:
        host.run([_CLIENT, "unban", ban.subject])
    else:
        name = _USER_ID.format(site=ban.site.replace("/", "__"), user=ban.subject)
        host.run([_CLIENT, "set", ban.jail, "unbanip", name])


def block_user(user: str, site: str, seconds: int, why: str, *, check: bool) -> dict[str, Any]:
    """Shut an account of a site out. Raises HostError."""
    now = int(time.time())
    live = store.read(store.PATH, now)[0]
    known = [ban for ban in live if (ban.kind, ban.subject, ban.site) == (store.USER, user, site)]
    if any(ban.ended is None and ban.until > now for ban in known):
        return {"changed": False, "blocked": user}
    if not check:
        _tell({"do": "block_user", "user": user, "site": site, "seconds": seconds, "why": why})
    return {"changed": True, "blocked": user}


def _tell(message: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = agent.tell(message)
    except OSError as error:
        raise HostError(f"the service ringfence-bans does not answer: {error}") from error
    if "error" in answer:
        raise HostError(str(answer["error"]))
    return answer
