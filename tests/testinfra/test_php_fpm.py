# SPDX-License-Identifier: GPL-3.0-or-later
"""A hosting server that the role php_fpm has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

PHP = FAMILIES["php_fpm"]
# A person decides on the first; of the limits PHP's own are lower, and stay.
_LEFT = (
    "php_fpm_remote_files",
    "php_fpm_memory",
    "php_fpm_upload",
    "php_fpm_post",
    "php_fpm_run_time",
)


@pytest.mark.parametrize("name", sorted(set(PHP) - set(_LEFT)))
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(PHP[name].read) == PHP[name].expected(release)


def test_each_site_still_runs_as_its_own_user(root: Shell) -> None:
    ask = "curl -sk --resolve plain.example:443:127.0.0.1 https://plain.example/whoami.php"
    assert "site_plain" in root(ask)
    for site in ("shop", "blog"):
        assert (
            root(
                f"curl -sk -o /dev/null -w '%{{http_code}}' --resolve {site}.example:443:127.0.0.1 "
                f"https://{site}.example/wp-login.php"
            )
            == "200"
        )
