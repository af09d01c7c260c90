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


def for_hosts(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of all that run a playbook on hosts.

    It is called with `target`, `show_command` and `json`, beside its own options.
    """
    own = {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name not in ("target", "show_command", "json")
    }
    shared = {
        name: inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
        )
        for name, (kind, default) in {**_HOST_OPTIONS, **_RUN_OPTIONS}.items()
    }
    ordered = [shared[name] for name in _HOST_OPTIONS]
    ordered += own.values()
    ordered += [shared[name] for name in _RUN_OPTIONS]

    @functools.wraps(command)
    def wrapped(**given: Any) -> int:
        mine = {name: given[name] for name in own}
        return command(
            target=_target(given), show_command=given["show_command"], json=given["json"], **mine
        )

    del wrapped.__wrapped__  # or its signature would be taken
    wrapped.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    return wrapped


def _target(given: dict[str, Any]) -> Target:
    return Target(
        inventory=given["inventory"] or [],
        limit=given["limit"],
        clients=given["client"] or [],
        hosts=given["host"] or [],
        families=given["family"] or [],
        controls=given["control"] or [],
        profile=given["profile"],
        forks=given["forks"],
        vault_password_files=given["vault_password_file"] or [],
        ask_vault_pass=given["ask_vault_pass"],
        ask_become_pass=given["ask_become_pass"],
        evidence_dir=given["evidence_dir"],
    )
