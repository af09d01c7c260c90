# SPDX-License-Identifier: GPL-3.0-or-later
"""Live sites before and after the server is hardened: every page that is reached is the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.journey import OPERATOR
from tests.hosts.playing import evidence, play, sh, statuses
from tests.hosts.sites import DOMAINS, Servers
from tests.hosts.tiers import asked
from tests.testinfra.readings import FAMILIES

pytestmark = pytest.mark.hosts

_CRAWLER = (Path(__file__).parent / "crawler.py").read_text(encoding="utf-8")
_PATIENT = ("-e", "ringfence_guard_timeout=600", *OPERATOR)
# What a visitor's program asks for without a link to it.
_UNLINKED = (
    "/robots.txt",
    "/wp-sitemap.xml",
    "/wp-json/",
    "/wp-login.php",
    "/wp-cron.php",
    "/index.php?s=nothing",
    "/no-such-page/",
    "/.well-known/nothing",
)
_STRICT = ("-e", json.dumps(asked("strict")))
# All that is set on a server is set: these reach into how sites are served.
_REACH_SITES = {"apache", "filesystem", "mariadb", "nginx", "packages", "php_fpm"}
# What of the tier could reach a site: what its programs may read.
_FELT_BY_SITES = ("accounts_umask", "accounts_shell_umask")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    hosts = {"web1": "bookworm", "web2": "trixie"}
    with Servers(f"stay-{os.getpid()}", hosts, {"web1": "nginx", "web2": "apache"}) as started:
        yield started


def test_every_page_is_the_same_and_a_second_apply_changes_nothing(
    servers: Servers, tmp_path: Path
) -> None:
    before = {host: _crawl(servers, host) for host in servers.hosts}
    for pages in before.values():
        _assert_whole(pages)
    done = play(servers, "apply.yml", *_PATIENT, evidence_in=tmp_path / "first", timeout=1800)
    assert done.returncode == 0, done.output[-3000:]
    for host in servers.hosts:
        assert _different(before[host], _crawl(servers, host)) == []
    done = play(servers, "apply.yml", *_PATIENT, evidence_in=tmp_path / "second", timeout=1800)
    assert done.returncode == 0, done.output[-3000:]
    for host in servers.hosts:
        first = statuses(evidence(tmp_path / "first"), host)
        changed = {name for name, status in first.items() if status == "changed"}
        assert {family for family in FAMILIES if changed & set(FAMILIES[family])} >= _REACH_SITES
        found = set(statuses(evidence(tmp_path / "second"), host).values())
        assert not found & {"changed", "error"}


def test_every_page_is_the_same_on_a_server_of_the_tier_strict(
    servers: Servers, tmp_path: Path
) -> None:
    before = {host: _crawl(servers, host) for host in servers.hosts}
    done = play(servers, "apply.yml", *_PATIENT, *_STRICT, evidence_in=tmp_path, timeout=1800)
    assert done.returncode == 0, done.output[-3000:]
    for host in servers.hosts:
        found = statuses(evidence(tmp_path), host)
        assert {name: found[name] for name in _FELT_BY_SITES} == dict.fromkeys(
            _FELT_BY_SITES, "changed"
        )
        # And what they see; the baseline may have hidden it before.
        assert found["filesystem_processes"] in ("changed", "pass")
    for host in servers.hosts:
        assert _different(before[host], _crawl(servers, host)) == []


def test_the_crawl_would_show_a_change(servers: Servers) -> None:
    before = _crawl(servers, "web1")
    site = "https://shop.example"
    address = next(
        address
        for address, (_status, kind, _body) in before.items()
        if address.startswith(site) and kind == "image/png"
    )
    path = address.removeprefix(site).partition("?")[0]
    sh(servers, "web1", f"printf x >> /var/www/shop/public{path}")
    assert _different(before, _crawl(servers, "web1")) == [address]


def _crawl(servers: Servers, host: str) -> dict[str, list[object]]:
    """Address -> status, type and body, less nonces, of all that links lead to, signed out."""
    first = [f"{kind}://{domain}/" for domain in DOMAINS for kind in ("https", "http")]
    first += [f"https://{domain}{path}" for domain in DOMAINS for path in _UNLINKED]
    said = servers.exec(host, "python3", "-c", _CRAWLER, *first)
    found: dict[str, list[object]] = json.loads(said)
    return found


def _assert_whole(pages: dict[str, list[object]]) -> None:
    """What is compared has pages, pictures, styles and scripts of every site."""
    for domain in DOMAINS:
        mine = [answer for address, answer in pages.items() if f"//{domain}/" in address]
        assert sum(status == 200 for status, _kind, _body in mine) >= 3
    kinds = {str(kind).partition(";")[0] for status, kind, _body in pages.values() if status == 200}
    assert {"text/html", "text/css", "image/png", "application/json"} <= kinds
    assert any("javascript" in kind for kind in kinds)


def _different(before: dict[str, list[object]], after: dict[str, list[object]]) -> list[str]:
    return sorted(
        address for address in before.keys() | after if before.get(address) != after.get(address)
    )
