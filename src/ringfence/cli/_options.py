# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that commands share, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

_HOSTS = "Which hosts"
_CONTROLS = "Which controls"
_ANSIBLE = "Ansible"
_OUTPUT = "Output"

Inventory = Annotated[
    list[str] | None,
    typer.Option(
        "--inventory",
        "-i",
        metavar="PATH",
        help="Inventory; may be given again. Default: the one that ansible.cfg names.",
        rich_help_panel=_HOSTS,
    ),
]
Limit = Annotated[
    str | None,
    typer.Option(
        "--limit", "-l", metavar="PATTERN", help="Ansible host pattern.", rich_help_panel=_HOSTS
    ),
]
Client = Annotated[
    list[str] | None,
    typer.Option(
        "--client",
        metavar="ID",
        help="Only the hosts of this client; may be given again.",
        rich_help_panel=_HOSTS,
    ),
]
Host = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME",
        help="Only this host; may be given again.",
        rich_help_panel=_HOSTS,
    ),
]
Family = Annotated[
    list[str] | None,
    typer.Option(
        "--family",
        metavar="NAME",
        help="Only this family of controls, such as ssh; may be given again.",
        rich_help_panel=_CONTROLS,
    ),
]
Control = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        metavar="ID",
        help="Only this control; may be given again.",
        rich_help_panel=_CONTROLS,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="What is demanded: l1_server, l2_server or all. Default: as the inventory says. "
        "A tier may demand more.",
        rich_help_panel=_CONTROLS,
    ),
]
Forks = Annotated[
    int | None,
    typer.Option(
        "--forks",
        "-f",
        min=1,
        metavar="N",
        help="How many hosts at once. Default: as ansible.cfg says.",
        rich_help_panel=_ANSIBLE,
    ),
]
VaultPasswordFile = Annotated[
    list[str] | None,
    typer.Option(
        "--vault-password-file",
        metavar="FILE",
        help="Passed on to Ansible; may be given again.",
        rich_help_panel=_ANSIBLE,
    ),
]
AskVaultPass = Annotated[
    bool,
    typer.Option(
        "--ask-vault-pass",
        "-J",
        metavar=" ",
        help="Ask for the vault password.",
        rich_help_panel=_ANSIBLE,
    ),
]
AskBecomePass = Annotated[
    bool,
    typer.Option(
        "--ask-become-pass",
        "-K",
        metavar=" ",
        help="Ask for the sudo password.",
        rich_help_panel=_ANSIBLE,
    ),
]
ShowCommand = Annotated[
    bool,
    typer.Option(
        "--show-command",
        metavar=" ",
        help="Print the ansible-playbook command that does the same, and stop.",
        rich_help_panel=_ANSIBLE,
    ),
]
EvidenceDir = Annotated[
    Path | None,
    typer.Option(
        "--evidence-dir",
        metavar="DIR",
        help="Folder of the evidence. Default: $RINGFENCE_EVIDENCE_DIR, ansible.cfg, ./evidence.",
        rich_help_panel=_OUTPUT,
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="SQLAlchemy URL of the evidence store, where it is not in the folder.",
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar=" ", help="One JSON document on standard output.", rich_help_panel=_OUTPUT
    ),
]


@dataclass(frozen=True)
class Target:
    """What the shared options say."""

    inventory: list[str] = field(default_factory=list)
    limit: str | None = None
    clients: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    profile: str | None = None
    forks: int | None = None
    vault_password_files: list[str] = field(default_factory=list)
    ask_vault_pass: bool = False
    ask_become_pass: bool = False
    evidence_dir: Path | None = None


_HOST_OPTIONS: dict[str, tuple[Any, Any]] = {
    "inventory": (Inventory, None),
    "limit": (Limit, None),
    "client": (Client, None),
    "host": (Host, None),
    "family": (Family, None),
    "control": (Control, None),
    "profile": (Profile, None),
}
_RUN_OPTIONS: dict[str, tuple[Any, Any]] = {
    "forks": (Forks, None),
    "vault_password_file": (VaultPasswordFile, None),
    "ask_vault_pass": (AskVaultPass, False),
    "ask_become_pass": (AskBecomePass, False),
    "show_command": (ShowCommand, False),
    "evidence_dir": (EvidenceDir, None),
    "json": (Json, False),
}
_OPTIONS = {**_HOST_OPTIONS, **_RUN_OPTIONS}
# What a command is called with beside `target`, where it has the option.
_PASSED_ON = ("show_command", "json")


def _sharing(first: list[str], last: list[str]) -> Callable[[Callable[..., int]], Any]:
    """A decorator that gives a command shared options before and after its own.

    The command is called with `target`, with those of `_PASSED_ON` that it has, and with its own.
    """

    def parameter(name: str) -> inspect.Parameter:
        kind, default = _OPTIONS[name]
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
        )

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = {
            name: own.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, own in inspect.signature(command, eval_str=True).parameters.items()
            if name not in ("target", *_PASSED_ON)
        }
        ordered = [*map(parameter, first), *own.values(), *map(parameter, last)]
        passed_on = [name for name in last if name in _PASSED_ON]

        @functools.wraps(command)
        def wrapped(**given: Any) -> int:
            mine = {name: given[name] for name in [*own, *passed_on]}
            # An option of the command's own may have the name of a shared one.
            shared = {name: given[name] for name in [*first, *last]}
            return command(target=_target(shared), **mine)

        del wrapped.__wrapped__  # or its signature would be taken
        wrapped.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {one.name: one.annotation for one in ordered}
        return wrapped

    return decorate


# Commands that run a playbook on hosts that the user may choose.
for_hosts = _sharing(list(_HOST_OPTIONS), list(_RUN_OPTIONS))
# Commands that run a playbook on the hosts that follow from what they are asked.
for_fleet = _sharing(["inventory"], list(_RUN_OPTIONS))
# Commands that only read the inventory and its register.
for_register = _sharing(["inventory"], ["vault_password_file", "ask_vault_pass", "json"])


def _target(given: dict[str, Any]) -> Target:
    return Target(
        inventory=given.get("inventory") or [],
        limit=given.get("limit"),
        clients=given.get("client") or [],
        hosts=given.get("host") or [],
        families=given.get("family") or [],
        controls=given.get("control") or [],
        profile=given.get("profile"),
        forks=given.get("forks"),
        vault_password_files=given.get("vault_password_file") or [],
        ask_vault_pass=given.get("ask_vault_pass", False),
        ask_become_pass=given.get("ask_become_pass", False),
        evidence_dir=given.get("evidence_dir"),
    )
