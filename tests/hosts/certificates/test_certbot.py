# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites that ask for it get a certificate from an authority, by certbot, and keep it renewed.

The authority is Caddy, on a host of its own, which asks the sites as Let's Encrypt does. It knows
each site's name by a line of its own /etc/hosts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hosts.playing import Done, evidence, play, sh, statuses
from tests.hosts.sites import Servers

pytestmark = pytest.mark.hosts

HOSTS = {"web1": "bookworm", "web2": "trixie", "authority": "bookworm"}
WEB = {"web1": "nginx", "web2": "apache", "authority": "none"}
SITES = {"web1": "shop", "web2": "blog"}
CONFIGURATION = {"web1": "/etc/nginx/sites-available", "web2": "/etc/apache2/sites-available"}
CONTROL = "certificates_issued"
DIRECTORY = "https://authority.example/acme/local/directory"
_CADDY = """
cat > /etc/caddy/Caddyfile <<'END'
{
    skip_install_trust
    auto_https disable_redirects
}
https://authority.example {
    tls internal
    acme_server
}
END
systemctl restart caddy
for _try in $(seq 60); do
    [ -s /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt ] && break; sleep 0.5
done
cat /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt
"""
_REGISTER = """
id: acme
name: Acme
tier: standard
controller: {name: Acme Ltd, country: GB, contact: {name: Pat, email: pat@acme.example}}
sites:
"""


@dataclass
class World:
    """The servers, the folder of their register, and what was seen on the way."""

    servers: Servers
    folder: Path
    at_first: dict[str, str] = field(default_factory=dict)
    judged: dict[str, dict[str, str]] = field(default_factory=dict)
    runs: dict[str, Done] = field(default_factory=dict)
    serials: dict[str, list[str]] = field(default_factory=dict)

    def declare(self, *sites: tuple[str, str], asks: bool = True) -> None:
        """The register: host and site, each of which asks for a certificate or not."""
        (self.folder / "clients").mkdir(exist_ok=True)
        (self.folder / "ringfence.yml").write_text("plugin: ringfence.hosting.clients\n")
        rows = [
            f"  - {{id: {site}, host: {host}, domains: [{site}.example], "
            f"root: /var/www/{site}/public, web_server: {WEB[host]}"
            f"{', certificate: certbot' if asks else ''}}}\n"
            for host, site in sites
        ]
        (self.folder / "clients" / "acme.yml").write_text(_REGISTER + "".join(rows))

    def run(self, name: str, playbook: str, *options: str, **variables: object) -> Done:
        """One run of a playbook; its evidence is left below the folder."""
        self.runs[name] = play(
            self.servers, playbook, "-i", str(self.folder / "ringfence.yml"),
            "--limit", "web1,web2", "-e", json.dumps(variables), *options,
            evidence_in=self.folder / name,
        )  # fmt: skip
        return self.runs[name]

    def issue(self, name: str, *options: str, agreed: bool = True) -> Done:
        return self.run(
            name,
            "certificates.yml",
            *options,
            site_certificate_server=DIRECTORY,
            site_certificate_terms_agreed=agreed,
        )

    def judge(self, name: str) -> None:
        self.run(name, "audit.yml", ringfence_families=["certificates"])
        document = evidence(self.folder / name)
        self.judged[name] = {host: statuses(document, host)[CONTROL] for host in SITES}

    def state(self, host: str) -> str:
        """Every file of the web servers' and of the sites, with its content."""
        return sh(
            self.servers,
            host,
            "cd / && find etc/nginx etc/apache2 var/www -type f -exec sha256sum {} + | sort",
        )

    def serial(self, host: str) -> str:
        """Of the certificate that a visitor is shown."""
        return sh(
            self.servers,
            host,
            f"openssl s_client -connect 127.0.0.1:443 -servername {SITES[host]}.example "
            "< /dev/null 2> /dev/null | openssl x509 -noout -serial",
        ).strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    layer = Path(__file__).parent / "recipe"
    with Servers(f"certbot-{os.getpid()}", HOSTS, WEB, layer=layer) as servers:
        found = World(servers, tmp_path_factory.mktemp("register"))
        _introduce(servers)
        _tell(found)
        yield found


def _introduce(servers: Servers) -> None:
    """The authority knows where the sites are, and the sites' hosts know and trust it."""
    root = sh(servers, "authority", _CADDY)
    assert "BEGIN CERTIFICATE" in root
    address = servers.hosts["authority"].address
    for host, site in SITES.items():
        line = f"{servers.hosts[host].address} {site}.example"
        sh(servers, "authority", f"echo '{line}' >> /etc/hosts")
        sh(
            servers,
            host,
            f"echo '{address} authority.example' >> /etc/hosts\n"
            f"cat > /usr/local/share/ca-certificates/authority.crt <<'END'\n{root}\nEND\n"
            "update-ca-certificates > /dev/null 2>&1",
        )
    # A name that leads to another server than the one that asks for its certificate.
    sh(servers, "authority", f"echo '{servers.hosts['web2'].address} plain.example' >> /etc/hosts")


