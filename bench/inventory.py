# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a large client register takes to load, through Ansible itself.

Usage: python -m bench.inventory [--clients N] [--sites N] [--hosts N] [--rounds N] [--out FOLDER]

Each round loads the same hosts with and without the register, so that the difference is its cost.
A load is a whole `InventoryManager` in a fresh process; medians are reported. It is one process
that waits for nothing, so its CPU seconds are what an idle machine takes; they are judged, and the
wall seconds of a busy machine stand beside them. Returns 1 where the register takes more than 5 s.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 5.0

_LOAD = """
import json, resource, sys, time
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
began, cpu = time.perf_counter(), time.process_time()
found = InventoryManager(DataLoader(), sources=sys.argv[2:])
print(json.dumps({"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu,
    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "hosts": len(found.hosts), "groups": len(found.groups),
    "sites": sum(len(h.vars.get("ringfence_sites", [])) for h in found.hosts.values()),
    "variables": sum(len(h.vars) for h in found.hosts.values())}))
"""
_CLIENT = """\
id: client{n}
name: Client {n} Ltd
tier: {tier}
since: 2021-04-01
controller:
  name: Client {n} Limited
  address: {n} High Street, Whitcombe
  country: GB
  contact: {{name: Pat Moss, email: pat@client{n}.example, phone: +44 1632 960000}}
processing:
  subject_matter: Hosting of websites
  nature: [hosting, backup]
  purpose: Publishing the site and taking orders
  duration: For as long as the contract lasts
  data_subjects: [customers, staff]
  data_types: [names, e-mail addresses, postal addresses]
  sub_processors: [fastcdn]
controls: {{ssh_max_auth_tries: 3}}
change_window:
  timezone: Europe/London
  windows:
    - {{days: [tue, thu], from: "22:00", to: "04:00"}}
waivers:
  - control: ssh_max_sessions
    reason: A reason that is long enough
    owner: ada
    expires: 2099-12-31
sites:
"""
_SITE = """\
  - id: site{s}
    host: web{host}
    domains: [www{s}.client{n}.example, s{s}.client{n}.example]
    root: /srv/www/client{n}/site{s}
    user: client{n}
    web_server: {server}
    cms: {{name: {cms}, version: "6.1"}}
    database: {{name: c{n}_{s}, user: c{n}_{s}}}
    cdn: {{third_party: fastcdn}}
    security:
      second_factor: {{admin: gate}}
      addresses:
        deny:
          - {{network: 198.51.100.{s}, reason: scraper, expires: 2099-01-31}}
"""


def write_register(root: Path, clients: int, sites: int, hosts: int) -> None:
    """A made-up inventory: `sites` in all, spread over `clients` and `hosts`."""
    (root / "clients").mkdir(parents=True)
    each = sites // clients
    for n in range(clients):
        text = _CLIENT.format(n=n, tier=("standard", "enhanced", "strict")[n % 3])
        for s in range(each):
            host = (n * 7 + s * 13) % hosts
            kind = {"server": ("nginx", "apache")[s % 2], "cms": ("wordpress", "joomla")[s % 2]}
            text += _SITE.format(n=n, s=s, host=host, **kind)
        (root / "clients" / f"client{n}.yml").write_text(text, encoding="utf-8")
    names = "".join(f"    web{n}: {{ansible_host: 127.0.0.1}}\n" for n in range(hosts))
    for name, text in (
        ("hosts.yml", f"all:\n  hosts:\n{names}"),
        ("ringfence.yml", "plugin: ringfence.hosting.clients\n"),
        ("people.yml", "people:\n  - {id: ada, name: Ada Quill}\n"),
        (
            "third_parties.yml",
            "third_parties:\n  - {id: fastcdn, name: Fast CDN, role: sub_processor, "
            "services: [cdn], country: CZ, ranges: [198.18.0.0/20]}\n",
        ),
    ):
        (root / name).write_text(text, encoding="utf-8")
    (root / "group_vars").mkdir()
    (root / "group_vars" / "all.yml").write_text("accounts_inactive_days: 40\n", encoding="utf-8")


def load(sources: list[Path], **environment: str) -> dict[str, float]:
    """One load in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(ROOT / "collections"), *map(str, sources)],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **environment},
        text=True,
        capture_output=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Measure, print, write. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.inventory", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--sites", type=int, default=5000)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "inventory"
        write_register(root, given.clients, given.sites, given.hosts)
        report = _measure(root, given.rounds, Path(folder) / "cache", Path(folder) / "shadow")
    report["scale"] = {key: getattr(given, key) for key in ("clients", "sites", "hosts")}
    report["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps(report, indent=2))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "inventory.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return int(report["cases"]["register"]["cpu_s"] > LIMIT_S)


def _measure(root: Path, rounds: int, cache: Path, shadow: Path) -> dict[str, dict[str, object]]:
    (shadow / "jsonschema_rs").mkdir(parents=True)
    (shadow / "jsonschema_rs" / "__init__.py").write_text("raise ImportError\n", encoding="utf-8")
    cached = {
        "ANSIBLE_INVENTORY_CACHE": "true",
        "ANSIBLE_INVENTORY_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_INVENTORY_CACHE_CONNECTION": str(cache),
    }
    folder = [root]
    cases: dict[str, tuple[list[Path], dict[str, str]]] = {
        "hosts alone": ([root / "hosts.yml"], {}),
        "register": (folder, {}),
        "register, cached": (folder, cached),
        "register, without jsonschema-rs": (folder, {"PYTHONPATH": str(shadow)}),
    }
    load(folder, **cached)  # fills the cache, and the catalogue's
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (sources, environment) in cases.items():
            seen[name].append(load(sources, **environment))
    return {
        "cases": {
            name: {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}
            for name, runs in seen.items()
        }
    }


if __name__ == "__main__":
    sys.exit(main())
