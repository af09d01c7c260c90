# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence review`: opens, shows, serves, exports, imports, signs and ends access reviews."""

from __future__ import annotations

import getpass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.text import Text

from ringfence.access_review import draft, follow_up, model, sheet
from ringfence.access_review.follow_up import Item, Steps
from ringfence.access_review.model import DECISIONS, OPENED, PENDING, SIGNED_OFF
from ringfence.cli import _access as accesses
from ringfence.cli import _evidence as evidence
from ringfence.cli import _output as out
from ringfence.cli import _register as registers
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.errors import BadInputError
from ringfence.results import CLEAN, FINDINGS, NOT_CHECKED, printable

_LISTED = 20
_STATES = {"seen": "still there", "not_told": "not read since", "gone": "done"}


class Desk:
    """What all commands of a review work on, each part once and when it is first needed."""

    def __init__(
        self,
        target: Target,
        url: str | None,
        client: str | None,
        signing_key: Path | None = None,
    ) -> None:
        self.context = Context(target)
        self.client = client or ""
        self._url, self._key = url, signing_key

    @cached_property
    def store(self) -> Any:
        """The evidence."""
        if self._key is not None and not self._key.expanduser().exists():
            raise BadInputError(f"--signing-key {self._key}: there is no such file")
        key = self._key.expanduser() if self._key else None
        return evidence.open_store(self.context, self._url, key)

    @cached_property
    def register(self) -> Any:
        """The client register."""
        return registers.needed(self.context, "to review by")

    @cached_property
    def directory(self) -> Any:
        """Who is who today."""
        from ringfence.access.people import Directory

        return Directory(self.register, date.today(), self.context.selection.groups)

    @cached_property
    def values(self) -> Any:
        """target -> control id -> value."""
        return accesses.values_of(self.context, self.register)

    def steps(self, which: str | None, *states: str) -> Steps:
        """The review that is meant, in one of some states."""
        return follow_up.find(self.store, which, self.client, states)

    def draft(self, steps: Steps) -> draft.Draft:
        """The decisions so far of an open review."""
        folder = self.context.evidence_dir / "reviews"
        return draft.Draft(folder, follow_up.opened(self.store, steps))

    def reviewer(self, name: str, client: str) -> str:
        """Somebody who may review."""
        return model.may_review(self.directory, name, client)


