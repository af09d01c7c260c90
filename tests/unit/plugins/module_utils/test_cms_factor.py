# SPDX-License-Identifier: GPL-3.0-or-later
"""What a CMS answers, and what is refused before a site is touched."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _cms_factor,
    _cms_factor_change,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._cms_factor import FactorError
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Completed, Host

ANSWER = {
    "wordpress": "6.8",
    "plugin": "",
    "active": False,
    "forced": [],
    "roles": ["administrator", "editor"],
    "users": [],
}


class Told(Host):
    """A host below a folder on which PHP and the database answer what they are told to."""

    def __init__(self, root: Path, php: Any = None, sql: str = "") -> None:
        super().__init__(str(root))
        self.php, self.sql, self.asked = php, sql, ""

    def run(self, argv: list[str], **options: Any) -> Completed:
        self.asked = str(options.get("stdin"))
        if argv[0] != "runuser":
            return Completed(0, self.sql, "")
        mark = options["environment"]["RINGFENCE_MARK"]
        said = self.php if isinstance(self.php, str) else mark + json.dumps(self.php)
        return Completed(0, f"a notice of a plugin\n{said}\n", "PHP Fatal error: out of memory")


def declared(cms: str = "wordpress", **factor: Any) -> dict[str, Any]:
    return {
        "client": "acme",
        "id": "shop",
        "domains": ["shop.example"],
        "root": "/srv/shop",
        "user": "site_shop",
        "cms": {"name": cms},
        "database": {"name": "joomla", "prefix": "j_"},
        "security": {"second_factor": {"admin": "cms", **factor}},
    }


def wordpress(root: Path, **more: Any) -> Told:
    (root / "srv/shop").mkdir(parents=True)
    (root / "srv/shop/wp-load.php").write_text("")
    return Told(root, {**ANSWER, **more})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("no json at all", "does not answer: PHP Fatal error: out of memory"),
        ([], "WordPress does not load: PHP Fatal error: out of memory"),
    ],
)
def test_a_wordpress_that_does_not_answer_is_an_error(
    tmp_path: Path, answer: Any, said: str
) -> None:
    host = wordpress(tmp_path)
    host.php = answer
    (site,) = _cms_factor.cms_sites([declared()])
    with pytest.raises(FactorError, match=said):
        _cms_factor.wordpress_state(host, site)


def test_a_try_that_ended_too_early_is_no_pass(tmp_path: Path) -> None:
    host = wordpress(tmp_path)
    (site,) = _cms_factor.cms_sites([declared()])
    host.php = {"refused": True, "loaded": False}
    with pytest.raises(FactorError, match="ended before it knew who asks"):
        _cms_factor.wordpress_try(host, site, 1)
    host.php = {"refused": True, "loaded": True}
    assert _cms_factor.wordpress_try(host, site, 1) is True


def artifact(root: Path, *names: str) -> dict[str, str]:
    path = root / "two-factor.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "<?php")
    return {"path": "/two-factor.zip", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    ("plugin", "factor", "said"),
    [
        ({}, {}, "needs the plugin two-factor, which is not there"),
        ({"path": "/two-factor.zip", "sha256": "0" * 64}, {}, "expected 0000"),
        ({"path": "/two-factor.zip", "sha256": "short"}, {}, "needs the plugin two-factor"),
        ({}, {"cms_roles": ["boss"]}, "WordPress has no role boss; it has administrator, editor"),
    ],
)
def test_nothing_is_done_without_the_right_plugin_and_roles(
    tmp_path: Path, plugin: dict[str, str], factor: dict[str, Any], said: str
) -> None:
    artifact(tmp_path, "two-factor/two-factor.php")
    host = wordpress(tmp_path)
    with pytest.raises(FactorError, match=said):
        _cms_factor_change.settle(host, [declared(**factor)], plugin, check=False)
    assert sorted(path.name for path in (tmp_path / "srv/shop").iterdir()) == ["wp-load.php"]


@pytest.mark.parametrize("name", ["other/x.php", "two-factor/../x.php", "/two-factor/x.php", "x"])
def test_an_archive_that_reaches_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    plugin = artifact(tmp_path, "two-factor/two-factor.php", name)
    with pytest.raises(FactorError, match="expected files below two-factor/"):
        _cms_factor_change.settle(wordpress(tmp_path), [declared()], plugin, check=False)
    assert not (tmp_path / "srv/shop/wp-content").exists()


def test_what_would_be_done_is_told(tmp_path: Path) -> None:
    plugin = artifact(tmp_path, "two-factor/two-factor.php")
    done = _cms_factor_change.settle(wordpress(tmp_path), [declared()], plugin, check=True)
    assert done == {
        "acme/shop": [
            "install the plugin two-factor",
            "activate the plugin two-factor",
            "force a second factor for administrator",
        ]
    }


def test_the_must_use_plugin_holds_nothing_but_names_of_roles() -> None:
    text = _cms_factor.force_plugin(["administrator", "x'];die();//"])
    assert "RINGFENCE_SECOND_FACTOR_ROLES = ['administrator', 'xdie'];" in text


STATE = (
    "group\t7\tAdministrator\ngroup\t8\tSuper Users\nmethod\ttotp\n"
    'params\t{"forceMFAUserGroups":["6"]}\nuser\t42\tolive\t8\t1\nuser\t43\ttom\t7\t0\n'
)


def test_a_joomla_is_asked_with_its_own_prefix(tmp_path: Path) -> None:
    host = Told(tmp_path, sql=STATE)
    done = _cms_factor_change.settle(host, [declared("joomla")], {}, check=True)
    assert done["acme/shop"] == [
        "force a second factor for the group Administrator",
        "force a second factor for the group Super Users",
    ]
    assert "FROM `j_usergroups`" in host.asked


@pytest.mark.parametrize(
    ("sql", "factor", "said"),
    [
        (STATE, {"cms_roles": ["Bosses"]}, "Joomla has no group Bosses; it has Administrator"),
        (STATE.replace("totp", "backupcodes"), {}, "no method of Joomla's multi-factor"),
        (STATE.replace('{"', "{"), {}, "the parameters of com_users are no JSON"),
    ],
)
def test_a_joomla_that_could_let_nobody_in_is_left_alone(
    tmp_path: Path, sql: str, factor: dict[str, Any], said: str
) -> None:
    rows = [declared("joomla", **factor)]
    with pytest.raises(FactorError, match=said):
        _cms_factor_change.settle(Told(tmp_path, sql=sql), rows, {}, check=False)


@pytest.mark.parametrize("row", [{"user": "root; id"}, {"root": "srv"}, {"user": ""}])
def test_a_site_whose_account_or_root_is_none_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(FactorError, match=r"acme/shop: (user|root): found"):
        _cms_factor.cms_sites([{**declared(), **row}])


@pytest.mark.parametrize("database", [{}, {"name": "a`b"}, {"name": "a", "prefix": "j-"}])
def test_a_database_with_an_odd_name_is_refused(database: dict[str, str]) -> None:
    (site,) = _cms_factor.cms_sites([declared("joomla")])
    with pytest.raises(FactorError, match="the database of this Joomla is not known"):
        _cms_factor.joomla_database(site, database)
