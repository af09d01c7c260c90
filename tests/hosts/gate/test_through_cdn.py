# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate, bans and the real address together, with a CDN before the shop and none before the gate.

Each host is the other's CDN: nginx on a port of its own, whose address is all that the register
names. Attackers are addresses of the host that is the CDN.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.gate import visitor as visitors
from tests.hosts.gate.conftest import HOSTS, PASSWORD, WEB, Gates, shell, sites
from tests.hosts.gate.visitor import Visitor
from tests.hosts.playing import Done, play

pytestmark = pytest.mark.hosts

SHOP, PORT = "shop.example", 8443
ADMIN = f"https://{SHOP}/wp-admin/"
PLAYBOOK = str(Path(__file__).parent / "behind_cdn.yml")
GUESSES, SCANS = 4, 3
# A busy machine may be slow; what was measured is in docs/bans.md.
SOON = 60.0
_EDGE = """
cat > /etc/nginx/conf.d/edge.conf <<'X'
server {{
    listen {port} ssl default_server;
    ssl_certificate /etc/ssl/certs/shop.example.pem;
    ssl_certificate_key /etc/ssl/private/shop.example.key;
    location / {{
        proxy_pass https://{origin};
        proxy_ssl_server_name on;
        proxy_ssl_name $host;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
}}
X
{alone}
nginx -t -q && systemctl reload-or-restart nginx
for number in {numbers}; do ip address add {network}.$number/24 dev eth0; done
"""
# Run on the CDN's host, in the name of one of its addresses.
_GUESS = """
person = Visitor({origin!r}, {{"shop.example": ({edge!r}, 8443)}}, {source!r})
said = [person.sign_in("https://shop.example/wp-admin/", "ada", "wrong").status for n in range({n})]
print(said)
"""
_OPEN = """
page = Visitor({origin!r}, {{}}, {source!r}).get({link!r})
print(page.status, "Begin" in page.text)
"""
each_host = pytest.mark.parametrize("host", HOSTS)


