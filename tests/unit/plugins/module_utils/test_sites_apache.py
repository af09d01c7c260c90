# SPDX-License-Identifier: GPL-3.0-or-later
"""The Apache reader."""

from __future__ import annotations

import fnmatch

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _sites_apache as apache


def read_all(files: dict[str, str], environment: str = "") -> list[dict[str, object]]:
    return apache.virtual_hosts(
        "/etc/apache2/apache2.conf",
        environment,
        lambda path: files.get(path, ""),
        lambda pattern: sorted(path for path in files if fnmatch.fnmatch(path, pattern)),
    )


def one(body: str, address: str = "*:80", environment: str = "") -> dict[str, object]:
    text = f"<VirtualHost {address}>\n{body}\n</VirtualHost>\n"
    found = read_all({"/etc/apache2/apache2.conf": text}, environment)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("body", "key", "expected"),
    [
        ("ServerName a.example", "names", ["a.example"]),
        ("ServerAlias b.example c.example\nServerName a.example", "names",
         ["a.example", "b.example", "c.example"]),
        ("servername https://A.example:443", "names", ["a.example"]),
        ("ServerAlias a.example \\\n  b.example", "names", ["a.example", "b.example"]),
        ("DocumentRoot /srv/a", "root", "/srv/a"),
        ('DocumentRoot "/srv/with blank"', "root", "/srv/with blank"),
        ("\tdocumentroot\t/srv/a", "root", "/srv/a"),
        ("# DocumentRoot /srv/no", "root", None),
        ("DocumentRoot ${BASE}/a", "root", "${BASE}/a"),
        ("SSLEngine on", "tls", True),
        ('SetHandler "proxy:unix:/run/php/a.sock|fcgi://localhost"', "fastcgi",
         "unix:/run/php/a.sock"),
        ("ProxyPassMatch ^/(.*\\.php)$ fcgi://127.0.0.1:9000/srv/a/$1", "fastcgi",
         "fcgi://127.0.0.1:9000"),
        ("ProxyPass / http://127.0.0.1:3000/", "proxy", True),
        ("AssignUserID shop shop", "user", "shop"),
        ('DocumentRoot "/unclosed', "root", '"/unclosed'),
    ],
)  # fmt: skip
def test_a_virtual_host(body: str, key: str, expected: object) -> None:
    assert one(body)[key] == expected


def test_port_443_is_tls() -> None:
    assert one("ServerName a.example", "*:443")["tls"] is True
    assert one("ServerName a.example", "192.0.2.1:4430")["tls"] is False


def test_variables_come_from_define_and_from_the_environment() -> None:
    environment = "export APACHE_BASE=/srv/env\nunset HOME\n"
    assert one("DocumentRoot ${APACHE_BASE}/a", environment=environment)["root"] == "/srv/env/a"
    text = "Define BASE /srv/def\n<VirtualHost *>\nDocumentRoot ${BASE}\n</VirtualHost>"
    assert read_all({"/etc/apache2/apache2.conf": text})[0]["root"] == "/srv/def"


def test_includes_are_relative_to_the_server_root() -> None:
    files = {
        "/etc/apache2/apache2.conf": "IncludeOptional sites/*.conf\nInclude /srv/x.conf",
        "/etc/apache2/sites/a.conf": "<VirtualHost *>\nServerName a.example\n</VirtualHost>",
        "/srv/x.conf": "<IfModule a>\n<VirtualHost *>\nServerName b.example\n</VirtualHost>\n",
    }
    assert [site["names"] for site in read_all(files)] == [["a.example"], ["b.example"]]


def test_an_include_of_itself_ends() -> None:
    files = {"/etc/apache2/apache2.conf": "Include apache2.conf"}
    assert read_all(files) == []


@pytest.mark.parametrize("text", ["", "</VirtualHost>", "<VirtualHost *:80>", "Define", "Include"])
def test_text_that_is_no_configuration_is_survived(text: str) -> None:
    assert read_all({"/etc/apache2/apache2.conf": text}) == []