def _tell(world: World) -> None:
    """Asked for, refused, announced, issued, named by the sites, issued again, renewed."""
    world.declare(*SITES.items())
    world.at_first = {host: world.state(host) for host in SITES}
    world.judge("before")
    world.issue("announced", "--check", "--diff")
    world.runs["state announced"] = Done(
        int(any(world.state(host) != world.at_first[host] for host in SITES)), ""
    )
    world.issue("not agreed", agreed=False)
    world.issue("issued")
    world.judge("issued, not named")
    for host, site in SITES.items():
        _name(world.servers, host, site)
    world.judge("named")
    world.issue("again")
    for host in SITES:
        before = world.serial(host)
        sh(world.servers, host, "certbot renew --quiet --force-renewal --no-random-sleep-on-renew")
        sh(world.servers, host, "sleep 1")
        world.serials[host] = [before, world.serial(host)]
    world.declare(*SITES.items(), ("web1", "plain"))
    world.issue("leads elsewhere")


def _name(servers: Servers, host: str, site: str) -> None:
    """What the warning says a person puts into the site's configuration."""
    live = f"/etc/letsencrypt/live/acme__{site}"
    sh(
        servers,
        host,
        f"sed -i -e 's,/etc/ssl/certs/{site}.example.pem,{live}/fullchain.pem,' "
        f"-e 's,/etc/ssl/private/{site}.example.key,{live}/privkey.pem,' "
        f"{CONFIGURATION[host]}/{site}.conf && "
        f"systemctl reload {'nginx' if WEB[host] == 'nginx' else 'apache2'} && sleep 1",
    )


def test_what_was_not_issued_fails(world: World) -> None:
    assert world.judged["before"] == dict.fromkeys(SITES, "fail")


def test_check_announces_and_changes_nothing(world: World) -> None:
    done = world.runs["announced"]
    assert done.returncode == 0, done.output
    assert "location ^~ /.well-known/acme-challenge/" in done.output
    assert world.runs["state announced"].returncode == 0


def test_nothing_is_asked_of_an_authority_whose_terms_are_not_agreed_to(world: World) -> None:
    done = world.runs["not agreed"]
    assert done.returncode != 0
    assert f"the terms of {DIRECTORY} are not agreed to" in done.output


def test_certificates_are_issued_and_it_is_said_what_to_do_with_them(world: World) -> None:
    done = world.runs["issued"]
    assert done.returncode == 0, done.output
    assert "expected /etc/letsencrypt/live/acme__shop/fullchain.pem" in _flat(done.output)
    assert world.judged["issued, not named"] == dict.fromkeys(SITES, "fail")


def test_a_site_that_shows_its_certificate_passes(world: World) -> None:
    assert world.judged["named"] == dict.fromkeys(SITES, "pass")


@pytest.mark.parametrize("host", SITES)
def test_a_visitor_who_knows_the_authority_alone_gets_the_site(world: World, host: str) -> None:
    domain = f"{SITES[host]}.example"
    answer = sh(
        world.servers,
        host,
        "curl -s -o /dev/null -w '%{http_code}' --cacert /usr/local/share/ca-certificates/"
        f"authority.crt --resolve {domain}:443:127.0.0.1 https://{domain}/",
    )
    assert answer == "200"


def test_a_second_run_changes_nothing(world: World) -> None:
    done = world.runs["again"]
    assert done.returncode == 0, done.output
    assert done.output.count("changed=0") == len(SITES)


def test_a_renewed_certificate_is_shown_at_once(world: World) -> None:
    for before, after in world.serials.values():
        assert before.startswith("serial=")
        assert after.startswith("serial=")
        assert before != after


def test_a_name_that_leads_elsewhere_is_told_and_hurts_no_other_site(world: World) -> None:
    done = world.runs["leads elsewhere"]
    assert done.returncode != 0
    assert "acme/plain: certbot: " in done.output
    assert "acme/shop: certbot" not in done.output
    live = sh(world.servers, "web1", "ls -d /etc/letsencrypt/live/*/").split()
    assert live == ["/etc/letsencrypt/live/acme__shop/"]


def test_no_key_is_shown_and_none_can_be_read(world: World) -> None:
    for done in world.runs.values():
        assert "PRIVATE KEY" not in done.output
    for host, site in SITES.items():
        shown = sh(
            world.servers, host, f"stat -Lc '%a %U' /etc/letsencrypt/live/acme__{site}/privkey.pem"
        )
        assert shown.strip() == "600 root"


def test_nothing_was_written_into_a_site(world: World) -> None:
    for host in SITES:
        assert sh(world.servers, host, "find /var/www -name .well-known") == ""


def test_a_site_that_asks_no_more_is_as_it_was(world: World) -> None:
    world.declare(*SITES.items(), asks=False)
    done = world.issue("taken back")
    assert done.returncode == 0, done.output
    for host, site in SITES.items():
        live = f"/etc/letsencrypt/live/acme__{site}"
        sh(
            world.servers,
            host,
            f"sed -i -e 's,{live}/fullchain.pem,/etc/ssl/certs/{site}.example.pem,' "
            f"-e 's,{live}/privkey.pem,/etc/ssl/private/{site}.example.key,' "
            f"{CONFIGURATION[host]}/{site}.conf",
        )
        assert world.state(host) == world.at_first[host]


def _flat(text: str) -> str:
    """Without the line breaks that Ansible puts into a warning."""
    return " ".join(text.split())
