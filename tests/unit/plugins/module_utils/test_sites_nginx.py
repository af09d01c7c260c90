# SPDX-License-Identifier: GPL-3.0-or-later
"""The nginx reader: blocks as people write them, and text that is no configuration at all."""

from __future__ import annotations

import fnmatch

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _sites_nginx as nginx


def read_all(files: dict[str, str]) -> list[dict[str, object]]:
    return nginx.servers(
        "/etc/nginx/nginx.conf",
        lambda path: files.get(path, ""),
        lambda pattern: sorted(path for path in files if fnmatch.fnmatch(path, pattern)),
    )


def one(body: str) -> dict[str, object]:
    found = read_all({"/etc/nginx/nginx.conf": f"http {{ server {{ {body} }} }}"})
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("body", "key", "expected"),
    [
        ("server_name a.example B.example;", "names", ["a.example", "b.example"]),
        ("server_name a.example; server_name b.example;", "names", ["a.example", "b.example"]),
        ("root /srv/a;", "root", "/srv/a"),
        ('root "/srv/with blank";', "root", "/srv/with blank"),
        (r"root '/srv/it\'s';", "root", "/srv/it's"),
        ("location / { root /srv/in; }", "root", "/srv/in"),
        ("location /img { root /srv/img; }", "root", None),
        ("# root /srv/no;\nroot /srv/yes; # no", "root", "/srv/yes"),
        ("listen 443 ssl http2;", "tls", True),
        ("listen [::]:443 ssl;", "tls", True),
        ("listen 80;", "tls", False),
        ("ssl on;", "tls", True),
        (
            r"location ~ \.php$ { fastcgi_pass unix:/run/php/a.sock; }",
            "fastcgi",
            "unix:/run/php/a.sock",
        ),
        (
            "if ($host ~* ^www\\.(.*)$) { return 301 https://x; } root /srv/a;",
            "root",
            "/srv/a",
        ),
        ("location / { proxy_pass http://127.0.0.1:8080; }", "proxy", True),
        ("content_by_lua_block { local t = { a = '}' } } root /srv/lua;", "root", "/srv/lua"),
        ("access_by_lua_block { -- }\n } root /srv/lua;", "root", "/srv/lua"),
        ("content_by_lua_block { local t = { a = 1 } } root /srv/lua;", "root", "/srv/lua"),
        ("set $x ${host}; root /srv/$x;", "root", "/srv/$x"),
    ],
)
def test_a_server_block(body: str, key: str, expected: object) -> None:
    assert one(body)[key] == expected


def test_root_of_the_http_part_is_inherited() -> None:
    files = {"/etc/nginx/nginx.conf": "http { root /srv/all; server { server_name a.example; } }"}
    assert read_all(files)[0]["root"] == "/srv/all"


def test_includes_are_followed_by_pattern_and_relative_path() -> None:
    files = {
        "/etc/nginx/nginx.conf": "http { include sites/*; include /srv/more.conf; }",
        "/etc/nginx/sites/a": "server { server_name a.example; include snip; }",
        "/etc/nginx/snip": "root /srv/a;",
        "/srv/more.conf": "server { server_name b.example; }",
    }
    assert [(s["names"], s["root"]) for s in read_all(files)] == [
        (["a.example"], "/srv/a"),
        (["b.example"], None),
    ]


def test_an_include_of_itself_ends() -> None:
    files = {"/etc/nginx/nginx.conf": "http { server { root /a; } include nginx.conf; }"}
    assert read_all(files)


def test_servers_of_an_upstream_are_not_sites() -> None:
    assert not read_all({"/etc/nginx/nginx.conf": "http { upstream u { server 10.0.0.1; } }"})


@pytest.mark.parametrize(
    "text",
    ["", "}", "}}}}{", ";;;", "http {", "http { server { root", "'unclosed", '"', "\\", "\x00\x01",
     "http { server { root /a; }", "x_by_lua_block {", "a" * 100_000],
)  # fmt: skip
def test_text_that_is_no_configuration_is_survived(text: str) -> None:
    assert isinstance(read_all({"/etc/nginx/nginx.conf": text}), list)
