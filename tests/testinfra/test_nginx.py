# SPDX-License-Identifier: GPL-3.0-or-later
"""A hosting server that the role nginx has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell

_ASK = "curl -sk --resolve '*:443:127.0.0.1' --resolve '*:80:127.0.0.1'"
_HELLO = "openssl s_client -connect 127.0.0.1:443 -servername plain.example"


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("Server", "nginx"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Strict-Transport-Security", "max-age=15768000"),
    ],
)
def test_header(root: Shell, name: str, right: str) -> None:
    said = root(f"{_ASK} -D - -o /dev/null https://plain.example/ | grep -i '^{name}:'")
    assert said.strip() == f"{name}: {right}"


@pytest.mark.parametrize(
    "options", ["-tls1_1 -cipher ALL:@SECLEVEL=0", "-tls1_2 -cipher AES256-SHA"]
)
def test_a_weak_handshake_is_refused(root: Shell, options: str) -> None:
    assert root(f"{_HELLO} {options} < /dev/null 2>&1 | grep -c 'Cipher is (NONE)'") == "1"


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("server_tokens", "off"),
        ("ssl_session_tickets", "off"),
        ("client_header_timeout", "15s"),
        ("client_body_timeout", "30s"),
        ("send_timeout", "30s"),
        ("keepalive_timeout", "65s"),
        ("user", "www-data"),
    ],
)
def test_directive(root: Shell, name: str, right: str) -> None:
    said = root(f"nginx -T | sed -n 's/^[ \\t]*{name} \\(.*\\);.*/\\1/p' | sort -u")
    assert said == right


def test_the_rules_for_sites_are_laid_ready(root: Shell) -> None:
    rules = root("cat /etc/nginx/snippets/ringfence-site.conf")
    assert "well-known" in rules
    assert "wp-content/uploads" in rules
    # With them a site gives out no hidden file and runs no upload.
    root(
        "sed -i '/server_name shop.example;/a include snippets/ringfence-site.conf;' "
        "/etc/nginx/sites-available/shop.conf; nginx -t -q && systemctl reload nginx; sleep 1"
    )
    for path in (".git/config", "wp-config.php~", "wp-content/uploads/x.php"):
        assert root(f"{_ASK} -o /dev/null -w '%{{http_code}}' https://shop.example/{path}") == "403"


def test_sites_are_served(root: Shell) -> None:
    for site in ("shop", "blog", "plain"):
        status = f"{_ASK} -o /dev/null -w '%{{http_code}}' https://{site}.example/"
        assert root(status) == "200"


def test_log_files_are_closed(root: Shell) -> None:
    assert root("stat -c %a /var/log/nginx/plain.access.log") == "640"
