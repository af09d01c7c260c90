# SPDX-License-Identifier: GPL-3.0-or-later
"""A leaver is forgotten where they were known, and nobody else; by a server that keeps state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _mailchimp,
    _third_parties,
)
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _offboard_third_parties as parties,
)

from tests.third_parties import servers

ROOT = Path(__file__).parents[4]
CHO, BEN = "Cho@agency.example", "ben@agency.example"
OTHER = {"party": "cdn", "connector": "cdn77", "key": "cdn-token-value", "secret": "", "url": ""}


@pytest.fixture
def vendor() -> servers.Mailchimp:
    """Cho is in two of three audiences and in one of two shops; so is Ben."""
    made = servers.Mailchimp()
    cho, ben = made.hashed(CHO), made.hashed(BEN)
    made.lists |= {"l2": {cho: "archived", ben: "subscribed"}, "l3": {ben: "cleaned"}}
    made.members |= {cho: "subscribed", ben: "subscribed"}
    made.customers = {"s1": {"c1": CHO, "c2": BEN}, "s2": {"c1": BEN}}
    return made


@pytest.fixture
def base(vendor: servers.Mailchimp) -> Iterator[str]:
    with servers.serving(vendor) as url:
        yield f"{url}/3.0"


def connectors(vendor: servers.Mailchimp, base: str, **more: Any) -> list[dict[str, Any]]:
    mine = {"party": "mailer", "connector": "mailchimp", "key": vendor.key, "url": base}
    return [OTHER, {**mine, **more}]


def state(vendor: servers.Mailchimp) -> str:
    return json.dumps([vendor.lists, vendor.customers], sort_keys=True)


FOUND = [
    "mailer: Cho@agency.example, member of News (subscribed)",
    "mailer: Cho@agency.example, member of News l2 (archived)",
    "mailer: Cho@agency.example, customer of Shop s1",
]


def test_a_plan_names_all_and_changes_nothing(vendor: servers.Mailchimp, base: str) -> None:
    before = state(vendor)
    found = parties.plan(connectors(vendor, base), [CHO], 2.0)
    assert parties.told(found, erase=True) == ([f"delete {line}, for good" for line in FOUND], [])
    named = [f"{line}: stays; --erase deletes it, for good" for line in FOUND]
    assert parties.told(found, erase=False) == ([], named)
    assert state(vendor) == before


def test_who_leaves_is_forgotten_and_nobody_else(vendor: servers.Mailchimp, base: str) -> None:
    given = connectors(vendor, base)
    parties.carry_out(parties.plan(given, [CHO], 2.0))
    kept = _third_parties.Settings(vendor.key, base=base, emails=(CHO,))
    assert _third_parties.collect("mailchimp", kept).facts["entries"] == []
    assert parties.told(parties.plan(given, [CHO], 2.0), erase=True) == ([], [])
    ben, pat = vendor.hashed(BEN), vendor.hashed("pat@acme.example")
    assert vendor.lists == {
        "l1": {pat: "subscribed", ben: "subscribed"},
        "l2": {ben: "subscribed"},
        "l3": {ben: "cleaned"},
    }
    assert vendor.customers == {"s1": {"c2": BEN}, "s2": {"c1": BEN}}
    assert vendor.forgotten == {vendor.hashed(CHO)}


def test_a_collection_tells_what_is_kept_and_not_the_address(
    vendor: servers.Mailchimp, base: str
) -> None:
    kept = _third_parties.Settings(vendor.key, base=base, emails=(CHO,))
    found = _third_parties.collect("mailchimp", kept)
    cho = vendor.hashed(CHO)
    assert found.facts["entries"] == [
        {"kind": "member", "holder": "News", "person": cho, "status": "subscribed"},
        {"kind": "member", "holder": "News l2", "person": cho, "status": "archived"},
        {"kind": "customer", "holder": "Shop s1", "person": cho, "status": ""},
    ]
    assert CHO.casefold() not in json.dumps([found.facts, found.covered]).casefold()
    nobody = _third_parties.collect("mailchimp", _third_parties.Settings(vendor.key, base=base))
    assert "entries" not in nobody.facts


@pytest.mark.parametrize(
    ("emails", "asked"), [([], False), ([" "], False), (["nobody@x.example"], True)]
)
def test_nobody_is_looked_for_without_an_address(
    vendor: servers.Mailchimp, base: str, emails: list[str], asked: bool
) -> None:
    found = parties.plan(connectors(vendor, base), emails, 2.0)
    assert parties.told(found, erase=True) == ([], [])
    assert bool(vendor.asked) is asked


def test_a_filter_that_is_not_heeded_takes_nobody_else(
    vendor: servers.Mailchimp, base: str
) -> None:
    everybody = [{"id": n, "email_address": e} for n, e in vendor.customers["s1"].items()]
    said = servers.Failure(200, {"customers": everybody, "total_items": 2})
    vendor.fail("/3.0/ecommerce/stores/s1/customers", said)
    found = parties.plan(connectors(vendor, base), [CHO], 2.0)
    assert [one.id for one in found[0].entries if one.kind == "customer"] == ["c1"]


def test_a_key_that_is_the_leavers_own_is_named(vendor: servers.Mailchimp, base: str) -> None:
    vendor.owner = CHO.upper()
    _taken, named = parties.told(parties.plan(connectors(vendor, base), [CHO], 2.0), erase=True)
    assert [line for line in named if "this person's own" in line]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (servers.DENIED, "mailer: it refuses to tell: 403 ACCESS_DENIED; nothing was changed"),
        (servers.REDIRECT, "mailer: it answers 302; nothing was changed"),
        (servers.Failure(200, {"x": 1}), "mailer: /lists: the answer has no list lists; nothing"),
        (servers.Failure(200, {"lists": [{}]}), "mailer: an answer of another shape; nothing was"),
    ],
)
def test_what_cannot_be_looked_up_stops_before_anything_changes(
    vendor: servers.Mailchimp, base: str, failure: servers.Failure, said: str
) -> None:
    vendor.fail("/3.0/lists", failure)
    before = state(vendor)
    with pytest.raises(parties.OffboardError) as refused:
        parties.plan(connectors(vendor, base), [CHO], 2.0)
    assert str(refused.value).startswith(said)
    assert vendor.key not in str(refused.value)
    assert state(vendor) == before


def test_a_key_that_is_none_is_refused_before_anybody_is_asked(
    vendor: servers.Mailchimp, base: str
) -> None:
    with pytest.raises(parties.OffboardError, match="mailer: key: expected one that ends in a"):
        parties.plan(connectors(vendor, base, key="abc"), [CHO], 2.0)
    assert vendor.asked == []


ERASE = f"/3.0/lists/l1/members/{servers.Mailchimp.hashed(CHO)}/actions/delete-permanent"


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([servers.BUSY], ""),
        ([servers.Failure(404)], "was deleted and is still there"),
        ([servers.Failure(204)], "was deleted and is still there"),
        ([servers.DENIED], "not all was deleted: it refuses to tell: 403"),
    ],
    ids=["busy", "no such action", "said so and did not", "refused"],
)
def test_it_is_deleted_when_it_is_gone_and_not_before(
    vendor: servers.Mailchimp, base: str, failures: list[servers.Failure], said: str
) -> None:
    found = parties.plan(connectors(vendor, base), [CHO], 2.0)
    vendor.fail(ERASE, *failures)
    if not said:
        parties.carry_out(found)
        assert parties.plan(connectors(vendor, base), [CHO], 2.0)[0].entries == []
        return
    with pytest.raises(parties.OffboardError, match=said):
        parties.carry_out(found)
    assert vendor.hashed(CHO) in vendor.members


def test_the_id_of_a_member_is_that_of_the_contract() -> None:
    assert _mailchimp.member_id(" Cho@Agency.example") == servers.Mailchimp.hashed(CHO)


# --- the playbook


def play(vendor: servers.Mailchimp, base: str, folder: Path, *options: str) -> str:
    """All that the playbook prints; it is run on no host."""
    said = {
        "ringfence_hosts": "none_at_all", "ringfence_person": "cho", "ringfence_emails": [CHO],
        "ringfence_connectors": connectors(vendor, base),
    }  # fmt: skip
    (folder / "vars.json").write_text(json.dumps(said))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-vvv",
            "-e", f"@{folder / 'vars.json'}", "--diff", *options, ROOT / "playbooks/offboard.yml",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "RINGFENCE_EVIDENCE_DIR": str(folder / "evidence"),
             "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_playbook_plans_then_names_then_deletes(
    vendor: servers.Mailchimp, base: str, tmp_path: Path
) -> None:
    before = state(vendor)
    planned = play(vendor, base, tmp_path, "--check", "-e", "ringfence_erase=true")
    named = play(vendor, base, tmp_path)
    assert state(vendor) == before
    assert all(f"+delete {line}, for good" in planned for line in FOUND)
    assert all(f"{line}: stays" in named for line in FOUND)
    done = play(vendor, base, tmp_path, "-e", "ringfence_erase=true")
    assert vendor.hashed(CHO) in vendor.forgotten
    assert CHO not in json.dumps(vendor.customers)
    again = play(vendor, base, tmp_path, "-e", "ringfence_erase=true")
    assert "changed=0" in again
    assert not [text for text in (planned, named, done, again) if vendor.key in text]
