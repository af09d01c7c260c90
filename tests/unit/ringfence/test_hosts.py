# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories as Ansible itself reads them, and what it says of bad ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ringfence import collection, hosts
from ringfence.errors import BadInputError, BadRegisterError

INVENTORY = """\
all:
  children:
    client_acme: {hosts: {web1: {colour: red}, web2: }}
    client_beta: {hosts: {web2: , web3: }}
    canary: {hosts: {web3: }}
    empty: {}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    path = tmp_path / "hosts.yml"
    path.write_text(INVENTORY)
    return str(path)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, ["web1", "web2", "web3"]),
        ("client_acme", ["web1", "web2"]),
        ("client_acme:!web2", ["web1"]),
        ("client_acme:&client_beta", ["web2"]),
        ("~web[12]", ["web1", "web2"]),
        ("web3,web1", ["web1", "web3"]),
        ("nobody", []),
    ],
)
def test_a_limit(inventory: str, limit: str | None, expected: list[str]) -> None:
    assert sorted(hosts.select([inventory], limit, collection.environment()).hosts) == expected


def test_groups_hold_all_their_hosts_whatever_the_limit(inventory: str) -> None:
    found = hosts.select([inventory], "web1", collection.environment())
    assert found.clients == {"acme": ["web1", "web2"], "beta": ["web2", "web3"]}
    assert found.clients_by_host["web2"] == ["acme", "beta"]
    assert found.groups["canary"] == ["web3"]


def test_variables_of_a_host(inventory: str) -> None:
    assert hosts.variables([inventory], "web1", collection.environment())["colour"] == "red"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all:\n  hosts: [", r"hosts\.yml:\d+: "),
        ("all: {hosts: [a]}", "hosts.yml"),
    ],
)
def test_an_inventory_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=said) as caught:
        hosts.select([str(path)], None, collection.environment())
    assert "\n" not in str(caught.value)


def test_a_bad_register_is_told_by_its_first_problem(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {web1: }}")
    (tmp_path / "ringfence.yml").write_text("plugin: ringfence.hosting.clients\n")
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients/acme.yml").write_text("id: acme\nname: Acme\ncolour: red\n")
    with pytest.raises(
        BadRegisterError, match=r"acme\.yml:\d+: .* \(and \d+ more: see `ringfence validate`\)$"
    ) as caught:
        hosts.select([str(tmp_path)], None, collection.environment())
    assert len(caught.value.problems) > 1
    assert all(line.startswith(f"{tmp_path}/clients/acme.yml:") for line in caught.value.problems)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", ""),
        ("[WARNING]: x\n[ERROR]: it broke\n", "it broke"),
        ("ERROR! old words", "old words"),
        ("\x1b[0;31m[ERROR]: in red\x1b[0m\n", "in red"),
        ("[ERROR]: one\ntwo\n\nthree", "one two"),
        ("[ERROR]: one\nOrigin: /x:1\n", "one"),
        ("\n  just text \n\n", "just text"),
        (
            "[WARNING]: Failed to parse inventory with 'yaml' plugin: no content.\n"
            "[ERROR]: Completely failed to parse inventory source x\n",
            "Completely failed to parse inventory source x: no content.",
        ),
        (
            "[WARNING]: Failed to parse inventory with 'auto' plugin: no YAML.\n\n"
            "Origin: x:11:1\n\n[WARNING]: Failed to parse inventory with 'ini' plugin: no INI.\n"
            "Origin: x:1:1\n\n[ERROR]: Completely failed to parse inventory source x\n",
            "Completely failed to parse inventory source x:11: no YAML.",
        ),
        (
            "[ERROR]: Attempting to decrypt but no vault secrets found.\n",
            "Attempting to decrypt but no vault secrets found; "
            "--ask-vault-pass or --vault-password-file gives the password",
        ),
        ("[ERROR]: " + "x" * 900, "x" * 250 + " … " + "x" * 140),
    ],
)
def test_what_ansible_complains_of(output: str, expected: str) -> None:
    assert hosts.complaint(output) == expected


@pytest.mark.parametrize("typed", [True, False])
def test_an_encrypted_inventory_opens_with_the_password(
    inventory: str, tmp_path: Path, typed: bool
) -> None:
    password = tmp_path / "password"
    password.write_text("open-sesame\n")
    encrypt = [collection.program("ansible-vault"), "encrypt", "--vault-password-file", password]
    subprocess.run([*encrypt, inventory], check=True, capture_output=True)
    with pytest.raises(BadInputError, match="vault"):
        hosts.select([inventory], None, collection.environment())
    given = ([], "open-sesame") if typed else (["--vault-password-file", str(password)], None)
    found = hosts.select([inventory], None, collection.environment(), *given)
    assert found.hosts == ["web1", "web2", "web3"]
