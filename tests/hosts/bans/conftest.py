# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosting servers with bans, a CDN's edge before them, and one who attacks them."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.evidence import Store
from tests.hosts.bans import probes
from tests.hosts.playing import Done, Play, evidence, sh, statuses
from tests.hosts.sites import Servers

SERVERS = {"web1": ("bookworm", "nginx"), "web2": ("trixie", "apache")}
EDGE, ATTACKER = "edge", "attacker"
EDGE_PORTS = {"web1": 443, "web2": 8443}
LAYER = Path(__file__).parent / "recipe"
# A busy machine may be slow; what was measured is in docs/bans.md.
SOON, LATER = 30.0, 60.0
# Some audits, each of which takes half a minute then.
AUDITED = 300.0

POLICIES: dict[str, dict[str, Any]] = {
    "shop": {
        "sign_in": {"attempts": 4, "within": "15m", "ban": "1h"},
        "exploits": {"attempts": 3, "within": "10m", "ban": "2h"},
        "users": {"attempts": 8, "within": "1h", "ban": "1h"},
        "xmlrpc": "closed",
        "share": True,
    },
    "blog": {
        "sign_in": {"attempts": 2, "within": "10m", "ban": "15s"},
        "repeat": {"factor": 40, "at_most": "1h"},
        "xmlrpc": "open",
        "share": False,
    },
    "plain": {
        "sign_in": {"attempts": 3, "within": "10m", "ban": "1h"},
        "users": {"attempts": 3, "within": "1h", "ban": "1h"},
        "share": True,
    },
}


@dataclass
class World:
    """The fleet, with what tests ask of it."""

    servers: Servers
    folder: Path
    network: str = ""
    said: list[str] = field(default_factory=list)
    # The host that keeps the central list, if there is to be one.
    central: str = ""

    def address(self, host: str) -> str:
        return self.servers.hosts[host].address

    def source(self, number: int) -> str:
        """An address of the attacker's that is in nobody's inventory."""
        return f"{self.network}.{number}"

    def sites(self, web: str, **changed: Any) -> list[dict[str, Any]]:
        found = []
        for name, asked in POLICIES.items():
            bans = {"enabled": True, **asked, **changed}
            bans["never"] = [{"network": self.source(200), "reason": "monitor"}]
            site = {
                "client": "acme", "id": name, "domains": [f"{name}.example"],
                "root": f"/var/www/{name}/public", "user": f"site_{name}", "web_server": web,
                "cms": {"name": "joomla" if name == "plain" else "wordpress"},
                "security": {"automatic_bans": bans},
            }  # fmt: skip
            if name == "shop":
                site["cdn"] = {"third_party": "edge", "ranges": [self.address(EDGE)]}
            if name == "plain":
                site["database"] = {"name": "joomla", "prefix": "j_"}
            found.append(site)
        return found

    def apply(self, *options: str, **changed: Any) -> Done:
        """Run the playbook on both hosts; `changed`: keys of every site's automatic_bans."""
        inventory = self.folder / "hosts.yml"
        known = yaml.safe_load(self.servers.inventory.read_text())
        hosts = {name: dict(known["all"]["hosts"][name]) for name in SERVERS}
        for name, (_release, web) in SERVERS.items():
            found = self.servers.hosts[name]
            hosts[name]["ringfence_sites"] = self.sites(web, **changed)
            hosts[name]["automatic_bans_addresses"] = [found.address, found.address6]
            hosts[name]["automatic_bans_management"] = [found.gateway]
            hosts[name]["automatic_bans_crowdsec_server"] = self.central
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        play = Play(self.servers, "bans.yml", *options, evidence_in=self.folder / "evidence")
        play.command[play.command.index("-i") + 1] = str(inventory)
        done = play.run()
        assert done.returncode == 0, done.output
        return done

    def audit(self) -> dict[str, dict[str, str]]:
        """Host -> control -> status, of the family bans; `said` is why one does not pass."""
        folder = self.folder / f"audit-{time.monotonic_ns()}"
        options = ("-e", '{"ringfence_families": ["bans"]}')
        play = Play(self.servers, "audit.yml", *options, evidence_in=folder)
        play.command[play.command.index("-i") + 1] = str(self.folder / "hosts.yml")
        done = play.run()
        document = evidence(folder)
        assert document["hosts"], done.output
        self.said = [
            " ".join(str(word) for word in (row["name"], *one.values()))
            for row in document["hosts"]
            for one in row["results"]
            if one["status"] != "pass"
        ]
        return {host: statuses(document, host) for host in SERVERS}

    def listed(self) -> tuple[dict[str, list[dict[str, Any]]], bool]:
        """Host -> the bans of a day as evidence keeps them; and whether its chain holds."""
        folder = self.folder / "listed"
        play = Play(self.servers, "bans_list.yml", "-e", "ringfence_days=1", evidence_in=folder)
        play.command[play.command.index("-i") + 1] = str(self.folder / "hosts.yml")
        done = play.run()
        assert done.returncode == 0, done.output
        store = Store(Store.url_in(folder))
        found = store.collection(kind="bans")
        assert found is not None, done.output
        rows = {row["name"]: row["documents"][0]["rows"] for row in found["targets"]}
        return rows, store.verify().ok

    def apply_unban(self, subject: str, site: str = "") -> None:
        """Lift bans on both hosts, as `ringfence unban` does."""
        extra = {"ringfence_subject": subject, "ringfence_site": site, "ringfence_why": "test"}
        play = Play(
            self.servers, "unban.yml", "-e", json.dumps(extra), evidence_in=self.folder / "evidence"
        )
        play.command[play.command.index("-i") + 1] = str(self.folder / "hosts.yml")
        done = play.run()
        assert done.returncode == 0, done.output

    def sh(self, host: str, script: str) -> str:
        return sh(self.servers, host, script)

    def attack(self, probe: str, *arguments: object) -> Any:
        """What a probe on the attacker prints, as JSON."""
        command = ["python3", "-c", probe, *map(str, arguments)]
        return json.loads(self.servers.exec(ATTACKER, *command))

    def sign_in(
        self, host: str, source: str, domain: str, count: int, user: str = "nobody"
    ) -> list[int]:
        """The answers to so many bad sign-ins to a WordPress."""
        found: list[int] = self.attack(
            probes.SIGN_IN, self.address(host), 443, source, domain, user, count
        )
        return found

    def get(self, host: str, source: str, domain: str, path: str = "/", port: int = 443) -> int:
        """The status of one request; 0 where there is no answer."""
        found: int = self.attack(probes.GET, self.address(host), port, source, domain, path)
        return found

    def reaches(self, host: str, source: str) -> bool:
        return self.get(host, source, "plain.example", "/about.html") == 200

    def banned(self, host: str, kind: str = "ban") -> dict[str, tuple[int, str]]:
        """Address -> seconds given and reason, as nft lists a set."""
        listed = self.sh(host, f"nft -j list set inet ringfence_bans {kind}4")
        rows = json.loads(listed)["nftables"][-1]["set"].get("elem", [])
        return {r["elem"]["val"]: (r["elem"]["timeout"], r["elem"]["comment"]) for r in rows}

    def failures(self, host: str, source: str) -> int:
        """How many bad lines fail2ban took from an address."""
        log = self.sh(host, "cat /var/log/fail2ban.log")
        return len(re.findall(rf"Found {re.escape(source)} ", log))

    def record(self, host: str) -> list[dict[str, Any]]:
        """What ban_info says, without ban_info."""
        rows = self.sh(
            host,
            "python3 -c \"import sqlite3, json; c = sqlite3.connect('/var/lib/ringfence/bans/"
            "bans.sqlite'); c.row_factory = sqlite3.Row; "
            "print(json.dumps([dict(r) for r in c.execute('select * from bans')]))\"",
        )
        found: list[dict[str, Any]] = json.loads(rows)
        return found


