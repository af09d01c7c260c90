# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with what is no access: domains, CDNs, cloud accounts, attestations.

Collectors put these into the `facts` of their document (missing or None is unknown, never a no):

    domains: [{domain, transfer_lock, dnssec, expires, auto_renew}]      expires: 2026-01-31
    origins: [{site, address, reachable}]            reachable around the CDN, true, false or None
    cloud:   {account, root_last_used, root_keys, root_mfa}    time or "", a number, yes | no
    claims:  [{third_party, claim, value}]           what a machine says of what may be attested
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ringfence.access.judges import REGISTER, Case
from ringfence.access.model import Finding, Row, target_of
from ringfence.access.people import day

_MFA_CONTROLS = ("access_mfa", "access_cloud_root_mfa")
_MFA_WORDS = ("second factor", "mfa", "two-factor", "2fa")


def judge(case: Case) -> list[Finding]:
    """All findings."""
    found: list[Finding] = []
    for target, facts in case.population.facts.items():
        values = case.values(target)
        for domain in facts.get("domains") or []:
            found += _domain(target, domain, values, case.today)
        for origin in facts.get("origins") or []:
            found += _origin(target, origin)
        if facts.get("cloud"):
            found += _cloud(target, facts["cloud"], values, case.today)
    return [*found, *_attestations(case)]


def _domain(
    target: str, said: Mapping[str, Any], values: Mapping[str, Any], today: date
) -> Iterator[Finding]:
    name, client = said["domain"], str(said.get("client") or "")
    yes_or_no = (
        ("access_domain_lock", "transfer_lock", "can be transferred away"),
        ("access_domain_dnssec", "dnssec", "is not signed"),
    )
    for control, key, words in yes_or_no:
        if said.get(key) is False:
            yield Finding(control, target, f"{name} {words}", client=client)
        elif said.get(key) is None:
            message = f"whether {name} {words} cannot be told"
            yield Finding(control, target, message, client=client, status="error")
    expires = said.get("expires")
    if not expires:
        message = f"when {name} expires cannot be told"
        yield Finding("access_domain_expiry", target, message, client=client, status="error")
        return
    left = (day(str(expires)[:10]) - today).days
    if left < values["access_domain_expiry"]:
        words = f"expired on {expires}" if left < 0 else f"expires on {expires}, in {left} days"
        renewed = ", and is renewed automatically" if said.get("auto_renew") else ""
        yield Finding("access_domain_expiry", target, f"{name} {words}{renewed}", client=client)


def _origin(target: str, said: Mapping[str, Any]) -> Iterator[Finding]:
    client = str(said.get("client") or "")
    if said.get("reachable"):
        message = f"{said['site']} answers at {said['address']}, around its CDN"
        yield Finding("access_cdn_origin", target, message, client=client)
    elif said.get("reachable") is None:
        message = f"whether {said['site']} answers around its CDN cannot be told"
        yield Finding("access_cdn_origin", target, message, client=client, status="error")


def _cloud(
    target: str, said: Mapping[str, Any], values: Mapping[str, Any], today: date
) -> Iterator[Finding]:
    account = said.get("account", target)
    keys, used = said.get("root_keys"), said.get("root_last_used")
    if keys:
        yield Finding("access_cloud_root", target, f"root of {account} has {keys} access keys")
    if used and (today - day(str(used)[:10])).days < values["access_cloud_root"]:
        yield Finding("access_cloud_root", target, f"root of {account} was used on {used}")
    if keys is None or used is None:
        message = f"whether root of {account} is used cannot be told"
        yield Finding("access_cloud_root", target, message, status="error")
    if said.get("root_mfa") == "no":
        message = f"root of {account} has no second factor"
        yield Finding("access_cloud_root_mfa", target, message)
    elif said.get("root_mfa") != "yes":
        message = f"whether root of {account} has a second factor cannot be told"
        yield Finding("access_cloud_root_mfa", target, message, status="error")


def _attestations(case: Case) -> Iterator[Finding]:
    register = case.directory.register
    superseded = {one.get("supersedes") for one in register.attestations}
    current = [one for one in register.attestations if one["id"] not in superseded]
    attested = {one["third_party"] for one in current}
    for party in sorted(_to_attest(case) - attested):
        said = f"{party} attested nothing of who has access there"
        yield Finding("access_attestation_missing", REGISTER, said)
    for one in current:
        client = str(one.get("client") or "")
        if day(one["expires_at"]) < case.today:
            said = f"{one['id']} of {one['third_party']} ended on {one['expires_at']}"
            yield Finding("access_attestation_expired", REGISTER, said, client=client)
        yield from _contradictions(case, one, client)


def _to_attest(case: Case) -> set[str]:
    """Third parties whose console somebody may use, or whose staff may use our systems."""
    found = set()
    for holder in case.directory.holders:
        party = holder.said.get("third_party")
        if party and holder.said.get("access"):
            found.add(party)
        found |= {
            grant["third_party"]
            for grant in holder.said.get("access", [])
            if grant.get("third_party") and case.directory.in_force(grant)
        }
    return found & set(case.directory.register.third_parties)


def _contradictions(case: Case, one: Mapping[str, Any], client: str) -> Iterator[Finding]:
    """A machine's fact beats the statement, whatever the statement's date."""
    party = one["third_party"]
    for facts in case.population.facts.values():
        for claim in facts.get("claims") or []:
            same = claim.get("third_party") == party and claim.get("claim") == one["claim"]
            if same and claim.get("value") is not None and claim["value"] != one["value"]:
                said = f"{one['id']} says {one['value']}, the machine says {claim['value']}"
                yield Finding("access_attestation_contradicted", REGISTER, said, client=client)
    if one["value"] is not True or not _is_about_mfa(one):
        return
    without = [(name, row) for name, row in case.rows if _is_staff_without(row, party)]
    if without:
        names = sorted({row["username"] for _name, row in without})
        said = (
            f"{one['id']} says that staff of {party} signs in with a second factor; "
            f"{', '.join(names[:5])} on {target_of(without[0][1])} does not"
        )
        rows = tuple(name for name, _row in without)
        yield Finding("access_attestation_contradicted", REGISTER, said, rows, client=client)


def _is_about_mfa(one: Mapping[str, Any]) -> bool:
    if set(one.get("controls", [])) & set(_MFA_CONTROLS):
        return True
    return any(word in str(one["claim"]).lower() for word in _MFA_WORDS)


def _is_staff_without(row: Row, party: str) -> bool:
    theirs = row["details"].get("third_party") == party or target_of(row) == party
    remote = row["details"].get("remote") is not False and row["credential_type"] != "none"
    return bool(theirs and remote and row["mfa"] == "no")


CONTROLS = (
    *("access_domain_lock", "access_domain_dnssec", "access_domain_expiry", "access_cdn_origin"),
    *("access_cloud_root", "access_cloud_root_mfa", "access_attestation_missing"),
    *("access_attestation_expired", "access_attestation_contradicted"),
)
