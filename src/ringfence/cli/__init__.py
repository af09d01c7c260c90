# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. Commands import what they need when they run: `--help` must be instant."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence import __version__
from ringfence.cli import _options as o
from ringfence.cli._commands import addresses, backups, evidence, fleet, people, review
from ringfence.cli._group import Commands

app = typer.Typer(
    name="ringfence",
    cls=Commands,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    invoke_without_command=True,
    epilog="Exit codes: 0 clean · 1 findings · 2 could not check · 3 bad input",
)
def main(
    context: typer.Context,
    version: Annotated[bool, o.flag("--version", help="Print the version and stop.")] = False,
) -> None:
    """Hardens and audits a fleet of web servers, for each client as agreed, and proves it."""
    if version:
        print(f"ringfence {__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        print(context.get_help())


# In the order of `--help`.
for _command in (
    fleet.init,
    fleet.validate,
    fleet.plan,
    fleet.apply,
    fleet.audit,
    addresses.block,
    addresses.unblock,
    addresses.blocked,
    addresses.bans,
    addresses.unban,
    people.offboard,
    people.vendor_access,
    backups.backups,
    backups.drill,
    backups.restore,
    backups.recover,
    fleet.explain,
    evidence.status,
    evidence.diff,
    people.access,
    evidence.report,
    evidence.verify,
    fleet.controls,
    backups.prune,
    backups.backup_keys,
    backups.schedule,
):
    app.command()(_command)
app.add_typer(review.app)
