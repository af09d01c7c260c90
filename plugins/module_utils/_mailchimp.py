# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Mailchimp keeps of somebody by their address, and how it forgets it.

An account's users, its keys and its linked applications cannot be taken by its interface. Members
of audiences and customers of shops can be deleted, for good. A member that is only archived is
still kept, so nothing here archives.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from ansible_collections.ringfence.hosting.plugins.module_utils import _rest

_PAGE = 1000


@dataclass(frozen=True)
class Entry:
    """Somebody in an audience (`kind` member) or a shop (customer).

    `holder`: the id of the audience or shop, `title` its name; `id`: of the entry there.
    """

    kind: str
    holder: str
    title: str
    id: str
    email: str
    status: str = ""

    @property
    def path(self) -> str:
        """Where it is."""
        holder, inner = quote(self.holder, safe=""), quote(self.id, safe="")
        if self.kind == "member":
            return f"/lists/{holder}/members/{inner}"
        return f"/ecommerce/stores/{holder}/customers/{inner}"

    @property
    def words(self) -> str:
        """`cho@agency.example, member of News (subscribed)`."""
        if self.kind == "member":
            return f"{self.email}, member of {self.title} ({self.status})"
        return f"{self.email}, customer of {self.title}"


class KeptError(Exception):
    """It was told to forget somebody and still knows them, in one line."""


def member_id(email: str) -> str:
    """The id of a member in every audience: MD5 of the small address, by the contract."""
    return hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()


def entries(api: _rest.Api, emails: Iterable[str]) -> list[Entry]:
    """All that is kept by these addresses, archived members too. Raises _rest.RestError."""
    wanted = sorted({email.strip() for email in emails if email.strip()})
    return [*_members(api, wanted), *_customers(api, wanted)] if wanted else []


def forget(api: _rest.Api, found: Iterable[Entry]) -> None:
    """Delete them for good, and look again. Raises _rest.RestError or KeptError."""
    for one in found:
        # Where an answer got lost and the request came again, the first one has done it.
        with contextlib.suppress(_rest.Missing):
            if one.kind == "member":
                api.send("POST", f"{one.path}/actions/delete-permanent")
            else:
                api.send("DELETE", one.path)
        if _knows(api, one):
            raise KeptError(f"{one.words}: was deleted and is still there")


def _members(api: _rest.Api, emails: list[str]) -> Iterator[Entry]:
    query = {"fields": "lists.id,lists.name,total_items"}
    for audience in list(api.counted("/lists", "lists", query, _PAGE)):
        for email in emails:
            one = Entry(
                "member", str(audience["id"]), str(audience.get("name") or audience["id"]),
                member_id(email), email,
            )  # fmt: skip
            try:
                said = api.get(one.path, {"fields": "id,status"})
            except _rest.Missing:
                continue
            yield Entry(one.kind, one.holder, one.title, one.id, email, str(said["status"]))


def _customers(api: _rest.Api, emails: list[str]) -> Iterator[Entry]:
    query = {"fields": "stores.id,stores.name,total_items"}
    for shop in list(api.counted("/ecommerce/stores", "stores", query, _PAGE)):
        holder, title = str(shop["id"]), str(shop.get("name") or shop["id"])
        path = f"/ecommerce/stores/{quote(holder, safe='')}/customers"
        fields = "customers.id,customers.email_address,total_items"
        for email in emails:
            asked = {"email_address": email, "fields": fields}
            for said in api.counted(path, "customers", asked, _PAGE):
                # An interface that does not heed the filter would have us delete everybody.
                if str(said.get("email_address")).casefold() == email.casefold():
                    yield Entry("customer", holder, title, str(said["id"]), email)


def _knows(api: _rest.Api, one: Entry) -> bool:
    try:
        api.get(one.path, {"fields": "id"})
    except _rest.Missing:
        return False
    return True
