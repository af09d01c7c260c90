# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a population of accesses, control by control. Pure: facts in, findings out.

`access_mfa`, say, is `_mfa`: it gets a `Case` and yields a Finding for each account that fails or
cannot be told. What is not an access (domains, CDNs, attestations) is in judges_facts.py.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from ringfence.access.model import Finding, Population, Row, kind_of, target_of
from ringfence.access.people import LEFT, Directory, Holder, day

REGISTER = "register"
_DOMAINS = "domains"  # what domain_access_info asks
_PEOPLE = ("human", "vendor", "shared", "breakglass")
_INERT = frozenset({"blocked", "locked"})
_BY_PEOPLE = ("server", "cms", "web", "console", "dns", "cdn", "mail")
# Nobody signs in there: in a bucket somebody is by the ways into the account, which have own rows.
_NO_SIGN_IN = ("database", "bucket")


@dataclass(frozen=True)
class Revoke:
    """An access that a signed review took away. `state`: seen, not_told, or gone.

    `signed_off`: the day. `row`: as it was when the review was opened.
    """

    review: str
    signed_off: date
    name: str
    row: Row
    state: str


@dataclass
class Case:
    """What judges look at. `values`: target -> control id -> value; `joined` rows by identity.

    `revokes`: what reviews took away; None where there was no review yet.
    """

    population: Population
    directory: Directory
    values: Callable[[str], Mapping[str, Any]]
    today: date = field(default_factory=date.today)
    revokes: tuple[Revoke, ...] | None = None

    @cached_property
    def rows(self) -> list[tuple[str, Row]]:
        """Rows that open something, with their identities."""
        return [
            (name, row)
            for name, row in self.population.rows.items()
            if not _INERT & set(row["flags"])
        ]

    @cached_property
    def accounts(self) -> dict[tuple[str, str, str], list[tuple[str, Row]]]:
        """(system, account id, name) -> its rows; two names may share an id."""
        found: dict[tuple[str, str, str], list[tuple[str, Row]]] = defaultdict(list)
        for name, row in self.rows:
            found[row["system"], row["account_id"], row["username"]].append((name, row))
        return found

    def value(self, control: str, row: Row) -> Any:
        """The value that holds where a row is."""
        return self.values(target_of(row))[control]


Judge = Callable[[Case], Iterator[Finding]]


def judge(case: Case) -> list[Finding]:
    """All findings of all row judges, by control."""
    return [finding for one in JUDGES.values() for finding in one(case)]


def _finding(control: str, rows: Iterable[tuple[str, Row]], message: str, **more: Any) -> Finding:
    found = list(rows)
    first = found[0][1]
    clients = {row["client"] for _name, row in found}
    return Finding(
        control, target_of(first), message, tuple(name for name, _row in found),
        person=first["person"], client=clients.pop() if len(clients) == 1 else "", **more,
    )  # fmt: skip


def what(row: Row) -> str:
    """An access in a few words: `ada on web1`, `boss of shop.example`."""
    kind = kind_of(row)
    place = row["details"].get("place") or target_of(row)
    if kind in ("cms", "web"):
        return f"{row['username']} of {place} on {target_of(row)}"
    if kind == "database":
        return f"{row['account_id']} in MariaDB on {target_of(row)}"
    return f"{row['username']} on {target_of(row)}"


def _key(row: Row) -> str:
    comment = row["details"].get("key_comment")
    name = row["key_fingerprint"] or row["details"].get("credential") or "that is not named"
    return f"{name}{f' ({comment})' if comment else ''}"


def _leaver(case: Case) -> Iterator[Finding]:
    for name, row in case.rows:
        if row["person_status"] != LEFT:
            continue
        left = day(case.directory.register.people[row["person"]]["left"])
        if (case.today - left).days <= case.value("access_leaver", row):
            continue
        by = f"the key {_key(row)} opens" if row["key_fingerprint"] else "can still use"
        yield _finding(
            "access_leaver", [(name, row)], f"{row['person']} left on {left} and {by} {what(row)}"
            if not row["key_fingerprint"] else f"{row['person']} left on {left}; {by} {what(row)}",
        )  # fmt: skip


