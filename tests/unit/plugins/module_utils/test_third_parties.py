# SPDX-License-Identifier: GPL-3.0-or-later
"""Each connector against a server that follows its contract: whole, refusing, paged, broken."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row, _third_parties

from tests.third_parties import servers

ROOT = Path(__file__).parents[4]
VENDORS: dict[str, type[Any]] = {
    "godaddy": servers.GoDaddy,
    "cdn77": servers.Cdn77,
    "mailchimp": servers.Mailchimp,
    "mysites_guru": servers.MySitesGuru,
}
SECRETS = ("EPP-TRANSFER-CODE", "registrant@private", "SECURE-TOKEN-VALUE", "HOOK-SECRET")
# A path that each must read, by the base that its settings name.
BASES = {"mailchimp": "/3.0", "mysites_guru": "/api/v1"}
FIRST = {
    "godaddy": ("/v1/domains", "domains"),
    "cdn77": ("/v3/cdn", "resources"),
    "mailchimp": ("/3.0/", "owner of the key"),
    "mysites_guru": ("/api/v1/me", "account"),
}


def _collect(name: str, vendor: Any, **more: Any) -> _third_parties.Collected:
    with servers.serving(vendor) as base:
        given = {
            "key": vendor.key,
            "secret": getattr(vendor, "secret", ""),
            "base": base + BASES.get(name, ""),
            "seconds": 1.0,
            **more,
        }
        return _third_parties.collect(name, _third_parties.Settings(**given))


def _states(found: _third_parties.Collected) -> dict[str, str]:
    return {one["source"]: one["state"] for one in found.covered}


def test_every_connector_is_tried_here() -> None:
    assert set(VENDORS) == set(_third_parties.CONNECTORS)


@pytest.mark.parametrize("name", VENDORS)
def test_all_is_read_and_what_no_interface_tells_is_to_be_attested(name: str) -> None:
    found = _collect(name, VENDORS[name]())
    states = _states(found)
    assert set(states.values()) == {"read", "not_collected"}
    assert states["second factor"] == "not_collected"
    document = _access_row.document("x", "2026-01-31T12:00:00Z", found.rows, found.covered)
    assert _access_row.check(document | {"facts": found.facts})


@pytest.mark.parametrize("name", VENDORS)
def test_no_secret_of_an_answer_is_kept(name: str) -> None:
    vendor = VENDORS[name]()
    found = _collect(name, vendor)
    kept = json.dumps([found.rows, found.covered, found.facts])
    assert not [one for one in (*SECRETS, vendor.key, vendor.authorization) if one in kept]


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize(
    ("failure", "state"),
    [(servers.DENIED, "not_collected"), (servers.UNAUTHORIZED, "not_collected"),
     (servers.Failure(200, {"surprise": 1}), "failed"), (servers.REDIRECT, "failed")],
    ids=["403", "401", "another shape", "elsewhere"],
)  # fmt: skip
def test_what_is_refused_or_odd_is_told_and_never_a_pass(
    name: str, failure: servers.Failure, state: str
) -> None:
    vendor = VENDORS[name]()
    path, source = FIRST[name]
    vendor.fail(path, failure)
    assert _states(_collect(name, vendor))[source] == state


@pytest.mark.parametrize("name", VENDORS)
def test_a_wrong_key_reads_nothing(name: str) -> None:
    wrong = "0123456789abcdee-us21" if name == "mailchimp" else "wrong"
    found = _collect(name, VENDORS[name](), key=wrong)
    assert found.rows == []
    assert set(_states(found).values()) == {"not_collected"}


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("godaddy", {"key": ""}, "key: is missing"),
        ("godaddy", {"secret": ""}, "secret: is missing"),
        ("cdn77", {"key": "a\nb"}, "key: holds blanks or other signs that no key has"),
        ("mailchimp", {"key": "abc"}, "key: expected one that ends in a data centre"),
        ("mailchimp", {"key": "abc-evil.example/"}, "key: expected one that ends in a data centre"),
    ],
)
def test_a_key_that_is_none_is_refused_before_anybody_is_asked(
    name: str, settings: dict[str, str], said: str
) -> None:
    vendor = VENDORS[name]()
    with pytest.raises(_third_parties.SettingError, match=said):
        _collect(name, vendor, **settings)
    assert vendor.asked == []


def test_godaddy_reads_all_pages() -> None:
    vendor = servers.GoDaddy(2345)
    found = _collect("godaddy", vendor)
    assert len(found.facts["registrations"]) == 2345
    assert len(vendor.asked) == 3
    assert found.facts["registrations"][0] == {
        "domain": "d0000.example",
        "status": "ACTIVE",
        "transfer_lock": True,
        "protected": False,
        "privacy": True,
        "auto_renew": True,
        "expires": "2031-05-01",
        "name_servers": ["ns1.example", "ns2.example"],
    }


def test_a_full_page_that_is_the_last_one() -> None:
    vendor = servers.GoDaddy(1000)
    assert len(_collect("godaddy", vendor).facts["registrations"]) == 1000


def test_mysites_guru_reads_all_pages() -> None:
    found = _collect("mysites_guru", servers.MySitesGuru(201))
    assert len(found.facts["audited_sites"]) == 201
    assert found.facts["audited_sites"][0]["last_audit"] == "2026-11-01T05:00:00Z"


def test_mailchimp_reads_all_pages_and_names_who_linked_what() -> None:
    found = _collect("mailchimp", servers.Mailchimp(1500))
    owner, first, *_more = found.rows
    assert (owner["username"], owner["privileged"]) == ("boss@acme.example", True)
    assert (first["username"], first["grant_path"]) == ("user0@acme.example", ["app 0"])
    assert len(found.rows) == 1501
    assert found.facts["webhooks"] == [{"list": "News", "host": "hook.example"}]


def test_cdn77_tells_of_each_protection_and_of_the_key_to_the_bucket() -> None:
    found = _collect("cdn77", servers.Cdn77())
    closed, open_ = found.facts["resources"]
    assert (closed["ip_protection"], closed["waf"]) == ("whitelist", True)
    assert (open_["secure_token"], open_["https_redirect"]) == ("none", False)
    assert found.rows[0]["details"] == {"credential": "AKIACDN", "bucket": "media"}


def test_a_member_of_a_list_is_archived_or_forgotten() -> None:
    """The server keeps state: what was erased is gone, and what was archived is not."""
    vendor = servers.Mailchimp()
    member = vendor.hashed("Pat@acme.example")

    def ask(method: str, path: str) -> int:
        connection = http.client.HTTPConnection(base.removeprefix("http://"))
        headers = {"Authorization": vendor.authorization}
        connection.request(method, f"/3.0/lists/l1/members/{path}", headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status

    with servers.serving(vendor) as base:
        assert [ask("DELETE", member), ask("DELETE", member)] == [204, 405]
        assert ask("POST", f"{member}/actions/delete-permanent") == 204
        assert [ask("GET", member), ask("POST", f"{member}/actions/delete-permanent")] == [404, 404]


def test_the_module_keeps_no_key_anywhere(tmp_path: Path) -> None:
    vendor = servers.Mailchimp()
    with servers.serving(vendor) as base:
        task = {
            "ringfence.hosting.third_party_access_info": {
                "party": "mailchimp",
                "connector": "mailchimp",
                "key": vendor.key,
                "url": f"{base}/3.0",
            }
        }
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
        (tmp_path / "play.yml").write_text(json.dumps(play))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-vvv", tmp_path / "play.yml"],
            cwd=ROOT,
            env={**os.environ, "RINGFENCE_EVIDENCE_DIR": str(tmp_path / "evidence")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    kept = b"".join(path.read_bytes() for path in (tmp_path / "evidence").rglob("*.json"))
    for text in (done.stdout, done.stderr, kept.decode()):
        assert vendor.key not in text
    from ringfence.evidence import Store

    found = Store(Store.url_in(tmp_path / "evidence")).collection()
    assert found is not None
    assert [target["name"] for target in found["targets"]] == ["mailchimp"]
    assert vendor.key not in json.dumps(found)
