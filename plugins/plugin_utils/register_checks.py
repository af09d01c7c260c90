# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a JSON schema cannot say of a register: that its files agree with each other, with the
inventory and with the catalogue. Each check yields problems; none touches a host.

What the calendar alone can bring about (an expired waiver, a person who left) is a warning: no
fleet stops being manageable at midnight.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils import register_waivers
from ansible_collections.ringfence.hosting.plugins.plugin_utils.catalogue import value_problem
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_files import (
    WARNING,
    Problem,
    RegisterFile,
    Vaulted,
    shown,
    walk,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_merge import (
    UNSET,
    Handmade,
    Placement,
    host_value,
    override,
    spoken_of,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_model import Register
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_order import (
    IrreconcilableError,
    is_ordered,
    is_weaker,
    seconds,
    strictest,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_tiers import (
    tier_of,
    weaker_settings,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import nearest

_SECRETS = ("password", "token", "secret")
_CMS_WITH_FACTOR = ("wordpress", "joomla")
_EVERYBODY = ("0.0.0.0/0", "::/0")
_LISTS = ("allow_only", "admin_allow_only", "deny")

Found = Iterator[Problem]


@dataclass(frozen=True)
class Surroundings:
    """What a register is checked against. `hosts` and `groups` are None where nobody knows them."""

    controls: Mapping[str, dict[str, Any]]
    today: date
    hosts: Collection[str] | None = None
    groups: Collection[str] | None = None
    handmade: Mapping[str, Mapping[str, Handmade]] = field(default_factory=dict)
    by_name: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        controls: Mapping[str, dict[str, Any]],
        today: date,
        hosts: Collection[str] | None = None,
        groups: Collection[str] | None = None,
        handmade: Mapping[str, Mapping[str, Handmade]] | None = None,
    ) -> Surroundings:
        """With the controls also by the name of their variable."""
        by_name = {control["value"]["name"]: control for control in controls.values()}
        return cls(controls, today, hosts, groups, handmade or {}, by_name)


def tier_problems(register: Register, around: Surroundings) -> Found:
    """Of each file of tiers: values that do not fit their control."""
    for file in register.files_of("tiers"):
        for name, body in file.document["tiers"].items():
            where: list[Any] = ["tiers", name]
            for variable, value in body.get("controls", {}).items():
                place = [*where, "controls", variable]
                yield from _value_problems(file, place, variable, value, around)
            yield from _backup_problems(file, where, register.tiers.get(name, {}).get("backup", {}))


def client_problems(register: Register, around: Surroundings) -> Found:
    """Of each client by itself, and of what it refers to."""
    for client in register.clients.values():
        file = register.file_of(client)
        yield from _secret_problems(file)
        yield from _client_date_problems(file, client, around)
        if client["tier"] not in register.tiers:
            yield from _reference(register, file, ["tier"], "tier", client["tier"])
            continue
        yield from _override_problems(file, [], client, register, around)
        yield from _processing_problems(file, client, register)
        yield from _window_problems(file, [], client)
        yield from _setting_problems(file, [], client, None, register, around)
        for number, row in enumerate(client.get("waivers", [])):
            yield from _waiver_problems(file, number, row, register, around, client)
        for number, site in enumerate(client["sites"]):
            yield from _site_problems(file, number, client, register, around)
            if "tier" in site:
                where = ["sites", number, "tier"]
                yield from _reference(register, file, where, "tier", site["tier"])


def fleet_problems(register: Register, around: Surroundings) -> Found:
    """Of clients and sites together: what two of them cannot both have."""
    yield from _taken_twice(register)
    for host, placements in register.by_host.items():
        if all(_tiers_known(register, place) for place in placements):
            yield from _conflicts(register, host, placements, around)
            yield from _powerless_waivers(register, host, placements)


def waiver_problems(register: Register, around: Surroundings) -> Found:
    """Of the agency's own waivers."""
    for file in register.files_of("waivers"):
        for number, row in enumerate(file.document["waivers"]):
            yield from _waiver_problems(file, number, row, register, around, None)


def blocked_problems(register: Register, around: Surroundings) -> Found:
    """Of the list of blocks. What is over is a record, and may name who is gone."""
    for file in register.files_of("blocked"):
        for number, row in enumerate(file.document["blocked"]):
            yield from _block_problems(file, ["blocked", number], row, register, around)


def _block_problems(
    file: RegisterFile,
    where: list[Any],
    row: dict[str, Any],
    register: Register,
    around: Surroundings,
) -> Found:
    if row["network"] in _EVERYBODY:
        said = f"found {row['network']}, expected less than everybody"
        yield file.problem([*where, "network"], said)
    over = row.get("ended") or row.get("expires", "9")[:10] < str(around.today)
    for kind in ("client", "site"):
        if kind in row and not over:
            yield from _reference(register, file, [*where, kind], kind, row[kind])
    if row.get("expires", "9") <= row["since"]:
        said = f"found {row['expires']}, expected later than since, {row['since']}"
        yield file.problem([*where, "expires"], said)


def people_problems(register: Register, around: Surroundings) -> Found:
    """Of people, service accounts, their keys and what they may get at."""
    for file in register.files_of("people"):
        keys: dict[str, str] = {}
        ids: set[str] = set()
        for section in ("people", "service_accounts"):
            for number, row in enumerate(file.document.get(section, [])):
                where: list[Any] = [section, number]
                yield from _id_problems(file, where, row, ids)
                yield from _person_problems(file, where, row, register, around)
                yield from _key_problems(file, where, row, keys)
                yield from _grant_problems(file, where, row, register, around)


def third_party_problems(register: Register, around: Surroundings) -> Found:
    """Of third parties and what they attest."""
    for file in register.files_of("third_parties"):
        yield from _secret_problems(file)
        ids: set[str] = set()
        for number, row in enumerate(file.document["third_parties"]):
            where: list[Any] = ["third_parties", number]
            yield from _id_problems(file, where, row, ids)
            yield from _order_problems(file, where, row, "start", "end")
        for number, row in enumerate(file.document.get("attestations", [])):
            yield from _attestation_problems(file, number, row, register, around)


def _id_problems(
    file: RegisterFile, where: list[Any], row: dict[str, Any], taken: set[str]
) -> Found:
    if row["id"] in taken:
        yield file.problem([*where, "id"], f"{row['id']} is taken already")
    taken.add(row["id"])


def _value_problems(
    file: RegisterFile, where: list[Any], variable: str, value: Any, around: Surroundings
) -> Found:
    control = around.by_name.get(variable)
    if control is None:
        by_id = around.controls.get(variable)
        hint = f", its variable is {by_id['value']['name']}" if by_id else ""
        hint = hint or nearest(variable, around.by_name)
        said = "is the id of a control" if by_id else "no control has a variable of this name"
        yield file.problem(where, f"{said}{hint}")
        return
    wrong = value_problem(control, value)
    if wrong:
        yield file.problem(where, wrong)


def _override_problems(
    file: RegisterFile,
    where: list[Any],
    holder: dict[str, Any],
    register: Register,
    around: Surroundings,
    client: dict[str, Any] | None = None,
) -> Found:
    for variable, row in holder.get("controls", {}).items():
        place = [*where, "controls", variable]
        value, reason = override(row)
        misspelt = _override_shape(row)
        if misspelt:
            yield file.problem(place, misspelt)
            continue
        wrong = list(_value_problems(file, place, variable, value, around))
        yield from wrong
        if wrong:
            continue
        spec = around.by_name[variable]["value"]
        if client is not None:
            yield from _site_override_problems(file, place, spec, value, reason, client, register)
        elif is_ordered(spec) and reason is None:
            asked = register.tiers[holder["tier"]]["controls"].get(variable, spec["default"])
            if is_weaker(spec, value, asked):
                tier = f"{shown(asked)} of tier {holder['tier']}"
                yield file.problem(
                    place,
                    f"found {_short(value)}, weaker than {tier}; "
                    "expected a stricter value, or {value: …, reason: …}",
                )


def _override_shape(row: Any) -> str | None:
    """What is wrong with an override that is a mapping; None for one that is right, or a value."""
    if not isinstance(row, dict):
        return None
    if set(row) != {"value", "reason"}:
        return "found a mapping, expected a value, or {value: …, reason: …}"
    if not isinstance(row["reason"], str) or len(row["reason"]) < 10:
        return f"found the reason {shown(row['reason'])}, expected at least 10 characters"
    return None


def _site_override_problems(
    file: RegisterFile,
    place: list[Any],
    spec: dict[str, Any],
    value: Any,
    reason: str | None,
    client: dict[str, Any],
    register: Register,
) -> Found:
    if reason is not None:
        yield file.problem(place, "found a reason, expected a plain value: a site only tightens")
        return
    asked = register.tiers[client["tier"]]["controls"].get(spec["name"], spec["default"])
    if spec["name"] in client.get("controls", {}):
        said, why = override(client["controls"][spec["name"]])
        if said is not UNSET:
            asked = said if why or not is_ordered(spec) else strictest(spec, [asked, said])
    if is_weaker(spec, value, asked):
        whose = f"{_short(asked)} of its client"
        yield file.problem(
            place, f"found {_short(value)}, weaker than {whose}; a site only tightens"
        )


def _site_problems(
    file: RegisterFile,
    number: int,
    client: dict[str, Any],
    register: Register,
    around: Surroundings,
) -> Found:
    where: list[Any] = ["sites", number]
    site = client["sites"][number]
    if [other["id"] for other in client["sites"]].index(site["id"]) != number:
        yield file.problem([*where, "id"], f"{site['id']} is taken already by another site")
    served = around.hosts is not None and client.get("status") != "left"
    if served and site["host"] not in (around.hosts or ()):
        yield _unknown(file, [*where, "host"], "host", site["host"], around.hosts or ())
    cdn = site.get("cdn", {}).get("third_party")
    if cdn is not None:
        yield from _reference(register, file, [*where, "cdn", "third_party"], "third party", cdn)
    if cdn is not None and cdn not in client.get("processing", {}).get("sub_processors", [cdn]):
        said = f"{cdn} serves this site and is missing from processing.sub_processors"
        yield file.problem([*where, "cdn", "third_party"], said, WARNING, "sub_processor_missing")
    if site.get("tier", client["tier"]) in register.tiers:
        yield from _override_problems(file, where, site, register, around, client)
        yield from _setting_problems(file, where, client, site, register, around)
    yield from _window_problems(file, where, site)


def _setting_problems(
    file: RegisterFile,
    where: list[Any],
    client: dict[str, Any],
    site: dict[str, Any] | None,
    register: Register,
    around: Surroundings,
) -> Found:
    holder = client if site is None else site
    security = holder.get("security", {})
    yield from _address_problems(file, [*where, "security"], security, around)
    factor = security.get("second_factor", {})
    for number, person in enumerate(factor.get("gate_users", [])):
        place = [*where, "security", "second_factor", "gate_users", number]
        yield from _person_reference(file, place, person, register, around)
    if site is not None:
        yield from _gate_problems(file, where, client, site, register)
    yield from _backup_problems(file, where, holder.get("backup", {}))
    for path, said, asked in weaker_settings(register.tiers, client, site):
        tier = tier_of(client, site)
        message = f"found {shown(said)}, weaker than {shown(asked)} of tier {tier}"
        yield file.problem([*where, *path.split(".")], message, WARNING, "weaker_than_tier")
    if site is not None and "cms" in str(register.settings(client, site, "second_factor", "admin")):
        name = site.get("cms", {}).get("name", "none")
        if name not in _CMS_WITH_FACTOR:
            expected = (
                f"expected gate or none: only {' and '.join(_CMS_WITH_FACTOR)} have their own"
            )
            yield file.problem(
                [*where, "security", "second_factor", "admin"],
                f"found the CMS's second factor on a site with CMS {name}, {expected}",
            )


def _gate_problems(
    file: RegisterFile,
    where: list[Any],
    client: dict[str, Any],
    site: dict[str, Any],
    register: Register,
) -> Found:
    """A gate that nobody could pass, or before nothing: told here, refused by the role."""
    factor = register.settings(client, site, "second_factor") or {}
    if factor.get("admin") not in ("gate", "cms_and_gate"):
        return
    place = [*where, "security", "second_factor"] if "security" in site else where
    if not factor.get("gate_users"):
        said = "a gate that nobody may pass, expected gate_users"
        yield file.problem(place, said, WARNING, "gate_without_people")
    cms = site.get("cms", {})
    if not (cms.get("name") in _CMS_WITH_FACTOR or cms.get("admin_paths") or factor.get("paths")):
        said = "a gate before nothing: no admin path of this site is known, expected paths"
        yield file.problem(place, said, WARNING, "gate_without_paths")


def _address_problems(
    file: RegisterFile, where: list[Any], security: dict[str, Any], around: Surroundings
) -> Found:
    addresses = security.get("addresses", {})
    for name in _LISTS:
        for number, row in enumerate(addresses.get(name, [])):
            place = [*where, "addresses", name, number]
            if row["network"] in _EVERYBODY:
                yield file.problem(
                    [*place, "network"], f"found {row['network']}, expected less than everybody"
                )
            if "expires" in row and date.fromisoformat(row["expires"]) < around.today:
                said = f"ended on {row['expires']} and is left out"
                yield file.problem([*place, "expires"], said, WARNING, "address_expired")
    denied = {row["network"] for row in addresses.get("deny", [])}
    for name in _LISTS[:2]:
        for number, row in enumerate(addresses.get(name, [])):
            if row["network"] in denied:
                yield file.problem(
                    [*where, "addresses", name, number, "network"],
                    f"{row['network']} is denied as well, expected it in one list only",
                )


def _backup_problems(file: RegisterFile, where: list[Any], backup: dict[str, Any]) -> Found:
    every, late = backup.get("every", "1s"), backup.get("late_after", "520w")
    if seconds(late) < seconds(every):
        said = f"found {late}, expected at least `every`, {every}"
        yield file.problem([*where, "backup", "late_after"], said)
    writer, keeper = backup.get("writer", {}).get("key"), backup.get("keeper", {}).get("key")
    if writer is not None and writer == keeper:
        said = "is the key that hosts write with, expected one that no host has"
        yield file.problem([*where, "backup", "keeper", "key"], said)


def _window_problems(file: RegisterFile, where: list[Any], holder: dict[str, Any]) -> Found:
    window = holder.get("change_window", {})
    for number, row in enumerate(window.get("freeze", [])):
        yield from _order_problems(
            file, [*where, "change_window", "freeze", number], row, "from", "to"
        )


def _order_problems(
    file: RegisterFile, where: list[Any], row: dict[str, Any], first: str, last: str
) -> Found:
    if first in row and last in row and row[last] < row[first]:
        expected = f"expected {first}, {row[first]}, or later"
        yield file.problem([*where, last], f"found {row[last]}, {expected}")


def _client_date_problems(
    file: RegisterFile, client: dict[str, Any], around: Surroundings
) -> Found:
    yield from _order_problems(file, [], client, "since", "until")
    ended = "until" in client and date.fromisoformat(client["until"]) < around.today
    if ended and client.get("status") != "left":
        said = f"ended on {client['until']}, but status is {client.get('status', 'active')}"
        yield file.problem(["until"], said, WARNING, "client_ended")


def _processing_problems(file: RegisterFile, client: dict[str, Any], register: Register) -> Found:
    processing = client.get("processing")
    if processing is None:
        said = "processing is missing: no processor's record (GDPR art. 30(2)) can be written"
        yield file.problem([], said, WARNING, "no_processing_record")
        return
    for number, name in enumerate(processing.get("sub_processors", [])):
        where = ["processing", "sub_processors", number]
        yield from _reference(register, file, where, "third party", name)


def _waiver_problems(
    file: RegisterFile,
    number: int,
    row: dict[str, Any],
    register: Register,
    around: Surroundings,
    client: dict[str, Any] | None,
) -> Found:
    where: list[Any] = ["waivers", number]
    if row["control"] not in around.controls:
        yield _unknown(file, [*where, "control"], "control", row["control"], around.controls)
    for key in ("owner", "approver"):
        if key in row:
            yield from _person_reference(file, [*where, key], row[key], register, around)
    if row["owner"] == row.get("approver"):
        said = f"found {row['owner']}, who owns the waiver, expected another person"
        yield file.problem([*where, "approver"], said)
    yield from _waiver_scope_problems(file, where, row.get("scope", {}), client, around)
    yield from _waiver_term_problems(file, where, row, around)
    rows = file.document["waivers"]
    same = [(other["control"], other.get("scope")) for other in rows]
    if same.index((row["control"], row.get("scope"))) != number:
        yield file.problem(where, f"{row['control']} is waived already for the same scope")


def _waiver_term_problems(
    file: RegisterFile, where: list[Any], row: dict[str, Any], around: Surroundings
) -> Found:
    state = register_waivers.state(row, around.today)
    place = [*where, "expires"]
    if state == register_waivers.EXPIRED:
        said = f"the waiver of {row['control']} ended on {row['expires']}: the control is a fail"
        yield file.problem(place, said, WARNING, "waiver_expired")
    if state == register_waivers.EXPIRING:
        said = f"the waiver of {row['control']} ends on {row['expires']}"
        yield file.problem(place, said, WARNING, "waiver_expiring")


def _waiver_scope_problems(
    file: RegisterFile,
    where: list[Any],
    scope: dict[str, Any],
    client: dict[str, Any] | None,
    around: Surroundings,
) -> Found:
    place = [*where, "scope"]
    if client is None:
        if "sites" in scope:
            said = "unknown key, expected hosts or groups; a site is waived in its client's file"
            yield file.problem([*place, "sites"], said)
        yield from _unknown_hosts(file, place, scope, around)
        return
    if "groups" in scope:
        said = "unknown key, expected hosts or sites; groups are waived in waivers.yml"
        yield file.problem([*place, "groups"], said)
    if "sites" in scope and "hosts" in scope:
        yield file.problem(place, "found hosts and sites, expected one of them")
    hosts = sorted({site["host"] for site in client["sites"]})
    sites = [site["id"] for site in client["sites"]]
    for key, known in (("hosts", hosts), ("sites", sites)):
        for number, name in enumerate(scope.get(key, [])):
            if name not in known:
                lacks = f"{client['id']} has no site {'on ' if key == 'hosts' else ''}{name}"
                spot = [*place, key, number]
                yield file.problem(spot, f"{lacks}{nearest(name, known)}")


def _person_problems(
    file: RegisterFile,
    where: list[Any],
    row: dict[str, Any],
    register: Register,
    around: Surroundings,
) -> Found:
    yield from _order_problems(file, where, row, "started", "left")
    for key in ("third_party", "client"):
        if key in row:
            kind = key.replace("_", " ")
            yield from _reference(register, file, [*where, key], kind, row[key])
    for key in ("manager", "owner"):
        if key in row:
            yield from _person_reference(file, [*where, key], row[key], register, around)
    if "review_by" in row and date.fromisoformat(row["review_by"]) < around.today:
        said = f"the review of {row['id']} was due on {row['review_by']}"
        yield file.problem([*where, "review_by"], said, WARNING, "review_overdue")


def _key_problems(
    file: RegisterFile, where: list[Any], row: dict[str, Any], seen: dict[str, str]
) -> Found:
    for number, key in enumerate(row.get("keys", [])):
        place = [*where, "keys", number]
        public = _fingerprint(key["public_key"]) if "public_key" in key else None
        given = key.get("fingerprint", public)
        if "public_key" in key and public is None:
            yield file.problem([*place, "public_key"], "is not a public key: cannot be decoded")
        elif given is None:
            yield file.problem(place, "fingerprint is missing, expected it or public_key")
        elif public is not None and given != public:
            said = f"found {given}, expected {public}, which public_key has"
            yield file.problem([*place, "fingerprint"], said)
        if given is not None and seen.setdefault(given, row["id"]) != row["id"]:
            yield file.problem(place, f"the same key as {seen[given]} has: one key, one person")


def _fingerprint(public_key: str) -> str | None:
    try:
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (binascii.Error, IndexError, ValueError):
        return None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _grant_problems(
    file: RegisterFile,
    where: list[Any],
    row: dict[str, Any],
    register: Register,
    around: Surroundings,
) -> Found:
    for number, grant in enumerate(row.get("access", [])):
        place = [*where, "access", number]
        yield from _order_problems(file, place, grant, "start", "end")
        if grant["system"] == "console" and "third_party" not in grant:
            yield file.problem(place, "third_party is missing, expected whose console it is")
        if "third_party" in grant:
            spot = [*place, "third_party"]
            yield from _reference(register, file, spot, "third party", grant["third_party"])
        if "granted_by" in grant:
            spot = [*place, "granted_by"]
            yield from _reference(register, file, spot, "person", grant["granted_by"])
            if grant["granted_by"] == row["id"]:
                yield file.problem(spot, f"found {row['id']}, expected another person")
        yield from _grant_scope_problems(file, [*place, "scope"], grant["scope"], register, around)
        yield from _leaver_grant(file, place, row, grant, around)
        if row.get("third_party") and grant["system"] == "server":
            yield from _vendor_grant(file, place, row, grant)


def _vendor_grant(
    file: RegisterFile, place: list[Any], row: dict[str, Any], grant: dict[str, Any]
) -> Found:
    """What the role vendor_access could not carry out on a host."""
    if "account" not in grant and len(row.get("accounts", {}).get("server", [])) != 1:
        yield file.problem(place, "account is missing, expected the account that is to be made")
    for number, command in enumerate(grant.get("sudo", [])):
        if command != "ALL" and not command.startswith("/"):
            spot = [*place, "sudo", number]
            yield file.problem(spot, f"found {command}, expected ALL or a program's whole path")


def _leaver_grant(
    file: RegisterFile,
    place: list[Any],
    row: dict[str, Any],
    grant: dict[str, Any],
    around: Surroundings,
) -> Found:
    left = row.get("left")
    if left is None or date.fromisoformat(left) >= around.today:
        return
    if date.fromisoformat(grant.get("end", "9999-12-31")) >= around.today:
        said = f"{row['id']} left on {left} and still has this access, expected an end"
        yield file.problem(place, said, WARNING, "leaver_referenced")


def _grant_scope_problems(
    file: RegisterFile,
    where: list[Any],
    scope: dict[str, Any],
    register: Register,
    around: Surroundings,
) -> Found:
    if "everything" in scope and len(scope) > 1:
        yield file.problem(where, "found everything and more, expected everything alone")
    for key in ("clients", "sites"):
        for number, name in enumerate(scope.get(key, [])):
            yield from _reference(register, file, [*where, key, number], key[:-1], name)
    yield from _unknown_hosts(file, where, scope, around)


def _unknown_hosts(
    file: RegisterFile, where: list[Any], scope: dict[str, Any], around: Surroundings
) -> Found:
    for key, known in (("hosts", around.hosts), ("groups", around.groups)):
        for number, name in enumerate(scope.get(key, [])):
            if known is not None and name not in known:
                yield _unknown(file, [*where, key, number], key[:-1], name, known)


def _attestation_problems(
    file: RegisterFile,
    number: int,
    row: dict[str, Any],
    register: Register,
    around: Surroundings,
) -> Found:
    where: list[Any] = ["attestations", number]
    rows = file.document["attestations"]
    ids = [other["id"] for other in rows]
    if ids.index(row["id"]) != number:
        yield file.problem([*where, "id"], f"{row['id']} is taken already")
    for key in ("third_party", "client"):
        if key in row:
            kind = key.replace("_", " ")
            yield from _reference(register, file, [*where, key], kind, row[key])
    if "supersedes" in row and row["supersedes"] not in ids:
        yield _unknown(file, [*where, "supersedes"], "attestation", row["supersedes"], ids)
    yield from _order_problems(file, where, row, "observed_at", "expires_at")
    for key in ("attested_by", "approved_by"):
        if key in row:
            yield from _reference(register, file, [*where, key], "person", row[key])
    if row["attested_by"] == row.get("approved_by"):
        said = f"found {row['attested_by']}, who attested it, expected another person"
        yield file.problem([*where, "approved_by"], said)
    replaced = {other.get("supersedes") for other in rows}
    if row["id"] not in replaced and date.fromisoformat(row["expires_at"]) < around.today:
        said = f"{row['id']} ended on {row['expires_at']}: what it says counts as not shown"
        yield file.problem([*where, "expires_at"], said, WARNING, "attestation_expired")


def _taken_twice(register: Register) -> Found:
    domains: dict[str, Placement] = {}
    owners: dict[tuple[str, str, str], Placement] = {}
    for place in register.placements:
        file = register.file_of(place.client)
        where: list[Any] = ["sites", place.number]
        for number, domain in enumerate(place.site["domains"]):
            first = domains.setdefault(domain, place)
            again = place.site["domains"].index(domain) != number
            if first is not place or again:
                said = f"{domain} belongs to {first.reference} already"
                yield file.problem([*where, "domains", number], said)
        yield from _shared_things(file, where, place, owners)


def _shared_things(
    file: RegisterFile,
    where: list[Any],
    place: Placement,
    owners: dict[tuple[str, str, str], Placement],
) -> Found:
    """A folder belongs to one site; an account or a database on a host to one client."""
    host, site = place.site["host"], place.site
    database = site.get("database", {})
    server = database.get("host", "localhost")
    server = host if server in ("localhost", "127.0.0.1", "::1") else server
    for key, owner_host, name in (
        (["root"], host, site["root"]),
        (["user"], host, site.get("user")),
        (["database", "name"], server, database.get("name")),
    ):
        if name is None:
            continue
        first = owners.setdefault((key[0], owner_host, name), place)
        same_client = first.client is place.client
        if first is not place and (key == ["root"] or not same_client):
            said = f"{name} on {owner_host} belongs to {first.reference} already"
            yield file.problem([*where, *key], said)


def _conflicts(
    register: Register, host: str, placements: list[Placement], around: Surroundings
) -> Found:
    for name in sorted(spoken_of(register.tiers, placements)):
        control = around.by_name.get(name)
        if control is None or not register.worth_comparing(name, placements):
            continue
        given = around.handmade.get(host, {}).get(name)
        try:
            host_value(control, register.tiers, placements, given)
        except IrreconcilableError as error:
            file = register.file_of(placements[-1].client)
            names = " and ".join(sorted({place.reference for place in placements}))
            yield file.problem(
                ["controls", name], f"{names} share host {host} and ask for {name}: {error}"
            )
        except (ValueError, TypeError, KeyError):
            continue  # a value that does not fit its control: said at its own place


def handmade_problems(register: Register, around: Surroundings) -> Found:
    """Of variables that people set: values that do not fit, and weaker ones than is asked for."""
    for host, given in around.handmade.items():
        placements = register.on(host)
        if not all(_tiers_known(register, place) for place in placements):
            continue
        spoken = spoken_of(register.tiers, placements)
        for name in sorted(spoken & set(given)):
            yield from _handmade_problems(register, host, around.by_name[name], given[name])


def _handmade_problems(
    register: Register, host: str, control: dict[str, Any], given: Handmade
) -> Found:
    name, file = control["value"]["name"], Path(f"host {host}")
    for kind, value in (("group", given.group), ("host", given.host)):
        wrong = _handmade_problem(control, value)
        if wrong:
            yield Problem(file, 0, f"{kind} variable {name}", wrong)
            return
    if given.host is UNSET:
        return
    asked = host_value(control, register.tiers, register.on(host), Handmade(given.group))
    if is_weaker(control["value"], given.host, asked):
        said = f"{_short(given.host)} is weaker than {_short(asked)}, which its clients ask for"
        yield Problem(file, 0, f"host variable {name}", said, WARNING, "weaker_by_hand")


def _handmade_problem(control: dict[str, Any], value: Any) -> str | None:
    if value is UNSET:
        return None
    if "{{" in str(value):
        return f"found {shown(value)}, expected a plain value: a template cannot be compared"
    return value_problem(control, value)


def _powerless_waivers(register: Register, host: str, placements: list[Placement]) -> Found:
    clients = register.clients_of(placements)
    for client, number, others in register_waivers.without_force(host, clients):
        said = (
            f"does not hold on {host}, which {client['id']} shares with "
            f"{' and '.join(others)}, who did not waive {client['waivers'][number]['control']}"
        )
        file = register.file_of(client)
        yield file.problem(["waivers", number], said, WARNING, "waiver_without_force")


def _person_reference(
    file: RegisterFile, where: list[Any], person: str, register: Register, around: Surroundings
) -> Found:
    yield from _reference(register, file, where, "person", person)
    left = register.people.get(person, {}).get("left")
    if left is not None and date.fromisoformat(left) < around.today:
        said = f"{person} left on {left}, expected somebody who is there"
        yield file.problem(where, said, WARNING, "leaver_referenced")


def _secret_problems(file: RegisterFile) -> Found:
    if not any(word.encode() in file.text for word in _SECRETS):
        return
    for where, value in walk(file.document):
        if where[-1] in _SECRETS and isinstance(value, str) and not isinstance(value, Vaulted):
            said = "found plain text, expected a value encrypted by `ansible-vault encrypt_string`"
            yield file.problem(where, said)


def _tiers_known(register: Register, place: Placement) -> bool:
    return {place.client["tier"], tier_of(place.client, place.site)} <= set(register.tiers)


def _reference(
    register: Register, file: RegisterFile, where: list[Any], kind: str, name: str
) -> Found:
    """A name that nothing bears; said only where the file that would declare it could be read."""
    homes: dict[str, tuple[str, Collection[str]]] = {
        "tier": ("tiers", register.tiers),
        "person": ("people", register.people),
        "third party": ("third_parties", register.third_parties),
        "client": (f"client/{name}", register.clients),
        "site": (f"client/{name.partition('/')[0]}", register.by_site),
    }
    home, known = homes[kind]
    if name not in known and home not in register.unread:
        yield _unknown(file, where, kind, name, known)


def _unknown(
    file: RegisterFile, where: list[Any], kind: str, name: str, known: Collection[str]
) -> Problem:
    return file.problem(where, f"there is no {kind} {name}{nearest(name, known)}")


def _short(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else shown(value)