class Cdn:
    """What is asked of both hosts, and who comes from where."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.network = gates.servers.hosts["web1"].address.rpartition(".")[0]

    def other(self, host: str) -> str:
        return next(name for name in HOSTS if name != host)

    def source(self, host: str, number: int) -> str:
        """An address of the host's CDN that is in nobody's inventory."""
        return f"{self.network}.{(100 if host == 'web1' else 110) + number}"

    def address(self, host: str) -> str:
        return self.gates.servers.hosts[host].address

    def set_up(self, host: str) -> None:
        """Have the other host be the CDN of this one."""
        first = 100 if host == "web1" else 110
        alone = "rm -f /etc/nginx/sites-enabled/*" if host == "web1" else ""
        script = _EDGE.format(
            port=PORT, origin=self.address(host), alone=alone, network=self.network,
            numbers=" ".join(str(first + number) for number in range(5)),
        )  # fmt: skip
        shell(self.gates, self.other(host), script)

    def apply(self) -> Done:
        gateway = self.gates.servers.hosts["web1"].gateway
        variables = {
            "site_gate_portal": "gate.example",
            "hosted_site_management": [gateway],
            "automatic_bans_management": [gateway],
            "acme_sites": {host: self._sites(host, gateway) for host in HOSTS},
            "ringfence_sites": "{{ acme_sites[inventory_hostname] }}",
        }
        path = self.gates.folder / "cdn.json"
        path.write_text(json.dumps(variables))
        return play(
            self.gates.servers, PLAYBOOK, "-e", f"@{path}", evidence_in=self.gates.folder / "cdn"
        )

    def _sites(self, host: str, gateway: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = sites(WEB[host], users=("ada", "dana"))
        shop = found[0]
        shop["cdn"] = {"third_party": "edge", "ranges": [self.address(self.other(host))]}
        shop["security"]["addresses"] = {"deny": [{"network": self.source(host, 4)}]}
        shop["security"]["second_factor"]["enrol_from"] = [{"network": gateway, "reason": "office"}]
        shop["security"]["automatic_bans"] = {
            "enabled": True,
            "sign_in": {"attempts": GUESSES, "within": "15m", "ban": "1h"},
            "exploits": {"attempts": SCANS, "within": "15m", "ban": "1h"},
            "share": False,
        }
        return found

    def person(self, host: str) -> Visitor:
        """Who comes from the office, through the CDN to the shop and directly to the gate."""
        return Visitor(self.address(host), {SHOP: (self.address(self.other(host)), PORT)})

    def attacker(self, host: str, script: str, number: int, **more: Any) -> str:
        """What a script prints for a visitor from another address."""
        text = Path(visitors.__file__).read_text()
        text = re.sub(r"from ansible_collections.* import _totp", "", text)
        script = script.format(
            origin=self.address(host), edge=self.address(self.other(host)),
            source=self.source(host, number), **more,
        )  # fmt: skip
        servers = self.gates.servers
        return servers.exec(self.other(host), "python3", "-c", text + script).strip()

    def through(self, host: str, number: int, path: str = "/readme.html", forged: str = "") -> str:
        """The status of a request through the CDN."""
        header = f"-H 'X-Forwarded-For: {forged}'" if forged else ""
        return shell(
            self.gates, self.other(host),
            f"curl -ks -o /dev/null -w '%{{http_code}}' --interface {self.source(host, number)} "
            f"{header} --connect-to {SHOP}:443:{self.address(self.other(host))}:{PORT} "
            f"https://{SHOP}{path}",
        ).strip()  # fmt: skip

    def banned(self, host: str) -> dict[str, str]:
        """Address -> reason, as nft lists them."""
        listed = json.loads(shell(self.gates, host, "nft -j list set inet ringfence_bans ban4"))
        rows = listed["nftables"][-1]["set"].get("elem", [])
        return {row["elem"]["val"]: row["elem"]["comment"] for row in rows}


def _wait(seen: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SOON
    while not seen():
        assert time.monotonic() < end, f"not within {SOON} s: {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def cdn(gates: Gates) -> Cdn:
    made = Cdn(gates)
    for host in HOSTS:
        made.set_up(host)
    done = made.apply()
    assert done.returncode == 0, done.output
    return made


@each_host
def test_a_session_of_the_gate_holds_through_the_cdn(cdn: Cdn, host: str) -> None:
    link, _screen = cdn.gates.link(host, "dana")
    assert cdn.attacker(host, _OPEN, 3, link=link) == "404 False", "not from the office"
    enrolled = cdn.person(host).enrol(link, PASSWORD)
    assert enrolled.recovery, enrolled.page.text
    stranger = cdn.person(host).get(ADMIN)
    assert stranger.host == "gate.example"
    person = cdn.person(host)
    done = person.give_code(person.sign_in(ADMIN, "dana", PASSWORD), enrolled.token.next())
    assert (done.host, done.status) == (SHOP, 200)
    assert "Log In" in done.text
    assert person.get(f"https://{SHOP}/wp-login.php").host == SHOP
    assert cdn.through(host, 4) == "403", "who is denied at the site"
    person.get("https://gate.example/?logout=1")
    assert person.get(ADMIN).host == "gate.example"


@each_host
def test_who_guesses_at_the_gate_is_banned_and_nobody_else_behind_the_cdn(
    cdn: Cdn, host: str
) -> None:
    assert (cdn.through(host, 0), cdn.through(host, 1)) == ("200", "200")
    assert cdn.attacker(host, _GUESS, 0, n=GUESSES) == str([200] * GUESSES)
    bad, edge = cdn.source(host, 0), cdn.address(cdn.other(host))
    _wait(lambda: bad in cdn.banned(host), "the ban")
    _wait(lambda: cdn.through(host, 0) == "403", "403 for the attacker")
    assert cdn.through(host, 1) == "200"
    assert edge not in cdn.banned(host)
    log = shell(cdn.gates, host, "journalctl -t ringfence-gate -o cat --no-pager --since -15min")
    assert f"refused reason=password user=ada address={bad}" in log
    assert f"address={edge}" not in log.split()


@each_host
def test_the_address_that_is_banned_is_the_one_that_the_cdn_saw(cdn: Cdn, host: str) -> None:
    innocent = cdn.source(host, 1)
    for _number in range(SCANS):
        cdn.through(host, 2, "/.env", forged=innocent)
    _wait(lambda: cdn.source(host, 2) in cdn.banned(host), "the ban")
    _wait(lambda: cdn.through(host, 2) == "403", "403 for the attacker")
    assert cdn.through(host, 2, forged=innocent) == "403"
    assert cdn.through(host, 1) == "200"
    assert not {innocent, cdn.address(cdn.other(host))} & set(cdn.banned(host))


def test_all_of_it_together_changes_nothing_the_second_time(cdn: Cdn) -> None:
    again = cdn.apply()
    assert again.returncode == 0, again.output
    assert len(re.findall(r"changed=0 ", again.output)) == len(HOSTS), again.output