def now() -> str:
    """The time, as the evidence spells it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def open_(desk: Desk, max_age: int, as_json: bool) -> int:
    """Freeze what was collected last."""
    scope = evidence.client_scope(desk.context, desk.client) if desk.client else None
    for one in follow_up.known(desk.store):
        if one.client == desk.client and one.state == OPENED:
            raise BadInputError(
                f"review {one.id} is open since {one.steps[OPENED]['at'][:10]}: sign it off, "
                "or end it with `ringfence review close --abandon REASON`"
            )
    report, population = accesses.report_on(desk.context, desk.register, desk.store, None, scope)
    if not report.rows:
        raise BadInputError("the newest collection holds no access to review")
    collected = datetime.fromisoformat(report.collected_at)
    if datetime.now(UTC) - collected > timedelta(days=max_age):
        raise BadInputError(
            f"the newest collection is of {report.collected_at[:10]}, older than {max_age} days: "
            "`ringfence access` collects anew"
        )
    step = model.freeze(
        report, population, id=model.new_id(), opened=now(), operator=getpass.getuser(),
        entry=report.evidence, before=follow_up.before(desk.store, desk.client),
    )  # fmt: skip
    entry = desk.store.append_review(step)
    found = {
        "review": step["id"], "client": desk.client or None, "entry": entry.seq,
        "signed": entry.signature is not None, "accesses": len(report.rows),
        "with_findings": len(report.by_row), "not_read": len(report.gaps),
        "collection": step["collection"],
    }  # fmt: skip
    if as_json:
        out.print_json({"exit_code": CLEAN, **found})
        return CLEAN
    target = out.console()
    line = f"Review {step['id']}: {out.count(len(report.rows), 'access', 'accesses')} to decide"
    target.print(Text(line, style="bold"), soft_wrap=True)
    said = out.joined((
        f"{len(report.by_row)} with findings",
        f"{out.count(len(report.gaps), 'source')} not read" if report.gaps else "",
        f"{len(step['removed'])} gone since the review before" if step["removed"] else "",
        f"entry {entry.seq} of the evidence{', signed' if entry.signature else ''}",
    ))  # fmt: skip
    out.paragraph(target, said)
    of = f" --client {desk.client}" if desk.client else ""
    out.next_step(target, f"ringfence review serve --reviewer ID{of}", "decides in the browser")
    return CLEAN


def status(desk: Desk, which: str | None, as_json: bool) -> int:
    """Where a review stands."""
    steps = desk.steps(
        which, OPENED, SIGNED_OFF, *((model.CLOSED, model.ABANDONED) if which else (model.CLOSED,))
    )
    if steps.state in (OPENED, model.ABANDONED):
        return _status_open(desk, steps, as_json)
    return _status_signed(desk, steps, as_json)


def _status_open(desk: Desk, steps: Steps, as_json: bool) -> int:
    mine = desk.draft(steps)
    told = model.counts(mine.review, mine.decisions)
    code = FINDINGS if steps.state == OPENED else CLEAN
    if as_json:
        out.print_json({"exit_code": code, "review": steps.id, "state": steps.state,
                        "client": steps.client or None, "counts": told})  # fmt: skip
        return code
    target = out.console()
    title = f"Review {steps.id}: {steps.state}, {mine.review.title}"
    target.print(Text(title, style="bold"), soft_wrap=True)
    out.paragraph(target, _counted(told))
    if steps.state != OPENED:
        return code
    of = f" --client {steps.client}" if steps.client else ""
    verb = "serve" if told[PENDING] else "sign-off"
    out.next_step(target, f"ringfence review {verb} --reviewer ID{of}")
    return code


def _counted(told: dict[str, int]) -> str:
    words = [f"{told[name]} {name}" for name in DECISIONS]
    words += [f"{told[PENDING]} undecided"] if told.get(PENDING) else []
    return f"{out.count(told['rows'], 'access', 'accesses')}: {', '.join(words)}"


def _status_signed(desk: Desk, steps: Steps, as_json: bool) -> int:
    followed = [] if steps.state == model.CLOSED else _items(desk, steps)
    left = [one for one in followed if one.open]
    late = [one for one in left if _due(desk, steps, one) < date.today()]
    code = FINDINGS if late else CLEAN
    if any(one.state == follow_up.NOT_TOLD for one in late):
        code = NOT_CHECKED
    told = dict(steps.steps[SIGNED_OFF]["counts"])
    if as_json:
        rows = [
            {"id": one.name, "system": one.row["system"], "username": one.row["username"],
             "decision": one.decision.decision, "ticket": one.decision.ticket,
             "state": one.state, "due": _due(desk, steps, one).isoformat(), "overdue": one in late}
            for one in followed
        ]  # fmt: skip
        out.print_json({"exit_code": code, "review": steps.id, "state": steps.state,
                        "client": steps.client or None, "counts": told,
                        "follow_up": rows})  # fmt: skip
        return code
    target = out.console()
    state = steps.state.replace("_", " ")
    line = f"Review {steps.id}: {state} on {steps.steps[SIGNED_OFF]['at'][:10]}"
    target.print(Text(line, style="bold"), soft_wrap=True)
    out.paragraph(target, _counted(told))
    for one in left[:_LISTED]:
        due = _due(desk, steps, one)
        words = f"{one.decision.decision} {_named(one)}: {_STATES[one.state]}, due {due}"
        words += f", {one.decision.ticket}" if one.decision.ticket else ""
        style = "red" if one in late else ""
        out.paragraph(target, Text(printable(words), style=style), 2)
    if len(left) > _LISTED:
        out.paragraph(target, f"and {len(left) - _LISTED} more", 2)
    if steps.state == SIGNED_OFF:
        if left:
            said = f"{len(left)} of {len(followed)} not seen to be done; {len(late)} overdue"
            out.paragraph(target, Text(said, style="bold"))
            out.next_step(target, "ringfence access", "looks again")
        else:
            of = f" --client {steps.client}" if steps.client else ""
            out.next_step(target, f"ringfence review close{of}", "nothing is left to do")
    return code


def _named(one: Item) -> str:
    from ringfence.access.judges import what

    return what(one.row)


def _items(desk: Desk, steps: Steps) -> list[Item]:
    return follow_up.items(desk.store, steps, follow_up.latest(desk.store))


def _due(desk: Desk, steps: Steps, one: Item) -> date:
    from ringfence.access.model import target_of

    days = int(desk.values(target_of(one.row))["access_revoke_overdue"])
    return date.fromisoformat(steps.steps[SIGNED_OFF]["at"][:10]) + timedelta(days=days)


def serve(desk: Desk, which: str | None, reviewer: str, port: int) -> int:
    """The page, until Ctrl-C."""
    from ringfence.access_review import web

    steps = desk.steps(which, OPENED)
    reviewer = desk.reviewer(reviewer, steps.client)
    desk_draft = desk.draft(steps)

    def still_open() -> bool:
        return any(
            one.id == steps.id and one.state == OPENED for one in follow_up.known(desk.store)
        )

    try:
        server = web.Server(desk_draft, reviewer, port, still_open)
    except OSError as error:
        raise BadInputError(f"--port {port}: {error.strerror}") from error
    target = out.console()
    target.print(Text(server.url, style="bold cyan"), soft_wrap=True)
    said = "for one browser on this machine, once; Ctrl-C ends the page, decisions are kept"
    out.paragraph(target, Text(said, style="dim"))
    target.file.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    told = model.counts(desk_draft.review, desk_draft.decisions)
    out.paragraph(target, _counted(told))
    return CLEAN


def export(desk: Desk, which: str | None, output: Path | None, as_json: bool) -> int:
    """The review as CSV; a signed one with what was signed."""
    from ringfence.report.__main__ import write

    steps = desk.steps(which, OPENED, SIGNED_OFF, model.CLOSED)
    if steps.state == OPENED:
        mine = desk.draft(steps)
        review, decided = mine.review, mine.decisions
    else:
        review = follow_up.opened(desk.store, steps)
        decided = follow_up.decisions(desk.store, steps)
    path = output or desk.context.evidence_dir / "reports" / f"review-{steps.id}.csv"
    try:
        write(path, sheet.render(review, decided).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error
    if as_json:
        out.print_json({"exit_code": CLEAN, "review": steps.id, "file": path})
        return CLEAN
    target = out.console()
    target.print(Text(str(path)), soft_wrap=True)
    columns = ", ".join(sheet.EDITABLE)
    out.paragraph(target, f"Fill in {columns}; change nothing else")
    return CLEAN


def import_(desk: Desk, which: str | None, file: Path, reviewer: str, as_json: bool) -> int:
    """Decisions of a CSV file, all or none."""
    steps = desk.steps(which, OPENED)
    reviewer = desk.reviewer(reviewer, steps.client)
    mine = desk.draft(steps)
    found = sheet.read(file, mine.review, mine.decisions, reviewer, now())
    mine.decide(found)
    told = model.counts(mine.review, mine.decisions)
    if as_json:
        out.print_json({"exit_code": CLEAN, "review": steps.id, "taken": len(found),
                        "counts": told})  # fmt: skip
        return CLEAN
    target = out.console()
    out.paragraph(target, Text(f"{out.count(len(found), 'decision')} taken", style="bold"))
    out.paragraph(target, _counted(told))
    return CLEAN


def sign_off(desk: Desk, which: str | None, reviewer: str, as_json: bool) -> int:
    """Decisions become evidence."""
    steps = desk.steps(which, OPENED)
    reviewer = desk.reviewer(reviewer, steps.client)
    mine = desk.draft(steps)
    step = model.sign_off(mine.review, mine.decisions, reviewer, now(), getpass.getuser())
    entry = desk.store.append_review(step)
    if as_json:
        out.print_json({"exit_code": CLEAN, "review": steps.id, "entry": entry.seq,
                        "hash": entry.hash, "signed": entry.signature is not None,
                        "counts": step["counts"]})  # fmt: skip
        return CLEAN
    target = out.console()
    line = f"Signed off by {reviewer}: {_counted(step['counts'])}"
    out.paragraph(target, Text(line, style="bold green"))
    signed = "signed with the key" if entry.signature else "chained, not signed by a key"
    out.paragraph(target, f"entry {entry.seq} of the evidence, {signed}")
    if step["counts"][model.REVOKE] or step["counts"][model.MODIFY]:
        out.next_step(target, "ringfence review status", "what is left to carry out")
    return CLEAN


def close(desk: Desk, which: str | None, abandon: str | None, as_json: bool) -> int:
    """The end: all carried out, or given up with a reason."""
    if abandon is not None:
        steps = desk.steps(which, OPENED)
        if not abandon.strip():
            raise BadInputError("--abandon: expected a reason")
        mine = desk.draft(steps)
        told = model.counts(mine.review, mine.decisions)
        more: dict[str, Any] = {"step": model.ABANDONED, "reason": abandon.strip(), "counts": told}
    else:
        steps = desk.steps(which, SIGNED_OFF)
        seen = follow_up.latest(desk.store)
        followed = follow_up.items(desk.store, steps, seen)
        left = [one for one in followed if one.open]
        if left:
            first = printable(_named(left[0]))
            raise BadInputError(
                f"review {steps.id}: {len(left)} of {len(followed)} not seen to be done, such as "
                f"{left[0].decision.decision} {first} ({_STATES[left[0].state]})"
            )
        more = {
            "step": model.CLOSED,
            "counts": steps.steps[SIGNED_OFF]["counts"],
            "verified_by": seen.id if seen and followed else None,
            "verified": [one.name for one in followed],
        }
    step = {"schema": model.SCHEMA_VERSION, "id": steps.id, "at": now(), "client": steps.client,
            "operator": getpass.getuser(), **more}  # fmt: skip
    entry = desk.store.append_review(step)
    if as_json:
        out.print_json({"exit_code": CLEAN, "review": steps.id, "state": step["step"],
                        "entry": entry.seq})  # fmt: skip
        return CLEAN
    line = f"Review {steps.id} {step['step']}: entry {entry.seq} of the evidence"
    out.paragraph(out.console(), Text(line, style="bold green"))
    return CLEAN
