# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command works on: inventory, hosts, credentials, evidence, catalogue."""

from __future__ import annotations

import difflib
import getpass
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ringfence import collection, hosts
from ringfence.cli._options import Target
from ringfence.errors import BadInputError
from ringfence.runner import Credentials, Job


class Context:
    """Resolves a target, each part once and when it is first needed."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @cached_property
    def evidence_dir(self) -> Path:
        """The folder of the evidence, absolute."""
        chosen = self.target.evidence_dir
        found = collection.default_evidence_dir() if chosen is None else chosen
        found = Path(os.path.abspath(found.expanduser()))
        if found.exists() and not found.is_dir():
            raise BadInputError(f"{found}: expected a folder for the evidence, found a file")
        return found

    @cached_property
    def environment(self) -> dict[str, str]:
        """What must be set for Ansible to use our plugins."""
        return collection.environment(self.evidence_dir)

    @cached_property
    def sources(self) -> list[str]:
        """The inventory's sources, checked to be there."""
        chosen = self.target.inventory or collection.default_inventory()
        for source in chosen:
            if "," not in source and not Path(source).expanduser().exists():
                raise BadInputError(
                    f"{source}: there is no such inventory; name one with -i, "
                    "or write a first one with `ringfence init`"
                )
        return chosen

    @cached_property
    def register(self) -> Path | None:
        """The folder of the client register: the first source, or the folder of one, with one."""
        for source in self.sources:
            path = _near(Path(source))
            for candidate in (path, path.parent):
                if (candidate / "clients").is_dir():
                    return candidate
        return None

    @cached_property
    def credentials(self) -> Credentials:
        """Passwords that are to be asked for are asked for here."""
        for path in self.target.vault_password_files:
            if not Path(path).expanduser().exists():
                raise BadInputError(f"{path}: there is no such vault password file")
        vault = _ask("Vault password: ") if self.target.ask_vault_pass else None
        become = _ask("BECOME password: ") if self.target.ask_become_pass else None
        return Credentials(tuple(self.target.vault_password_files), vault, become)

    @cached_property
    def selection(self) -> hosts.Selection:
        """The chosen hosts, and all groups. Raises BadInputError where none is left."""
        found = self._select(None)
        if self.register and not found.registered:
            raise BadInputError(_unread(self.register, found.hosts))
        for client in self.target.clients:
            if client not in found.clients:
                raise BadInputError(unknown("client", client, found.clients))
        everything = set(found.hosts)
        for host in self.target.hosts:
            if host not in everything:
                raise BadInputError(unknown("host", host, everything))
            if self.target.clients and not self._is_of_clients(host, found):
                wanted = " or ".join(self.target.clients)
                raise BadInputError(f"host {host} is not one of client {wanted}")
        if self.limit is not None:
            found = self._select(self.limit)
        if not found.hosts:
            chosen = f" that match {self.limit}" if self.limit else ""
            raise BadInputError(f"{', '.join(self.sources)}: there are no hosts{chosen}")
        return found

    @cached_property
    def limit(self) -> str | None:
        """The same choice as an Ansible host pattern."""
        target = self.target
        chosen = target.hosts or [hosts.client_group(client) for client in target.clients]
        if not chosen:
            return target.limit
        if target.limit is None:
            return ",".join(chosen)
        # a pattern has no brackets, so that "these clients, and of them that pattern" must be spelt
        wanted = set(self._select(",".join(chosen)).hosts)
        names = [name for name in self._select(target.limit).hosts if name in wanted]
        return ",".join(names) or f"{','.join(chosen)},&{target.limit}"

    @cached_property
    def catalogue(self) -> Any:
        """The controls. Raises BadInputError with all that is wrong with them."""
        loader = collection.plugin_util("catalogue")
        try:
            return loader.load()
        except Exception as error:
            problems = getattr(error, "problems", None)
            if problems is None:
                raise
            raise BadInputError("; ".join(problems[:5])) from error

    def check_controls(self) -> None:
        """Refuse families and controls that are not there. Raises BadInputError."""
        for kind, asked, known in (
            ("family", self.target.families, self.catalogue.families),
            ("control", self.target.controls, self.catalogue.controls),
        ):
            for name in asked:
                if name not in known:
                    raise BadInputError(unknown(kind, name, known))
        known_profiles = collection.plugin_util("profiles").PROFILES
        if self.target.profile not in (None, *known_profiles):
            expected = f"expected one of {', '.join(known_profiles)}"
            raise BadInputError(f"--profile: found {self.target.profile}, {expected}")

    def job(self, playbook: str, variables: Mapping[str, Any] | None = None, **more: Any) -> Job:
        """The ansible-playbook command for this target."""
        chosen = {
            "ringfence_families": self.target.families,
            "ringfence_controls": self.target.controls,
            "ringfence_profile": self.target.profile,
        }
        return Job(
            playbook=collection.find().playbook(playbook),
            inventories=tuple(self.target.inventory),
            limit=self.limit,
            variables={**{k: v for k, v in chosen.items() if v}, **(variables or {})},
            forks=self.target.forks,
            environment=self.environment,
            settings={"RINGFENCE_EVIDENCE_DIR": str(self.evidence_dir)},
            **more,
        )

    @cached_property
    def vault_arguments(self) -> tuple[list[str], str | None]:
        """For a program of Ansible: its options, and a password to be passed by a pipe."""
        files = [
            part
            for path in self.target.vault_password_files
            for part in ("--vault-password-file", path)
        ]
        return files, self.credentials.vault_password

    def _select(self, limit: str | None) -> hosts.Selection:
        return hosts.select(self.sources, limit, self.environment, *self.vault_arguments)

    def _is_of_clients(self, host: str, found: hosts.Selection) -> bool:
        return any(host in found.clients[client] for client in self.target.clients)


def _near(path: Path) -> Path:
    """As one would type it: problems are told with their file."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _unread(register: Path, found: list[str]) -> str:
    """Why a register that is there is in no inventory: all would get the defaults alone."""
    if not found:
        return f"{register}: there are no hosts"
    if list(register.glob("*ringfence.y*ml")):
        return f"{register}/clients is not read; name the whole folder: -i {register}"
    return (
        f"{register}/clients is not read; expected {register}/ringfence.yml "
        "with the line `plugin: ringfence.hosting.clients`"
    )


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """`there is no host wbe1 (did you mean web1?)`."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"there is no {kind} {name}{hint}"


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise BadInputError(f"{prompt.rstrip(': ')}: there is no terminal to ask at")
    return getpass.getpass(prompt)
