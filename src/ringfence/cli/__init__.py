# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. Commands import what they need when they run: `--help` must be instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence import __version__
from ringfence.cli import _options as o
from ringfence.cli._group import Commands
from ringfence.cli._options import Target

app = typer.Typer(
    name="ringfence",
    cls=Commands,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

review = typer.Typer(
    name="review",
    no_args_is_help=True,
    help="The access review: freeze who has access, decide on every row, sign, follow up.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(review)

_STAGES = "Stages"
_Reviewed = Annotated[
    str | None,
    typer.Option("--client", metavar="ID", help="The review of this client. Default: of all."),
]
_Reviewer = Annotated[
    str, typer.Option("--reviewer", metavar="ID", help="Who decides: an id of people.yml.")
]
_WhichReview = Annotated[
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


@app.callback(
    invoke_without_command=True,
    epilog="Exit codes: 0 clean · 1 findings · 2 could not check · 3 bad input",
)
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", metavar=" ", help="Print the version and stop.")
    ] = False,
) -> None:
    """Hardens and audits a fleet of web servers, for each client as agreed, and proves it."""
    if version:
        print(f"ringfence {__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def init(
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
    forks: o.Forks = None,
    ask_become_pass: o.AskBecomePass = False,
    json: o.Json = False,
) -> int:
    """Write a first inventory: asks hosts which sites they serve. Changes nothing on them."""
    from ringfence.cli import _init

    options = _init.Options(folder, hosts or [], host_file, user, private_key)
    return _init.init(options, Target(forks=forks, ask_become_pass=ask_become_pass), json)


@app.command()
@o.for_register
def validate(
    target: Target,
    *,
    json: bool,
) -> int:
    """Check inventory, client register and controls. Asks no host anything."""
    from ringfence.cli import _register

    return _register.validate(target, json)


@app.command()
@o.for_hosts
def plan(
    target: Target,
    diff: Annotated[
        bool,
        typer.Option("--diff", metavar=" ", help="Show the difference of each file as well."),
    ] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Show what apply would change, and what that may disrupt. Changes nothing."""
    from ringfence.cli import _runs

    return _runs.plan(target, diff, json, show_command)


@app.command()
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
        typer.Option(
            "--resume",
            metavar=" ",
            help="Go on with the last rollout where it stopped.",
            rich_help_panel=_STAGES,
        ),
    ] = False,
    outside_window: Annotated[
        bool,
        typer.Option(
            "--outside-window",
            metavar=" ",
            help="Apply although a change window is closed; needs --why.",
            rich_help_panel=_STAGES,
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


@app.command()
@o.for_hosts
def audit(target: Target, *, show_command: bool, json: bool) -> int:
    """Compare every host with its controls. Changes nothing."""
    from ringfence.cli import _runs

    return _runs.audit(target, json, show_command)


_Site = Annotated[
    str | None,
    typer.Option("--site", metavar="CLIENT/SITE", help="On this site.", rich_help_panel="Where"),
]
_Client = Annotated[
    str | None,
    typer.Option(
        "--client", metavar="ID", help="On all sites of this client.", rich_help_panel="Where"
    ),
]
_Fleet = Annotated[
    bool,
    typer.Option("--fleet", metavar=" ", help="On every host.", rich_help_panel="Where"),
]
_Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="An address or a network, IPv4 or IPv6.")
]
_Later = Annotated[
    bool,
    typer.Option(
        "--later", metavar=" ", help="Only record it; the next run of sites.yml puts it in force."
    ),
]


@app.command()
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


@app.command()
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


@app.command()
@o.for_register
def blocked(
    target: Target,
    whole: Annotated[bool, typer.Option("--all", metavar=" ", help="Also what has ended.")] = False,
    *,
    json: bool,
) -> int:
    """List the addresses that were blocked by hand. Asks no host anything."""
    from ringfence.cli import _blocked

    return _blocked.blocked(target, whole, json)


@app.command()
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


@app.command()
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


@app.command()
@o.for_hosts
def offboard(
    target: Target,
    person: Annotated[
        str, typer.Argument(metavar="PERSON", help="Who leaves, by the id in people.yml.")
    ],
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Take it. Without, it is only shown."),
    ] = False,
    erase: Annotated[
        bool,
        typer.Option(
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


@app.command(name="vendor-access")
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


@app.command()
@o.for_hosts
def backups(target: Target, *, show_command: bool, json: bool) -> int:
    """Judge the backups of every site: late, failed, missing, never restored. Changes nothing."""
    from ringfence.cli import _backups

    return _backups.judged(target, "backup_audit", "Backups", json, show_command)


@app.command()
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


@app.command()
@o.for_hosts
def restore(
    target: Target,
    site: Annotated[str, typer.Argument(metavar="CLIENT/SITE", help="What to restore.")],
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
            "--into", metavar="FOLDER", show_default=False, help="Below this empty or new folder."
        ),
    ] = "",
    over_live: Annotated[
        bool,
        typer.Option(
            "--over-live", metavar=" ", help="Over the live site; its name is asked for once more."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", metavar=" ", help="Do not ask.")] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Restore a site's backup: says what it would do, then asks."""
    from ringfence.cli import _backups

    wish = _backups.Wish(site, at, to, into, over_live, yes)
    return _backups.restore(target, wish, json, show_command)


@app.command()
@o.for_hosts
def recover(
    target: Target,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT", help="Whose backups.")],
    check: Annotated[
        bool, typer.Option("--check", metavar=" ", help="Only say what would be done.")
    ] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Bring a client's backups back after somebody deleted or overwrote them in the bucket."""
    from ringfence.cli import _backups

    return _backups.recover(target, client_id, check, json, show_command)


@app.command()
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


@app.command()
def status(
    inventory: o.Inventory = None,
    limit: o.Limit = None,
    client: o.Client = None,
    host: o.Host = None,
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
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Show the last that is known of every host. Asks no host anything."""
    from ringfence.cli import _evidence

    target = Target(
        inventory=inventory or [],
        limit=limit,
        clients=client or [],
        hosts=host or [],
        evidence_dir=evidence_dir,
    )
    return _evidence.status(target, store, max_age, json)


@app.command()
def diff(
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
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Compare two runs: what is new, what is fixed, what stays."""
    from ringfence.cli import _evidence

    return _evidence.diff(Target(evidence_dir=evidence_dir), store, before, after, json)


@app.command()
def access(
    inventory: o.Inventory = None,
    limit: o.Limit = None,
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
        typer.Option(
            "--last", metavar=" ", help="Report on the last collection; ask no host anything."
        ),
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
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: reports/ in the evidence."),
    ] = None,
    forks: o.Forks = None,
    vault_password_file: o.VaultPasswordFile = None,
    ask_vault_pass: o.AskVaultPass = False,
    ask_become_pass: o.AskBecomePass = False,
    show_command: o.ShowCommand = False,
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Who can get at what: collect, join to people, judge and report. Changes nothing on hosts."""
    from ringfence.cli import _access

    target = Target(
        inventory=inventory or [],
        limit=limit,
        forks=forks,
        vault_password_files=vault_password_file or [],
        ask_vault_pass=ask_vault_pass,
        ask_become_pass=ask_become_pass,
        evidence_dir=evidence_dir,
    )
    options = _access.Options(form or list(_access.DEFAULT_FORMATS), output, client, last)
    return _access.access(target, store, options, json, show_command)


@app.command()
def report(
    inventory: o.Inventory = None,
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
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: reports/ in the evidence."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Which run. Default: the last one.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare", metavar="RUN", help="Compare with this run. Default: the audit before."
        ),
    ] = None,
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Write the report of a run. Asks no host anything."""
    from ringfence.cli import _evidence

    target = Target(inventory=inventory or [], evidence_dir=evidence_dir)
    options = _evidence.ReportOptions(form or ["html"], output, run, compare, client)
    return _evidence.report(target, store, options, json)


@app.command()
def verify(
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
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Check that no evidence was changed, removed or inserted."""
    from ringfence.cli import _evidence

    return _evidence.verify(Target(evidence_dir=evidence_dir), store, allowed_signers, head, json)


@app.command()
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


@review.command("open")
def review_open(
    inventory: o.Inventory = None,
    client: _Reviewed = None,
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
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Freeze the newest collection as the population of a review."""
    from ringfence.cli import _review

    desk = _review.Desk(inventory, evidence_dir, store, client, signing_key)
    return _review.open_(desk, max_age, json)


@review.command("status")
def review_status(
    inventory: o.Inventory = None,
    client: _Reviewed = None,
    which: _WhichReview = None,
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """What is decided and what is not; after the sign-off, which revokes are still open."""
    from ringfence.cli import _review

    return _review.status(_review.Desk(inventory, evidence_dir, store, client), which, json)


@review.command("serve")
def review_serve(
    reviewer: _Reviewer,
    inventory: o.Inventory = None,
    client: _Reviewed = None,
    which: _WhichReview = None,
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
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
) -> int:
    """Decide in the browser: a page on this machine alone, until Ctrl-C."""
    from ringfence.cli import _review

    desk = _review.Desk(inventory, evidence_dir, store, client)
    return _review.serve(desk, which, reviewer, port)


@review.command("export")
def review_export(
    inventory: o.Inventory = None,
    client: _Reviewed = None,
    which: _WhichReview = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: reports/ in the evidence."),
    ] = None,
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Write the review as a CSV file to decide in."""
    from ringfence.cli import _review

    desk = _review.Desk(inventory, evidence_dir, store, client)
    return _review.export(desk, which, output, json)


@review.command("import")
def review_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The CSV file, filled in.")],
    reviewer: _Reviewer,
    inventory: o.Inventory = None,
    client: _Reviewed = None,
    which: _WhichReview = None,
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Read decisions back from the CSV file; all of them or none."""
    from ringfence.cli import _review

    desk = _review.Desk(inventory, evidence_dir, store, client)
    return _review.import_(desk, which, file, reviewer, json)


@review.command("sign-off")
def review_sign_off(
    reviewer: _Reviewer,
    inventory: o.Inventory = None,
    client: _Reviewed = None,
    which: _WhichReview = None,
    signing_key: _SigningKey = None,
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """Make the decisions evidence, once every row has one."""
    from ringfence.cli import _review

    desk = _review.Desk(inventory, evidence_dir, store, client, signing_key)
    return _review.sign_off(desk, which, reviewer, json)


@review.command("close")
def review_close(
    inventory: o.Inventory = None,
    client: _Reviewed = None,
    which: _WhichReview = None,
    abandon: Annotated[
        str | None,
        typer.Option(
            "--abandon",
            metavar="REASON",
            help="End an open review without a sign-off, and say why.",
        ),
    ] = None,
    signing_key: _SigningKey = None,
    evidence_dir: o.EvidenceDir = None,
    store: o.Store = None,
    json: o.Json = False,
) -> int:
    """End a signed review, once all that it revoked or modified is seen to be done."""
    from ringfence.cli import _review

    desk = _review.Desk(inventory, evidence_dir, store, client, signing_key)
    return _review.close(desk, which, abandon, json)


@app.command()
@o.for_hosts
def prune(
    target: Target,
    check: Annotated[
        bool, typer.Option("--check", metavar=" ", help="Only say what would go.")
    ] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Remove the backups that `keep` of the register no longer keeps, from the controller."""
    from ringfence.cli import _backups

    return _backups.prune(target, check, json, show_command)


@app.command(name="backup-keys")
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
    check: Annotated[
        bool, typer.Option("--check", metavar=" ", help="Only say what would be done.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", metavar=" ", help="Do not ask.")] = False,
    *,
    show_command: bool,
    json: bool,
) -> int:
    """Change who can open a client's backups: says what it would do, then asks."""
    from ringfence.cli import _backup_keys

    wish = _backup_keys.Wish(client_id, action, old_repository, old_password_file, check, yes)
    return _backup_keys.backup_keys(target, wish, json, show_command)


@app.command()
def schedule(
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
    inventory: o.Inventory = None,
    vault_password_file: o.VaultPasswordFile = None,
    evidence_dir: o.EvidenceDir = None,
    json: o.Json = False,
) -> int:
    """Write systemd timers for this controller, that judge, try and prune backups by the clock."""
    from ringfence.cli import _schedule

    target = Target(
        inventory=inventory or [],
        vault_password_files=vault_password_file or [],
        evidence_dir=evidence_dir,
    )
    wish = _schedule.Wish(drill_at, prune_at, backups_at, user, folder)
    return _schedule.schedule(target, wish, json)
