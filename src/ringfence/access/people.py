# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins accounts to the people, services and sites of the client register.

Keys join by fingerprint, accounts by their name on a system, users of a CMS by e-mail address too.
An access that joins to nobody stays in the population, with nobody named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ringfence import collection
from ringfence.access.model import Population, Row, kind_of, place_of, target_of

_keys: Any = collection.module_util("_access_keys")

# The names of systems in people.yml that a row's system answers to.
_SYSTEMS = {
    "server": ("server", "sftp"),
    "sftp": ("sftp", "server"),
    "web": ("web", "cms"),
    "bucket": ("console", "aws"),
}
ACTIVE, LEFT, NOT_STARTED = "active", "left", "not_started"


@dataclass(frozen=True)
class Holder:
    """A person or a service account of people.yml. `kind`: person, or the service account's."""

    id: str
    kind: str
    said: Mapping[str, Any]

    @property
    def is_person(self) -> bool:
        """A human being, and no account of a machine."""
        return self.kind == "person"


class Directory:
    """The register, asked by key, account and address. `groups`: of the inventory, by name."""

    def __init__(
        self, register: Any, today: date, groups: Mapping[str, list[str]] | None = None
    ) -> None:
        self.register = register
        self.today = today
        self.groups = {name: frozenset(hosts) for name, hosts in (groups or {}).items()}
        self.holders = [
            *(Holder(name, "person", said) for name, said in register.people.items()),
            *(Holder(n, said["kind"], said) for n, said in register.service_accounts.items()),
        ]
        self.by_key: dict[str, Holder] = {}
        self.by_email: dict[str, Holder] = {}
        self.by_account: dict[tuple[str, str], list[Holder]] = {}
        for holder in self.holders:
            self._index(holder)

    def _index(self, holder: Holder) -> None:
        for key in holder.said.get("keys", []):
            print_ = key.get("fingerprint") or _keys.fingerprint_of(key.get("public_key", ""))
            if print_:
                self.by_key[print_] = holder
        for email in holder.said.get("emails", []):
            self.by_email[email.casefold()] = holder
        named = [
            (system, name)
            for system, names in holder.said.get("accounts", {}).items()
            for name in names
        ]
        for grant in holder.said.get("access", []):
            if "account" in grant:
                named.append((grant.get("third_party") or grant["system"], grant["account"]))
        for system, name in named:
            known = self.by_account.setdefault((system, name.casefold()), [])
            if holder not in known:
                known.append(holder)

    def key_of(self, fingerprint: str) -> Mapping[str, Any]:
        """What people.yml says of a key; empty where it knows none."""
        holder = self.by_key.get(fingerprint)
        for key in holder.said.get("keys", []) if holder else []:
            said = key.get("fingerprint") or _keys.fingerprint_of(key.get("public_key", ""))
            if said == fingerprint:
                return dict(key)
        return {}

    def of_account(self, row: Row) -> list[Holder]:
        """Who may call the account theirs."""
        kind, target = kind_of(row), target_of(row)
        found: list[Holder] = []
        for system in (*_SYSTEMS.get(kind, (kind,)), target):
            for holder in self.by_account.get((system, str(row["username"]).casefold()), []):
                if holder not in found:
                    found.append(holder)
        email = str(row["details"].get("email") or row["username"]).casefold()
        holder_ = self.by_email.get(email) if kind not in ("server", "database") else None
        if holder_ and holder_ not in found:
            found.append(holder_)
        return found

    def status(self, person: str) -> str:
        """active, left or not_started; empty for nobody."""
        said = self.register.people.get(person)
        if said is None:
            return ""
        if said.get("left") and day(said["left"]) < self.today:
            return LEFT
        if said.get("started") and day(said["started"]) > self.today:
            return NOT_STARTED
        return ACTIVE

    def site_of(self, row: Row) -> Any:
        """The placement whose site a row is of; None where the register has none."""
        kind, target, place = kind_of(row), target_of(row), place_of(row)
        for placement in self.register.on(target):
            site = placement.site
            if kind in ("cms", "web") and place in site["domains"]:
                return placement
            if kind == "server" and site.get("user") == row["username"]:
                return placement
            if kind == "database" and site.get("database", {}).get("user") == row["username"]:
                return placement
        if kind == "database":
            named = set(row["details"].get("databases") or [])
            for placement in self.register.on(target):
                if str(site_database(placement.site)).lower() in named:
                    return placement
        return None

    def grants(self, holder: Holder, row: Row) -> list[Mapping[str, Any]]:
        """The grants of somebody that speak of the system and place of a row, in force or not."""
        kind = kind_of(row)
        return [
            grant
            for grant in holder.said.get("access", [])
            if _speaks_of(grant, kind, target_of(row))
            and self.covers(grant["scope"], row)
            and self._names(grant, holder, row)
        ]

    def _names(self, grant: Mapping[str, Any], holder: Holder, row: Row) -> bool:
        """A grant that names no account is for the holder's own ones and for those of sites."""
        if "account" in grant:
            return bool(grant["account"].casefold() == str(row["username"]).casefold())
        if kind_of(row) != "server":
            return True
        return holder in self.of_account(row) or self.site_of(row) is not None

    def covers(self, scope: Mapping[str, Any], row: Row) -> bool:
        """Whether a grant's scope holds the place of a row."""
        if scope.get("everything"):
            return True
        target = target_of(row)
        if target in scope.get("hosts", []):
            return True
        if any(target in self.groups.get(name, ()) for name in scope.get("groups", [])):
            return True
        site = self.site_of(row) if kind_of(row) in ("cms", "web", "database") else None
        placements = [site] if site is not None else self.register.on(target)
        return any(
            place.client["id"] in scope.get("clients", [])
            or place.reference in scope.get("sites", [])
            for place in placements
        )

    def in_force(self, grant: Mapping[str, Any]) -> bool:
        """Whether a grant holds today; its first and last day do."""
        begun = "start" not in grant or day(grant["start"]) <= self.today
        return begun and ("end" not in grant or day(grant["end"]) >= self.today)


