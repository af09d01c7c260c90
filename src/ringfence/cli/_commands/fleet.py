# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that set up an inventory, and compare its hosts with their controls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli import _options as o
from ringfence.cli._options import Target

_STAGES = "Stages"


@o.sharing([], ["forks", "ask_become_pass", "json"])
def init(
    target: Target,
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="The new inventory, such as inventories/main."),
    ],
    hosts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST]...", help="As for ssh: web1, ops@web1, ops@web1:2222."),
    ] = None,
    host_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A file with a host in each line."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", metavar="NAME", help="Sign in as this user."),
    ] = None,
    private_key: Annotated[
        Path | None,
        typer.Option("--private-key", metavar="FILE", help="Sign in with this SSH key."),
    ] = None,
    *,
    json: bool,
) -> int:
    """Write a first inventory: asks hosts which sites they serve. Changes nothing on them."""
    from ringfence.cli import _init

    options = _init.Options(folder, hosts or [], host_file, user, private_key)
    return _init.init(options, target, json)


@o.for_register
def validate(target: Target, *, json: bool) -> int:
    """Check inventory, client register and controls. Asks no host anything."""
    from ringfence.cli import _register

    return _register.validate(target, json)


@o.for_hosts
def plan(
    target: Target,
    diff: Annotated[
        bool,
        o.flag("--diff", help="Show the difference of each file as well."),
    ] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Show what apply would change, and what that may disrupt. Changes nothing."""
    from ringfence.cli import _runs

    return _runs.plan(target, diff, json, show_command)


@o.for_hosts
def apply(
    target: Target,
    canary: Annotated[
        list[str] | None,
        typer.Option(
            "--canary",
            metavar="NAME",
            help="This host first, alone; may be given again. "
            "Default: the group `canary`, else the first host.",
            rich_help_panel=_STAGES,
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch",
            metavar="SIZE",
            help="How many hosts at a time after that, such as 5 or 25%. Default: 10%.",
            rich_help_panel=_STAGES,
        ),
    ] = None,
    resume: Annotated[
        bool,
        o.flag("--resume", help="Go on with the last rollout where it stopped.", panel=_STAGES),
    ] = False,
    outside_window: Annotated[
        bool,
        o.flag(
            "--outside-window",
            help="Apply although a change window is closed; needs --why.",
            panel=_STAGES,
        ),
    ] = False,
    why: Annotated[
        str | None,
        typer.Option(
            "--why", metavar="TEXT", help="The reason; kept as evidence.", rich_help_panel=_STAGES
        ),
    ] = None,
    guard_timeout: Annotated[
        int | None,
        typer.Option(
            "--guard-timeout",
            min=15,
            max=3600,
            metavar="SECONDS",
            help="After how long a host puts an unconfirmed change back. Default: 120.",
            rich_help_panel=_STAGES,
        ),
    ] = None,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Bring hosts to what their controls say: canary first, then batch after batch."""
    from ringfence.cli import _apply

    staging = _apply.Staging(canary or [], batch, resume, outside_window, why, guard_timeout)
    return _apply.apply(target, staging, json, show_command)


@o.for_hosts
def audit(target: Target, *, show_command: bool, json: bool) -> int:
    """Compare every host with its controls. Changes nothing."""
    from ringfence.cli import _runs

    return _runs.audit(target, json, show_command)


@o.for_register
def explain(
    target: Target,
    host: Annotated[str, typer.Argument(metavar="HOST", help="A host of the inventory.")],
    control: Annotated[str, typer.Argument(metavar="CONTROL", help="The id of a control.")],
    site: Annotated[
        str | None,
        typer.Option("--site", metavar="CLIENT/SITE", help="Only what bears on this site."),
    ] = None,
    *,
    json: bool,
) -> int:
    """Show which value a control has on a host, and where it comes from."""
    from ringfence.cli import _register

    return _register.explain(target, host, control, site, json)


def controls(
    control: Annotated[
        str | None, typer.Argument(metavar="[CONTROL]", help="Show this one.")
    ] = None,
    family: o.Family = None,
    json: o.Json = False,
) -> int:
    """List the controls, or show one."""
    from ringfence.cli import _controls

    return _controls.controls(control, family or [], json)
