# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves on a host, read with sshd's own mouth and compared with literals."""

from __future__ import annotations

import pytest
from testinfra.host import Host

KEY_ALONE = "authenticationmethods publickey"
KEY_AND_CODE = "authenticationmethods publickey,keyboard-interactive:pam"
ELSEWHERE = "203.0.113.9"


def _sshd(host: Host, user: str, address: str) -> list[str]:
    spec = f"user={user},host=x,addr={address},laddr=192.0.2.1,lport=22"
    with host.sudo():
        return list(host.check_output(f"sshd -T -C {spec}").splitlines())


def _controller(host: Host) -> str:
    """Where the connections of the controller come from."""
    return str(host.ansible.get_variables()["fleet_gateway"])


@pytest.mark.parametrize("user", ["root", "ops", "old", "nobody", "not-an-account"])
def test_from_elsewhere_everybody_gives_a_code(host: Host, user: str) -> None:
    said = _sshd(host, user, ELSEWHERE)
    assert KEY_AND_CODE in said
    assert "usepam yes" in said
    assert "kbdinteractiveauthentication yes" in said
    assert "passwordauthentication no" in said


@pytest.mark.parametrize(
    ("user", "methods"), [("ops", KEY_ALONE), ("old", KEY_AND_CODE), ("root", KEY_AND_CODE)]
)
def test_from_the_controller_only_the_exempt_account_gives_none(
    host: Host, user: str, methods: str
) -> None:
    assert methods in _sshd(host, user, _controller(host))


def test_the_rest_of_sshd_is_as_it_was(host: Host) -> None:
    with host.sudo():
        plain = host.check_output("sshd -T").splitlines()
        assert host.run("sshd -t").rc == 0
    assert "authenticationmethods any" in plain
    assert "kbdinteractiveauthentication no" in plain


def test_sshd_asks_pam_for_the_code_and_for_nothing_else(host: Host) -> None:
    stack = host.file("/etc/pam.d/sshd").content_string.splitlines()
    assert stack.count("@include ringfence-second-factor") == 1
    assert "@include common-auth" not in stack
    assert [line for line in stack if line.startswith("auth")] == []
    assert "@include common-account" in stack
    assert "@include common-session" in stack
    code = host.file("/etc/pam.d/ringfence-second-factor")
    lines = [line for line in code.content_string.splitlines() if not line.startswith("#")]
    assert lines == [
        "auth required pam_google_authenticator.so "
        "secret=/var/lib/ringfence/second-factor/${USER} user=root noskewadj"
    ]
    assert (code.user, code.mode) == ("root", 0o644)


def test_sudo_and_the_console_still_ask_for_the_password(host: Host) -> None:
    for name in ("sudo", "login", "su"):
        assert "ringfence" not in host.file(f"/etc/pam.d/{name}").content_string
    assert "google" not in host.file("/etc/pam.d/common-auth").content_string


def test_secrets_lie_where_only_root_comes(host: Host) -> None:
    with host.sudo():
        folder = host.file("/var/lib/ringfence/second-factor")
        assert folder.is_directory
        assert (folder.user, folder.group, folder.mode) == ("root", "root", 0o700)


def test_no_guard_is_left_armed(host: Host) -> None:
    with host.sudo():
        assert not host.file("/var/lib/ringfence/guard/armed.json").exists
    assert host.run("systemctl is-active --quiet 'ringfence-guard-*.timer'").rc != 0
