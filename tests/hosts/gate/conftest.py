# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosting servers, nginx on Debian 12 and Apache on Debian 13, with a gate before two sites."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.hosts.gate.visitor import Enrolled, Visitor
from tests.hosts.playing import ROOT, Done, evidence, play, sh, statuses
from tests.hosts.second_factor.people import PLAYBOOK, Screen, clean_environment
from tests.hosts.sites import Servers, visits

WEB = {"web1": "nginx", "web2": "apache"}
HOSTS = {"web1": "bookworm", "web2": "trixie"}
PASSWORD = "a horse of correct battery"
# What the public sees of the sites, without a session.
PUBLIC = ("https://shop.example/", "https://shop.example/opening-hours/", "https://plain.example/")


def sites(
    web_server: str, *, gate: bool = True, users: tuple[str, ...] = ("ada", "dana", "eve")
) -> Any:
    """`ringfence_sites` of a host: dana may pass the shop, ada the blog too."""
    mode = "gate" if gate else "none"
    factors: dict[str, dict[str, Any]] = {
        "shop": {
            "admin": mode,
            "gate_users": list(users),
            "session": "8h",
            "lockout": {"attempts": 5, "within": "15m", "ban": "30m"},
        },
        "blog": {"admin": mode, "gate_users": ["ada"]},
        "plain": {"admin": "none"},
    }
    return [
        {
            "client": "acme",
            "id": name,
            "domains": [f"{name}.example"],
            "root": f"/var/www/{name}/public",
            "user": f"site_{name}",
            "web_server": web_server,
            "cms": {"name": "php" if name == "plain" else "wordpress"},
            "security": {"second_factor": factor},
        }
        for name, factor in factors.items()
    ]


class Gates:
    """The servers, and what an operator does with them."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers, self.folder = servers, folder
        self.people: dict[tuple[str, str], Enrolled] = {}
        self.public: dict[str, list[str]] = {}

    def apply(
        self,
        *options: str,
        name: str = "gate.yml",
        evidence_in: Path | None = None,
        **settings: Any,
    ) -> Done:
        """Run a playbook; `settings` go to `sites`."""
        variables = {
            "site_gate_portal": "gate.example",
            "acme_sites": {host: sites(web, **settings) for host, web in WEB.items()},
            "ringfence_sites": "{{ acme_sites[inventory_hostname] }}",
        }
        path = self.folder / "variables.json"
        path.write_text(json.dumps(variables))
        folder = evidence_in or self.folder / "evidence"
        return play(self.servers, name, "-e", f"@{path}", *options, evidence_in=folder)

    def audit(self, host: str) -> tuple[dict[str, str], str]:
        """Control -> status of the shop, by the audit of a host; and all that was said."""
        folder = self.folder / f"audit-{time.monotonic_ns()}"
        done = self.apply(
            "--limit", host, name="site_second_factor_audit.yml", evidence_in=folder
        )  # fmt: skip
        assert done.returncode == 0, done.output
        return statuses(evidence(folder), "site:acme/shop"), done.output

    def link(self, host: str, user: str) -> tuple[str, Screen]:
        """The link that the operator's terminal shows, and all that it showed."""
        command = ["-i", str(self.servers.inventory), "playbooks/gate_enrol.yml", "--limit", host]
        screen = Screen()
        child = pexpect.spawn(
            PLAYBOOK,
            [*command, "-e", f"gate_user={user}", "-vvv"],
            cwd=str(ROOT),
            encoding="utf-8",
            timeout=120,
            dimensions=(60, 120),
            env=clean_environment(),
        )
        child.logfile_read = screen
        child.expect(r"(https://gate\.example/enrol/[A-Za-z0-9_-]+)")
        found = str(child.match[1])
        child.expect("Press Enter")
        child.sendline("")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0, screen.text
        return found, screen

    def enrol(self, host: str) -> None:
        """Have dana and ada enrol on a host."""
        for user in ("dana", "ada"):
            link, _screen = self.link(host, user)
            self.people[host, user] = self.visitor(host).enrol(link, PASSWORD)
            assert self.people[host, user].recovery, self.people[host, user].page.text

    def link_refused(self, host: str, user: str) -> tuple[str, str]:
        """What a run shows and says that asks for a link for somebody who has an account."""
        done = self.apply("--limit", host, "-e", f"gate_user={user}", name="gate_enrol.yml")
        assert "is enrolled already" in done.output, done.output
        return "".join(re.findall(r"https://gate\.example/enrol/\S+", done.output)), done.output

    def visitor(self, host: str) -> Visitor:
        """A browser that has never been there."""
        return Visitor(self.servers.hosts[host].address)

    def crawl(self, host: str) -> list[str]:
        """What the public pages are, less what WordPress makes anew for each answer."""
        visitor = self.visitor(host)
        return [visitor.get(address).text for address in PUBLIC]


@pytest.fixture(scope="session")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gates]:
    """The gate is applied, and nobody is enrolled."""
    layer = Path(__file__).parent / "recipe"
    with Servers(f"gate-{os.getpid()}", HOSTS, WEB, layer=layer) as servers:
        made = Gates(servers, tmp_path_factory.mktemp("gate"))
        made.public = {host: made.crawl(host) for host in HOSTS}
        for host in HOSTS:
            visits.begin(servers, host)
        done = made.apply()
        assert done.returncode == 0, done.output
        yield made


def shell(gates: Gates, host: str, script: str) -> str:
    """What a script printed as root on a host."""
    return sh(gates.servers, host, script)
