# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _bans
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import automatic_bans

SITE: dict[str, Any] = {
    "client": "acme", "id": "shop", "domains": ["shop.example"], "web_server": "nginx",
    "cms": {"name": "wordpress"},
    "security": {"automatic_bans": {
        "enabled": True, "sign_in": {"attempts": 3, "within": "10m", "ban": "1h"}}},
}  # fmt: skip
NGINX = """
events {}
http {
    access_log /var/log/nginx/access.log;
    server { listen 80; server_name shop.example; return 301 https://shop.example/; }
    server {
        listen 443 ssl; listen [::]:443 ssl; server_name shop.example;
        access_log /var/log/nginx/shop.log;
    }
    server { listen 8080; server_name other.example; access_log off; }
}
"""


def given(**changed: Any) -> dict[str, Any]:
    base = {
        "phase": "apply", "state": "present", "host": "web1", "sites": [SITE], "ssh": None,
        "management": ["192.0.2.0/24"], "never": [], "fleet": [], "share": None,
        "connection": "192.0.2.7", "make_keys": False,
    }  # fmt: skip
    return {**base, **changed}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"management": []}, "automatic_bans_management: is empty"),
        ({"connection": "198.51.100.1"}, "refused, nothing changed: this connection comes from"),
        ({"connection": "2001:db8::1"}, "refused, nothing changed"),
        ({"management": ["nowhere"]}, "automatic_bans_management: found nowhere"),
        ({"never": ["0.0.0.0/0"]}, "automatic_bans_never: holds every address"),
        ({"ssh": {"attempts": 3}}, "automatic_bans_ssh: within, ban: missing"),
    ],
)
def test_what_is_refused_before_anything_is_done(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(_bans.BansError, match=said):
        _bans.run(Host(str(tmp_path)), given(**changed), check=False)
    assert list(tmp_path.iterdir()) == []


def test_server_blocks_without_a_log_are_told_with_what_they_inherit(tmp_path: Path) -> None:
    folder = tmp_path / "etc/nginx"
    folder.mkdir(parents=True)
    (folder / "nginx.conf").write_text(NGINX)
    found = _bans.run(Host(str(tmp_path)), given(phase="look"), check=False)
    assert found["unlogged"] == {
        "acme/shop": [{"key": "shop.example:80", "logs": ["/var/log/nginx/access.log combined"]}]
    }
    assert found["changed"] is False


@pytest.mark.parametrize("kind", ["link", "pipe", "open", "folder"])
def test_a_must_use_plugin_is_only_what_root_wrote(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "plugin.php"
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("<?php")
        path.chmod(0o666)
    assert _bans.read_plugin(Host(str(tmp_path)), "/plugin.php") is None


def test_a_plugin_is_not_written_through_a_link(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "wp-content").mkdir(parents=True)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (site / "wp-content/mu-plugins").symlink_to(target)
    with pytest.raises(_bans.BansError, match="cannot be written"):
        _bans._put_plugin(Host(), f"{site}/{_bans.PLUGIN}", "<?php")
    assert list(target.iterdir()) == []


def test_a_plugin_is_written_and_taken_out(tmp_path: Path) -> None:
    (tmp_path / "wp-content").mkdir()
    path = tmp_path / _bans.PLUGIN
    _bans._put_plugin(Host(), str(path), "<?php // ours")
    assert path.read_text() == "<?php // ours"
    assert path.stat().st_mode & 0o777 == 0o644
    _bans._put_plugin(Host(), str(path), None)
    assert not path.exists()
    with pytest.raises(_bans.BansError, match="has no wp-content"):
        _bans._put_plugin(Host(), f"{tmp_path}/none/{_bans.PLUGIN}", "<?php")


@pytest.mark.parametrize(
    ("kind", "sites", "expected"),
    [
        ("users", ["acme/joomla"], False),
        ("users", ["acme/joomla", "acme/shop"], True),
        ("joomla", ["acme/joomla"], True),
        ("ssh", [], True),
    ],
)
def test_fail2ban_is_asked_of_the_jails_that_are_its_own(
    kind: str, sites: list[str], expected: bool
) -> None:
    settings = {"sites": {"acme/joomla": {"cms": "joomla"}, "acme/shop": {"cms": "wordpress"}}}
    jail = {"kind": kind, "sites": sites}
    assert automatic_bans._is_fail2bans(jail, settings) is expected
