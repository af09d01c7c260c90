# SPDX-License-Identifier: GPL-3.0-or-later
"""Discovery over a tree that stands for a host, owners of sites being hostile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _sites
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

SECRET = "hunter2-never-to-be-seen"

WORDPRESS = f"""<?php
define( 'DB_NAME', 'shop_live' );
define('DB_USER', 'shop');
define( "DB_PASSWORD", "{SECRET}" );
define( 'DB_HOST', 'db.internal:3307' );
define( 'AUTH_KEY', '{SECRET}' );
$table_prefix = 'sh_';
"""
JOOMLA = f"""<?php
class JConfig {{
	public $dbtype = 'mysqli';
	public $host = 'localhost';
	public $password = '{SECRET}';
	public $db = 'club';
	public $dbprefix = 'jos_';
	public $secret = '{SECRET}';
}}
"""
VHOST = "server {{ listen 80; server_name {name}; root {root}; }}"


class Tree(Host):
    """A host in a folder, with the packages it is told."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.packages: dict[str, str] = {}

    def installed_packages(self) -> dict[str, str]:
        return self.packages


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    put(tmp_path, "/etc/nginx/nginx.conf", "http { include sites-enabled/*; }")
    put(tmp_path, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:65533:65533::/:/bin/sh\n")
    return Tree(str(tmp_path))


def put(root: Path, path: str, text: str) -> Path:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def add(tree: Tree, name: str = "a.example", root: str = "/srv/a") -> Path:
    put(Path(tree.root), f"/etc/nginx/sites-enabled/{name}", VHOST.format(name=name, root=root))
    folder = Path(tree.root) / root.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def only(tree: Tree) -> dict[str, Any]:
    found = _sites.discover(tree)["sites"]
    assert len(found) == 1
    return dict(found[0])


def test_wordpress_with_its_settings_above_the_document_root(tree: Tree) -> None:
    folder = add(tree, root="/srv/a/public")
    put(folder, "wp-includes/version.php", "<?php\n$wp_version = '6.1.9';\n")
    put(folder.parent, "wp-config.php", WORDPRESS)
    site = only(tree)
    assert site["cms"] == {"name": "wordpress", "version": "6.1.9"}
    assert site["database"] == {"name": "shop_live", "host": "db.internal:3307", "prefix": "sh_"}


def test_joomla(tree: Tree) -> None:
    folder = add(tree)
    manifest = "<extension><version>5.3.1</version></extension>"
    put(folder, "administrator/manifests/files/joomla.xml", manifest)
    put(folder, "configuration.php", JOOMLA)
    site = only(tree)
    assert site["cms"] == {"name": "joomla", "version": "5.3.1"}
    assert site["database"] == {"name": "club", "host": "localhost", "prefix": "jos_"}


def test_a_cms_in_a_folder_below(tree: Tree) -> None:
    folder = add(tree)
    put(folder, "blog/wp-includes/version.php", "$wp_version = '6.8';")
    assert only(tree)["cms"] == {"name": "wordpress", "version": "6.8", "path": "/blog"}


@pytest.mark.parametrize(
    ("file", "expected"), [("index.php", "php"), ("index.html", "static"), ("x", "static")]
)
def test_a_site_of_no_known_cms(tree: Tree, file: str, expected: str) -> None:
    put(add(tree), file, "")
    assert only(tree)["cms"] == {"name": expected}


def test_no_secret_leaves_the_host(tree: Tree) -> None:
    folder = add(tree)
    put(folder, "wp-includes/version.php", "$wp_version = '6.1';")
    put(folder, "wp-config.php", WORDPRESS)
    other = add(tree, "b.example", "/srv/b")
    put(other, "administrator/manifests/files/joomla.xml", "<version>5.1</version>")
    put(other, "configuration.php", JOOMLA)
    assert SECRET not in json.dumps(_sites.discover(tree))


def test_links_and_pipes_planted_by_a_site_are_survived(tree: Tree) -> None:
    folder = add(tree)
    secret = put(Path(tree.root), "/etc/shadow", f"root:{SECRET}:1::::::\n")
    (folder / "wp-includes").mkdir()
    (folder / "wp-includes/version.php").symlink_to(secret)
    os.mkfifo(folder / "configuration.php")
    (folder / "wp-config.php").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder)
    found = _sites.discover(tree)
    assert found["sites"][0]["cms"]["name"] == "static"
    assert SECRET not in json.dumps(found)


