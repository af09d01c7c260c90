# SPDX-License-Identifier: GPL-3.0-or-later
"""A register is loaded whole, and each mistake in it comes out as one line."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ringfence.hosting.plugins.plugin_utils import register, register_files
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_merge import Handmade
from register_samples import (
    BASE_TIERS,
    CONTROLS,
    FIXTURES,
    TODAY,
    Catalogue,
    copy_good,
    load,
)

BAD = yaml.safe_load((FIXTURES / "bad.yml").read_text(encoding="utf-8"))


def spoil(root: Path, case: dict[str, Any]) -> None:
    for change in (case, case.get("more")):
        if change is None:
            continue
        path = root / change["file"]
        text = path.read_text(encoding="utf-8")
        assert "text" in change or change["find"] in text
        text = (
            change["text"] if "text" in change else text.replace(change["find"], change["put"], 1)
        )
        path.write_text(text, encoding="utf-8")


def relative(problems: list[register_files.Problem], root: Path) -> list[str]:
    return [str(problem).replace(f"{root}/", "") for problem in problems]


def change(root: Path, file: str, find: str, put: str) -> None:
    spoil(root, {"file": file, "find": find, "put": put})


def test_the_good_register_has_no_problem() -> None:
    found = load(FIXTURES / "good")
    assert found.problems == []
    assert list(found.clients) == ["acme", "zoo"]
    assert list(found.people) == ["ada", "ben", "cho"]
    assert [place.reference for place in found.on("web1")] == ["acme/shop", "zoo/main"]
    assert found.on("db1") == []
    assert found.tier_of_host("web1") == "strict"
    assert found.tier_of_host("web2") == "standard"
    assert found.tier_of_host("db1") is None


def test_there_are_many_bad_registers() -> None:
    assert len(BAD) >= 40
    assert len({case["name"] for case in BAD}) == len(BAD)


@pytest.mark.parametrize("case", BAD, ids=[case["name"] for case in BAD])
def test_a_bad_register_says_what_is_wrong_in_one_line_each(
    case: dict[str, Any], tmp_path: Path
) -> None:
    root = copy_good(tmp_path)
    spoil(root, case)
    found = load(root)
    assert relative(found.errors, root) == case["lines"]
    assert all("\n" not in line for line in case["lines"])


@pytest.mark.parametrize(
    ("file", "find", "put", "code", "line"),
    [
        (
            "clients/acme.yml",
            "expires: 2026-12-31",
            "expires: 2026-05-31",
            "waiver_expired",
            "clients/acme.yml:32: waivers[0].expires: the waiver of control_ssh_tries ended on "
            "2026-05-31: the control is a fail",
        ),
        (
            "clients/zoo.yml",
            "{gate_users: [ada]}",
            "{session: 4h}",
            "gate_without_people",
            "clients/zoo.yml:25: sites[0].security.second_factor: a gate that nobody may pass, "
            "expected gate_users",
        ),
        (
            "clients/zoo.yml",
            "cms: {name: wordpress}",
            "cms: {name: static}",
            "gate_without_paths",
            "clients/zoo.yml:25: sites[0].security.second_factor: a gate before nothing: no admin "
            "path of this site is known, expected paths",
        ),
        (
            "clients/acme.yml",
            "expires: 2026-12-31",
            "expires: 2026-07-01",
            "waiver_expiring",
            "clients/acme.yml:32: waivers[0].expires: the waiver of control_ssh_tries ends on "
            "2026-07-01",
        ),
        (
            "clients/acme.yml",
            "scope: {hosts: [web2]}",
            "scope: {hosts: [web1]}",
            "waiver_without_force",
            "clients/acme.yml:27: waivers[0]: does not hold on web1, which acme shares with zoo, "
            "who did not waive control_ssh_tries",
        ),
        (
            "clients/acme.yml",
            "owner: ada",
            "owner: cho",
            "leaver_referenced",
            "clients/acme.yml:30: waivers[0].owner: cho left on 2026-01-31, expected somebody who "
            "is there",
        ),
        (
            "people.yml",
            "    left: 2026-01-31",
            "    left: 2026-01-31\n    access: [{system: server, scope: {everything: true}}]",
            "leaver_referenced",
            "people.yml:17: people[2].access[0]: cho left on 2026-01-31 and still has this access, "
            "expected an end",
        ),
        (
            "people.yml",
            "    left: 2026-01-31",
            "    left: 2026-01-31\n    access: [{system: server, scope: {everything: true}, "
            "end: 2026-06-01}]",
            "leaver_referenced",
            "people.yml:17: people[2].access[0]: cho left on 2026-01-31 and still has this access, "
            "expected an end",
        ),
        (
            "people.yml",
            "review_by: 2027-01-01",
            "review_by: 2026-01-01",
            "review_overdue",
            "people.yml:18: service_accounts[0].review_by: the review of deploy was due on "
            "2026-01-01",
        ),
        (
            "third_parties.yml",
            "expires_at: 2027-01-10",
            "expires_at: 2026-03-01",
            "attestation_expired",
            "third_parties.yml:16: attestations[0].expires_at: fastcdn_mfa ended on 2026-03-01: "
            "what it says counts as not shown",
        ),
        (
            "clients/acme.yml",
            "since: 2021-04-01",
            "until: 2026-05-01",
            "client_ended",
            "clients/acme.yml:4: until: ended on 2026-05-01, but status is active",
        ),
        (
            "clients/acme.yml",
            "sub_processors: [fastcdn]",
            "sub_processors: []",
            "sub_processor_missing",
            "clients/acme.yml:42: sites[0].cdn.third_party: fastcdn serves this site and is "
            "missing from processing.sub_processors",
        ),
        (
            "clients/zoo.yml",
            "tier: strict",
            "tier: strict\nsecurity: {second_factor: {admin: none}}",
            "weaker_than_tier",
            'clients/zoo.yml:5: security.second_factor.admin: found "none", weaker than "gate" of '
            "tier strict",
        ),
        (
            "clients/acme.yml",
            "gate_users: [ada]}",
            "gate_users: [ada]}\n  addresses: {deny: [{network: 192.0.2.9, reason: Noise, "
            "expires: 2026-05-31}]}",
            "address_expired",
            "clients/acme.yml:22: security.addresses.deny[0].expires: ended on 2026-05-31 and is "
            "left out",
        ),
    ],
)
def test_what_the_calendar_brings_is_a_warning_and_stops_nothing(
    file: str, find: str, put: str, code: str, line: str, tmp_path: Path
) -> None:
    root = copy_good(tmp_path)
    change(root, file, find, put)
    found = load(root)
    assert found.errors == []
    assert [(problem.code, relative([problem], root)[0]) for problem in found.warnings] == [
        (code, line)
    ]


def test_access_of_a_leaver_that_has_ended_is_history(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    ended = "access: [{system: server, scope: {everything: true}, end: 2026-05-31}]"
    change(root, "people.yml", "left: 2026-01-31", f"left: 2026-01-31\n    {ended}")
    assert load(root).problems == []


def test_a_client_that_left_is_kept_and_served_no_more(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    change(root, "clients/zoo.yml", "tier: strict", "tier: strict\nstatus: left")
    change(root, "clients/zoo.yml", "host: web1", "host: gone1")
    found = load(root)
    assert found.errors == []
    assert "zoo" in found.clients
    assert [place.reference for place in found.on("web1")] == ["acme/shop"]
    assert found.tier_of_host("web1") == "standard"


def test_hosts_are_not_checked_where_nobody_knows_them(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    change(root, "clients/acme.yml", "host: web2", "host: web77")
    change(root, "clients/acme.yml", "hosts: [web2]", "hosts: [web77]")
    assert load(root, hosts=None, groups=None).errors == []
    assert len(load(root).errors) == 1


def test_a_folder_without_clients_is_no_register(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert relative(found.errors, tmp_path.parent) == [
        f"{tmp_path.name}: expected a folder `clients` with a file for each client, found none"
    ]


def test_tiers_that_did_not_come_with_the_collection_are_missed(tmp_path: Path) -> None:
    absent = tmp_path / "tiers.yml"
    found = register.load(FIXTURES / "good", CONTROLS, shipped_tiers=absent)
    assert f"{absent}: cannot be read: No such file or directory" in map(str, found.errors)


def test_references_into_a_broken_file_are_not_complained_of(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    change(root, "third_parties.yml", "country: CZ", "country: Czechia")
    change(root, "clients/acme.yml", "tier: standard", "teir: standard")
    lines = relative(load(root).errors, root)
    assert [line.split(":")[0] for line in lines] == [
        "clients/acme.yml",
        "clients/acme.yml",
        "third_parties.yml",
    ]


def test_encrypted_values_pass_through_untouched(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    cipher = "$ANSIBLE_VAULT;1.1;AES256\n6162\n"
    indented = cipher.replace("\n", "\n        ").rstrip(" ")
    change(
        root,
        "clients/acme.yml",
        "database: {name: acme_shop, user: acme}",
        f"database:\n      name: acme_shop\n      password: !vault |\n        {indented}",
    )
    found = load(root)
    assert found.errors == []
    site = register.site_vars(found, found.by_site["acme/shop"], TODAY)
    assert site["database"]["password"] == cipher
    assert isinstance(site["database"]["password"], register_files.Vaulted)


def test_a_file_that_is_encrypted_as_a_whole_is_opened(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    plain = (root / "people.yml").read_bytes()
    (root / "people.yml").write_bytes(b"$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    assert load(root, decrypt=lambda _: plain).errors == []

    def fails(data: bytes) -> bytes:
        raise ValueError(f"cannot open {data!r} with hunter2")

    lines = relative(load(root, decrypt=fails).errors, root)
    assert lines == ["people.yml: is encrypted as a whole and no vault password opens it"]


def test_a_site_is_told_what_it_needs_and_nothing_of_people() -> None:
    found = load(FIXTURES / "good")
    site = register.site_vars(found, found.by_site["acme/shop"], TODAY)
    assert site == {
        "client": "acme",
        "id": "shop",
        "tier": "standard",
        "environment": "production",
        "domains": ["shop.acme.example", "www.acme.example"],
        "root": "/srv/www/acme/shop",
        "user": "acme",
        "web_server": "nginx",
        "cms": {"name": "wordpress", "version": "6.1"},
        "database": {"name": "acme_shop", "user": "acme"},
        "cdn": {"third_party": "fastcdn", "ranges": ["198.18.0.0/20"]},
        "security": {
            "second_factor": {"admin": "gate", "gate_users": ["ada"]},
            "automatic_bans": {
                "enabled": True,
                "sign_in": {"attempts": 10, "within": "10m", "ban": "1h"},
            },
        },
        "backup": {"enabled": True, "every": "24h", "late_after": "36h", "keep": {"daily": 14}},
    }
    everything = json.dumps([register.client_vars(one) for one in found.clients.values()])
    assert "Pat Moss" not in json.dumps(site) + everything
    assert "purpose" not in json.dumps(site) + everything


def test_an_allow_list_whose_entries_have_ended_is_empty_not_absent(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    rows = "[{network: 192.0.2.9, reason: Office, expires: 2026-05-31}]"
    change(
        root,
        "clients/acme.yml",
        "gate_users: [ada]}",
        f"gate_users: [ada]}}\n  addresses: {{allow_only: {rows}}}",
    )
    found = load(root)
    site = register.site_vars(found, found.by_site["acme/shop"], TODAY)
    assert site["security"]["addresses"] == {"allow_only": []}


def test_explain_names_every_layer() -> None:
    found = load(FIXTURES / "good")
    layers = register.explain(found, Catalogue(), "web1", "control_ssh_tries")
    assert [(layer.kind, layer.name, layer.value) for layer in layers] == [
        ("default", "control_ssh_tries", 4),
        ("tier", "standard", 5),
        ("client", "acme", 3),
        ("tier", "strict", 2),
        ("forced", "acme", 3),
        ("effective", "web1", 2),
    ]
    assert layers[-2].note == "gets 2 because it shares web1 with zoo"
    assert layers[-1].note == "the strictest: tier strict of zoo"


def test_explain_for_a_site_shows_its_own_client_only() -> None:
    found = load(FIXTURES / "good")
    layers = register.explain(found, Catalogue(), "web1", "control_ssh_tries", site="acme/shop")
    assert [(layer.kind, layer.client) for layer in layers] == [
        ("default", None),
        ("tier", "acme"),
        ("client", "acme"),
        ("forced", "acme"),
        ("effective", None),
    ]
    assert layers[-1].value == 2


def test_what_a_neighbour_forces_on_a_client_is_said() -> None:
    found = load(FIXTURES / "good")
    rows = register.forced(found, Catalogue(), "web1")
    assert [(row.client, row.variable, row.own, row.effective, row.by) for row in rows] == [
        ("acme", "ssh_tries", 3, 2, ("zoo",)),
        ("acme", "umask", "022", "077", ("zoo",)),
    ]
    assert register.forced(found, Catalogue(), "web2") == []


def test_a_weaker_host_variable_is_a_warning_and_a_template_an_error() -> None:
    given = {"web1": {"ssh_tries": Handmade(host=6)}}
    found = load(FIXTURES / "good", handmade=given)
    assert [str(problem) for problem in found.problems] == [
        "host web1: host variable ssh_tries: 6 is weaker than 2, which its clients ask for"
    ]
    given = {"web1": {"ssh_tries": Handmade(group="{{ tries }}")}}
    found = load(FIXTURES / "good", handmade=given)
    assert [str(problem) for problem in found.errors] == [
        'host web1: group variable ssh_tries: found "{{ tries }}", expected a plain value: a '
        "template cannot be compared"
    ]


def test_the_window_of_every_client_on_a_host_must_be_open() -> None:
    found = load(FIXTURES / "good")
    tuesday_night = datetime(2026, 6, 2, 21, 30, tzinfo=UTC)  # 22:30 in London
    assert register.window_open(found, "web1", tuesday_night) == (
        True,
        "acme: open until Wed 04:00 Europe/London",
    )
    noon = datetime(2026, 6, 2, 11, 0, tzinfo=UTC)
    assert register.window_open(found, "web1", noon) == (
        False,
        "acme: closed; opens Tue 22:00 Europe/London",
    )
    assert register.window_open(found, "db1", noon) == (True, "no change window is declared")


def test_remembered_files_are_read_once_and_forgotten_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_good(tmp_path)
    remembered: dict[str, Any] = {}
    before = register.read(root, shipped_tiers=BASE_TIERS, remembered=remembered)
    assert len(remembered) == 2
    remembered = json.loads(json.dumps(remembered))

    read: list[str] = []
    real = register_files.read

    def counted(path: Path, *rest: Any) -> register_files.RegisterFile:
        read.append(path.name)
        return real(path, *rest)

    monkeypatch.setattr(register_files, "read", counted)
    change(root, "clients/zoo.yml", "City Zoo\n", "The Zoo\n")
    after = register.read(root, shipped_tiers=BASE_TIERS, remembered=remembered)
    assert "acme.yml" not in read
    assert "zoo.yml" in read
    assert after.clients["acme"] == before.clients["acme"]
    assert after.clients["zoo"]["name"] == "The Zoo"
    assert len(remembered) == 2
    register.check(after, CONTROLS, None, None, date(2026, 6, 1))
    assert after.errors == []


def test_nothing_encrypted_is_remembered(tmp_path: Path) -> None:
    root = copy_good(tmp_path)
    plain = (root / "clients" / "zoo.yml").read_bytes()
    (root / "clients" / "zoo.yml").write_bytes(b"$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    remembered: dict[str, Any] = {}
    found = register.read(root, lambda _: plain, BASE_TIERS, remembered)
    assert "zoo" in found.clients
    assert "Zoo" not in json.dumps(remembered)