def _speaks_of(grant: Mapping[str, Any], kind: str, target: str) -> bool:
    if grant["system"] == "console":
        return bool(grant.get("third_party") == target)
    return grant["system"] in _SYSTEMS.get(kind, (kind,))


def site_database(site: Mapping[str, Any]) -> str:
    """The name of a site's database; empty where the register has none."""
    return str(site.get("database", {}).get("name", ""))


def day(value: Any) -> date:
    """A date of the register, which YAML may have read as a text."""
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def joined(population: Population, directory: Directory) -> Population:
    """The population with person, owner, grant and client on every row."""
    rows = {name: _joined(row, directory) for name, row in population.rows.items()}
    return replace(population, rows=rows)


def _joined(row: Row, directory: Directory) -> Row:
    row = {**row, "details": dict(row["details"])}
    holders = directory.of_account(row)
    key_owner = directory.by_key.get(row["key_fingerprint"]) if row["key_fingerprint"] else None
    by_key = row["credential_type"].startswith("ssh_") and row["key_fingerprint"]
    holder = key_owner or (holders[0] if holders else None)
    site = directory.site_of(row)
    details = row["details"]
    details["account_holders"] = [one.id for one in holders]
    details["key_known"] = bool(key_owner) if by_key else None
    if site is not None:
        details["site"] = site.reference
    row["client"] = _client(row, site, holder, directory)
    service = next((one for one in (*holders, *([holder] if holder else [])) if not one.is_person),
                   None)  # fmt: skip
    if service is not None:
        _of_service(row, service)
    elif holder is not None:
        row["account_type"] = "vendor" if holder.said.get("third_party") else "human"
    if site is not None and _declares(site.site, row):
        details["declared"] = True
        if holder is None:
            row["account_type"], row["owner"] = "service", site.client["id"]
            row["purpose"] = row["purpose"] or f"runs the site {site.reference}"
    if holder is not None and holder.is_person:
        _of_person(row, holder, directory)
    if holder is not None:
        _of_grants(row, holder, service, directory)
    _key_age(row, directory)
    return row


