# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that certbot issues: for whom, with which words; tests/hosts has certbot itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _site_certificate as certificate,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Completed, Host

ROOT = Path(__file__).parents[4]
CASE = ROOT / "tests" / "fixtures" / "certificate" / "issued_by_certbot.pass" / "case.yml"
NGINX = """\
http {{
    server {{
        listen 443 ssl;
        server_name a.example www.a.example;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate}.key;
    }}
    server {{
        listen 443 ssl;
        server_name other.example;
        ssl_certificate /etc/ssl/other.pem;
        ssl_certificate_key /etc/ssl/other.key;
    }}
}}
"""
SITE = {"client": "acme", "id": "shop", "domains": ["a.example", "www.a.example"],
        "web_server": "nginx", "certificate": "certbot"}  # fmt: skip
ISSUED = Completed(0, "", "")
AUTHORITY = certificate.Authority("https://acme.example/directory", "", True)


class Tree(Host):
    """A host below a folder; certbot answers `said`, and what it was asked is kept."""

    def __init__(self, root: Path, said: Completed = ISSUED) -> None:
        super().__init__(str(root))
        self.said = said
        self.asked: list[list[str]] = []

    def capabilities(self) -> frozenset[str]:
        return frozenset({"nginx"})

    def run(self, argv: list[str], **_options: Any) -> Completed:
        if argv[0] != "certbot":
            return Completed(0, "", "")
        self.asked.append(argv)
        return self.said


def _tree(folder: Path, shown: str, *lineages: str) -> None:
    text = yaml.safe_load(CASE.read_text(encoding="utf-8"))["files"]
    pem = next(data for path, data in text.items() if path.endswith("fullchain.pem"))
    for name in lineages:
        live = folder / "etc/letsencrypt/live" / name
        live.mkdir(parents=True)
        (live / "fullchain.pem").write_text(pem, encoding="utf-8")
        (live.parent / "README").touch()  # certbot's own, beside the folders
    (folder / "etc/nginx").mkdir(parents=True)
    (folder / "etc/nginx/nginx.conf").write_text(NGINX.format(certificate=shown), encoding="utf-8")


def _run(host: Host, *sites: dict[str, Any], authority: Any = AUTHORITY) -> dict[str, Any]:
    return certificate.run(host, list(sites), authority, check=True)


def test_what_is_missing_is_announced_and_nothing_is_asked(tmp_path: Path) -> None:
    _tree(tmp_path, "/etc/ssl/a.pem")
    host = Tree(tmp_path)
    result = _run(host, SITE)
    assert result["issued"] == {"acme/shop": SITE["domains"]}
    assert result["changed"]
    assert host.asked == []
    assert not (tmp_path / "var").exists()


def test_a_site_that_does_not_ask_is_left_alone(tmp_path: Path) -> None:
    _tree(tmp_path, "/etc/ssl/a.pem")
    result = _run(Tree(tmp_path), {**SITE, "certificate": ""})
    assert (result["changed"], result["issued"], result["elsewhere"]) == (False, {}, [])


@pytest.mark.parametrize("name", ["acme__shop", "made-before"])
def test_a_certificate_of_certbots_for_all_names_is_enough(tmp_path: Path, name: str) -> None:
    _tree(tmp_path, f"/etc/letsencrypt/live/{name}/fullchain.pem", name)
    result = _run(Tree(tmp_path), SITE)
    assert result["issued"] == {}
    assert result["elsewhere"] == []


def test_a_certificate_that_lacks_a_name_is_not_enough(tmp_path: Path) -> None:
    _tree(tmp_path, "/etc/ssl/a.pem", "acme__shop")
    more = {**SITE, "domains": [*SITE["domains"], "other.example"]}
    assert _run(Tree(tmp_path), more)["issued"] == {"acme/shop": more["domains"]}


def test_where_the_site_names_another_it_is_told(tmp_path: Path) -> None:
    _tree(tmp_path, "/etc/ssl/a.pem", "acme__shop")
    assert _run(Tree(tmp_path), SITE)["elsewhere"] == [
        "acme/shop: /etc/nginx/nginx.conf:5 names /etc/ssl/a.pem, expected "
        "/etc/letsencrypt/live/acme__shop/fullchain.pem with privkey.pem"
    ]


def test_nothing_is_asked_before_the_terms_are_agreed_to(tmp_path: Path) -> None:
    host = Tree(tmp_path)
    said = certificate._issue(host, SITE, AUTHORITY._replace(terms_agreed=False))
    assert "the terms of https://acme.example/directory are not agreed to" in said
    assert host.asked == []


@pytest.mark.parametrize(
    ("email", "words"),
    [("", ["--register-unsafely-without-email"]), ("a@b.example", ["--email", "a@b.example"])],
)
def test_certbot_is_asked_for_all_names_and_told_what_to_reload(
    tmp_path: Path, email: str, words: list[str]
) -> None:
    host = Tree(tmp_path)
    assert certificate._issue(host, SITE, AUTHORITY._replace(email=email)) == ""
    asked = host.asked[0]
    assert [asked[at + 1] for at, word in enumerate(asked) if word == "--domain"] == SITE["domains"]
    assert asked[asked.index("--deploy-hook") + 1] == "systemctl reload nginx.service"
    assert asked[asked.index("--webroot-path") + 1] == certificate.FOLDER
    assert set(words) <= set(asked)


def test_the_reason_of_the_authority_is_told(tmp_path: Path) -> None:
    out = "Certbot failed:\n  Domain: a.example\n  Type:   dns\n  Detail: no such name\n\nHint: x\n"
    host = Tree(tmp_path, Completed(1, out, ""))
    assert certificate._issue(host, SITE, AUTHORITY) == "certbot: no such name"
