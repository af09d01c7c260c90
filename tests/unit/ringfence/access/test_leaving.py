# SPDX-License-Identifier: GPL-3.0-or-later
"""What still opens something, and what is left to do by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ringfence.access import leaving


def row(person: str = "cho", system: str = "server:web1", **more: Any) -> dict[str, Any]:
    return {"person": person, "system": system, "username": "cho", "credential_type": "ssh_key",
            "account_id": "1001", "key_fingerprint": "SHA256:x", "flags": [], **more}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "shows"),
    [
        (row(), True),
        (row("ben"), False),
        (row(flags=["nopasswd"]), True),
        (row(flags=["locked"]), False),
        (row(flags=["blocked", "remote"]), False),
        (row(flags=None), True),
        (row(system="console:aws", flags=["no_way_in"]), False),
    ],
)
def test_what_is_locked_or_somebody_elses_does_not_show(found: Any, shows: bool) -> None:
    population: Any = SimpleNamespace(rows={"a": found})
    assert bool(leaving.accesses(population, "cho")) is shows


@pytest.mark.parametrize(("flags", "shows"), [(["no_way_in"], 0), ([], 2)])
def test_what_one_may_do_at_a_bucket_opens_nothing_without_a_way_in(
    flags: list[str], shows: int
) -> None:
    user = {"account_id": "arn:cho", "credential_type": "none", "key_fingerprint": ""}
    rows = [row(system="console:aws", flags=flags, **user), row(system="bucket:aws/logs", **user)]
    population: Any = SimpleNamespace(rows=dict(enumerate(rows)))
    assert len(leaving.accesses(population, "cho")) == shows


def test_a_line_says_where_who_and_by_what() -> None:
    assert leaving.line(row()) == "server:web1: cho by ssh_key SHA256:x"
    assert leaving.line(row(credential_type="", key_fingerprint="")) == "server:web1: cho"


def _register(**cho: Any) -> Any:
    return SimpleNamespace(
        people={"cho": {"id": "cho", "name": "Cho", **cho}},
        third_parties={"mailer": {}},
        service_accounts={"deploy": {"owner": "cho"}, "other": {"owner": "ben"}},
    )


def test_consoles_services_and_the_register_are_for_a_person() -> None:
    grants = [{"system": "console", "third_party": "cloud"}, {"system": "server"}]
    register = _register(access=grants, accounts={"mailer": ["cho.m"], "server": ["cho"]})
    found = leaving.tasks(register, "cho", [row(system="dns:registrar")], "2026-11-26")
    assert [(one.system, one.what) for one in found] == [
        ("cloud", "remove the user from the console, end its sessions"),
        ("dns:registrar", "remove cho"),
        ("mailer", "remove the user cho.m and its tokens"),
        ("people.yml", "give the service account deploy another owner, change its secrets"),
        ("people.yml", "write the last day of cho (left), keep the entry"),
    ]
    assert found[0].attestation["observed_at"] == "2026-11-26"
    kept = leaving.tasks(_register(left="2026-11-25"), "cho", [row()], "2026-11-26")
    assert [one.what for one in kept] == [
        "give the service account deploy another owner, change its secrets"
    ]


def test_what_hosts_say_is_no_markup() -> None:
    text = leaving.markdown("cho", "<b>Cho", ["key [x](y)\n# z"], [], ["a|b"], [])
    assert "\\<b\\>Cho" in text
    assert "- key \\[x\\](y)?\\# z" in text
    assert "- [ ] a\\|b" in text
    assert text.count("Nothing.") == 2


def test_an_address_that_others_have_too_is_not_the_leavers() -> None:
    register: Any = SimpleNamespace(
        people={"cho": {"emails": ["cho@x.example", "Info@x.example", "jobs@x.example"]},
                "ben": {"emails": ["info@X.example"]}},
        service_accounts={"jobs": {"accounts": {"mailer": ["jobs@x.example"]}}},
    )  # fmt: skip
    own, shared = leaving.addresses(register, "cho")
    assert (own, shared) == (["cho@x.example"], ["Info@x.example", "jobs@x.example"])


def test_what_third_parties_keep_by_an_address() -> None:
    cho, ben = (leaving._mailchimp.member_id(f"{name}@x.example") for name in ("cho", "ben"))
    entry = {"kind": "member", "holder": "News", "person": cho, "status": "archived"}
    customer = {"kind": "customer", "holder": "Shop", "person": cho, "status": ""}
    facts = {"mailer": {"entries": [entry, {**entry, "person": ben}, customer]}, "web1": {}}
    population: Any = SimpleNamespace(facts=facts)
    assert leaving.entries(population, ["Cho@x.example"]) == [
        "mailer: member of News (archived)", "mailer: customer of Shop",
    ]  # fmt: skip
    assert leaving.entries(population, []) == []
