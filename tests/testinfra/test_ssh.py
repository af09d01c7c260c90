# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role ssh has been applied to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

SSH = FAMILIES["ssh"]


@pytest.mark.parametrize("name", SSH)
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(SSH[name].read) == SSH[name].expected(release)


def test_the_configuration_is_valid_and_the_daemon_runs(host: Any, root: Shell) -> None:
    assert root("sshd -t && echo valid") == "valid"
    assert host.service("ssh").is_running


def test_administrators_get_in_and_become_root_without_a_password(root: Shell) -> None:
    # This very connection is one of theirs.
    assert root("id -un") == "root"


def _sign_in(root: Shell, user: str, *options: str) -> str:
    """What a sign-in to the host itself ends with, with a fresh key that root's account trusts."""
    script = f"""
        rm -f /tmp/k /tmp/k.pub; ssh-keygen -q -t ed25519 -N "" -f /tmp/k
        home=$(getent passwd {user} | cut -d: -f6); install -d -m 700 -o {user} $home/.ssh
        cp -p $home/.ssh/authorized_keys /tmp/kept 2>/dev/null
        cat /tmp/k.pub >> $home/.ssh/authorized_keys
        ssh -i /tmp/k -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
            {" ".join(options)} {user}@127.0.0.1 echo in 2>&1 \
            | grep -v -e '^Warning: Permanently' -e '^This system is private' -e '^Debian GNU'
        rm -f $home/.ssh/authorized_keys /tmp/k /tmp/k.pub
        mv /tmp/kept $home/.ssh/authorized_keys 2>/dev/null
        true
    """
    return root(script)


def test_a_key_lets_an_administrator_in(root: Shell) -> None:
    assert _sign_in(root, "ops") == "in"


def test_root_is_refused_even_with_a_trusted_key(root: Shell) -> None:
    assert _sign_in(root, "root") == "root@127.0.0.1: Permission denied (publickey)."


@pytest.mark.parametrize(
    "option",
    ["-c aes128-cbc", "-c aes256-ctr -m hmac-sha1", "-o KexAlgorithms=diffie-hellman-group14-sha1"],
)
def test_a_client_that_knows_only_old_cryptography_is_refused(root: Shell, option: str) -> None:
    said = _sign_in(root, "ops", option)
    assert "Unable to negotiate" in said
    assert "no matching" in said


def test_passwords_are_not_even_asked_for(root: Shell) -> None:
    said = root(
        "ssh -o PreferredAuthentications=password,keyboard-interactive -o BatchMode=yes "
        "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ops@127.0.0.1 true 2>&1 "
        "| tail -1"
    )
    assert said == "ops@127.0.0.1: Permission denied (publickey)."


def test_the_log_names_the_key_that_signed_in(root: Shell) -> None:
    assert "SHA256:" in root("journalctl -u ssh --no-pager | grep 'Accepted publickey for ops'")
