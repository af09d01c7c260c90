# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands for who can get at what, and for those who come and go."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli import _options as o
from ringfence.cli._options import Target


@o.for_hosts
def offboard(
    target: Target,
    person: Annotated[
        str, typer.Argument(metavar="PERSON", help="Who leaves, by the id in people.yml.")
    ],
    yes: Annotated[bool, o.flag("--yes", help="Take it. Without, it is only shown.")] = False,
    erase: Annotated[
        bool,
        o.flag(
            "--erase",
            help="Also what Mailchimp keeps of them: members and customers, deleted for good.",
        ),
    ] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Show what a person has anywhere; with --yes take it, and prove that it is gone."""
    from ringfence.cli import _offboard

    return _offboard.offboard(
        target, None, person, _offboard.Consent(yes, erase), json, show_command
    )


@o.for_hosts
def vendor_access(
    target: Target,
    action: Annotated[
        str,
        typer.Argument(
            metavar="[apply|revoke|reinstate]",
            show_default=False,
            help="Default: apply, what the register grants and no more.",
        ),
    ] = "apply",
    party: Annotated[
        str,
        typer.Argument(
            metavar="[THIRD_PARTY]",
            show_default=False,
            help="Whose access is revoked at once, or given back.",
        ),
    ] = "",
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Give the people of third parties their accounts on the hosts, or take them."""
    from ringfence.cli import _vendors

    return _vendors.vendor_access(target, action, party, json, show_command)


@o.sharing(["inventory", "limit"], [*o.RUN, *o.EVIDENCE])
def access(
    target: Target,
    client: Annotated[
        str | None,
        typer.Option(
            "--client",
            metavar="ID",
            help="The report for this client: only its accesses and people.",
        ),
    ] = None,
    last: Annotated[
        bool,
        o.flag("--last", help="Report on the last collection; ask no host anything."),
    ] = False,
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="html, csv, json, pdf, oscal, sarif, junit or prometheus; may be given again. "
            "Default: html, csv and json.",
        ),
    ] = None,
    output: o.ReportDir = None,
    *,
    show_command: bool,
    store: str | None,
    json: bool,
) -> int:
    """Who can get at what: collect, join to people, judge and report. Changes nothing on hosts."""
    from ringfence.cli import _access

    options = _access.Options(form or list(_access.DEFAULT_FORMATS), output, client, last)
    return _access.access(target, store, options, json, show_command)
