# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of MariaDB. tests/hosts/access compares with SHOW GRANTS of a real server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_database as database


@pytest.mark.parametrize(
    ("line", "names", "object_", "option"),
    [
        ("GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*A7B3'", ["USAGE"], "*.*", False),
        (
            "GRANT ALL PRIVILEGES ON *.* TO `r`@`localhost` IDENTIFIED VIA mysql_native_password"
            " USING 'invalid' OR unix_socket WITH GRANT OPTION",
            ["ALL PRIVILEGES"], "*.*", True,
        ),
        ("GRANT SELECT, INSERT ON `my``db`.* TO `a`@`%`", ["SELECT", "INSERT"], "`my``db`.*",
         False),
        ("GRANT SELECT (`a`, `b`), UPDATE (`c`) ON `d`.`t` TO `a`@`%`",
         ["SELECT (`a`, `b`)", "UPDATE (`c`)"], "`d`.`t`", False),
        ("GRANT EXECUTE ON PROCEDURE `d`.`p` TO `a`@`%`", ["EXECUTE"], "PROCEDURE `d`.`p`", False),
        ("GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION", ["PROXY"], "``@`%`",
         True),
    ],
)  # fmt: skip
def test_a_line_of_show_grants(line: str, names: list[str], object_: str, option: bool) -> None:
    found = database.parse_grant(line)
    assert found is not None
    assert (list(found.names), found.object, found.grant_option) == (names, object_, option)
    assert "*A7B3" not in found.shown()


def test_roles_and_lines_that_grant_nothing() -> None:
    role = database.parse_grant("GRANT `readers` TO `a`@`%`")
    assert role is not None
    assert (role.role, role.shown()) == (True, "role readers")
    assert database.parse_grant("SET DEFAULT ROLE `readers` FOR `a`@`%`") is None


def account(user: str, *grants: str, **more: Any) -> database.Account:
    lines = [database.parse_grant(f"GRANT {grant}") for grant in grants]
    made = database.Account(user, more.pop("host", "localhost"), **{"ways": ["ed25519"], **more})
    made.grants = [line for line in lines if line]
    return made


def only_row(*accounts: database.Account, tls: bool = False) -> dict[str, Any]:
    settings = {"databases": ["shop", "mysql"], "tls": tls}
    return next(iter(database.rows(accounts, settings)))


@pytest.mark.parametrize(
    ("grants", "privileged"),
    [
        (["ALL PRIVILEGES ON `shop`.* TO `a`@`%`"], False),
        (["SELECT ON *.* TO `a`@`%`"], False),
        (["SELECT ON *.* TO `a`@`%` WITH GRANT OPTION"], True),
        (["FILE ON *.* TO `a`@`%`"], True),
        (["SELECT ON `mysql`.* TO `a`@`%`"], True),
        (["`boss` TO `a`@`%`"], True),
        (["`reader` TO `a`@`%`"], False),
    ],
)
def test_what_reaches_beyond_its_own_data(grants: list[str], privileged: bool) -> None:
    boss = account("boss", "SUPER ON *.* TO `boss`", is_role=True)
    reader = account("reader", "SELECT ON `shop`.* TO `reader`", is_role=True)
    found = only_row(account("a", *grants), boss, reader)
    assert found["privileged"] is privileged


def test_flags() -> None:
    assert only_row(account("a", "USAGE ON *.* TO `a`"))["flags"] == ["grants_nothing"]
    gone = only_row(account("a", "SELECT ON `old`.* TO `a`", host="%"))
    assert gone["flags"] == ["database_gone", "remote_without_tls"]
    assert gone["details"]["databases_gone"] == ["old"]
    plain = "SELECT ON `shop`.* TO `a`"
    assert "flags" not in only_row(account("a", plain, host="10.0.0.%"), tls=True)
    assert "flags" not in only_row(account("a", plain, host="10.0.0.%", tls="any certificate"))
    assert only_row(account("a", plain, open=True))["flags"] == ["password_empty"]
    assert only_row(account("a", plain, locked=True))["flags"] == ["locked"]


@pytest.mark.parametrize(
    ("private", "ways", "is_open"),
    [
        ({"plugin": "mysql_native_password", "authentication_string": "*AB"},
         ["mysql_native_password"], False),
        ({"plugin": "mysql_native_password", "authentication_string": ""},
         ["mysql_native_password"], True),
        ({"plugin": "mysql_native_password", "authentication_string": "invalid",
          "auth_or": [{}, {"plugin": "unix_socket"}]}, ["unix_socket"], False),
        ({"plugin": "unix_socket"}, ["unix_socket"], False),
        ({"plugin": "mysql_native_password", "authentication_string": "invalid"}, [], False),
    ],
)  # fmt: skip
def test_how_an_account_gets_in(private: dict[str, Any], ways: list[str], is_open: bool) -> None:
    found = database._account({"user": "a", "host": "%", "priv": private})
    assert (found.ways, found.open) == (ways, is_open)


def test_names_are_quoted() -> None:
    assert database._quoted(database.Account("o'b\\x", "%")) == "'o''b\\\\x'@'%'"
