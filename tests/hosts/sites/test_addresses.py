# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses live sites answer: nginx and Apache, WordPress, a CDN in front of them.

The CDN is nginx on a host of its own, visitors are addresses of that host's loopback interface.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts.playing import ROOT, Done, play, sh
from tests.hosts.sites import Servers, visits

pytestmark = pytest.mark.hosts

PLAYBOOK = str(Path(__file__).parent / "addresses.yml")
HOSTS = {"web1": "bookworm", "web2": "trixie", "edge": "bookworm"}
WEB = {"web1": "nginx", "web2": "apache", "edge": "nginx"}
# Management is inside a network that is denied, of which one part ends on its own.
MANAGEMENT, DENIED, FRIEND = "203.0.113.5", "203.0.113.6", "192.0.2.77"
FOREIGN, LISTED, OFFICE, BLOCKED = "198.51.100.9", "192.0.2.66", "192.0.2.130", "192.0.2.200"
SIX, FOREIGN_SIX = "2001:db8:5::1", "2001:db8:bad::1"
VISITORS = (MANAGEMENT, DENIED, FRIEND, FOREIGN, LISTED, OFFICE, BLOCKED, SIX, FOREIGN_SIX)
RULES: dict[str, Any] = {
    "deny": [
        {"network": "203.0.113.0/24"},
        {"network": "203.0.113.0/25", "expires": "2099-01-01"},
    ],
    "countries": {"deny": ["KP"]},
    "admin_allow_only": [{"network": "192.0.2.128/28"}],
    "feeds": ["bad"],
}
COUNTRIES = (
    "198.51.100.0,198.51.100.255,KP\n2001:db8:bad::,2001:db8:bad:ffff:ffff:ffff:ffff:ffff,KP\n"
    "192.0.2.0,192.0.2.255,GB\n"
)
EDGE = """
server {
    listen 127.0.0.1:8443 ssl;
    listen [::1]:8443 ssl;
    ssl_certificate /etc/ssl/certs/shop.example.pem;
    ssl_certificate_key /etc/ssl/private/shop.example.key;
    location / {
        proxy_pass https://$http_x_origin;
        proxy_ssl_server_name on;
        proxy_ssl_name $host;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
"""
# What would have to be the same again: every file of the web servers, and of ours.
STATE = """
cd / && find etc/nginx etc/apache2 etc/ringfence usr/local/lib etc/systemd/system \\
    var/lib/ringfence -printf '%p %y %m %l\\n' -type f -exec sha256sum {} + 2>/dev/null | sort
"""


@dataclass
class World:
    """The hosts, and how they were before."""

    servers: Servers
    folder: Path
    before: dict[str, str] = field(default_factory=dict)

    def apply(self, *sites: dict[str, Any], blocked: Any = (), options: Any = ()) -> Done:
        variables = {
            "sites": list(sites),
            "ringfence_blocked": list(blocked),
            "hosted_site_management": [MANAGEMENT],
            "hosted_site_sources": str(self.folder / "sources"),
        }
        extra = ["-e", json.dumps(variables), *options]
        return play(self.servers, PLAYBOOK, *extra, evidence_in=self.folder)

    def load(self, *sites: dict[str, Any], **more: Any) -> Done:
        """Apply, which must succeed."""
        done = self.apply(*sites, **more)
        assert done.returncode == 0, done.output
        return done

    def state(self, host: str) -> str:
        return sh(self.servers, host, STATE)

    def through_cdn(
        self, host: str, visitor: str, path: str = "/readme.html", forged: str = ""
    ) -> str:
        """The status that a visitor of the CDN gets."""
        header = f"-H 'X-Forwarded-For: {forged}'" if forged else ""
        local = "[::1]" if ":" in visitor else "127.0.0.1"
        return sh(
            self.servers,
            "edge",
            f"curl -ks -o /dev/null -w '%{{http_code}}' --interface {visitor} {header} "
            f"-H 'X-Origin: {self.servers.hosts[host].address}' "
            f"--connect-to shop.example:443:{local}:8443 --path-as-is https://shop.example{path}",
        ).strip()

    def direct(self, host: str, site: str, path: str, forged: str = "") -> str:
        """The status that another web server gets, past the CDN."""
        other = "web2" if host == "web1" else "web1"
        header = f"-H 'X-Forwarded-For: {forged}'" if forged else ""
        return sh(
            self.servers,
            other,
            f"curl -ks -o /dev/null -w '%{{http_code}}' {header} --resolve "
            f"{site}:443:{self.servers.hosts[host].address} https://{site}{path}",
        ).strip()


