# SPDX-License-Identifier: GPL-3.0-or-later
"""The files a fleet writes: read back by the programs that will read them."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.fleet.access import identity_archive, remove_files
from tests.fleet.bootstrap import content_digest, package_list, recipe
from tests.fleet.inventory import Host, render_inventory, render_known_hosts, render_ssh_config

HOSTS = [
    Host("web1", "bookworm", "c1", 20001, "10.89.0.11", "fd00::b", "10.89.0.1"),
    Host("db", "trixie", "c2", 20002, "10.89.0.12", "", "10.89.0.1"),
]


_PLACE = ("ansible_host", "ansible_port", "fleet_")


def test_inventory_holds_every_host_in_its_release_s_group() -> None:
    tree = yaml.safe_load(render_inventory(HOSTS, Path("/tmp/a fleet")))["all"]
    assert tree["children"] == {
        "release_bookworm": {"hosts": {"web1": {}}},
        "release_trixie": {"hosts": {"db": {}}},
    }
    found = tree["hosts"]["web1"]
    assert {name: found[name] for name in found if name.startswith(_PLACE)} == {
        "ansible_host": "127.0.0.1",
        "ansible_port": 20001,
        "fleet_release": "bookworm",
        "fleet_address": "10.89.0.11",
        "fleet_address6": "fd00::b",
        "fleet_gateway": "10.89.0.1",
    }
    assert "fleet_address6" not in tree["hosts"]["db"]


def test_ansible_signs_in_as_an_ordinary_user_and_checks_host_keys() -> None:
    tree = yaml.safe_load(render_inventory(HOSTS, Path("/tmp/a fleet")))
    variables = tree["all"]["hosts"]["web1"]  # the host's own: they outweigh any group's
    assert variables["ansible_user"] == "ops"
    assert variables["ansible_become"] is True
    assert variables["ansible_ssh_private_key_file"] == "/tmp/a fleet/id_ed25519"
    assert "StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]


def test_ssh_reads_its_configuration_also_from_a_folder_with_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "a fleet"
    folder.mkdir()
    config = folder / "ssh_config"
    config.write_text(render_ssh_config(HOSTS, folder))
    shown = subprocess.run(
        ["ssh", "-G", "-F", str(config), "db"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {
        "hostname 127.0.0.1",
        "port 20002",
        "user ops",
        f"identityfile {folder}/id_ed25519",
        "identitiesonly yes",
        "stricthostkeychecking true",
    } <= set(shown)
    assert any(line.startswith("userknownhostsfile") and str(folder) in line for line in shown)


def test_known_hosts_are_found_by_port(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(
        render_known_hosts({20001: ["ssh-ed25519 AAAA root@x\n", "ssh-rsa BBBB"], 20002: []})
    )
    assert path.read_text() == (
        "[127.0.0.1]:20001 ssh-ed25519 AAAA\n[127.0.0.1]:20001 ssh-rsa BBBB\n"
    )


def test_an_identity_is_a_host_s_own_and_private(tmp_path: Path) -> None:
    archives = [identity_archive("web1", "ssh-ed25519 AAAA ops\n", tmp_path) for _ in range(2)]
    assert list(tmp_path.iterdir()) == []
    entries = {}
    with tarfile.open(fileobj=io.BytesIO(archives[0][0])) as archive:
        for member in archive.getmembers():
            entries[member.name] = (oct(member.mode), member.uid)
    assert entries["home/ops/.ssh"] == ("0o700", 1000)
    assert entries["home/ops/.ssh/authorized_keys"] == ("0o600", 1000)
    assert entries["etc/ssh/ssh_host_ed25519_key"] == ("0o600", 0)
    assert entries["etc/ssh/ssh_host_ed25519_key.pub"] == ("0o644", 0)
    assert not set(archives[0][1]) & set(archives[1][1])


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b"), ("b", "a")), (("ab",), ("a", "b")), (("a", ""), ("a",)), (("1:a",), ("a",))],
)
def test_any_change_gives_another_digest(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert content_digest(*one) != content_digest(*other)


def test_the_same_content_gives_the_same_digest() -> None:
    assert content_digest("a", b"b") == content_digest(b"a", "b")
    assert len(content_digest("a")) == 12


def test_packages_may_be_of_one_release() -> None:
    text = "# why\nsudo\n\nlinux-sysctl-defaults trixie  # new there\n"
    assert package_list("bookworm", text) == ("sudo",)
    assert package_list("trixie", text) == ("sudo", "linux-sysctl-defaults")
    assert {"systemd", "openssh-server"} <= set(package_list("bookworm", recipe("packages.txt")))


def test_keys_that_a_killed_process_left_half_made_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    (folder / ".keys-abc" / "etc").mkdir(parents=True)
    remove_files(folder)
    assert not folder.exists()
