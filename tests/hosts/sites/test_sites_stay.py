# SPDX-License-Identifier: GPL-3.0-or-later
"""Live sites before and after the server is hardened: every page that is reached is the same."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.playing import evidence, play, sh, statuses
from tests.hosts.sites import DOMAINS, Servers
from tests.hosts.tiers import asked

pytestmark = pytest.mark.hosts

_NONCE = re.compile(r'("nonce":|_wpnonce=|name="_wpnonce" value=)"?[0-9a-f]{10}')
# WordPress makes a new one for each answer that embeds a page.
_SECRET = re.compile(r'(data-secret=\\?"|#\?secret=)[0-9A-Za-z]{10}')
_PAGES = 200
_PATIENT = ("-e", "ringfence_guard_timeout=600")
_FAMILIES = (
    "-e",
    '{"ringfence_families": ["apache", "certificates", "mariadb", "nginx", "php_fpm"]}',
    *_PATIENT,
)
_STRICT = (
    "-e",
    json.dumps(
        asked("strict") | {"ringfence_families": ["accounts", "filesystem", "kernel", "packages"]}
    ),
)
# What of the tier could reach a site: what its programs see, and what they may read.
_FELT_BY_SITES = ("accounts_umask", "accounts_shell_umask", "filesystem_processes")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    hosts = {"web1": "bookworm", "web2": "trixie"}
    with Servers(f"stay-{os.getpid()}", hosts, {"web1": "nginx", "web2": "apache"}) as started:
        yield started


def test_every_page_is_the_same_and_a_second_apply_changes_nothing(
    servers: Servers, tmp_path: Path
) -> None:
    before = {host: _crawl(servers, host) for host in servers.hosts}
    assert all(len(pages) > 10 for pages in before.values())
    play(servers, "apply.yml", *_FAMILIES, evidence_in=tmp_path / "first")
    after = {host: _crawl(servers, host) for host in servers.hosts}
    assert after == before
    play(servers, "apply.yml", *_FAMILIES, evidence_in=tmp_path / "second")
    for host in servers.hosts:
        assert "changed" in statuses(evidence(tmp_path / "first"), host).values()
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
    assert {host: _crawl(servers, host) for host in servers.hosts} == before


def _crawl(servers: Servers, host: str) -> dict[str, tuple[str, str]]:
    """Address -> status and text, less nonces, of all that links lead to, signed out."""
    waiting = [f"https://{domain}/" for domain in DOMAINS]
    found: dict[str, tuple[str, str]] = {}
    while waiting and len(found) < _PAGES:
        address = waiting.pop(0)
        if address in found:
            continue
        domain = address.split("/")[2]
        said = sh(
            servers,
            host,
            f"curl -ks -w '\\n%{{http_code}}' --resolve {domain}:443:127.0.0.1 '{address}'"
            " | tr -d '\\000'",
        )
        text, _newline, status = said.rpartition("\n")
        found[address] = (status.strip(), _SECRET.sub(r"\1", _NONCE.sub(r"\1", text)))
        links = re.findall(r'href="(https://[a-z]+\.example)?(/[^"#\']*)"', text)
        waiting += [
            f"{site or f'https://{domain}'}{path}".replace("&amp;", "&")
            for site, path in links
            if not path.startswith("//")
        ]
    return found
