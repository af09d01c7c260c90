# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that let ssh and Ansible reach a fleet; text in, text out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fleet.command import FleetError

ADMIN = "ops"
KEY, KNOWN_HOSTS, SSH_CONFIG, INVENTORY, SOCKETS = (
    "id_ed25519",
    "known_hosts",
    "ssh_config",
    "hosts.yml",
    "cp",
)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
FILES = (KEY, f"{KEY}.pub", KNOWN_HOSTS, SSH_CONFIG, INVENTORY)
_HEADER = "# SPDX-License-Identifier: GPL-3.0-or-later\n# Made by tests.fleet; removed by `down`.\n"


@dataclass(frozen=True)
class Host:
    """One running test host and how it is reached.

    `container` is its id for podman, or the folder of a virtual machine's disk.
    `port` is on 127.0.0.1 of this machine; `address` and `address6` are reached by the
    other hosts of the fleet; `gateway` is where this machine's connections come from.
    """

    name: str
    release: str
    container: str
    port: int
    address: str = ""
    address6: str = ""
    gateway: str = ""
    mac: str = ""


def check_name(what: str, name: str) -> None:
    """Raise FleetError unless `name` can be a host's name."""
    if not _NAME.fullmatch(name):
        raise FleetError(f"{what} {name!r}: a name has a-z, 0-9 and -, and begins with a letter")


def render_inventory(hosts: Iterable[Host], folder: Path) -> str:
    """An Ansible inventory in YAML: all hosts, and a group for each release."""
    hosts = list(hosts)
    releases = sorted({host.release for host in hosts})
    tree = {
        "all": {
            "vars": {"ringfence_profile": "all"},  # test hosts show every control
            "hosts": {host.name: _host_variables(host) | _connection(folder) for host in hosts},
            "children": {
                f"release_{release}": {
                    "hosts": {host.name: {} for host in hosts if host.release == release}
                }
                for release in releases
            },
        }
    }
    return f"{_HEADER}---\n{_yaml(tree)}"


def _connection(folder: Path) -> dict[str, Any]:
    """Set for each host, so that it outweighs what another inventory says for all hosts."""
    return {
        "ansible_user": ADMIN,
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(folder / KEY),
        "ansible_ssh_common_args": " ".join(f"-o {option}" for option in _client_options(folder)),
        "ansible_control_path_dir": str(folder / SOCKETS),
    }


def render_ssh_config(hosts: Iterable[Host], folder: Path) -> str:
    """A configuration for `ssh -F`, with every host under its own name."""
    blocks = []
    for host in hosts:
        options = {
            "HostName": "127.0.0.1",
            "Port": host.port,
            "User": ADMIN,
            "IdentityFile": f'"{folder / KEY}"',
        }
        lines = [f"{key} {value}" for key, value in options.items()]
        lines += [option.replace("=", " ", 1) for option in _client_options(folder)]
        blocks.append("\n    ".join([f"Host {host.name}", *lines]))
    return _HEADER + "\n".join(blocks) + "\n"


def render_known_hosts(host_keys: Mapping[int, Iterable[str]]) -> str:
    """Lines of known_hosts, from each port's public keys (`TYPE BASE64 COMMENT`)."""
    return "".join(
        f"[127.0.0.1]:{port} {' '.join(key.split()[:2])}\n"
        for port, keys in host_keys.items()
        for key in keys
    )


def _client_options(folder: Path) -> list[str]:
    return [
        f'UserKnownHostsFile="{folder / KNOWN_HOSTS}"',
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
    ]


def _host_variables(host: Host) -> dict[str, Any]:
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": host.port,
        "fleet_release": host.release,
        "fleet_address": host.address,
        "fleet_address6": host.address6,
        "fleet_gateway": host.gateway,
    }
    return {key: value for key, value in variables.items() if value != ""}


def _yaml(tree: Mapping[str, Any], depth: int = 0) -> str:
    # JSON scalars are YAML scalars; the fleet must run before PyYAML is installed.
    lines = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{'  ' * depth}{key}:\n{_yaml(value, depth + 1)}")
        else:
            lines.append(f"{'  ' * depth}{key}: {json.dumps(value)}\n")
    return "".join(lines)
