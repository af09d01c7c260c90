# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes what a third party keeps of a person who leaves, where its interface can: Mailchimp.

What is deleted there is gone for good and cannot be added again by us, so it has to be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _mailchimp,
    _rest,
    _third_parties,
)

_CONNECTOR = "mailchimp"


class OffboardError(Exception):
    """What could not be looked up or deleted, in one line without any secret."""


@dataclass(frozen=True)
class Account:
    """What was found at one third party. `own_key`: the key that asked is the leaver's own."""

    party: str
    api: _rest.Api
    entries: list[_mailchimp.Entry]
    own_key: bool


def plan(
    connectors: Iterable[Mapping[str, Any]], emails: Iterable[str], seconds: float
) -> list[Account]:
    """What each account keeps by these addresses. Raises OffboardError; nothing is changed."""
    wanted = [email for email in emails if email.strip()]
    chosen = [one for one in connectors if one["connector"] == _CONNECTOR] if wanted else []
    return [_look(one, wanted, seconds) for one in chosen]


def carry_out(accounts: Iterable[Account]) -> None:
    """Delete it all, and look again. Raises OffboardError."""
    for account in accounts:
        try:
            _mailchimp.forget(account.api, account.entries)
        except (_rest.RestError, _mailchimp.KeptError) as error:
            raise OffboardError(f"{account.party}: not all was deleted: {error}") from None


def told(accounts: Iterable[Account], erase: bool) -> tuple[list[str], list[str]]:
    """(what is taken, what is for a person to decide), a line each."""
    taken, named = [], []
    for account in accounts:
        words = [f"{account.party}: {entry.words}" for entry in account.entries]
        if erase:
            taken += [f"delete {text}, for good" for text in words]
        else:
            named += [f"{text}: stays; --erase deletes it, for good" for text in words]
        if account.own_key:
            named.append(
                f"{account.party}: the key that Ringfence asks with is this person's own: "
                "make one of somebody else's and revoke it in the console"
            )
    return taken, named


def _look(said: Mapping[str, Any], emails: list[str], seconds: float) -> Account:
    party = str(said["party"])
    settings = _third_parties.Settings(said["key"], base=said.get("url") or "", seconds=seconds)
    try:
        api = _third_parties.mailchimp_api(settings)
        owner = str(api.get("/", {"fields": "email"}).get("email") or "")
        found = _mailchimp.entries(api, emails)
    except (_rest.RestError, _third_parties.SettingError) as error:
        raise OffboardError(f"{party}: {error}; nothing was changed") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise OffboardError(f"{party}: an answer of another shape; nothing was changed") from None
    return Account(party, api, found, owner.casefold() in {one.casefold() for one in emails})
