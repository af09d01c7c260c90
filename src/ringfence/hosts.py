# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts and groups an inventory and a limit come to, as Ansible itself sees it.

`python -m ringfence.hosts` is `ansible-inventory` with a leaner answer: names only, no variables,
which for a large fleet is the difference between seconds and a moment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ringfence import collection
from ringfence.errors import BadInputError, BadRegisterError

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CLIENT_GROUP = "client_"
# what Ansible says without a vault password, or with a wrong one
_NEEDS_PASSWORD = ("no vault secrets found", "Decryption failed")
# where Ansible met something: `Origin: FILE:LINE:COLUMN`
_LINE_OF_ORIGIN = re.compile(r"Origin: .+?(:\d+):\d+$")
_TIMEOUT_S = 300
# how the inventory plugin ringfence.hosting.clients begins what it says
_REFUSED_REGISTER = "the client register cannot be used"


@dataclass(frozen=True)
class Selection:
    """`hosts`: the chosen ones in the inventory's order. `groups`: all groups, all their hosts.

    `handmade`: host -> variable of a control -> what people set, by `group` and `host`; only where
    the client register is in use. `registered`: whether it is.
    """

    hosts: list[str]
    groups: dict[str, list[str]]
    sources: list[str] = field(default_factory=list)
    handmade: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    registered: bool = False

    @cached_property
    def clients(self) -> dict[str, list[str]]:
        """Client id -> its hosts."""
        return {
            name.removeprefix(_CLIENT_GROUP): hosts
            for name, hosts in self.groups.items()
            if name.startswith(_CLIENT_GROUP)
        }

    @cached_property
    def clients_by_host(self) -> dict[str, list[str]]:
        """Host -> the ids of its clients, sorted."""
        found: dict[str, list[str]] = {host: [] for host in self.hosts}
        for client, hosts in sorted(self.clients.items()):
            for host in hosts:
                found.setdefault(host, []).append(client)
        return found


def client_group(client: str) -> str:
    """The inventory group of a client."""
    return f"{_CLIENT_GROUP}{client}"


def select(
    inventories: Sequence[str],
    limit: str | None,
    environment: Mapping[str, str],
    vault_arguments: Sequence[str] = (),
    vault_password: str | None = None,
) -> Selection:
    """Ask Ansible. Raises BadInputError with what Ansible says is wrong."""
    arguments = [sys.executable, "-m", "ringfence.hosts", "--list"]
    if limit is not None:
        arguments += ["--limit", limit]
    answer = _ask(arguments, inventories, environment, vault_arguments, vault_password)
    try:
        return Selection(**answer)
    except TypeError as error:
        raise BadInputError(f"Ansible's inventory could not be understood: {error}") from error


def variables(
    inventories: Sequence[str],
    host: str,
    environment: Mapping[str, str],
    vault_arguments: Sequence[str] = (),
    vault_password: str | None = None,
) -> dict[str, Any]:
    """The variables of a host, not templated. Raises BadInputError."""
    arguments = [collection.program("ansible-inventory"), "--host", host]
    return _ask(arguments, inventories, environment, vault_arguments, vault_password)


