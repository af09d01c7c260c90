# SPDX-License-Identifier: GPL-3.0-or-later
"""A hosting server that the role apache has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

APACHE = FAMILIES["apache"]
# Set where something else was said before; files, links and sites that only a test has put there.
_ON_NEED = (
    "apache_tls_renegotiation",
    "apache_header_seconds",
    "apache_body_seconds",
    "apache_directory_listing",
    "apache_symlinks",
    "apache_idle_seconds",
    "apache_forward_proxy",
    "apache_access_log",
)
_BY_HAND = {name for name, reading in APACHE.items() if reading.by_hand}


@pytest.mark.parametrize("name", sorted(set(APACHE) - set(_ON_NEED) - _BY_HAND))
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(APACHE[name].read) == APACHE[name].expected(release)


def test_folders_are_not_listed_and_links_to_others_files_not_followed(root: Shell) -> None:
    public = "/var/www/plain/public"
    root(
        f"mkdir -p {public}/empty; ln -sfn /etc/hostname {public}/link.txt; "
        f"chown -h site_plain: {public}/link.txt"
    )
    for path in ("/empty/", "/link.txt"):
        assert _status(root, f"https://plain.example{path}") == "403"


def test_sites_are_served(root: Shell) -> None:
    for address in ("https://shop.example/", "https://blog.example/wp-login.php"):
        assert _status(root, address) == "200"
    assert _status(root, "http://shop.example/") == "301"
    picture = root("cd /var/www/shop/public && find wp-content/uploads -name '*.png' | head -1")
    assert _status(root, f"https://shop.example/{picture}") == "200"


def test_the_configuration_is_valid_and_is_read_at_the_next_start(root: Shell) -> None:
    assert root("apache2ctl configtest 2>&1 | tail -1") == "Syntax OK"
    assert root("systemctl restart apache2 && systemctl is-active apache2") == "active"


def _status(root: Shell, address: str) -> str:
    return root(
        f"curl -sk -o /dev/null -w '%{{http_code}}' --resolve '*:443:127.0.0.1' "
        f"--resolve '*:80:127.0.0.1' '{address}'"
    )
