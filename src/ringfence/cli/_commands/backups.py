# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that judge, try, restore and keep backups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli import _options as o
from ringfence.cli._options import Target

_Check = Annotated[bool, o.flag("--check", help="Only say what would be done.")]
_Yes = Annotated[bool, o.flag("--yes", help="Do not ask.")]


@o.for_hosts
def backups(target: Target, *, show_command: bool, json: bool) -> int:
    """Judge the backups of every site: late, failed, missing, never restored. Changes nothing."""
    from ringfence.cli import _backups

    return _backups.judged(target, "backup_audit", "Backups", json, show_command)


@o.for_hosts
def drill(
    target: Target,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="HOST",
            show_default=False,
            help="Restore all of them on this host. Default: each on its own.",
        ),
    ] = "",
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Restore the newest backup of every site into a scratch folder, and prove it."""
    from ringfence.cli import _backups

    return _backups.judged(target, "backup_drill", "Drill", json, show_command, on)


@o.for_hosts
def restore(
    target: Target,
    site: Annotated[
        str,
        typer.Argument(
            metavar="CLIENT[/SITE]", help="What to restore: a site, or all of a client."
        ),
    ],
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIME",
            show_default=False,
            help="As it was then, such as 2026-11-26T14:00. Default: the newest backup.",
        ),
    ] = "",
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="HOST",
            show_default=False,
            help="On this host. Default: the site's own.",
        ),
    ] = "",
    into: Annotated[
        str,
        typer.Option(
            "--into",
            metavar="FOLDER",
            show_default=False,
            help="Below this empty or new folder; of a client, each site in one of its name there.",
        ),
    ] = "",
    over_live: Annotated[
        bool,
        o.flag("--over-live", help="Over the live site; its name is asked for once more."),
    ] = False,
    yes: _Yes = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Restore the backup of a site or of a whole client: says what it would do, then asks."""
    from ringfence.cli import _backups

    wish = _backups.Wish(site, at, to, into, over_live, yes)
    return _backups.restore(target, wish, json, show_command)


@o.for_hosts
def recover(
    target: Target,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT", help="Whose backups.")],
    check: _Check = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Bring a client's backups back after somebody deleted or overwrote them in the bucket."""
    from ringfence.cli import _backups

    return _backups.recover(target, client_id, check, json, show_command)


@o.for_hosts
def prune(
    target: Target,
    check: Annotated[bool, o.flag("--check", help="Only say what would go.")] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Remove the backups that `keep` of the register no longer keeps, from the controller."""
    from ringfence.cli import _backups

    return _backups.prune(target, check, json, show_command)


@o.for_fleet
def backup_keys(
    target: Target,
    client_id: Annotated[
        str, typer.Argument(metavar="CLIENT", help="Whose repository; of a host: _server/HOST.")
    ],
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="add-password, drop-passwords, escrow, copy (after a new master key) or shred.",
        ),
    ],
    old_repository: Annotated[
        str,
        typer.Option(
            "--old-repository",
            metavar="NAME",
            show_default=False,
            help="For copy: the folder in the bucket to copy from.",
        ),
    ] = "",
    old_password_file: Annotated[
        Path | None,
        typer.Option(
            "--old-password-file",
            metavar="FILE",
            help="For copy: its password alone, best encrypted with ansible-vault.",
        ),
    ] = None,
    check: _Check = False,
    yes: _Yes = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Change who can open a client's backups: says what it would do, then asks."""
    from ringfence.cli import _backup_keys

    wish = _backup_keys.Wish(client_id, action, old_repository, old_password_file, check, yes)
    return _backup_keys.backup_keys(target, wish, json, show_command)


@o.sharing(["inventory"], ["vault_password_file", "evidence_dir", "json"])
def schedule(
    target: Target,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="Write the units there, such as /etc/systemd/system. Default: show them.",
        ),
    ] = None,
    backups_at: Annotated[
        str,
        typer.Option(
            "--backups",
            metavar="CALENDAR",
            show_default=False,
            help="When backups are judged. Default: daily at 6.",
        ),
    ] = "*-*-* 06:00",
    drill_at: Annotated[
        str,
        typer.Option(
            "--drill",
            metavar="CALENDAR",
            show_default=False,
            help="When restores are tried. Default: Sundays at 3.",
        ),
    ] = "Sun 03:00",
    prune_at: Annotated[
        str,
        typer.Option(
            "--prune",
            metavar="CALENDAR",
            show_default=False,
            help="When old backups go. Default: Saturdays at 3.",
        ),
    ] = "Sat 03:00",
    user: Annotated[
        str,
        typer.Option(
            "--user",
            metavar="NAME",
            show_default=False,
            help="Who runs it on this machine. Default: you.",
        ),
    ] = "",
    *,
    json: bool,
) -> int:
    """Write systemd timers for this controller, that judge, try and prune backups by the clock."""
    from ringfence.cli import _schedule

    wish = _schedule.Wish(drill_at, prune_at, backups_at, user, folder)
    return _schedule.schedule(target, wish, json)