def _ask(
    arguments: list[str],
    inventories: Sequence[str],
    environment: Mapping[str, str],
    vault_arguments: Sequence[str],
    vault_password: str | None,
) -> dict[str, Any]:
    arguments = [*arguments, *vault_arguments]
    for source in inventories:
        arguments += ["-i", source]
    settings = {
        **environment,
        # an inventory that was read by half would leave hosts unchecked without a word
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    done = run_with_vault(arguments, settings, vault_password)
    errors = done.stderr.decode("utf-8", "backslashreplace")
    if done.returncode != 0:
        if problems := _refused(errors):
            raise BadRegisterError(problems)
        raise BadInputError(complaint(errors) or "the inventory could not be read")
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise BadInputError(f"Ansible's inventory could not be understood: {error}") from error
    return answer


def run_with_vault(
    arguments: list[str],
    settings: Mapping[str, str],
    vault_password: str | None,
    data: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of Ansible, with `data` as its input and a vault password by a pipe."""
    descriptors: tuple[int, ...] = ()
    if vault_password is not None:
        # neither as an argument nor in the environment: both are easily read by others
        reading, writing = os.pipe()
        os.write(writing, vault_password.encode() + b"\n")
        os.close(writing)
        descriptors = (reading,)
        option = ["--vault-password-file", f"/dev/fd/{reading}"]
        last = [arguments[-1]] if arguments[-1] == "-" else []
        arguments = [*arguments[: len(arguments) - len(last)], *option, *last]
    try:
        return subprocess.run(
            arguments,
            env={**os.environ, **settings},
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=_TIMEOUT_S,
            pass_fds=descriptors,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BadInputError(f"{arguments[0]} did not answer within {_TIMEOUT_S} s") from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _refused(errors: str) -> list[str]:
    """The problems of a refused register, which come below the error, a line each."""
    lines = [line.strip() for line in without_colours(errors).splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if _REFUSED_REGISTER in line:
            return [_shortened(problem) for problem in lines[number + 1 :] or [line]]
    return []


def without_colours(text: str) -> str:
    """`text` as it would be on a terminal that knows no colours."""
    return _ANSI.sub("", text)


def complaint(output: str) -> str:
    """What Ansible's output says went wrong, as one line; empty where it says nothing."""
    lines = [line.strip() for line in without_colours(output).splitlines()]
    for number, line in enumerate(lines):
        for mark in ("ERROR! ", "[ERROR]: "):
            if mark in line:
                said = _joined(line.partition(mark)[2], lines[number + 1 :])
                return _shortened(said + _first_cause(said, lines))
    return _shortened(next((line for line in reversed(lines) if line), ""))


def _first_cause(said: str, lines: list[str]) -> str:
    """Of a source that no inventory plugin could parse, what the first of them said."""
    mark = "Failed to parse inventory with "
    if "failed to parse inventory source" not in said:
        return ""
    first = next((number for number, line in enumerate(lines) if mark in line), None)
    if first is None:
        return ""
    cause = lines[first].partition(mark)[2]
    place = next((found[1] for line in lines[first:] if (found := _LINE_OF_ORIGIN.match(line))), "")
    return f"{place}: {cause.partition(': ')[2] or cause}"


def _joined(first: str, following: list[str]) -> str:
    """Ansible wraps what it says; a paragraph ends at an empty line or the next mark."""
    parts = [first]
    for line in following:
        if not line or line.startswith(("[", "Origin:", "<<<", "usage:")) or len(parts) > 4:
            break
        parts.append(line)
    return " ".join(parts)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    if any(sign in text for sign in _NEEDS_PASSWORD):
        text = f"{text.rstrip('.')}; --ask-vault-pass or --vault-password-file gives the password"
    return text if len(text) <= 400 else f"{text[:250]} … {text[-140:]}"


def _main() -> None:
    from ansible.cli.inventory import InventoryCLI

    class Names(InventoryCLI):  # type: ignore[misc]
        """`ansible-inventory --list`, less the variables."""

        def json_inventory(self, _top: Any) -> dict[str, Any]:
            chosen = [host.name for host in self.inventory.get_hosts("all")]
            groups = {
                name: [host.name for host in group.get_hosts()]
                for name, group in self.inventory.groups.items()
                if name not in ("all", "ungrouped")
            }
            sources = [str(Path(source)) for source in self.inventory._sources]
            handmade = {
                host.name: host.vars["ringfence_handmade"]
                for host in self.inventory.get_hosts("all")
                if "ringfence_handmade" in host.vars
            }
            # the client register's plugin sets it on every host, if only to say that there is none
            registered = any(
                "ringfence_vendor_access" in host.vars for host in self.inventory.get_hosts("all")
            )
            return {
                "hosts": chosen,
                "groups": groups,
                "sources": sources,
                "handmade": handmade,
                "registered": registered,
            }

    Names.cli_executor()


if __name__ == "__main__":
    _main()
