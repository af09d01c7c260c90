# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person who leaves has, what still shows afterwards, and what a person must do by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence import collection
from ringfence.access.model import Population, Row, kind_of, target_of

_mailchimp: Any = collection.module_util("_mailchimp")

# What the collectors say of an access that opens nothing any more.
_SHUT = frozenset({"locked", "blocked", "inactive", "disabled", "no_way_in"})
_BY_API = ("server", "database", "cms", "bucket")


@dataclass(frozen=True)
class Task:
    """Something to do by hand, and the attestation that it was done."""

    system: str
    what: str
    attestation: Mapping[str, str]


def accesses(population: Population, person: str) -> list[Row]:
    """All that a joined population knows of a person and that still opens something."""
    shut = {
        (target_of(row), row["account_id"])
        for row in population.rows.values()
        if "no_way_in" in (row["flags"] or ())
    }
    return sorted(
        (
            row
            for row in population.rows.values()
            if row["person"] == person
            and not _SHUT & set(row["flags"] or ())
            # What a user of the account may do at a bucket opens nothing without a way in.
            and not (kind_of(row) == "bucket" and (target_of(row), row["account_id"]) in shut)
        ),
        key=lambda row: (row["system"], row["username"], row["key_fingerprint"]),
    )


def addresses(register: Any, person: str) -> tuple[list[str], list[str]]:
    """(the person's own e-mail addresses, those that others or a service go by too)."""
    people = [said for name, said in register.people.items() if name != person]
    others: set[str] = set()
    for said in (*people, *register.service_accounts.values()):
        names = [name for some in said.get("accounts", {}).values() for name in some]
        others |= {str(name).casefold() for name in (*said.get("emails", []), *names)}
    mine = sorted(map(str, register.people[person].get("emails", [])))
    own = [email for email in mine if email.casefold() not in others]
    return own, [email for email in mine if email not in own]


def entries(population: Population, emails: Iterable[str]) -> list[str]:
    """What third parties keep of somebody by these addresses, a line each."""
    ids = {_mailchimp.member_id(email) for email in emails}
    return [
        f"{target}: {one['kind']} of {one['holder']}"
        + (f" ({one['status']})" * bool(one["status"]))
        for target, facts in sorted(population.facts.items())
        for one in facts.get("entries", [])
        if one["person"] in ids
    ]


def line(row: Row) -> str:
    """`server:web1: cho by ssh_key SHA256:…`."""
    by = " ".join(filter(None, (row["credential_type"], row["key_fingerprint"])))
    return f"{row['system']}: {row['username']}{f' by {by}' if by else ''}"


def tasks(register: Any, person: str, rows: Iterable[Row], today: str) -> list[Task]:
    """What no host and no interface of ours takes: consoles, owned services, named remainders."""
    said = register.people[person]
    found: dict[tuple[str, str], Task] = {}

    def add(system: str, what: str) -> None:
        claim = f"{what}: done for {said['name']}"
        found.setdefault(
            (system, what),
            Task(system, what, {
                "third_party": system, "claim": claim, "value": "done", "method": "",
                "observed_at": today, "attested_by": "", "approved_by": "", "expires_at": "",
            }),
        )  # fmt: skip

    for grant in said.get("access", []):
        if grant["system"] == "console":
            add(str(grant["third_party"]), "remove the user from the console, end its sessions")
    for system, names in said.get("accounts", {}).items():
        if system in register.third_parties:
            add(system, f"remove the user {', '.join(map(str, names))} and its tokens")
    for row in rows:
        if kind_of(row) not in _BY_API:
            add(str(row["system"]), f"remove {row['username']}")
    for name, service in register.service_accounts.items():
        if service.get("owner") == person:
            add("people.yml", f"give the service account {name} another owner, change its secrets")
    if not said.get("left"):
        add("people.yml", f"write the last day of {person} (left), keep the entry")
    return [found[key] for key in sorted(found)]


def markdown(person: str, name: str, done: Iterable[str], named: Iterable[str],
             left: Iterable[str], todo: Iterable[Task]) -> str:  # fmt: skip
    """The record of an offboarding, with a box to tick for each thing that is left to do."""
    parts = [f"# Offboarding of {_plain(name)} ({person})", "", "## Taken", ""]
    parts += [f"- {_plain(text)}" for text in done] or ["Nothing."]
    parts += ["", "## For a person to decide", ""]
    parts += [f"- [ ] {_plain(text)}" for text in named] or ["Nothing."]
    parts += ["", "## Still shown by the newest collection", ""]
    parts += [f"- [ ] {_plain(text)}" for text in left] or ["Nothing."]
    parts += ["", "## By hand, each with an attestation in third_parties.yml", ""]
    parts += [f"- [ ] {_plain(one.system)}: {_plain(one.what)}" for one in todo] or ["Nothing."]
    return "\n".join([*parts, ""])


def _plain(text: str) -> str:
    """Of what hosts said nothing becomes markup."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|" else c for c in shown)
