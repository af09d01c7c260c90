# SPDX-License-Identifier: GPL-3.0-or-later
"""`init` on a host with real web servers, a real WordPress and a Joomla's files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.fleet import Fleet
from tests.hosts.cli.calling import Caller
from tests.hosts.playing import sh

pytestmark = pytest.mark.hosts

SECRET = "hunter2-never-to-be-seen"
_SET_UP = (Path(__file__).parent / "web_server.sh").read_text(encoding="utf-8")
_MANIFEST = (
    "find /etc /srv /var/www /usr/share/wordpress /var/lib/nginx -xdev "
    "-printf '%p %y %m %u %g %s %T@ %C@ %l\\n' 2>/dev/null | sort"
)


@pytest.fixture(scope="session")
def web(started: Fleet) -> Fleet:
    sh(started, "web1", _SET_UP.replace("@SECRET@", SECRET))
    return started


def hosts_file(ringfence: Caller) -> tuple[str, ...]:
    """As a user would have it: a list, and the key and known hosts in ~/.ssh."""
    tree = yaml.safe_load((ringfence.inventory / "hosts.yml").read_text())["all"]["hosts"]
    lines = [f"ops@127.0.0.1:{tree['web1']['ansible_port']}  # the first\n"]
    (ringfence.folder / "hosts.txt").write_text("# all of them\n\n" + "".join(lines))
    key = tree["web1"]["ansible_ssh_private_key_file"]
    return "--from", "hosts.txt", "--private-key", key


def test_a_first_register(web: Fleet, ringfence: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    known = re.search(r"UserKnownHostsFile=\S*?([^\s\"']+known_hosts)", web.inventory.read_text())
    assert known
    monkeypatch.setattr(
        Caller,
        "environment",
        {**ringfence.environment, "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={known[1]}"},
    )
    ringfence("init", "warm", *hosts_file(ringfence))
    before = sh(web, "web1", _MANIFEST)
    said = ringfence("init", "first", *hosts_file(ringfence))
    assert sh(web, "web1", _MANIFEST) == before
    assert said.code == 1, said.out + said.err
    clients = {
        path.stem: yaml.safe_load(path.read_text())
        for path in (ringfence.folder / "first/clients").glob("*.yml")
    }
    assert {name: client["sites"][0]["cms"] for name, client in clients.items()} == {
        "brochure": {"name": "static"},
        "club": {"name": "joomla", "version": "5.3.1"},
        "shop": {"name": "wordpress", "version": wordpress_version(web)},
    }
    shop = clients["shop"]["sites"][0]
    assert shop["domains"] == ["shop.example", "www.shop.example"]
    assert (shop["root"], shop["user"], shop["php"]) == ("/srv/shop/public", "shop", "8.2")
    assert shop["database"] == {"name": "shop_live", "host": "localhost", "prefix": "sh_"}
    assert clients["club"]["sites"][0]["web_server"] == "apache"
    everything = "".join(
        path.read_text() for path in (ringfence.folder / "first").rglob("*") if path.is_file()
    )
    assert SECRET not in everything + said.out + said.err
    assert everything.count("DRAFT") == 5
    assert "api.example: is passed on to another service" in said.out
    assert ringfence.left_behind() == []
    missing = ringfence("validate", "-i", "first")
    assert missing.code == 3
    assert missing.out.count("controller is missing") == 3


def wordpress_version(fleet: Fleet) -> str:
    text = sh(fleet, "web1", "grep '^.wp_version' /usr/share/wordpress/wp-includes/version.php")
    return text.split("'")[1]


def test_a_folder_that_is_there_is_not_touched(ringfence: Caller) -> None:
    before = (ringfence.inventory / "hosts.yml").read_text()
    said = ringfence("init", "inv", "web1")
    assert said.code == 3
    assert "inv: is there already" in said.err
    assert (ringfence.inventory / "hosts.yml").read_text() == before


def test_a_host_that_cannot_be_reached_is_written_down_as_such(ringfence: Caller) -> None:
    said = ringfence("init", "first", "127.0.0.1:1")
    assert said.code == 2
    assert "could not be reached" in said.out
    text = (ringfence.folder / "first/hosts.yml").read_text()
    assert "# 127.0.0.1 was not looked into" in text
