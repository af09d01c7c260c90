# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sites have a gate, what it stands before, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_gate, _site_gate_probe
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import Gate, GateError

HOW = {
    "portal": "gate.agency.example",
    "certificate": "/etc/ssl/certs/gate.pem",
    "certificate_key": "/etc/ssl/private/gate.key",
}


def site(name: str = "shop", *, cms: str = "wordpress", **more: Any) -> dict[str, Any]:
    """A site of `ringfence_sites`; `factor` is laid over its second factor."""
    factor = {"admin": "gate", "gate_users": ["dana"], **more.pop("factor", {})}
    return {
        "client": "acme",
        "id": name,
        "domains": [f"{name}.example", f"www.{name}.example"],
        "root": f"/srv/{name}",
        "web_server": "nginx",
        "cms": {"name": cms},
        "security": {"second_factor": factor},
        **more,
    }


def gate(*sites: dict[str, Any], **more: str) -> Gate:
    found = _site_gate.gate_of(sites or (site(),), **{**HOW, **more})
    assert found is not None
    return found


def test_no_site_no_gate() -> None:
    rows = [site(factor={"admin": "none"}), site("b", factor={"admin": "cms"}), {"id": "bare"}]
    assert _site_gate.gate_of(rows, portal="", certificate="", certificate_key="") is None
    assert _site_gate.web_files(None) == ({}, [])


@pytest.mark.parametrize(
    ("cms", "factor", "path", "gated"),
    [
        ("wordpress", {}, "/wp-admin/", True),
        ("wordpress", {}, "/wp-admin", True),
        ("wordpress", {}, "/wp-admin/options.php", True),
        ("wordpress", {}, "/wp-login.php", True),
        ("wordpress", {}, "/wp-login.php/x", True),
        ("wordpress", {}, "/wp-login.phpx", False),
        ("wordpress", {}, "/wp-admin/admin-ajax.php", False),
        ("wordpress", {}, "/wp-admin/admin-ajax.php/x", True),
        ("wordpress", {}, "/", False),
        ("wordpress", {"paths": ["/intern/"]}, "/intern/list", True),
        ("joomla", {}, "/administrator/index.php", True),
        ("joomla", {}, "/index.php", False),
        ("static", {"paths": ["/private/"]}, "/private/a.pdf", True),
        ("static", {"paths": ["/"]}, "/anything", True),
    ],
)
def test_what_it_stands_before(cms: str, factor: dict[str, Any], path: str, gated: bool) -> None:
    (found,) = gate(site(cms=cms, factor=factor)).sites
    assert _site_gate.is_gated(found, path) is gated


def test_a_cms_in_a_folder_and_paths_of_the_register() -> None:
    cms = {"name": "wordpress", "path": "/blog", "admin_paths": ["/hidden-login/"]}
    (found,) = gate(site() | {"cms": cms}).sites
    assert found.paths == ("/blog/wp-admin/", "/blog/wp-login.php", "/hidden-login/")
    assert found.open == ("/blog/wp-admin/admin-ajax.php",)
    assert found.denied == ("/blog/xmlrpc.php",)


@pytest.mark.parametrize(
    ("row", "how", "said"),
    [
        (site(cms="static"), {}, "acme/shop asks for a gate and has no admin path that is known"),
        (site(factor={"gate_users": []}), {}, "acme/shop asks for a gate that nobody may pass"),
        (site(factor={"paths": ["/a b"]}), {}, "acme/shop: '/a b': expected a path"),
        (site(factor={"paths": ["/a/../b"]}), {}, "expected a path"),
        (site(factor={"paths": ['/a";return 200;#']}), {}, "expected a path"),
        (site(factor={"enrol_from": ["here"]}), {}, "enrol_from: 'here': expected a network"),
        (site(factor={"session": "long"}), {}, "'long': expected a duration"),
        (site(domains=["*.shop.example"]), {}, "a gate needs domains"),
        (site(domains=["a;b.example"]), {}, "a gate needs domains"),
        (site(root="srv"), {}, "acme/shop: root: found 'srv', expected an absolute path"),
        (site(), {"portal": ""}, "expected the domain that its sign-in page has"),
        (site(), {"portal": "www.shop.example"}, "www.shop.example is a domain of acme/shop"),
        (site(), {"certificate": "x.pem"}, "site_gate_certificate: found 'x.pem'"),
        (site(), {"certificate_key": "/k;}"}, "site_gate_certificate_key: found '/k;}'"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    row: dict[str, Any], how: dict[str, str], said: str
) -> None:
    with pytest.raises(GateError) as error:
        gate(row, **how)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_strictest_of_all_sites_holds_for_all() -> None:
    lax = {"session": "12h", "lockout": {"attempts": 10, "within": "5m", "ban": "1h"}}
    strict = {"session": "4h", "lockout": {"attempts": 3, "within": "10m", "ban": "30m"}}
    found = gate(site(factor=lax), site("b", factor=strict))
    assert found.session == 4 * 3600
    assert found.lockout == {"attempts": 3, "within": 600, "ban": 3600}
    assert gate().lockout == {"attempts": 5, "within": 900, "ban": 1800}


def test_each_domain_has_a_rule_that_names_its_site() -> None:
    found = _site_gate.lm_conf(gate(site(), site("b")), "KEY")
    assert found["locationRules"]["www.b.example"] == {
        "default": 'may("acme/b", $_user, $_2f, $_utime)'
    }
    assert len(found["locationRules"]) == 4
    assert found["sfRequired"] == 1
    assert not found["available2FSelfRegistration"]
    assert found["key"] == "KEY"
    assert "KEY" not in json.dumps(_site_gate.settings(gate()))


def test_files_of_nginx_and_of_apache() -> None:
    files, modules = _site_gate.web_files(gate(site(), site("b") | {"web_server": "apache"}))
    assert sorted(files) == [
        "/etc/apache2/ringfence/acme__b/after/gate.conf",
        "/etc/nginx/conf.d/ringfence_gate.conf",
        "/etc/nginx/ringfence/acme__shop/gate.conf",
        "/etc/ringfence/sites/gate/acme__b.lua",
    ]
    assert modules == ["lua"]
    http = files["/etc/nginx/conf.d/ringfence_gate.conf"]
    assert '"~^/wp\\-login\\.php(/|$)" 1;' in http
    assert "server_name gate.agency.example;" in http
    files, modules = _site_gate.web_files(gate(site() | {"web_server": "apache"}))
    assert "/etc/apache2/conf-available/ringfence_gate.conf" in files
    assert "proxy_fcgi" in modules
    assert "nginx" not in " ".join(files)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/wp-admin/",
            ["/wp-admin/", "//wp-admin", "/%77p-admin", "/./wp-admin/", "/x/../wp-admin/"],
        ),
        ("/", ["/", "//", "/./", "/x/../"]),
    ],
)
def test_a_path_is_tried_in_every_spelling(path: str, expected: list[str]) -> None:
    assert _site_gate_probe.spellings(path) == expected
