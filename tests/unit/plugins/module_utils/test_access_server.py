# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of what a server is asked. tests/hosts/access asks real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_server as server
from ansible_collections.ringfence.hosting.plugins.module_utils._access_keys import Key
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host


@pytest.mark.parametrize(
    ("typed", "state", "scheme"),
    [
        ("", "empty", ""),
        ("*", "none", ""),
        ("!", "none", ""),
        ("!!", "none", ""),
        ("!*", "none", ""),
        ("x", "none", ""),
        ("$y$j9T$abc", "set", "yescrypt"),
        ("!$6$abc", "locked", "sha512"),
        ("$1$abc", "set", "md5"),
        ("ab01cd23ef45g", "set", "des"),
    ],
)
def test_what_stands_in_shadow(typed: str, state: str, scheme: str) -> None:
    assert server._password(typed) == (state, scheme)


def test_days_since_1970() -> None:
    assert (server._day("20000"), server._day(""), server._day("x")) == ("2024-10-04", "", "")


def test_owners_of_jobs() -> None:
    text = "MAILTO=root\n# x\n*/5 * * * * www-data php x\n@reboot ada /bin/y\n1 2 3\n"
    assert list(server._job_owners(text)) == ["www-data", "ada"]


def test_arguments_and_values_are_not_told() -> None:
    options = {
        "command": ("/usr/bin/fetch --password=hunter2",),
        "environment": ("TOKEN=hunter2",),
        "restrict": ("",),
        "from": ("192.0.2.1,198.51.100.0/24",),
    }
    said = server._of_key(Key("ssh-ed25519", "SHA256:x", 256, "c", options), "/k")
    assert "hunter2" not in str(said)
    assert said["command"] == "/usr/bin/fetch …"
    assert said["key_options"]["environment"] == ["TOKEN"]
    assert said["from"] == ["192.0.2.1", "198.51.100.0/24"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("passwd: files systemd", []),
        ("passwd: files [!NOTFOUND=return] sss", ["accounts of sss (nsswitch)"]),
        ("", []),
    ],
)
def test_accounts_from_elsewhere_are_told_as_not_read(
    tmp_path: Path, line: str, said: list[str]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nsswitch.conf").write_text(f"{line}\n")
    seen: Any = server._Server(Host(str(tmp_path)))
    server._note_directories(seen)
    assert [one["message"] for one in seen.covered] == said


def test_rules_of_sudo_from_elsewhere_are_told_as_not_read(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nsswitch.conf").write_text("passwd: files sss\nsudoers:\tfiles sss # AD\n")
    seen: Any = server._Server(Host(str(tmp_path)))
    server._note_rules_from_elsewhere(seen)
    assert [(one["state"], one["message"]) for one in seen.covered] == [
        ("not_collected", "rules of sss (nsswitch)")
    ]


def test_a_program_that_others_can_change(tmp_path: Path) -> None:
    (tmp_path / "opt").mkdir(mode=0o755)
    program = tmp_path / "opt/run"
    program.touch(mode=0o755)
    host = Host(str(tmp_path))
    assert not server._others_write(host, "/opt/run")
    program.chmod(0o757)
    assert server._others_write(host, "/opt/run")
    program.chmod(0o755)
    (tmp_path / "opt").chmod(0o757)
    assert server._others_write(host, "/opt/run")
    assert not server._others_write(host, "/nowhere/at/all")


@pytest.mark.parametrize(
    ("ways", "mfa"),
    [
        (["any"], "no"),
        (["publickey,keyboard-interactive:pam"], "yes"),
        (["publickey,keyboard-interactive", "publickey"], "no"),
        (["publickey,publickey"], "no"),
    ],
)
def test_second_factor_by_what_sshd_demands(ways: list[str], mfa: str) -> None:
    host = Host()
    host._sources["capabilities"] = frozenset({"sshd"})
    seen = server._Server(host)
    seen.options[""] = {
        "authenticationmethods": [" ".join(ways)], "permitrootlogin": ["no"],
        "pubkeyauthentication": ["yes"], "passwordauthentication": ["yes"],
        "kbdinteractiveauthentication": ["no"], "authorizedkeysfile": ["none"],
    }  # fmt: skip
    login = server.Login(
        "ada", 1000, 1000, "", "/home/ada", "/bin/bash", frozenset(), frozenset({1000}), "set",
        "yescrypt", "", "",
    )  # fmt: skip
    remote, found = server._reach(seen, login)
    assert (remote["publickey"], remote["password"], found) == (True, True, mfa)


def test_a_key_in_hardware_with_a_pin_is_two_factors() -> None:
    sk = "sk-ssh-ed25519@openssh.com"
    assert server._key_mfa(Key(sk, "f", 256, "", {"verify-required": ("",)}), "no") == "yes"
    assert server._key_mfa(Key(sk, "f", 256, "", {}), "no") == "no"
