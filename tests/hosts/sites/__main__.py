# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.hosts.sites up --name N --hosts web1=bookworm:nginx,web2=trixie:apache`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fleet import Fleet, FleetError
from tests.fleet.fleet import remove
from tests.hosts.sites.servers import SITES, Servers

_TESTS = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.sites", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start hosts that stay until `down`")
    form = "NAME=RELEASE:SERVER[:LAYER],…: nginx, apache or none; a folder of tests/hosts"
    up.add_argument("--hosts", required=True, help=form)
    down = commands.add_parser("down", help="remove exactly those hosts")
    for command in (up, down):
        command.add_argument("--name", required=True)
        command.add_argument("--dir", type=Path)
    options = parser.parse_args()
    folder = options.dir or Path(".cache/fleet") / options.name
    try:
        if options.command == "up":
            _up(options.name, options.hosts, folder)
        else:
            _down(folder)
    except FleetError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _up(name: str, text: str, folder: Path) -> None:
    hosts: dict[str, str] = {}
    web: dict[str, str] = {}
    layers: set[str] = set()
    for item in text.split(","):
        host, _equals, what = item.partition("=")
        hosts[host], _colon, rest = what.partition(":")
        web[host], _colon, layer = rest.partition(":")
        layers.add(layer)
    if len(layers) > 1:
        raise FleetError(f"hosts: found layers {sorted(layers)}, expected one for all")
    recipe = _TESTS / layers.pop() / "recipe" if any(layers) else None
    servers = Servers(name, hosts, web, directory=folder, layer=recipe).start(detach=True)
    for place in servers.hosts.values():
        print(f"{place.name:12} {place.release:10} {web[place.name]:8} {place.address}")
        for domain in SITES.values():
            print(f"    curl -k --resolve {domain}:443:{place.address} https://{domain}/")
    print(f"inventory: {servers.inventory}")


def _down(folder: Path) -> None:
    fleet = Fleet.attach(directory=folder)
    remove(fleet._uid, folder)
    print(f"removed fleet {fleet.name!r}")


if __name__ == "__main__":
    sys.exit(main())