@pytest.mark.parametrize(
    "text",
    ["$wp_version = '6.1'; // \x1b[31m", "\ufeff$wp_version='6.1';", "$wp_version = '" + "9" * 99],
)
def test_only_a_version_is_taken_for_one(tree: Tree, text: str) -> None:
    put(add(tree), "wp-includes/version.php", text)
    cms = only(tree)["cms"]
    assert cms.get("version", "0") in ("0", "6.1")


def test_a_pool_gives_user_and_version(tree: Tree) -> None:
    root = Path(tree.root)
    put(
        root,
        "/etc/php/8.2/fpm/pool.d/shop.conf",
        "[shop]\nuser = $pool\nlisten = /run/php/s.sock\n",
    )
    body = "server { server_name s.example; root /srv/s; fastcgi_pass unix:/var/run/php/s.sock; }"
    put(root, "/etc/nginx/sites-enabled/s", body)
    (root / "srv/s").mkdir(parents=True)
    site = only(tree)
    assert (site["user"], site["php"]) == ("shop", "8.2")


def test_a_proxy_in_front_of_apache_is_one_site(tree: Tree) -> None:
    root = Path(tree.root)
    body = "server { listen 443 ssl; server_name c.example; proxy_pass http://127.0.0.1:8080; }"
    put(root, "/etc/nginx/sites-enabled/c", body)
    vhost = "<VirtualHost *:8080>\nServerName c.example\nDocumentRoot /srv/c\n</VirtualHost>\n"
    put(root, "/etc/apache2/apache2.conf", vhost)
    (root / "srv/c").mkdir(parents=True)
    site = only(tree)
    assert (site["web_server"], site["root"], site["tls"]) == ("apache", "/srv/c", True)


@pytest.mark.parametrize(
    ("name", "domains"),
    [
        ("_", []),
        ("localhost", []),
        ('""', []),
        ("~^(www\\.)?x\\.example$", []),
        (".x.example", ["x.example", "*.x.example"]),
        ("*.x.example", ["*.x.example"]),
        ("WWW.x.example", ["www.x.example"]),
        ("x.example evil;name.example", ["x.example"]),
    ],
)
def test_names_that_are_domains(tree: Tree, name: str, domains: list[str]) -> None:
    add(tree, "t", "/srv/t")
    text = f"server {{ server_name {name}; root /srv/t; }}"
    put(Path(tree.root), "/etc/nginx/sites-enabled/t", text)
    found = _sites.discover(tree)["sites"]
    assert [site["domains"] for site in found] == ([domains] if domains else [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 301 https://y.example;", "x.example: only redirects"),
        ("proxy_pass http://127.0.0.1:1;", "x.example: is passed on to another service"),
        ("root /srv/$host;", "x.example: /srv/$host: the document root depends"),
        ("root /srv/gone;", "x.example: /srv/gone is not there"),
    ],
)
def test_what_is_no_whole_site_is_said(tree: Tree, body: str, said: str) -> None:
    text = f"server {{ server_name x.example; {body} }}"
    put(Path(tree.root), "/etc/nginx/sites-enabled/x", text)
    assert any(line.startswith(said) for line in _sites.discover(tree)["problems"])


def test_packages_tell_php_and_databases(tree: Tree) -> None:
    tree.packages = {
        "php8.2-fpm": "8.2.1", "libapache2-mod-php8.4": "8.4", "php-common": "2", "php8.1-cli": "8",
        "mariadb-server": "1:10.11", "postgresql-15": "15.1", "postgresql-client-15": "15",
    }  # fmt: skip
    found = _sites.discover(tree)
    assert found["php"] == ["8.2", "8.4"]
    assert found["databases"] == [
        {"engine": "mariadb", "version": "1:10.11"},
        {"engine": "postgresql", "version": "15.1"},
    ]


def test_a_host_without_a_web_server(tmp_path: Path) -> None:
    found = _sites.discover(Tree(str(tmp_path)))
    assert found["sites"] == found["web_servers"] == found["problems"] == []
