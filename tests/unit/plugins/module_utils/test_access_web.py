# SPDX-License-Identifier: GPL-3.0-or-later
"""Password files of web servers, and what they protect."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_web as web
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

NGINX = """
http {
  server {
    server_name shop.example;
    location /intern/ { auth_basic "Staff"; auth_basic_user_file /etc/nginx/staff; }
    location /open/ { auth_basic off; }
  }
  server { server_name gone.example; auth_basic x; auth_basic_user_file missing; }
}
"""


def test_names_and_kinds_of_hash() -> None:
    text = "# no\nada:$2y$05$abc\nben:$apr1$x$y\ncho:{SHA}aa=\ndan:ab01cd23ef45g\neve:secret\n:x\n"
    assert list(web.names(text)) == [
        ("ada", "bcrypt"), ("ben", "md5"), ("cho", "sha1"), ("dan", "des"), ("eve", "plain"),
    ]  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "etc/nginx").mkdir(parents=True)
    (tmp_path / "etc/nginx/nginx.conf").write_text(NGINX)
    (tmp_path / "etc/nginx/staff").write_text("ada:$2y$05$abc\nben:topsecret\n")
    (tmp_path / "etc/nginx/staff").chmod(0o644)
    return Host(str(tmp_path))


def test_nginx(host: Host) -> None:
    rows, covered, _facts = web.collect(host, [])
    assert [(row["username"], row["flags"]) for row in rows] == [
        ("ada", ["readable_by_all"]),
        ("ben", ["password_weak_hash", "readable_by_all"]),
    ]
    assert rows[0]["details"]["place"] == "shop.example"
    assert rows[0]["roles"] == ["/intern/"]
    assert "topsecret" not in str(rows)
    assert [(one["source"], one["state"]) for one in covered] == [
        ("nginx basic auth", "read"),
        ("apache basic auth", "absent"),
        ("password file /etc/nginx/missing", "failed"),
    ]


def test_apache_and_htaccess(tmp_path: Path) -> None:
    for path, text in {
        "etc/apache2/apache2.conf": "IncludeOptional sites-enabled/*\n",
        "etc/apache2/sites-enabled/a.conf": (
            "<VirtualHost *:443>\n ServerName Blog.example\n <Location /x>\n"
            ' AuthUserFile "/etc/apache2/pass"\n </Location>\n</VirtualHost>\n'
        ),
        "etc/apache2/pass": "ada:$2y$05$abc\n",
        "srv/blog/.htaccess": "AuthUserFile /srv/.pass\n",
        "srv/blog/wp-admin/.htaccess": "AuthUserFile \\\n /srv/.pass\n",
        "srv/.pass": "zoe:$2y$05$abc\n",
    }.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    site = {"domains": ["blog.example"], "root": "/srv/blog", "cms": {"name": "php"}}
    rows, _covered, _facts = web.collect(Host(str(tmp_path)), [site])
    assert [(row["username"], row["grant_path"]) for row in rows] == [
        ("ada", ["blog.example /x"]),
        ("zoe", ["blog.example /", "blog.example /wp-admin"]),
    ]
