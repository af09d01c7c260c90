# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that read the evidence. They ask no host anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli import _options as o
from ringfence.cli._options import Target


@o.sharing(["inventory", "limit", "client", "host"], o.EVIDENCE)
def status(
    target: Target,
    max_age: Annotated[
        int,
        typer.Option(
            "--max-age",
            min=1,
            metavar="DAYS",
            show_default=False,
            help="Older evidence counts as not checked. Default: 7.",
        ),
    ] = 7,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Show the last that is known of every host. Asks no host anything."""
    from ringfence.cli import _evidence

    return _evidence.status(target, store, max_age, json)


@o.for_evidence_alone
def diff(
    target: Target,
    before: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A run, or the beginning of its id. Default: the last audit but one.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A later run. Default: the last audit."),
    ] = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Compare two runs: what is new, what is fixed, what stays."""
    from ringfence.cli import _evidence

    return _evidence.diff(target, store, before, after, json)


@o.for_evidence
def report(
    target: Target,
    client: Annotated[
        str | None,
        typer.Option(
            "--client",
            metavar="ID",
            help="The report for this client: only its hosts, sites and people.",
        ),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="html, json, csv, pdf, oscal, sarif, junit or prometheus; may be given again. "
            "Default: html.",
        ),
    ] = None,
    output: o.ReportDir = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Which run. Default: the last one.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare", metavar="RUN", help="Compare with this run. Default: the audit before."
        ),
    ] = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Write the report of a run. Asks no host anything."""
    from ringfence.cli import _evidence

    options = _evidence.ReportOptions(form or ["html"], output, run, compare, client)
    return _evidence.report(target, store, options, json)


@o.for_evidence_alone
def verify(
    target: Target,
    allowed_signers: Annotated[
        Path | None,
        typer.Option(
            "--allowed-signers",
            metavar="FILE",
            help="Check signatures too, against this file (see ssh-keygen(1), ALLOWED SIGNERS).",
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="NUMBER:HASH",
            help="A head noted earlier: finds evidence that was cut off since.",
        ),
    ] = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Check that no evidence was changed, removed or inserted."""
    from ringfence.cli import _evidence

    return _evidence.verify(target, store, allowed_signers, head, json)
