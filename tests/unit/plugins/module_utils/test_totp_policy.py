# SPDX-License-Identifier: GPL-3.0-or-later
"""Who must give a code and who is exempt, and what sshd and PAM are told of it."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _totp,
    _totp_host,
    _totp_policy,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

TODAY = date(2026, 6, 30)
DEBIAN = "# PAM\n\n@include common-auth\naccount required pam_nologin.so\n@include common-account\n"


def exemption(**changed: Any) -> dict[str, Any]:
    made = {
        "account": "deploy",
        "reason": "runs unattended",
        "owner": "ops",
        "expires": "2026-06-30",
        "sources": ["192.0.2.16/28", "2001:db8:1::/48"],
    }
    return {key: value for key, value in {**made, **changed}.items() if value is not None}


def policy(groups: list[str], *exemptions: dict[str, Any]) -> _totp_policy.Policy:
    return _totp_policy.read_policy(groups, list(exemptions), _totp.Limits())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"owner": None}, "exemptions[0] ('deploy').owner: is missing"),
        ({"reason": " "}, "exemptions[0] ('deploy').reason: expected one printable line, got ' '"),
        ({"reason": "a\nMatch all"}, "reason: expected one printable line, got 'a\\nMatch all'"),
        ({"expires": "soon"}, "expires: expected a date such as 2027-01-31, got 'soon'"),
        ({"expires": "2026-02-30"}, "expires: expected a date"),
        ({"sources": "192.0.2.1"}, "sources: expected a list of networks, got '192.0.2.1'"),
        ({"sources": ["office"]}, "got 'office'"),
        ({"sources": ["10.1.2.3/8"]}, "got '10.1.2.3/8' (did you mean 10.0.0.0/8?)"),
        ({"account": "a,b"}, "account 'a,b': expected a name"),
        ({"account": "*"}, "account '*': expected a name"),
        ({"until": "x"}, "'until': expected only account, reason, owner, expires, sources"),
    ],
)
def test_a_bad_exemption_gets_one_line_that_names_it(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(_totp.TotpError) as error:
        policy(["*"], exemption(**changed))
    line = str(error.value)
    assert line.startswith("ssh_second_factor_exemptions[0]")
    assert told in line
    assert "\n" not in line


def test_an_exemption_that_is_no_mapping_is_told() -> None:
    with pytest.raises(_totp.TotpError, match=r"exemptions\[0\]: expected a mapping"):
        policy(["*"], "deploy")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "today", "exempt"),
    [
        ("192.0.2.17", TODAY, True),
        ("::ffff:192.0.2.17", TODAY, True),
        ("2001:db8:1:2::3", TODAY, True),
        ("2001:db8:1:2::3%eth0", TODAY, True),
        ("192.0.2.32", TODAY, False),
        ("2001:db8:2::1", TODAY, False),
        ("192.0.2.17", date(2026, 7, 1), False),
        ("UNKNOWN", TODAY, False),
        ("", TODAY, False),
    ],
)
def test_an_exemption_holds_from_its_sources_to_its_last_day(
    address: str, today: date, exempt: bool
) -> None:
    made = policy(["*"], exemption())
    assert (made.exemption("deploy", address, today) is not None) is exempt
    assert made.exemption("other", address, today) is None


def test_sshd_is_told_of_exemptions_first_for_it_takes_what_it_meets_first() -> None:
    text = _totp_policy.drop_in(policy(["sudo", "web"], exemption()), TODAY) or ""
    matches = [line for line in text.splitlines() if line.startswith("Match")]
    assert matches == [
        "Match User deploy Address 192.0.2.16/28,2001:db8:1::/48",
        "Match User deploy",
        "Match Group sudo,web",
    ]
    methods = [line.split()[1] for line in text.splitlines() if "AuthenticationMethods" in line]
    assert methods == ["publickey"] + ["publickey,keyboard-interactive:pam"] * 2
    assert "# Until 2026-06-30, owner ops: runs unattended\n" in text


def test_an_expired_exemption_is_not_told_and_its_account_stays_covered() -> None:
    made = policy(["sudo"], exemption(expires="2026-06-29"))
    text = _totp_policy.drop_in(made, TODAY) or ""
    assert "Address" not in text
    assert "Match User deploy\n" in text
    assert made.wants("deploy", [])


def test_nobody_must_where_no_group_is_named() -> None:
    made = policy([], exemption())
    assert _totp_policy.drop_in(made, TODAY) is None
    assert _totp_policy.code_stack(made) is None
    assert not made.wants("deploy", ["sudo"])


def test_pam_asks_everybody_for_the_code_alone() -> None:
    lines = (_totp_policy.code_stack(policy(["*"])) or "").splitlines()[1:]
    assert len(lines) == 1
    assert lines[0].startswith("auth required pam_google_authenticator.so secret=/var/lib/")
    assert "nullok" not in lines[0]


def test_by_group_only_who_is_surely_not_meant_goes_past_the_code() -> None:
    text = _totp_policy.code_stack(policy(["sudo", "web"], exemption())) or ""
    first, second, third = text.splitlines()[1:]
    assert first == (
        "auth [success=1 user_unknown=1 default=ignore] pam_succeed_if.so quiet "
        "user notingroup sudo:web user notin deploy"
    )
    assert second.startswith("auth [success=done new_authtok_reqd=done default=die] ")
    assert third == "@include common-auth"


def test_the_stack_of_sshd_comes_back_byte_for_byte() -> None:
    on = _totp_policy.sshd_stack(DEBIAN, required=True)
    assert on == DEBIAN.replace("common-auth", "ringfence-second-factor")
    assert _totp_policy.sshd_stack(on, required=True) == on
    assert _totp_policy.sshd_stack(on, required=False) == DEBIAN
    assert _totp_policy.sshd_stack(DEBIAN, required=False) == DEBIAN


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("auth required pam_unix.so\n", "found 0"),
        ("#@include common-auth\n", "found 0"),
        (DEBIAN + "@include common-auth\n", "found 2"),
        (DEBIAN + "auth required pam_oath.so\n", "pam_oath.so is in it already"),
        (DEBIAN + "-auth [success=ok] pam_google_authenticator.so nullok\n", "is in it already"),
    ],
)
def test_a_stack_that_was_changed_by_hand_is_left_alone(text: str, told: str) -> None:
    with pytest.raises(_totp.TotpError, match=told):
        _totp_policy.sshd_stack(text, required=True)


OPTIONS = {
    "permitrootlogin": ["prohibit-password"],
    "passwordauthentication": ["no"],
    "kbdinteractiveauthentication": ["no"],
    "authorizedkeysfile": [".ssh/authorized_keys .ssh/authorized_keys2"],
}


@pytest.mark.parametrize(
    ("keys", "changed", "signs_in"),
    [
        ("ssh-ed25519 AAAA\n", {}, True),
        ("# none\n\n", {}, False),
        ("", {}, False),
        (None, {}, False),
        (None, {"passwordauthentication": ["yes"]}, True),
        (None, {"kbdinteractiveauthentication": ["yes"]}, True),
        (None, {"authorizedkeyscommand": ["/usr/bin/keys"]}, True),
        ("ssh-ed25519 AAAA\n", {"authorizedkeysfile": ["none"]}, False),
        ("ssh-ed25519 AAAA\n", {"authorizedkeysfile": ["%h/.ssh/authorized_keys"]}, True),
        ("ssh-ed25519 AAAA\n", {"allowusers": ["bob", "al*@192.0.2.0/24"]}, True),
        ("ssh-ed25519 AAAA\n", {"allowusers": ["bob"]}, False),
        ("ssh-ed25519 AAAA\n", {"denyusers": ["alice"]}, False),
        ("ssh-ed25519 AAAA\n", {"denyusers": ["alice@192.0.2.1"]}, True),
        ("ssh-ed25519 AAAA\n", {"allowgroups": ["web", "sudo"]}, True),
        ("ssh-ed25519 AAAA\n", {"allowgroups": ["web"]}, False),
        ("ssh-ed25519 AAAA\n", {"denygroups": ["su*"]}, False),
    ],
)
def test_who_can_sign_in(
    tmp_path: Path, keys: str | None, changed: dict[str, list[str]], signs_in: bool
) -> None:
    folder = tmp_path / "home" / "alice" / ".ssh"
    folder.mkdir(parents=True)
    if keys is not None:
        (folder / "authorized_keys").write_text(keys)
    account = _totp_host.Account("alice", 1001, "/home/alice", frozenset({"alice", "sudo"}), True)
    assert _totp_host.can_sign_in(Host(str(tmp_path)), account, {**OPTIONS, **changed}) is signs_in


def test_a_pipe_for_a_key_file_stops_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "alice" / ".ssh"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "authorized_keys")
    account = _totp_host.Account("alice", 1001, "/home/alice", frozenset(), False)
    assert not _totp_host.can_sign_in(Host(str(tmp_path)), account, OPTIONS)


@pytest.mark.parametrize(
    ("root_login", "signs_in"), [("no", False), ("prohibit-password", True), ("yes", True)]
)
def test_root_signs_in_only_where_sshd_lets_it(
    tmp_path: Path, root_login: str, signs_in: bool
) -> None:
    folder = tmp_path / "root" / ".ssh"
    folder.mkdir(parents=True)
    (folder / "authorized_keys").write_text("ssh-ed25519 AAAA\n")
    account = _totp_host.Account("root", 0, "/root", frozenset({"root"}), False)
    options = {**OPTIONS, "permitrootlogin": [root_login]}
    assert _totp_host.can_sign_in(Host(str(tmp_path)), account, options) is signs_in