def wait(seen: Callable[[], object], seconds: float, what: str | Callable[[], object]) -> float:
    """Wait until `seen()`; how long it took. `what` did not come, or is asked of it at the end."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if seen():
            return time.monotonic() - began
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what if isinstance(what, str) else what()}")


@pytest.fixture(scope="module")  # who was banned in one module is not for the next to find
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    hosts = {name: release for name, (release, _web) in SERVERS.items()}
    web = {name: server for name, (_release, server) in SERVERS.items()}
    hosts |= {EDGE: "bookworm", ATTACKER: "bookworm"}
    web |= {EDGE: "none", ATTACKER: "none"}
    with Servers(f"bans-{os.getpid()}", hosts, web, layer=LAYER) as started:
        made = World(started, tmp_path_factory.mktemp("bans"))
        made.network = made.address(ATTACKER).rpartition(".")[0]
        _prepare(made)
        yield made


def _prepare(world: World) -> None:
    numbers = " ".join(str(number) for number in range(100, 126))
    world.sh(
        ATTACKER,
        f"for n in {numbers} 200; do ip addr add {world.network}.$n/24 dev eth0; done",
    )
    blocks = "".join(
        probes.EDGE.format(port=port, address=world.address(name))
        for name, port in EDGE_PORTS.items()
    )
    world.sh(
        EDGE,
        "rm -f /etc/nginx/sites-enabled/*; "
        f"cat > /etc/nginx/conf.d/edge.conf <<'END'\n{blocks}END\n"
        "nginx -t -q && systemctl start nginx",
    )
    edge = world.address(EDGE)
    # The visitor's address is the business of another role; here the web server just knows it.
    world.sh(
        "web1",
        f"printf 'set_real_ip_from {edge};\\nreal_ip_header X-Forwarded-For;\\n"
        "real_ip_recursive on;\\n' > /etc/nginx/conf.d/edge.conf; systemctl reload nginx",
    )
    world.sh(
        "web2",
        f"printf 'RemoteIPHeader X-Forwarded-For\\nRemoteIPInternalProxy {edge}\\n' "
        "> /etc/apache2/conf-available/edge.conf; a2enmod -q remoteip > /dev/null; "
        "a2enconf -q edge; systemctl restart apache2",
    )
    for name in SERVERS:
        world.sh(name, probes.JOOMLA)
