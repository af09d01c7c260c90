# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that commands share, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

_HOSTS = "Which hosts"
_CONTROLS = "Which controls"
_ANSIBLE = "Ansible"
_OUTPUT = "Output"


def flag(*names: str, help: str, panel: str | None = None) -> Any:
    """An option that is given or not, and takes no value."""
    # Without a metavar `--help` would show a type.
    return typer.Option(*names, metavar=" ", help=help, rich_help_panel=panel)


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
    flag("--ask-vault-pass", "-J", help="Ask for the vault password.", panel=_ANSIBLE),
]
AskBecomePass = Annotated[
    bool,
    flag("--ask-become-pass", "-K", help="Ask for the sudo password.", panel=_ANSIBLE),
]
ShowCommand = Annotated[
    bool,
    flag(
        "--show-command",
        help="Print the ansible-playbook command that does the same, and stop.",
        panel=_ANSIBLE,
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
Json = Annotated[bool, flag("--json", help="One JSON document on standard output.", panel=_OUTPUT)]
ReportDir = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Default: reports/ in the evidence."),
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


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "inventory": (Inventory, None),
    "limit": (Limit, None),
    "client": (Client, None),
    "host": (Host, None),
    "family": (Family, None),
    "control": (Control, None),
    "profile": (Profile, None),
    "forks": (Forks, None),
    "vault_password_file": (VaultPasswordFile, None),
    "ask_vault_pass": (AskVaultPass, False),
    "ask_become_pass": (AskBecomePass, False),
    "show_command": (ShowCommand, False),
    "evidence_dir": (EvidenceDir, None),
    "store": (Store, None),
    "json": (Json, False),
}
# What a command is called with beside `target`, where it has the option.
_PASSED_ON = ("show_command", "store", "json")


def sharing(first: Sequence[str], last: Sequence[str]) -> Callable[[Callable[..., int]], Any]:
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


RUN = ("forks", "vault_password_file", "ask_vault_pass", "ask_become_pass", "show_command")
EVIDENCE = ("evidence_dir", "store", "json")
# Commands that run a playbook on hosts that the user may choose.
for_hosts = sharing(
    ["inventory", "limit", "client", "host", "family", "control", "profile"],
    (*RUN, "evidence_dir", "json"),
)
# Commands that run a playbook on the hosts that follow from what they are asked.
for_fleet = sharing(["inventory"], (*RUN, "evidence_dir", "json"))
# Commands that only read the inventory and its register.
for_register = sharing(["inventory"], ["vault_password_file", "ask_vault_pass", "json"])
# Commands that only read the evidence, or write into it, with the inventory and without.
for_evidence = sharing(["inventory"], EVIDENCE)
for_evidence_alone = sharing([], EVIDENCE)


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