def _declares(site: Mapping[str, Any], row: Row) -> bool:
    """Whether the register gives the account itself to the site; data of the site are no proof."""
    if kind_of(row) == "server":
        return bool(site.get("user") == row["username"])
    if kind_of(row) != "database":
        return False
    said = site.get("database", {})
    if "user" in said:
        return bool(said["user"] == row["username"])
    return row["details"].get("remote") is not True


def _of_service(row: Row, service: Holder) -> None:
    row["account_type"] = service.kind
    row["owner"] = service.said["owner"]
    row["purpose"] = service.said["purpose"]
    row["details"]["service_account"] = service.id


def _of_person(row: Row, holder: Holder, directory: Directory) -> None:
    row["person"] = holder.id
    row["person_status"] = directory.status(holder.id)
    row["department"] = holder.said.get("department", "")
    row["owner"] = row["owner"] or holder.id
    row["details"]["person_name"] = holder.said["name"]
    if holder.said.get("third_party"):
        row["details"]["third_party"] = holder.said["third_party"]


def _of_grants(row: Row, holder: Holder, service: Holder | None, directory: Directory) -> None:
    """The account's own grant counts too: a key of a person may open a service account."""
    grants = directory.grants(holder, row)
    if not grants and service is not None and service is not holder and not holder.is_person:
        grants = directory.grants(service, row)
    current = [grant for grant in grants if directory.in_force(grant)]
    best = next(iter(current or grants), None)
    details = row["details"]
    details["granted"] = bool(current)
    details["grant_ended"] = bool(grants) and not current
    details["granted_privileged"] = any(_is_privileged(grant) for grant in current)
    if best is None:
        return
    row["start"] = row["start"] or str(best.get("start", ""))
    row["stop"] = row["stop"] or str(best.get("end", ""))
    row["purpose"] = row["purpose"] or best.get("reason", "")
    row["ticket"] = best.get("ticket", "")
    details["granted_by"] = best.get("granted_by", "")
    details["grantors"] = sorted({str(one["granted_by"]) for one in grants if "granted_by" in one})
    details["agreed_from"] = [network for grant in current for network in grant.get("from", [])]


def _is_privileged(grant: Mapping[str, Any]) -> bool:
    return bool(grant.get("privileged")) or "ALL" in grant.get("sudo", [])


def _client(row: Row, site: Any, holder: Holder | None, directory: Directory) -> str:
    """Whose access it is alone; empty where it concerns every client of the host, or none."""
    if site is not None:
        return str(site.client["id"])
    if row["details"].get("client"):
        return str(row["details"]["client"])
    if holder is not None and holder.said.get("client"):
        return str(holder.said["client"])
    clients = directory.register.clients_of(directory.register.on(target_of(row)))
    return str(clients[0]["id"]) if len(clients) == 1 else ""


def _key_age(row: Row, directory: Directory) -> None:
    said = directory.key_of(row["key_fingerprint"]) if row["key_fingerprint"] else {}
    if said.get("added"):
        row["key_age"] = (directory.today - day(said["added"])).days
        row["created"] = row["created"] or str(said["added"])
    if said.get("expires"):
        row["details"]["key_expires"] = str(said["expires"])


def in_scope(row: Row, client: str, directory: Directory) -> bool:
    """Whether a client may see a row: its own, and on its hosts what is nobody's alone."""
    if row["client"]:
        return bool(row["client"] == client)
    return any(p.client["id"] == client for p in directory.register.on(target_of(row)))


def named_in(rows: Iterator[Row] | Any) -> set[str]:
    """The people that rows speak of."""
    found = set()
    for row in rows:
        found |= {row["person"], row["owner"], str(row["details"].get("granted_by") or "")}
    return found - {""}
