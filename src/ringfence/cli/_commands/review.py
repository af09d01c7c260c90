# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence review …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli import _options as o
from ringfence.cli._options import Target

app = typer.Typer(
    name="review",
    no_args_is_help=True,
    help="The access review: freeze who has access, decide on every row, sign, follow up.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Client = Annotated[
    str | None,
    typer.Option("--client", metavar="ID", help="The review of this client. Default: of all."),
]
_Reviewer = Annotated[
    str, typer.Option("--reviewer", metavar="ID", help="Who decides: an id of people.yml.")
]
_Which = Annotated[
    str | None,
    typer.Option("--review", metavar="ID", help="Which review. Default: the newest that fits."),
]
_SigningKey = Annotated[
    Path | None,
    typer.Option(
        "--signing-key",
        metavar="FILE",
        help="SSH key that signs the entry. Default: $RINGFENCE_SIGNING_KEY.",
        envvar="RINGFENCE_SIGNING_KEY",
        show_envvar=False,
    ),
]


@app.command("open")
@o.for_evidence
def open_(
    target: Target,
    client: _Client = None,
    max_age: Annotated[
        int,
        typer.Option(
            "--max-age",
            min=0,
            metavar="DAYS",
            show_default=False,
            help="How old the collection may be. Default: 7.",
        ),
    ] = 7,
    signing_key: _SigningKey = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Freeze the newest collection as the population of a review."""
    from ringfence.cli import _review

    desk = _review.Desk(target, store, client, signing_key)
    return _review.open_(desk, max_age, json)


@app.command("status")
@o.for_evidence
def status(
    target: Target,
    client: _Client = None,
    which: _Which = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """What is decided and what is not; after the sign-off, which revokes are still open."""
    from ringfence.cli import _review

    return _review.status(_review.Desk(target, store, client), which, json)


@app.command("serve")
@o.sharing(["inventory"], ["evidence_dir", "store"])
def serve(
    target: Target,
    reviewer: _Reviewer,
    client: _Client = None,
    which: _Which = None,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            metavar="PORT",
            show_default=False,
            help="On 127.0.0.1. Default: a free one.",
        ),
    ] = 0,
    *,
    store: str | None,
) -> int:
    """Decide in the browser: a page on this machine alone, until Ctrl-C."""
    from ringfence.cli import _review

    desk = _review.Desk(target, store, client)
    return _review.serve(desk, which, reviewer, port)


@app.command("export")
@o.for_evidence
def export(
    target: Target,
    client: _Client = None,
    which: _Which = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: reports/ in the evidence."),
    ] = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Write the review as a CSV file to decide in."""
    from ringfence.cli import _review

    desk = _review.Desk(target, store, client)
    return _review.export(desk, which, output, json)


@app.command("import")
@o.for_evidence
def import_(
    target: Target,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The CSV file, filled in.")],
    reviewer: _Reviewer,
    client: _Client = None,
    which: _Which = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Read decisions back from the CSV file; all of them or none."""
    from ringfence.cli import _review

    desk = _review.Desk(target, store, client)
    return _review.import_(desk, which, file, reviewer, json)


@app.command("sign-off")
@o.for_evidence
def sign_off(
    target: Target,
    reviewer: _Reviewer,
    client: _Client = None,
    which: _Which = None,
    signing_key: _SigningKey = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """Make the decisions evidence, once every row has one."""
    from ringfence.cli import _review

    desk = _review.Desk(target, store, client, signing_key)
    return _review.sign_off(desk, which, reviewer, json)


@app.command("close")
@o.for_evidence
def close(
    target: Target,
    client: _Client = None,
    which: _Which = None,
    abandon: Annotated[
        str | None,
        typer.Option(
            "--abandon",
            metavar="REASON",
            help="End an open review without a sign-off, and say why.",
        ),
    ] = None,
    signing_key: _SigningKey = None,
    *,
    store: str | None,
    json: bool,
) -> int:
    """End a signed review, once all that it revoked or modified is seen to be done."""
    from ringfence.cli import _review

    desk = _review.Desk(target, store, client, signing_key)
    return _review.close(desk, which, abandon, json)
