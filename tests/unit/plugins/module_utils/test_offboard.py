# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken of a person's files, and what stays byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_keys, _offboard

ADA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxFgSQO66K38PKJ5PeCsQn0wPuZfpe+VfliOXgcGOJt"
BEN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIEA2sbHiExjXWOk20+5t64fqx+26IANd2lTePO6WOo+"
ADAS = {_access_keys.fingerprint_of(ADA)}

KEYS = [
    (f"{ADA} a\n{BEN} b\n", f"{BEN} b\n"),
    (f'# x\n\nfrom="10.0.0.1",command="echo a b" {ADA}\n{BEN}', f"# x\n\n{BEN}"),
    (f"{BEN} ada@laptop\n", f"{BEN} ada@laptop\n"),  # a comment proves nothing
    (f"#{ADA}\n", f"#{ADA}\n"),
    (f"{ADA}\r\n{BEN}\r\n", f"{BEN}\r\n"),
    (f"{ADA}\n{ADA} twice\n", ""),
    ("caf\udce9 nonsense\n" + ADA, "caf\udce9 nonsense\n"),
    ("", ""),
]


@pytest.mark.parametrize(("before", "after"), KEYS)
def test_exactly_the_persons_keys_go(before: str, after: str) -> None:
    assert _offboard.without_keys(before, ADAS) == after


RULES: list[tuple[str, str, list[str]]] = [
    ("cho ALL=(ALL) ALL\n", "", []),
    ("cho ALL=(ALL) \\\n  NOPASSWD: /bin/ls\nben ALL=ALL\n", "ben ALL=ALL\n", []),
    ("Defaults:cho !lecture\n", "", []),
    ("Defaults:cho,ben !lecture\n", "Defaults:cho,ben !lecture\n", ["Defaults:cho,ben !lecture"]),
    ("ben, cho ALL=ALL\n", "ben, cho ALL=ALL\n", ["ben, cho ALL=ALL"]),
    ("cho, ben ALL=ALL\n", "cho, ben ALL=ALL\n", ["cho, ben ALL=ALL"]),
    ("User_Alias A = cho, ben\n", "User_Alias A = cho, ben\n", ["User_Alias A = cho, ben"]),
    ("chopin ALL=ALL\n%cho ALL=ALL\n", "chopin ALL=ALL\n%cho ALL=ALL\n", ["%cho ALL=ALL"]),
    ("# cho ALL=ALL\n", "# cho ALL=ALL\n", []),
    ("#1001 ALL=ALL\n", "#1001 ALL=ALL\n", []),
]


@pytest.mark.parametrize(("before", "after", "shared"), RULES)
def test_rules_of_the_person_alone_go_and_others_are_named(
    before: str, after: str, shared: list[str]
) -> None:
    assert _offboard.without_rules(before, {"cho"}) == (after, shared)


def test_names_that_others_use_are_not_own() -> None:
    subject = _offboard.subject_of(
        {"person": "cho", "accounts": {"server": ["Cho", "team"]}, "kept": {"server": ["team"]}}
    )
    assert subject.own("server", "cho")
    assert not subject.own("server", "team")
    assert not subject.own("database", "cho")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({}, "person: is missing, expected who leaves"),
        ({"person": "cho", "fingerprints": ["x"]}, "fingerprints: expected SHA256:…, got 'x'"),
    ],
)
def test_a_bad_subject_is_refused(said: dict[str, Any], line: str) -> None:
    with pytest.raises(_offboard.OffboardError) as refused:
        _offboard.subject_of(said)
    assert str(refused.value) == line


def _row(name: str, print_: str, *, privileged: bool = True, remote: bool = True) -> dict[str, Any]:
    return {
        "system": "server", "username": name, "key_fingerprint": print_, "privileged": privileged,
        "credential_type": "ssh_key", "details": {"remote": remote},
    }  # fmt: skip


MINE, OTHERS = next(iter(ADAS)), _access_keys.fingerprint_of(BEN)
LAST: list[tuple[list[dict[str, Any]], bool]] = [
    ([_row("ada", MINE)], True),
    ([_row("root", MINE)], True),
    ([_row("ada", MINE), _row("ada", OTHERS)], True),  # her own account is locked
    ([_row("ada", MINE), _row("root", OTHERS)], False),
    ([_row("ada", MINE), _row("root", OTHERS, remote=False)], True),
    ([_row("ada", MINE), _row("ben", OTHERS, privileged=False)], True),
    ([_row("ada", MINE), _row("root", OTHERS) | {"stop": "2020-01-31"}], True),
    ([_row("ada", MINE), _row("root", OTHERS) | {"stop": "2999-01-31"}], False),
    ([_row("ada", MINE, privileged=False)], False),
    ([], False),
]


@pytest.mark.parametrize(("rows", "refused"), LAST)
def test_the_last_way_to_root_is_not_taken(rows: list[dict[str, Any]], refused: bool) -> None:
    subject = _offboard.subject_of(
        {"person": "ada", "fingerprints": [MINE], "accounts": {"server": ["ada"]}}
    )
    if not refused:
        _offboard._require_root_left(subject, rows)
        return
    with pytest.raises(_offboard.OffboardError, match="ada is the last who can become root here"):
        _offboard._require_root_left(subject, rows)


def _user(name: str, role: str, number: str, source: str = "wordpress", **more: Any) -> Any:
    return {
        "system": "cms", "username": name, "account_id": number, "roles": [role], "source": source,
        "details": {"place": "shop.example", "root": "/srv", "email": f"{name}@x.example"}, **more,
    }  # fmt: skip


def _cms(*rows: Any) -> _offboard.Plan:
    made = _offboard.Plan()
    subject = _offboard.subject_of(
        {"person": "cho", "accounts": {"cms": ["cho"]}, "emails": ["Mail@X.example"]}
    )
    _offboard._plan_cms(made, subject, list(rows))
    return made


def test_a_cms_user_joins_by_name_or_mail_and_the_last_administrator_stays() -> None:
    both = _cms(_user("cho", "editor", "2"), _user("mail", "author", "3"), _user("x", "y", "4"))
    assert [one["id"] for one in both.cms] == ["2", "3"]
    last = _cms(_user("cho", "administrator", "2"), _user("ben", "editor", "3"))
    assert last.cms == []
    assert last.named == ["cho is the last administrator of shop.example: it stays"]
    assert _cms(_user("cho", "administrator", "2"), _user("b", "administrator", "3")).cms
    assert not _cms(_user("cho", "Super Users", "2", "joomla", flags=["blocked"])).cms


def test_a_site_is_told_what_to_forget() -> None:
    where = {"database": "shop", "prefix": "wp_", "id": "7", "kind": "wordpress"}
    text = "\n".join(_offboard.cms_statements(where))
    for part in ("`shop`.`wp_usermeta`", "'wp_capabilities'", "'session_tokens'", "user_id = 7",
                 "'_application_passwords'", "'a:0:{}'", "CONCAT('!', user_pass)"):  # fmt: skip
        assert part in text
    joomla = _offboard.cms_statements({**where, "kind": "joomla", "prefix": "j_"})
    assert joomla == [
        "UPDATE `shop`.`j_users` SET block = 1 WHERE id = 7",
        "DELETE FROM `shop`.`j_session` WHERE userid = 7",
    ]
    with pytest.raises(ValueError, match="invalid literal"):
        _offboard.cms_statements({**where, "id": "7 OR 1=1"})