def _account_owner(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        row = rows[0][1]
        if _is_owned(row) or row["username"] == "*" or row["credential_type"] == "setuid_file":
            continue
        if kind_of(row) == "cms" and row["privileged"] is not False:
            continue  # access_cms_administrator says it louder
        yield _finding("access_account_owner", rows, f"{what(row)} is nobody's")


def _is_owned(row: Row) -> bool:
    details = row["details"]
    return bool(
        details.get("account_holders") or details.get("declared") or details.get("built_in")
        or details.get("service_account")
    )  # fmt: skip


def _key_owner(case: Case) -> Iterator[Finding]:
    for name, row in case.rows:
        if row["details"].get("key_known") is False:
            yield _finding(
                "access_key_owner", [(name, row)],
                f"the key {_key(row)} opens {what(row)} and is nobody's",
            )  # fmt: skip


def _key_shared(case: Case) -> Iterator[Finding]:
    by_key: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for name, row in case.rows:
        if row["credential_type"] == "ssh_key":
            by_key[row["key_fingerprint"]].append((name, row))
    for rows in by_key.values():
        spare = [one for one in rows if not _is_granted_by_name(case, one[1])]
        names = sorted({row["username"] for _name, row in spare})
        limit = min(case.value("access_key_shared", row) for _name, row in rows)
        if len(names) > limit:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            for target, part in _by_target(spare).items():
                said = f"the key {_key(part[0][1])} opens {len(names)} accounts: {shown}"
                yield _finding("access_key_shared", part, said, observed=target)


def _is_granted_by_name(case: Case, row: Row) -> bool:
    """The account is the key's owner's own, or was granted: by its name, or as a site's."""
    holder = case.directory.by_key.get(row["key_fingerprint"])
    if holder is None:
        return False
    if holder in case.directory.of_account(row):
        return True
    of_site = case.directory.site_of(row) is not None
    return any(
        ("account" in grant or of_site) and case.directory.in_force(grant)
        for grant in case.directory.grants(holder, row)
    )


def _by_target(rows: Iterable[tuple[str, Row]]) -> dict[str, list[tuple[str, Row]]]:
    found: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for one in rows:
        found[target_of(one[1])].append(one)
    return found


def _shared_account(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        row = rows[0][1]
        if row["details"].get("service_account"):
            continue
        people = {one["person"] for _name, one in rows if one["person"]}
        people |= set(row["details"].get("account_holders") or [])
        if len(people) > 1:
            said = f"{what(row)} is used by {', '.join(sorted(people))}"
            yield _finding("access_shared_account", rows, said)


def _dormant(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        row = rows[0][1]
        if kind_of(row) not in _BY_PEOPLE or row["account_type"] not in ("human", "vendor"):
            continue
        if all(one["credential_type"] == "none" for _name, one in rows) or row["username"] == "*":
            continue
        days = case.value("access_dormant", row)
        verdict = _unused(case, [one for _name, one in rows], case.today - timedelta(days=days))
        if verdict is not None:
            status, said = verdict
            yield _finding("access_dormant", rows, f"{what(row)} {said}", status=status)


def _unused(case: Case, rows: list[Row], limit: date) -> tuple[str, str] | None:
    """(status, words) of an account that was not used since `limit`; None where it was."""
    last = max((str(row[key])[:10] for row in rows for key in ("last_login", "last_key_use")),
               default="")  # fmt: skip
    if last:
        return None if last >= limit.isoformat() else ("fail", f"was last used on {last}")
    row = rows[0]
    created = str(row["created"])[:10]
    if created and created > limit.isoformat():
        return None
    if kind_of(row) == "server":
        since = str(case.population.facts.get(target_of(row), {}).get("sign_ins_since") or "")[:10]
        if since and since <= limit.isoformat():
            return "fail", f"was not used since {since}, when the host's records begin"
        return "error", "may be unused: the host's records do not go back far enough"
    if row["details"].get("cms") == "joomla":
        return "fail", f"was never used since it was made on {created or 'a day not kept'}"
    return "error", "may be unused: nothing keeps when it last signed in"


def _mfa(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        mine = [
            (name, row)
            for name, row in rows
            if row["privileged"] and row["details"].get("remote") is not False
            and row["account_type"] in _PEOPLE and kind_of(row) not in _NO_SIGN_IN
            and row["credential_type"] not in ("none", "setuid_file")
        ]  # fmt: skip
        bad = [one for one in mine if one[1]["mfa"] == "no"]
        unsure = [one for one in mine if one[1]["mfa"] == "unknown"]
        if bad:
            kinds = sorted({row["credential_type"].replace("_", " ") for _name, row in bad})
            said = f"{what(bad[0][1])} signs in without a second factor ({', '.join(kinds)})"
            yield _finding("access_mfa", bad, said)
        elif unsure:
            said = f"whether {what(unsure[0][1])} needs a second factor cannot be told"
            yield _finding("access_mfa", unsure, said, status="error")


def _key_strength(case: Case) -> Iterator[Finding]:
    for name, row in case.rows:
        kind, bits = str(row["details"].get("key_type") or ""), row["details"].get("key_bits")
        limit = case.value("access_key_strength", row)
        weak = kind.startswith("ssh-dss") or (
            kind.startswith("ssh-rsa") and isinstance(bits, int) and bits < limit
        )
        if weak and row["key_fingerprint"]:
            said = f"the key {_key(row)} of {what(row)} is {kind} with {bits} bits"
            yield _finding("access_key_strength", [(name, row)], said, observed=f"{kind} {bits}")


def _key_age(case: Case) -> Iterator[Finding]:
    for name, row in case.rows:
        expires = row["details"].get("key_expires")
        if expires and day(expires) < case.today:
            said = f"the key {_key(row)} of {what(row)} was to be gone by {expires}"
        elif row["key_age"] is not None and row["key_age"] > case.value("access_key_age", row):
            said = f"the key {_key(row)} of {what(row)} is {row['key_age']} days old"
        else:
            continue
        yield _finding("access_key_age", [(name, row)], said)


def _flagged(control: str, flags: Mapping[str, str]) -> Judge:
    """A judge of what a collector marked: flag -> words."""

    def judged(case: Case) -> Iterator[Finding]:
        for name, row in case.rows:
            said = [words for flag, words in flags.items() if flag in row["flags"]]
            if said:
                yield _finding(control, [(name, row)], f"{what(row)} {'; '.join(said)}")

    return judged


def _vendor_contract(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        row = rows[0][1]
        party = case.directory.register.third_parties.get(row["details"].get("third_party"))
        if party is None:
            continue
        if "end" in party and day(party["end"]) < case.today:
            said = f"the contract of {party['id']} ended on {party['end']}"
        elif "start" in party and day(party["start"]) > case.today:
            said = f"the contract of {party['id']} begins on {party['start']}"
        elif not party.get("agreement"):
            said = f"{party['id']} has no agreement"
        else:
            continue
        yield _finding("access_vendor_contract", rows, f"{row['person']} uses {what(row)}: {said}")


def _vendor_dates(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        row = rows[0][1]
        if row["account_type"] == "vendor" and row["details"].get("grant_ended"):
            said = f"{row['person']} has {what(row)} outside of {_dates(row)}"
            yield _finding("access_vendor_dates", rows, said)


def _dates(row: Row) -> str:
    return f"{row['start'] or 'no first day'} to {row['stop'] or 'no last day'}"


def _vendor_addresses(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        row = rows[0][1]
        party = case.directory.register.third_parties.get(row["details"].get("third_party"), {})
        agreed = row["details"].get("agreed_from") or party.get("from") or []
        if row["account_type"] != "vendor" or not agreed:
            continue
        networks = [ipaddress.ip_network(text, strict=False) for text in agreed]
        sources = {s for _name, one in rows for s in one["details"].get("sources") or []}
        strange = sorted(source for source in sources if not _within(source, networks))
        wide = [one for one in rows if one[1]["credential_type"] == "ssh_key"
                and not _bound(one[1]["details"].get("from") or [], networks)]  # fmt: skip
        said = []
        if strange:
            said.append(f"came from {', '.join(strange[:3])}")
        if wide:
            said.append("has a key that is not bound to its addresses")
        if said:
            agreed_text = ", ".join(agreed[:4])
            message = f"{what(row)} {' and '.join(said)}; agreed: {agreed_text}"
            yield _finding("access_vendor_addresses", rows, message)


def _within(text: str, networks: list[Any]) -> bool:
    """Whether an address or network lies in one of the networks."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return any(found.version == n.version and found.subnet_of(n) for n in networks)


def _bound(patterns: list[str], networks: list[Any]) -> bool:
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    return bool(wanted) and all(_within(pattern, networks) for pattern in wanted)


def _service_account(case: Case) -> Iterator[Finding]:
    seen: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for name, row in case.rows:
        if row["details"].get("service_account"):
            seen[row["details"]["service_account"]].append((name, row))
    for service, said in case.directory.register.service_accounts.items():
        problems = []
        if day(said["review_by"]) < case.today:
            problems.append(f"its review was due on {said['review_by']}")
        if case.directory.status(said["owner"]) == LEFT:
            problems.append(f"its owner {said['owner']} left")
        if not problems:
            continue
        message = f"{service}: {' and '.join(problems)}"
        for rows in _by_target(seen.get(service, [])).values():
            yield _finding("access_service_account", rows, message)
        if service not in seen:
            yield Finding("access_service_account", REGISTER, message)


def _cms_administrator(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        row = rows[0][1]
        if kind_of(row) != "cms" or row["privileged"] is False or _is_owned(row):
            continue
        said = f"{what(row)} ({', '.join(row['roles'])}) is known to nobody"
        if row["details"].get("email"):
            said += f"; its address is {row['details']['email']}"
        yield _finding("access_cms_administrator", rows, said)


def _ungranted(case: Case) -> Iterator[Finding]:
    for name, row in case.rows:
        details = row["details"]
        if "granted" not in details or details["granted"] or row["person_status"] == LEFT:
            continue
        if row["account_type"] == "vendor" and details.get("grant_ended"):
            continue  # access_vendor_dates
        who = row["person"] or details.get("service_account") or ""
        why = f"the grant ended on {row['stop']}" if details.get("grant_ended") else (
            "nobody granted it")  # fmt: skip
        yield _finding("access_ungranted", [(name, row)], f"{who} has {what(row)}: {why}")


def _beyond_grant(case: Case) -> Iterator[Finding]:
    for rows in case.accounts.values():
        mine = [one for one in rows if one[1]["details"].get("granted")]
        bad = [
            (name, row)
            for name, row in mine
            if row["privileged"] and not row["details"].get("granted_privileged")
        ]
        if bad:
            row = bad[0][1]
            path = "; ".join(row["grant_path"][:2] or row["roles"][:2])
            said = f"{what(row)} has all rights, which nobody granted"
            yield _finding("access_beyond_grant", bad, f"{said}: {path}" if path else said)


def _absent(case: Case) -> Iterator[Finding]:
    present: dict[str, list[Row]] = defaultdict(list)
    for row in case.population.rows.values():
        for holder in {row["person"], str(row["details"].get("service_account") or ""),
                       *(row["details"].get("account_holders") or [])}:  # fmt: skip
            present[holder].append(row)
    unread = {(gap.target, gap.source) for gap in case.population.gaps}
    for holder in case.directory.holders:
        for grant in holder.said.get("access", []):
            if case.directory.in_force(grant):
                yield from _absent_grant(case, holder, grant, present[holder.id], unread)


def _absent_grant(
    case: Case,
    holder: Holder,
    grant: Mapping[str, Any],
    rows: list[Row],
    unread: set[tuple[str, str]],
) -> Iterator[Finding]:
    """On each host that a grant names; for a wider one, anywhere."""
    if grant["system"] not in ("server", "sftp", "cms", "database"):
        return
    if any(case.directory.covers(grant["scope"], row) and _is_of(grant, row) for row in rows):
        wide = not grant["scope"].get("hosts")
        missing = [] if wide else [
            host for host in grant["scope"]["hosts"]
            if host in case.population.targets
            and not any(target_of(row) == host and _is_of(grant, row) for row in rows)
        ]  # fmt: skip
    else:
        places = [one for one in case.population.targets if _may_cover(case, grant["scope"], one)]
        # Whoever may have it anywhere may have it on a host that could not be read.
        if not grant["scope"].get("hosts") and any(
            _is_hidden(place, grant["system"], unread) for place in places
        ):
            return
        missing = places[:1]
    for target in missing:
        if _is_hidden(target, grant["system"], unread):
            continue
        account = grant.get("account", "an account")
        said = f"{holder.id} was granted {account} ({grant['system']}), and it is not there"
        yield Finding("access_absent", target, said,
                      person=holder.id if holder.is_person else "")  # fmt: skip


def _is_hidden(target: str, system: str, unread: set[tuple[str, str]]) -> bool:
    return any(gap == target and _hides(source, system) for gap, source in unread)


def _hides(source: str, system: str) -> bool:
    """Whether what a grant speaks of may be there, in a source that was not read."""
    wanted = {
        "cms": ("host", "cms", "wordpress", "joomla"),
        "database": ("host", "database", "mariadb"),
    }.get(system, ("host", "server", "accounts", "directory", "authorized_keys"))
    return source.partition(" ")[0] in wanted


def _is_of(grant: Mapping[str, Any], row: Row) -> bool:
    wanted = {"sftp": "server"}.get(grant["system"], grant["system"])
    account = grant.get("account", row["username"])
    return bool(kind_of(row) == wanted and account == row["username"])


def _may_cover(case: Case, scope: Mapping[str, Any], target: str) -> bool:
    register = case.directory.register
    if target in register.third_parties or target == _DOMAINS:
        return False  # no server, site or database of ours is there
    placements = register.on(target)
    return bool(
        scope.get("everything")
        or target in scope.get("hosts", [])
        or any(target in case.directory.groups.get(name, ()) for name in scope.get("groups", []))
        or any(p.client["id"] in scope.get("clients", []) for p in placements)
        or any(p.reference in scope.get("sites", []) for p in placements)
    )


def _revoked(case: Case) -> Iterator[Finding]:
    """What could not be read is no proof that an access is gone."""
    for one in case.revokes or ():
        days = (case.today - one.signed_off).days
        if one.state == "gone" or days <= case.value("access_revoke_overdue", one.row):
            continue
        seen = one.state == "seen"
        was = "is still there" if seen else "was not looked for since"
        yield Finding(
            "access_revoke_overdue", target_of(one.row),
            f"{what(one.row)} was revoked {days} days ago by the review {one.review} and {was}",
            (one.name,) if one.name in case.population.rows else (), person=one.row["person"],
            client=one.row["client"], status="fail" if seen else "error",
        )  # fmt: skip


JUDGES: dict[str, Judge] = {
    "access_leaver": _leaver,
    "access_account_owner": _account_owner,
    "access_key_owner": _key_owner,
    "access_key_shared": _key_shared,
    "access_shared_account": _shared_account,
    "access_dormant": _dormant,
    "access_mfa": _mfa,
    "access_key_strength": _key_strength,
    "access_key_age": _key_age,
    "access_keys_writable": _flagged(
        "access_keys_writable", {"writable_by_others": "gets keys from a file others can write"}
    ),
    "access_password_kept": _flagged(
        "access_password_kept",
        {
            "password_empty": "opens without a password",
            "password_weak_hash": "has a password that is kept in a broken hash",
        },
    ),
    "access_vendor_contract": _vendor_contract,
    "access_vendor_dates": _vendor_dates,
    "access_vendor_addresses": _vendor_addresses,
    "access_service_account": _service_account,
    "access_cms_administrator": _cms_administrator,
    "access_ungranted": _ungranted,
    "access_beyond_grant": _beyond_grant,
    "access_absent": _absent,
    "access_setuid": _flagged(
        "access_setuid", {"setuid_unpackaged": "lends its rights to whoever runs a file"}
    ),
    "access_database_tls": _flagged(
        "access_database_tls", {"remote_without_tls": "comes over the network without TLS"}
    ),
    "access_database_unused": _flagged(
        "access_database_unused",
        {"grants_nothing": "may do nothing", "database_gone": "is for a database that is gone"},
    ),
    "access_revoke_overdue": _revoked,
}
