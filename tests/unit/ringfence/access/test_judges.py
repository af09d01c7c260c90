# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault is found, by its control alone; the population in which all is well has none."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.access import documents, judges, judges_facts

from .fleet import (
    ADA_KEY,
    BEN_KEY,
    SAM_KEY,
    a_case,
    a_collection,
    a_register,
    catalogue,
    clean_rows,
    judged,
    key,
    row,
)


def change(number: int, **more: Any) -> Any:
    """A change of a row of `clean_rows`, `details` laid over what is there."""

    def act(rows: list[dict[str, Any]], _register: Any) -> None:
        details = {**rows[number].get("details", {}), **more.pop("details", {})}
        rows[number] = {**rows[number], **more, "details": details}

    return act


def add(one: dict[str, Any]) -> Any:
    return lambda rows, _register: rows.append(one)


def person(name: str, **more: Any) -> Any:
    return lambda _rows, register: register.people[name].update(more)


def party(**more: Any) -> Any:
    return lambda _rows, register: register.third_parties["care"].update(more)


def attested(**more: Any) -> Any:
    return lambda _rows, register: register.attestations[0].update(more)


def grant(name: str, number: int, **more: Any) -> Any:
    return lambda _rows, register: register.people[name]["access"][number].update(more)


def both(*changes: Any) -> Any:
    def act(rows: list[dict[str, Any]], register: Any) -> None:
        for one in changes:
            one(rows, register)

    return act


