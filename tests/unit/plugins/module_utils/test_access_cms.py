# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a CMS without its database. tests/hosts/access asks real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_cms as cms
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a:1:{s:13:"administrator";b:1;}', {"administrator": True}),
        ('a:2:{i:0;s:3:"Grü";i:1;d:1.5;}', None),  # its length is in bytes
        ('a:2:{i:0;s:4:"Grü";i:1;d:1.5;}', {0: "Grü", 1: 1.5}),
        ('s:3:"a"b";', 'a"b'),
        ("N;", None),
        ("i:7;", 7),
        ('O:8:"stdClass":0:{}', None),
        ("a:1:{", None),
        ("", None),
        ("a:1:{i:0;" * 40, None),
        (None, None),
    ],
)
def test_what_php_serialised(text: Any, value: Any) -> None:
    assert cms.unserialize(text) == value


WORDPRESS = r"""<?php
define('DB_NAME', 'shop');
define( "DB_USER", "site" );
define('DB_PASSWORD', 'it\'s # "back\\slash"');
define('DB_HOST', 'localhost:/run/mysqld/other.sock');
$table_prefix = 'x7_';
"""
JOOMLA = r"""<?php
class JConfig {
    public $dbtype = 'mysqli';
    public $host = '127.0.0.1:3307';
    public $user = 'site';
    public $password = 'p';
    public $db = 'joomla';
    public $dbprefix = 'j_';
    public $secret = 'never read';
}
"""


def put(tmp_path: Path, name: str, text: str) -> Host:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / name).write_text(text)
    return Host(str(tmp_path))


def test_wordpress_configuration(tmp_path: Path) -> None:
    found = cms.configuration(put(tmp_path, "wp-config.php", WORDPRESS), "wordpress", "/srv")
    assert (found.database, found.user, found.prefix) == ("shop", "site", "x7_")
    assert found.password == 'it\'s # "back\\slash"'
    assert found.options() == (
        '[client]\nuser="site"\npassword="it\'s # \\"back\\\\slash\\""\nhost="localhost"\n'
        'socket="/run/mysqld/other.sock"\n'
    )


def test_joomla_configuration(tmp_path: Path) -> None:
    found = cms.configuration(put(tmp_path, "configuration.php", JOOMLA), "joomla", "/srv")
    assert found.options().splitlines()[-2:] == ['host="127.0.0.1"', "port=3307"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("'shop'", "getenv('DB')"), "does not say the database"),
        (("'x7_'", "'x`; DROP'"), "prefix"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_password(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    host = put(tmp_path, "wp-config.php", WORDPRESS.replace(*change))
    with pytest.raises(HostError, match=said) as caught:
        cms.configuration(host, "wordpress", "/srv")
    assert "it" not in str(caught.value).split()


def test_a_line_break_in_a_password_is_no_option() -> None:
    bad = cms.Configuration("d", "u", "a\nhost=evil", "localhost", "p_")
    with pytest.raises(HostError, match="line break"):
        bad.options()


@pytest.mark.parametrize(
    ("meta", "plugins", "mfa"),
    [
        ({}, set(), "no"),
        ({}, {"akismet"}, "no"),
        ({}, {"two-factor"}, "no"),
        ({"_two_factor_enabled_providers": "a:0:{}"}, {"two-factor"}, "no"),
        ({"_two_factor_enabled_providers": 'a:1:{i:0;s:15:"Two_Factor_Totp";}'}, {"two-factor"},
         "yes"),
        # switched off, whatever its users had set
        ({"_two_factor_enabled_providers": 'a:1:{i:0;s:15:"Two_Factor_Totp";}'}, set(), "no"),
        ({}, {"wordfence"}, "unknown"),
    ],
)  # fmt: skip
def test_second_factor_of_wordpress(meta: dict[str, Any], plugins: set[str], mfa: str) -> None:
    assert cms._wordpress_mfa(meta, plugins) == mfa


def test_rights_in_joomla_come_from_above_and_a_refusal_stands() -> None:
    groups = {
        1: {"id": 1, "parent": 0, "title": "Public"},
        6: {"id": 6, "parent": 1, "title": "Manager"},
        7: {"id": 7, "parent": 6, "title": "Administrator"},
    }
    rules = {"core.manage": {"6": 1}, "core.admin": {"7": 1, "1": 0}}
    assert cms._joomla_rights([groups[7]], groups, rules) == {"core.manage"}
