# SPDX-License-Identifier: GPL-3.0-or-later
"""A hosting server that the role certificates has been applied to."""

from __future__ import annotations

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

CERTIFICATES = FAMILIES["certificates"]


def test_what_was_open_is_closed_and_what_was_off_is_on(root: Shell, release: str) -> None:
    for name in ("certificates_key_files", "certificates_renewal", "certificates_served"):
        assert root(CERTIFICATES[name].read) == CERTIFICATES[name].expected(release)


def test_other_keys_are_as_they_were(root: Shell) -> None:
    assert root("stat -c %a /etc/ssl/private/blog.example.key") == "600"


def test_visitors_who_know_the_authority_get_the_site(root: Shell) -> None:
    for site in ("shop", "blog", "plain"):
        answer = root(
            f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /etc/ssl/certs/sites-ca.pem "
            f"--resolve {site}.example:443:127.0.0.1 https://{site}.example/"
        )
        assert answer == "200"
