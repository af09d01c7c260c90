# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands for addresses and users that are blocked by hand, or banned automatically."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli import _options as o
from ringfence.cli._options import Target

_WHERE = "Where"
_Site = Annotated[
    str | None,
    typer.Option("--site", metavar="CLIENT/SITE", help="On this site.", rich_help_panel=_WHERE),
]
_Client = Annotated[
    str | None,
    typer.Option(
        "--client", metavar="ID", help="On all sites of this client.", rich_help_panel=_WHERE
    ),
]
_Fleet = Annotated[bool, o.flag("--fleet", help="On every host.", panel=_WHERE)]
_Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="An address or a network, IPv4 or IPv6.")
]
_Later = Annotated[
    bool, o.flag("--later", help="Only record it; the next run of sites.yml puts it in force.")
]


@o.for_fleet
def block(
    target: Target,
    address: _Address,
    why: Annotated[
        str | None, typer.Option("--why", metavar="TEXT", help="The reason; it is kept.")
    ] = None,
    lasting: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="TIME", help="30m, 12h, 2d, 4w. Default: until it is unblocked."
        ),
    ] = None,
    site: _Site = None,
    client: _Client = None,
    fleet: _Fleet = False,
    later: _Later = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Block an address on a site, a client's sites or the fleet, now."""
    from ringfence.cli import _blocked

    push = _blocked.Push(later, show_command, json)
    return _blocked.block(target, address, _blocked.Scope(fleet, client, site), lasting, why, push)


@o.for_fleet
def unblock(
    target: Target,
    address: _Address,
    site: _Site = None,
    client: _Client = None,
    fleet: _Fleet = False,
    later: _Later = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """End what was blocked by hand: everywhere, or in one place."""
    from ringfence.cli import _blocked

    scope = _blocked.Scope(fleet, client, site) if fleet or client or site else None
    return _blocked.unblock(target, address, scope, _blocked.Push(later, show_command, json))


@o.for_register
def blocked(
    target: Target,
    whole: Annotated[bool, o.flag("--all", help="Also what has ended.")] = False,
    *,
    json: bool,
) -> int:
    """List the addresses that were blocked by hand. Asks no host anything."""
    from ringfence.cli import _blocked

    return _blocked.blocked(target, whole, json)


@o.for_hosts
def bans(
    target: Target,
    days: Annotated[
        int,
        typer.Option(
            "--days",
            min=0,
            max=400,
            metavar="N",
            show_default=False,
            help="Also those that ended within N days. Default: only what is in force.",
        ),
    ] = 0,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Show who is banned, where, why and until when. Changes nothing."""
    from ringfence.cli import _bans

    return _bans.bans(target, days, json, show_command)


@o.for_hosts
def unban(
    target: Target,
    subject: Annotated[
        str, typer.Argument(metavar="ADDRESS|USER", help="An address, or a user of a site.")
    ],
    site: Annotated[
        str,
        typer.Option(
            "--site",
            metavar="CLIENT/SITE",
            show_default=False,
            help="The user's site. Default: any that has such a ban.",
        ),
    ] = "",
    why: Annotated[
        str,
        typer.Option(
            "--why", metavar="TEXT", show_default=False, help="The reason; kept with the ban."
        ),
    ] = "",
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Lift every ban of an address or a user, on all hosts."""
    from ringfence.cli import _bans

    return _bans.unban(target, subject, site, why, json, show_command)
