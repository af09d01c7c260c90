# SPDX-License-Identifier: GPL-3.0-or-later
"""WordPress asks its administrators for a second factor, Joomla's database forces one; both judged.

The plugin of WordPress and Joomla itself are stood in for, see two-factor/ and joomla.sql.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.gate.conftest import HOSTS, WEB, Gates, shell
from tests.hosts.gate.visitor import Page, Token, Visitor
from tests.hosts.playing import Done, evidence, play, statuses

pytestmark = pytest.mark.hosts

_HERE = Path(__file__).parent
_LOGIN = "https://shop.example/wp-login.php"
_ADMIN = "https://shop.example/wp-admin/"
_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
_FORCED = "second_factor_site_cms_forced"
_ENROLLED = "second_factor_site_cms_enrolled"
# What a person does in their profile.
_SET_UP = """
INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES
    (1, '_two_factor_enabled_providers', 'a:1:{i:0;s:15:"Two_Factor_Totp";}'),
    (1, '_two_factor_totp_key', 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ');
"""
_FORCED_GROUPS = """mariadb -N joomla <<'SQL'
SELECT JSON_EXTRACT(params, '$.forceMFAUserGroups') FROM j_extensions WHERE element = 'com_users';
SQL
"""
each_host = pytest.mark.parametrize("host", HOSTS)


class Cms:
    """Sites whose CMS asks for a second factor, and the sessions from before."""

    def __init__(self, gates: Gates, folder: Path) -> None:
        self.gates, self.folder = gates, folder
        self.zip = folder / "two-factor.zip"
        with zipfile.ZipFile(self.zip, "w") as archive:
            archive.write(_HERE / "two-factor" / "two-factor.php", "two-factor/two-factor.php")
        self.sha256 = hashlib.sha256(self.zip.read_bytes()).hexdigest()
        self.before: dict[str, Visitor] = {}

    def play(self, name: str, *options: str, admin: str = "cms", sha256: str = "") -> Done:
        """Run a playbook with the shop's and the choir's CMS asked for a factor."""
        factor = {"admin": admin, "ssh": False}
        variables = {
            "acme_sites": {host: self._sites(web, factor) for host, web in WEB.items()},
            "ringfence_sites": "{{ acme_sites[inventory_hostname] }}",
            "site_second_factor_wordpress_plugin": {
                "file": str(self.zip),
                "sha256": sha256 or self.sha256,
                "version": "0.9.1",
            },
        }
        path = self.folder / "variables.json"
        path.write_text(json.dumps(variables))
        return play(
            self.gates.servers, name, "-e", f"@{path}", *options, evidence_in=self.folder / "audit"
        )

    def audit(self, **settings: Any) -> dict[str, dict[str, str]]:
        """Site -> control -> status, as recorded; on web1."""
        done = self.play("site_second_factor_audit.yml", "--limit", "web1", **settings)
        document = evidence(self.folder / "audit")
        self.said = done.output
        return {row["name"]: statuses(document, row["name"]) for row in document["hosts"]}

    @staticmethod
    def _sites(web_server: str, factor: dict[str, Any]) -> list[dict[str, Any]]:
        common = {"client": "acme", "web_server": web_server}
        return [
            {
                **common, "id": "shop", "domains": ["shop.example"], "user": "site_shop",
                "root": "/var/www/shop/public", "cms": {"name": "wordpress"},
                "security": {"second_factor": factor},
            },
            {
                **common, "id": "choir", "domains": ["choir.example"], "user": "site_plain",
                "root": "/var/www/choir", "cms": {"name": "joomla"},
                "database": {"name": "joomla", "prefix": "j_"},
                "security": {
                    "second_factor": {**factor, "cms_roles": ["Administrator", "Super Users"]}
                },
            },
        ]  # fmt: skip


def sign_in(visitor: Visitor) -> Page:
    """User and password at WordPress's own page."""
    visitor.get(_LOGIN)
    return visitor.post(_LOGIN, log="boss", pwd="sign-in-shop", testcookie="1")


def give(visitor: Visitor, page: Page, code: str) -> Page:
    """The answer to WordPress's question for a code."""
    fields = {**page.form(), "authcode": code}
    return visitor.post(f"{_LOGIN}?action=validate_2fa", **fields)


@pytest.fixture(scope="module")
def cms(gates: Gates, tmp_path_factory: pytest.TempPathFactory) -> Cms:
    """No gate; Joomla's tables are there; somebody signed in before any factor was asked for."""
    made = Cms(gates, tmp_path_factory.mktemp("cms"))
    for host in HOSTS:
        shell(gates, host, f"mariadb <<'SQL'\n{(_HERE / 'joomla.sql').read_text()}\nSQL")
    assert gates.apply(gate=False).returncode == 0
    for host in HOSTS:
        made.before[host] = gates.visitor(host)
        assert "Dashboard" in sign_in(made.before[host]).text
    found = made.audit()
    assert found["site:acme/shop"][_FORCED] == "fail", made.said
    assert found["site:acme/choir"][_FORCED] == "fail"
    wrong = made.play("site_second_factor.yml", sha256="0" * 64)
    assert "expected 0000" in wrong.output, wrong.output
    assert "Dashboard" in made.before["web1"].get(_ADMIN).text
    done = made.play("site_second_factor.yml")
    assert done.returncode == 0, done.output
    return made


@each_host
def test_a_password_alone_and_a_session_from_before_open_nothing(cms: Cms, host: str) -> None:
    page = cms.before[host].get(_ADMIN)
    assert "wp-login.php" in page.address
    visitor = cms.gates.visitor(host)
    page = sign_in(visitor)
    assert "Authentication Code" in page.text
    assert "wp-login.php" in visitor.get(_ADMIN).address
    assert "Invalid verification code" in give(visitor, page, "00000000").text
    assert "wp-login.php" in visitor.get(_ADMIN).address
    assert cms.gates.crawl(host) == cms.gates.public[host]


def test_who_has_no_factor_of_their_own_is_named(cms: Cms) -> None:
    found = cms.audit()
    assert found["site:acme/shop"] == {
        "second_factor_site_gate_closed": "not_applicable",
        "second_factor_site_gate_people": "not_applicable",
        _FORCED: "pass",
        _ENROLLED: "fail",
        "second_factor_site_ssh": "not_applicable",
    }
    assert found["site:acme/choir"][_FORCED] == "pass"
    assert re.search(r"none have boss", cms.said), cms.said
    assert re.search(r"none have tom", cms.said), cms.said


@each_host
def test_the_right_code_opens_and_works_once(cms: Cms, host: str) -> None:
    shell(cms.gates, host, f"mariadb shop <<'SQL'\n{_SET_UP}\nSQL")
    token, visitor = Token(_SECRET), cms.gates.visitor(host)
    done = give(visitor, sign_in(visitor), token.next())
    assert "Dashboard" in done.text
    assert "Dashboard" in visitor.get(_ADMIN).text
    again = cms.gates.visitor(host)
    assert "Invalid verification code" in give(again, sign_in(again), token.shown).text
    if host == "web1":
        assert cms.audit()["site:acme/shop"][_ENROLLED] == "pass"


def test_a_force_that_is_taken_away_by_hand_is_seen_by_trying(cms: Cms) -> None:
    path = "/var/www/shop/public/wp-content/mu-plugins/ringfence-second-factor.php"
    owner = shell(cms.gates, "web1", f"stat -c '%U %a' {path}").strip()
    assert owner == "root 644"
    shell(cms.gates, "web1", f"sed -i \"s/add_action('init'/add_action('never'/\" {path}")
    assert cms.audit()["site:acme/shop"][_FORCED] == "fail"
    assert "passed no factor opens the admin area" in cms.said
    shell(cms.gates, "web1", f"echo '<?php die();' > {path}")
    assert cms.audit()["site:acme/shop"][_FORCED] == "error"
    shell(cms.gates, "web1", f"rm {path}")
    assert cms.play("site_second_factor.yml", "--limit", "web1").returncode == 0
    assert cms.audit()["site:acme/shop"][_FORCED] == "pass"


def test_a_second_apply_changes_nothing_and_what_was_put_there_goes(cms: Cms) -> None:
    again = cms.play("site_second_factor.yml")
    assert len(re.findall(r"changed=0 ", again.output)) == len(HOSTS), again.output
    assert json.loads(shell(cms.gates, "web1", _FORCED_GROUPS)) == ["6", "7", "8"]
    gone = cms.play("site_second_factor.yml", admin="none")
    assert gone.returncode == 0, gone.output
    again = cms.play("site_second_factor.yml", admin="none")
    assert len(re.findall(r"changed=0 ", again.output)) == len(HOSTS), again.output
    for host in HOSTS:
        assert json.loads(shell(cms.gates, host, _FORCED_GROUPS)) == ["6"], (
            "what somebody else forced"
        )
        visitor = cms.gates.visitor(host)
        assert "Dashboard" in sign_in(visitor).text
        assert cms.gates.crawl(host) == cms.gates.public[host]
        left = shell(cms.gates, host, "find /var/www/shop -name '*ringfence*' -o -name two-factor")
        assert left.strip() == "", left