def shop(world: World, addresses: dict[str, Any] | None = None) -> dict[str, Any]:
    edge = f"{world.servers.hosts['edge'].address}/32"
    site: dict[str, Any] = {
        "client": "acme",
        "id": "shop",
        "domains": ["shop.example"],
        "root": "/var/www/shop/public",
        "cms": {"name": "wordpress"},
    }
    if addresses is not None:
        site |= {"cdn": {"ranges": [edge]}, "security": {"addresses": addresses}}
    return site


def blog(addresses: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "client": "acme",
        "id": "blog",
        "domains": ["blog.example"],
        "root": "/var/www/blog/public",
        "security": {"addresses": addresses or {}},
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("addresses")
    with Servers(f"addresses-{os.getpid()}", HOSTS, WEB) as servers:
        found = World(servers, folder)
        _fetch(found)
        for visitor in VISITORS:
            sh(servers, "edge", f"ip address add {visitor}/{128 if ':' in visitor else 32} dev lo")
        servers.exec("edge", "sh", "-c", f"cat > /etc/nginx/conf.d/edge.conf <<'X'\n{EDGE}\nX")
        sh(servers, "edge", "nginx -t -q && systemctl reload nginx")
        for host in ("web1", "web2"):
            found.before[host] = found.state(host)
            visits.begin(servers, host)
        found.load(shop(found, RULES), blog({"allow_only": []}))
        yield found


def _fetch(world: World) -> None:
    """As a user would: the lists, by the playbook."""
    (world.folder / "countries.csv").write_text(COUNTRIES)
    (world.folder / "bad.txt").write_text(f"; made up\n{LISTED} ; SBL1\n100.64.0.0/10\n")
    lists = [
        {"name": "countries", "src": str(world.folder / "countries.csv")},
        {"name": "bad", "src": str(world.folder / "bad.txt")},
    ]
    variables = {"address_sources": lists, "hosted_site_sources": str(world.folder / "sources")}
    options = ("-e", json.dumps(variables))
    done = play(world.servers, "address_sources.yml", *options, evidence_in=world.folder)
    assert done.returncode == 0, done.output


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_each_visitor_gets_what_the_register_says(world: World, host: str) -> None:
    asked = {
        "a friend": world.through_cdn(host, FRIEND),
        "denied": world.through_cdn(host, DENIED),
        "management, inside what is denied": world.through_cdn(host, MANAGEMENT),
        "of a country": world.through_cdn(host, FOREIGN),
        "on a feed": world.through_cdn(host, LISTED),
        "IPv6": world.through_cdn(host, SIX),
        "IPv6 of a country": world.through_cdn(host, FOREIGN_SIX),
        "who forges a good address": world.through_cdn(host, DENIED, forged=FRIEND),
        "who forges management": world.through_cdn(host, FOREIGN, forged=MANAGEMENT),
        "who forges a bad address": world.through_cdn(host, FRIEND, forged=DENIED),
        "who forges a mapped address": world.through_cdn(host, DENIED, forged=f"::ffff:{FRIEND}"),
        "who forges past the CDN": world.direct(host, "shop.example", "/readme.html", DENIED),
    }
    refused = {name for name, status in asked.items() if status == "403"}
    assert refused == {
        "denied", "of a country", "on a feed", "IPv6 of a country", "who forges a good address",
        "who forges management", "who forges a mapped address",
    }  # fmt: skip
    assert {status for name, status in asked.items() if name not in refused} == {"200"}


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_a_mapped_address_is_the_address_in_it(world: World, host: str) -> None:
    # As a CDN of IPv6 origins would put it: the last hop is the CDN itself.
    edge = world.servers.hosts["edge"].address
    for visitor, status in ((DENIED, "403"), (FRIEND, "200")):
        found = sh(
            world.servers, "edge",
            f"curl -ks -o /dev/null -w '%{{http_code}}' "
            f"-H 'X-Forwarded-For: 1.2.3.4, ::ffff:{visitor}, {edge}' --resolve "
            f"shop.example:443:{world.servers.hosts[host].address} https://shop.example/readme.html",
        )  # fmt: skip
        assert found.strip() == status


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_the_admin_area_answers_the_office_only(world: World, host: str) -> None:
    paths = ("/wp-login.php", "/wp-admin/", "//wp-admin/index.php", "/%77p-login.php",
             "/x/../wp-login.php", "/wp-login.php/x")  # fmt: skip
    assert {world.through_cdn(host, FRIEND, path) for path in paths} == {"403"}
    assert world.through_cdn(host, OFFICE, "/wp-login.php") == "200"
    assert world.through_cdn(host, MANAGEMENT, "/wp-login.php") == "200"
    assert world.through_cdn(host, FRIEND, "/wp-admin/admin-ajax.php") == "400"


@pytest.mark.parametrize("host", ["web1", "web2"])
def test_an_empty_list_lets_nobody_in_but_certificates_are_renewed(world: World, host: str) -> None:
    challenge = "/.well-known/acme-challenge"
    sh(
        world.servers, host,
        f"mkdir -p /var/www/blog/public{challenge}; echo a > /var/www/blog/public{challenge}/tok-1",
    )  # fmt: skip
    assert world.direct(host, "blog.example", "/") == "403"
    assert world.direct(host, "blog.example", "/readme.html", MANAGEMENT) == "403"
    assert world.direct(host, "blog.example", f"{challenge}/tok-1") == "200"
    assert world.direct(host, "blog.example", f"{challenge}/nothing.php") == "403"
    assert world.direct(host, "plain.example", "/about.html", DENIED) == "200"


def test_an_htaccess_of_the_site_opens_nothing(world: World) -> None:
    text = "Require all granted\nOrder deny,allow\nAllow from all\nSatisfy Any\n"
    place = "/var/www/shop/public/wp-content/.htaccess"
    world.servers.exec(
        "web2",
        "sh",
        "-c",
        f"printf '{text}' > {place}; echo a > /var/www/shop/public/wp-content/a.txt",
    )
    assert world.through_cdn("web2", DENIED, "/wp-content/a.txt") == "403"
    assert world.through_cdn("web2", FRIEND, "/wp-content/a.txt") == "200"
    sh(world.servers, "web2", f"rm {place}")


def test_applied_again_nothing_changes(world: World) -> None:
    again = world.load(shop(world, RULES), blog({"allow_only": []}))
    assert set(re.findall(r"changed=(\d+)", again.output)) == {"0"}
    check = world.load(shop(world, {"deny": []}), blog(), options=("--check", "--diff"))
    assert "-203.0.113.0/24" in check.output.replace("Require ip ", "").replace(" 1;", "")
    assert world.through_cdn("web1", DENIED) == "403"


def test_the_audit_finds_what_is_otherwise_than_agreed(world: World) -> None:
    assert _audited(world, "web1", "web2") == set()
    lists = "/etc/ringfence/sites/addresses"
    sh(world.servers, "web1", f"cp -p {lists}/acme__shop_deny.geo /root/kept; "
       f"sed -i /203.0.113/d {lists}/acme__shop_deny.geo; "
       "echo 'set_real_ip_from 0.0.0.0/0;' > /etc/nginx/conf.d/zz.conf")  # fmt: skip
    conf = "/etc/apache2/sites-available/shop.conf"
    sh(world.servers, "web2", f"cp -p {conf} /root/kept; sed -i /acme__shop.after/d {conf}")
    assert _audited(world, "web1", "web2") == {
        f"acme/shop: {lists}/acme__shop_deny.geo is not as the register asks",
        "acme/blog: the address that 0.0.0.0/0 names is believed",
        # nginx reads all lists at once, those of every site.
        "acme/blog: nginx has not read the lists since they were changed",
        "acme/shop: the web server's configuration of the site does not include its rules",
    }
    sh(world.servers, "web1", f"rm /etc/nginx/conf.d/zz.conf; "
       f"cat /root/kept > {lists}/acme__shop_deny.geo; rm /root/kept")  # fmt: skip
    sh(world.servers, "web2", f"cat /root/kept > {conf}; rm /root/kept")
    assert _audited(world, "web2") == set()
    assert _audited(world, "web1") == {
        f"{site}: nginx has not read the lists since they were changed"
        for site in ("acme/shop", "acme/blog")
    }
    sh(world.servers, "web1", "systemctl reload nginx")
    _until(lambda: _audited(world, "web1") == set())


def _audited(world: World, *hosts: str) -> set[str]:
    """The findings of the audit."""
    server = "{'web_server': 'nginx' if inventory_hostname == 'web1' else 'apache'}"
    variables = {
        "sites": [shop(world, RULES), blog({"allow_only": []})],
        "ringfence_sites": f"{{{{ sites | map('combine', {server}) | list }}}}",
        "hosted_site_management": [MANAGEMENT],
        "hosted_site_sources": str(world.folder / "sources"),
    }
    options = ("-e", json.dumps(variables), "-l", ",".join(hosts))
    done = play(world.servers, "site_audit.yml", *options, evidence_in=world.folder)
    assert done.returncode == 0, done.output
    return set(re.findall(r'^ +"(acme/[^"]+)"', done.output, re.MULTILINE))


def test_a_block_falls_out_at_its_time(world: World) -> None:
    until = datetime.now(UTC) + timedelta(seconds=90)
    row = {"scope": "site acme/shop", "network": BLOCKED, "expires": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    world.load(shop(world, RULES), blog({"allow_only": []}), blocked=[row])
    for host in ("web1", "web2"):
        if datetime.now(UTC) < until - timedelta(seconds=5):
            assert world.through_cdn(host, BLOCKED) == "403"
        assert world.through_cdn(host, FRIEND) == "200"
    for host in ("web1", "web2"):
        wait = (
            "for i in $(seq 600); do grep -qs 192.0.2.200 /etc/ringfence/sites/addresses/*"
            " || exit 0; sleep 0.5; done; exit 1"
        )
        sh(world.servers, host, wait)
        _until(lambda host=host: world.through_cdn(host, BLOCKED) == "200")  # type: ignore[misc]
        assert world.through_cdn(host, DENIED) == "403"


def _until(holds: Any) -> None:
    end = datetime.now(UTC) + timedelta(seconds=120)
    while datetime.now(UTC) < end:
        if holds():
            return
    raise AssertionError("it did not come about within two minutes")


def test_a_site_that_does_not_fit_is_told_and_the_rest_is_done(world: World) -> None:
    odd = {**shop(world, RULES), "id": "odd", "domains": ["odd.example"], "root": "/srv/odd"}
    more = {**RULES, "deny": [*RULES["deny"], {"network": FRIEND}]}
    done = world.apply(shop(world, more), odd)
    assert done.returncode != 0
    assert "acme/odd: the host serves no site odd.example" in done.output
    assert world.through_cdn("web1", FRIEND) == world.through_cdn("web2", FRIEND) == "403"


def test_what_the_server_refuses_is_put_back_and_told(world: World) -> None:
    # nginx takes this once in a block; Apache's configuration is broken by somebody else.
    blog_conf, more = "/etc/nginx/sites-available/blog.conf", " real_ip_header X-Real-IP;"
    sh(world.servers, "web1", f"sed -i 's/^server {{/server {{{more}/' {blog_conf}")
    sh(world.servers, "web2", "echo 'Nonsense on' > /etc/apache2/conf-enabled/zz.conf")
    before = {host: world.state(host) for host in ("web1", "web2")}
    site = {**blog({"deny": [{"network": FRIEND}]}), "cdn": {"ranges": ["198.18.0.0/20"]}}
    done = world.apply(shop(world, RULES), site)
    assert done.returncode != 0
    assert {host: world.state(host) for host in before} == before
    assert '"real_ip_header" directive is duplicate in' in done.output
    assert "everything was put back" in done.output
    assert "Apache refuses its configuration as it is, and nothing was changed" in done.output
    assert "/etc/apache2/conf-enabled/zz.conf" in done.output
    sh(world.servers, "web1", f"sed -i 's/{more}//' {blog_conf}")
    sh(world.servers, "web2", "rm /etc/apache2/conf-enabled/zz.conf")


# Both take their configuration, until a file of ours is there.
_APACHE_REFUSES = """
printf '<IfFile "/etc/apache2/ringfence/acme__blog">\\nNonsense on\\n</IfFile>\\n' \
    > /etc/apache2/conf-enabled/zz.conf
"""
_NGINX_DOES_NOT_RELOAD = """
mkdir -p /etc/systemd/system/nginx.service.d
printf '[Service]\\nExecReload=\\nExecReload=/bin/sh -c "%s"\\n' \
    'test ! -e /etc/nginx/ringfence/acme__blog && exec /usr/sbin/nginx -s reload' \
    > /etc/systemd/system/nginx.service.d/zz.conf
systemctl daemon-reload
"""


def test_what_fails_with_the_change_alone_is_put_back_as_well(world: World) -> None:
    world.load(shop(world, RULES), blog())
    sh(world.servers, "web1", _NGINX_DOES_NOT_RELOAD)
    sh(world.servers, "web2", _APACHE_REFUSES)
    try:
        before = {host: world.state(host) for host in ("web1", "web2")}
        done = world.apply(shop(world, RULES), blog({"deny": [{"network": FRIEND}]}))
        assert done.returncode != 0
        assert "nginx.service cannot be reloaded" in done.output
        assert "Invalid command 'Nonsense'" in done.output
        assert "refuses its configuration as it is" not in done.output
        assert "not everything could be put back" not in done.output
        assert {host: world.state(host) for host in before} == before
        assert {world.through_cdn(host, DENIED) for host in before} == {"403"}
        assert {world.through_cdn(host, FRIEND) for host in before} == {"200"}
    finally:
        sh(world.servers, "web2", "rm /etc/apache2/conf-enabled/zz.conf")
        sh(
            world.servers, "web1",
            "rm -r /etc/systemd/system/nginx.service.d; systemctl daemon-reload",
        )  # fmt: skip


def test_what_is_asked_for_no_more_leaves_no_trace_and_no_request_was_lost(world: World) -> None:
    world.load(shop(world), blog())
    for host in ("web1", "web2"):
        assert world.state(host) == world.before[host]
        visits.end(world.servers, host)


def test_a_block_by_hand_is_in_force_when_the_command_returns(world: World) -> None:
    """By the command, on the first host: in its firewall, and in sites, whose visitors a CDN hides.

    The blog is another client's, and its visitors come directly: from the edge's own address.
    """
    inventory = _register(world, "web1")
    done = play(world.servers, "firewall.yml", "-i", str(inventory), "-l", "web1",
                evidence_in=world.folder)  # fmt: skip
    assert done.returncode == 0, done.output
    options = ("-i", str(inventory), "--json")
    element = f"nft get element inet ringfence ban4 '{{ {BLOCKED} }}'"

    def block(address: str, *where: str) -> None:
        said = _ringfence("block", address, *where, "--for", "2d", "--why", "scans", *options)
        assert (said["pushed"], said["hosts"]) == (True, ["web1"])

    def shop_says(*visitors: str) -> list[str]:
        return [world.through_cdn("web1", visitor) for visitor in visitors]

    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["200"] * 4
    block(LISTED, "--site", "acme/shop")
    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["403", "200", "200", "200"]
    block(OFFICE, "--client", "acme")
    block(BLOCKED, "--fleet")
    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["403", "403", "403", "200"]
    listed = re.search(r"timeout (\S+)", sh(world.servers, "web1", element))
    assert listed
    assert listed[1].startswith(("2d", "1d23h"))
    block(world.servers.hosts["edge"].address, "--site", "beta/blog")
    assert _blog_says(world, "web1") == "403"
    assert shop_says(FRIEND) == ["200"], "nobody else on the host is hit"
    rows = _ringfence("blocked", *options)["blocked"]
    assert [row["state"] for row in rows] == ["active"] * 4
    assert {row["reason"] for row in rows} == {"scans"}
    for address in (LISTED, OFFICE, world.servers.hosts["edge"].address):
        assert _ringfence("unblock", address, "--later", *options)["pushed"] is False
    assert shop_says(LISTED) == ["403"], "later is not now"
    assert _ringfence("unblock", BLOCKED, *options)["pushed"] is True
    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["200"] * 4
    assert _blog_says(world, "web1") == "200"
    assert "no such" in sh(world.servers, "web1", f"{element} 2>&1 || echo no such")
    assert _ringfence("blocked", *options)["blocked"] == []


def test_a_block_by_hand_holds_in_apache_and_a_host_without_our_firewall_is_told(
    world: World,
) -> None:
    assert "ringfence" not in sh(world.servers, "web2", "nft list tables")
    options = ("-i", str(_register(world, "web2")), "--json")
    edge = world.servers.hosts["edge"].address
    why = ("--for", "2d", "--why", "scans", *options)

    def shop_says(*visitors: str) -> list[str]:
        return [world.through_cdn("web2", visitor) for visitor in visitors]

    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["200"] * 4
    assert _ringfence("block", LISTED, "--site", "acme/shop", *why)["hosts"] == ["web2"]
    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["403", "200", "200", "200"]
    _ringfence("block", OFFICE, "--client", "acme", *why)
    _ringfence("block", edge, "--site", "beta/blog", *why)
    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["403", "403", "200", "200"]
    assert _blog_says(world, "web2") == "403"
    # The whole host cannot drop the address; a site behind a CDN refuses it all the same.
    said = _ringfence("block", BLOCKED, "--fleet", *why, code=2)
    assert said["pushed"] is False
    assert shop_says(BLOCKED, FRIEND) == ["403", "200"]
    done = play(world.servers, "sites.yml", *options[:2], "-l", "web2", evidence_in=world.folder)
    assert done.returncode != 0
    assert "the firewall is not loaded on this host" in done.output
    for address in (LISTED, OFFICE, edge):
        _ringfence("unblock", address, "--later", *options)
    assert _ringfence("unblock", BLOCKED, *options)["pushed"] is True
    assert shop_says(LISTED, OFFICE, BLOCKED, FRIEND) == ["200"] * 4
    assert _blog_says(world, "web2") == "200"


def _blog_says(world: World, host: str) -> str:
    return sh(
        world.servers, "edge",
        "curl -ks -o /dev/null -w '%{http_code}' --resolve "
        f"blog.example:443:{world.servers.hosts[host].address} https://blog.example/readme.html",
    ).strip()  # fmt: skip


def _register(world: World, host: str) -> Path:
    """An inventory of one host alone, with a client register beside it."""
    folder = world.folder / f"register-{host}"
    (folder / "clients").mkdir(parents=True)
    known = yaml.safe_load(world.servers.inventory.read_text())
    known["all"] = {
        "vars": known["all"].get("vars") or {},
        "hosts": {host: known["all"]["hosts"][host]},
    }
    place = world.servers.hosts[host]
    known["all"]["vars"] |= {
        "firewall_zones": {"management": [place.gateway]},
        "firewall_guard_timeout": 300,
    }
    edge = world.servers.hosts["edge"].address
    site = {
        "id": "shop", "host": host, "domains": ["shop.example"], "web_server": WEB[host],
        "root": "/var/www/shop/public", "cms": {"name": "wordpress"},
        "cdn": {"third_party": "edgeway", "ranges": [edge]},
    }  # fmt: skip
    other = {
        "id": "blog", "host": host, "domains": ["blog.example"], "web_server": WEB[host],
        "root": "/var/www/blog/public", "cms": {"name": "wordpress"},
    }  # fmt: skip
    party = {"id": "edgeway", "name": "Edgeway", "role": "sub_processor", "services": ["CDN"],
             "country": "US"}  # fmt: skip
    for name, content in {
        "hosts.yml": known,
        "ringfence.yml": {"plugin": "ringfence.hosting.clients"},
        "clients/acme.yml": _client("acme", site),
        "clients/beta.yml": _client("beta", other),
        "third_parties.yml": {"third_parties": [party]},
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def _client(name: str, site: dict[str, Any]) -> dict[str, Any]:
    contact = {"name": "A", "email": f"a@{name}.example"}
    return {
        "id": name, "name": name.title(), "tier": "standard", "sites": [site],
        "controller": {"name": f"{name.title()} Ltd", "country": "GB", "contact": contact},
    }  # fmt: skip


def _ringfence(*arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command prints as JSON; it must end with `code`."""
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ringfence"), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