OLD = "2026-01-02T00:00:00Z"
SHOP = {"place": "shop.example"}
# what is done to the clean population, which controls say so, and words that must be in it
FAULTS: list[tuple[str, Any, set[str], str]] = [
    ("leaver", person("ben", left="2026-05-01"), {"access_leaver"}, "ben left on 2026-05-01"),
    ("service of a leaver", person("ada", left="2026-05-01"),
     {"access_leaver", "access_service_account"}, "its owner ada left"),
    ("account of nobody", add(row("server", 7, "ghost", credential_type="password")),
     {"access_account_owner"}, "ghost on web1 is nobody's"),
    ("key of nobody", add(key("ben", "SHA256:strange")), {"access_key_owner"}, "SHA256:strange"),
    ("a person's key on a site's account", add(key("site_shop", BEN_KEY, uid="site")),
     {"access_ungranted"}, "ben has site_shop on web1: nobody granted it"),
    ("key on two accounts that nobody granted",
     both(add(key("x1", ADA_KEY)), add(key("x2", ADA_KEY))),
     {"access_key_shared", "access_ungranted", "access_account_owner"},
     "opens 2 accounts: x1, x2"),
    ("a grant that names no account is not for another's",
     both(lambda _rows, r: r.people["ada"]["access"][0].pop("account"),
          add(key("root", ADA_KEY, uid="0", privileged=True))),
     {"access_ungranted", "access_account_owner"}, "ada has root on web1: nobody granted it"),
    ("shared account", add(key("ben", ADA_KEY)), {"access_shared_account", "access_ungranted"},
     "ben on web1 is used by ada, ben"),
    ("dormant", change(1, last_login=OLD), {"access_dormant"}, "was last used on 2026-01-02"),
    ("never used", change(1, last_login=""), {"access_dormant"}, "was not used since 2025-01-01"),
    ("administrator without a second factor", change(4, mfa="no"), {"access_mfa"},
     "ben of shop.example on web1 signs in without"),
    ("application password of an administrator",
     add(row("cms", 1, "ben", credential_type="application_password", privileged=True, mfa="no",
             details={**SHOP, "credential": "x"})), {"access_mfa"}, "application password"),
    ("root without a second factor", change(0, mfa="no"), {"access_mfa"}, "ada on web1"),
    ("DSA", change(0, details={"key_type": "ssh-dss", "key_bits": 1024}),
     {"access_key_strength"}, "ssh-dss with 1024 bits"),
    ("short RSA", change(0, details={"key_type": "ssh-rsa", "key_bits": 2048}),
     {"access_key_strength"}, "2048 bits"),
    ("old key", person("ada", keys=[{"fingerprint": ADA_KEY, "added": "2020-01-01"}]),
     {"access_key_age"}, "is 2343 days old"),
    ("expired key", person("ada", keys=[{"fingerprint": ADA_KEY, "expires": "2026-05-31"}]),
     {"access_key_age"}, "was to be gone by 2026-05-31"),
    ("file of keys", change(1, flags=["writable_by_others"]), {"access_keys_writable"}, "others"),
    ("no password", change(4, flags=["password_empty"]), {"access_password_kept"}, "without a"),
    ("weak hash", change(4, flags=["password_weak_hash"]), {"access_password_kept"}, "broken"),
    ("contract ended", party(end="2026-05-31"), {"access_vendor_contract"}, "ended on 2026-05-31"),
    ("contract not begun", party(start="2026-07-01"), {"access_vendor_contract"}, "begins on"),
    ("no agreement", party(agreement={}), {"access_vendor_contract"}, "has no agreement"),
    ("vendor after its last day", grant("sam", 0, end="2026-05-31"), {"access_vendor_dates"},
     "outside of 2026-01-01 to 2026-05-31"),
    ("vendor from elsewhere", change(2, details={"sources": ["198.51.100.7"]}),
     {"access_vendor_addresses"}, "came from 198.51.100.7"),
    ("vendor's key from anywhere", change(2, details={"from": []}),
     {"access_vendor_addresses"}, "not bound to its addresses"),
    ("vendor's key from a wider network", change(2, details={"from": ["203.0.0.0/8"]}),
     {"access_vendor_addresses"}, "not bound"),
    ("overdue service account",
     lambda _rows, r: r.service_accounts["deploy"].update(review_by="2026-05-31"),
     {"access_service_account"}, "was due on 2026-05-31"),
    ("unknown administrator",
     add(row("cms", 9, "wp_support", privileged=True, roles=["administrator"],
             credential_type="password", details={**SHOP, "email": "x@evil.example"})),
     {"access_cms_administrator"}, "its address is x@evil.example"),
    ("nobody granted it", person("ben", access=[]), {"access_ungranted"}, "nobody granted it"),
    ("grant that ended", grant("ben", 0, end="2026-05-31"), {"access_ungranted"},
     "the grant ended on 2026-05-31"),
    ("more than granted", change(1, privileged=True, grant_path=["group docker"]),
     {"access_beyond_grant"}, "nobody granted: group docker"),
    ("granted and not there", lambda rows, _r: rows.pop(1), {"access_absent"},
     "ben was granted ben (server)"),
    ("setuid file", add(row("server", "/tmp/x", "root", credential_type="setuid_file",
                            flags=["setuid_unpackaged"], account_type="service")),
     {"access_setuid"}, "lends its rights"),
    ("database over the network", change(6, flags=["remote_without_tls"]),
     {"access_database_tls"}, "without TLS"),
    ("database account of nobody",
     add(row("database", "old@%", "old", account_type="service", credential_type="password",
             flags=["database_gone"], details={"place": "mariadb", "databases": ["old"]})),
     {"access_account_owner", "access_database_unused"}, "a database that is gone"),
    ("nothing attested", lambda _rows, r: r.attestations.clear(),
     {"access_attestation_missing"}, "care attested nothing"),
    ("attestation ended", attested(expires_at="2026-05-31"), {"access_attestation_expired"},
     "ended on 2026-05-31"),
    ("attestation contradicted", change(2, mfa="no"), {"access_attestation_contradicted"},
     "care_sam on web1 does not"),
]  # fmt: skip


def test_where_all_is_well_nothing_is_found() -> None:
    assert judged() == []


@pytest.mark.parametrize(
    ("fault", "controls", "said"),
    [pytest.param(*rest, id=name) for name, *rest in FAULTS],
)
def test_a_fault_is_found(fault: Any, controls: set[str], said: str) -> None:
    found = [one for one in judged(fault) if one.status == "fail"]
    assert {one.control for one in found} == controls, [one.message for one in found]
    assert any(said in one.message for one in found), [one.message for one in found]


FACTS: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"domains": [{"domain": "a.example", "transfer_lock": True, "dnssec": True,
                   "expires": "2027-01-01"}]}, set()),
    ({"domains": [{"domain": "a.example", "transfer_lock": False, "dnssec": False,
                   "expires": "2026-06-20"}]},
     {("access_domain_lock", "fail"), ("access_domain_dnssec", "fail"),
      ("access_domain_expiry", "fail")}),
    ({"domains": [{"domain": "a.example"}]},
     {("access_domain_lock", "error"), ("access_domain_dnssec", "error"),
      ("access_domain_expiry", "error")}),
    ({"origins": [{"site": "shop.example", "address": "192.0.2.1", "reachable": True}]},
     {("access_cdn_origin", "fail")}),
    ({"origins": [{"site": "shop.example", "address": "192.0.2.1", "reachable": False}]}, set()),
    ({"origins": [{"site": "shop.example", "address": "192.0.2.1"}]},
     {("access_cdn_origin", "error")}),
    ({"cloud": {"root_last_used": "", "root_keys": 0, "root_mfa": "yes"}}, set()),
    ({"cloud": {"root_last_used": "2026-05-20T01:00:00Z", "root_keys": 1, "root_mfa": "no"}},
     {("access_cloud_root", "fail"), ("access_cloud_root_mfa", "fail")}),
    ({"cloud": {"account": "1"}},
     {("access_cloud_root", "error"), ("access_cloud_root_mfa", "error")}),
    ({"claims": [{"third_party": "care", "claim": "staff signs in with a second factor",
                  "value": False}]}, {("access_attestation_contradicted", "fail")}),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "expected"), FACTS)
def test_what_is_no_access(facts: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    found = judged(facts=facts)
    assert {(one.control, one.status) for one in found} == expected


def test_unknown_is_an_error_and_never_a_pass() -> None:
    (found,) = judged(change(0, mfa="unknown"))
    assert (found.control, found.status) == ("access_mfa", "error")
    (found,) = judged(change(4, last_login=""))
    assert (found.control, found.status) == ("access_dormant", "error")


def test_who_may_reach_a_bucket_signs_in_at_the_account_and_not_there() -> None:
    """Their rows of the account say by what; at the bucket there is neither factor nor sign-in."""

    def act(rows: list[dict[str, Any]], register: Any) -> None:
        granted = {"system": "console", "third_party": "web1", "scope": {"everything": True},
                   "account": "ada", "privileged": True, "granted_by": "ben"}  # fmt: skip
        register.people["ada"]["access"].append(granted)
        rows.append(row("bucket", "arn:ada", "ada", privileged=True, mfa="unknown", last_login="",
                        credential_type="user", details={"place": "backups"}))  # fmt: skip

    assert judged(act) == []


def _without_ada(*others: dict[str, Any]) -> list[tuple[str, str]]:
    """(control, target) where ada, who was granted everything, is nowhere on web1."""
    found = a_collection(clean_rows()[1:])
    found["targets"] = [*others, *found["targets"]]
    case = a_case(documents.population(found), a_register())
    return [(one.control, one.target) for one in judges.judge(case)]


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("care", "ok", [("access_absent", "web1")]),  # a third party has no server of ours
        ("domains", "ok", [("access_absent", "web1")]),
        ("web0", "ok", [("access_absent", "web0")]),
        ("web0", "unreachable", []),  # it may be there
        ("care", "unreachable", [("access_absent", "web1")]),
    ],
)
def test_what_was_granted_everywhere_is_missed_on_hosts_that_were_all_read(
    name: str, state: str, expected: list[tuple[str, str]]
) -> None:
    other = {"name": name, "state": state, "message": "", "documents": []}
    assert _without_ada(other) == expected


def test_an_access_key_is_named_by_its_id() -> None:
    aged = row("console", 1, "ada", credential_type="access_key", key_age=800, mfa="yes",
               details={"credential": "AKIAOLD"})  # fmt: skip
    said = [one.message for one in judged(add(aged)) if one.control == "access_key_age"]
    assert said == ["the key AKIAOLD of ada on web1 is 800 days old"]


def test_what_is_blocked_opens_nothing() -> None:
    blocked = row("cms", 9, "gone", privileged=True, flags=["blocked"], mfa="no",
                  credential_type="password", details=SHOP)  # fmt: skip
    assert judged(add(blocked)) == []


def test_one_key_on_the_sites_that_were_granted_is_no_fault() -> None:
    def act(rows: list[dict[str, Any]], register: Any) -> None:
        sites = {"system": "sftp", "scope": {"clients": ["acme", "beta"]}, "granted_by": "ada"}
        register.people["ben"]["access"].append(sites)
        rows += [key(name, BEN_KEY, uid=name) for name in ("site_shop", "site_blog")]

    assert judged(act) == []


def test_each_access_control_has_a_judge() -> None:
    assert set(catalogue().of_target("access")) == {*judges.JUDGES, *judges_facts.CONTROLS}


def test_a_vendors_key_may_open_its_own_account_only() -> None:
    found = judged(add(key("root", SAM_KEY, uid="0")))
    assert "access_ungranted" in {one.control for one in found}
    assert len(clean_rows()) == 8
