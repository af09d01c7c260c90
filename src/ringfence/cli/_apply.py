# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence apply`: a staged rollout."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from ringfence import rollout as stages
from ringfence.cli import _output as out
from ringfence.cli import _summary as summary
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome, run
from ringfence.cli._progress import Progress
from ringfence.cli._register import closed_windows
from ringfence.cli._runs import closing, options, troubles
from ringfence.errors import BadInputError
from ringfence.results import NOT_CHECKED, Results, findings
from ringfence.rollout import Rollout
from ringfence.runner import Job

_REASON_VARIABLE = "RINGFENCE_RUN_REASON"
_WINDOWS_SHOWN = 3


@dataclass(frozen=True)
class Staging:
    """The options of apply alone."""

    canaries: list[str]
    batch: str | None
    resume: bool
    outside_window: bool
    why: str | None
    guard_timeout: int | None


def apply(target: Target, staging: Staging, as_json: bool, show_command: bool) -> int:
    """Bring hosts to what their controls say, batch after batch."""
    _refuse_contradictions(target, staging)
    folder = stages.Folder(Context(target).evidence_dir)
    if show_command:
        context, state = _prepare(target, staging, folder)
        return _show_commands(context, state, as_json)
    with folder.lock():
        context, state = _prepare(target, staging, folder)
        _refuse_closed_windows(context, state, staging)
        result = _Rollout(context, state, folder, staging, as_json).run()
    code = _code(state, result)
    if as_json:
        extra = {"rollout": state.id, "status": state.status, "runs": state.runs}
        out.print_json(summary.document("apply", result, code, extra))
    else:
        _page(context, state, result)
    return code


def _refuse_contradictions(target: Target, staging: Staging) -> None:
    if staging.outside_window and not (staging.why or "").strip():
        raise BadInputError('--outside-window: say why, with --why "…"; it is kept as evidence')
    if staging.why and not staging.outside_window:
        raise BadInputError("--why: belongs to --outside-window")
    if staging.resume and _narrowed(target, staging):
        raise BadInputError(
            "--resume: goes on with the hosts and controls it was started with; "
            "leave out what chooses others"
        )


def _narrowed(target: Target, staging: Staging) -> bool:
    chosen = (target.limit, target.clients, target.hosts, target.families, target.controls)
    return any((*chosen, target.profile)) or bool(staging.canaries or staging.batch)


def _prepare(target: Target, staging: Staging, folder: stages.Folder) -> tuple[Context, Rollout]:
    if staging.resume:
        return _resumed(target, staging, folder)
    context = Context(target)
    context.check_controls()
    chosen = context.selection
    batches = stages.plan(
        chosen.hosts, staging.canaries, staging.batch or stages.DEFAULT_BATCH, chosen.groups
    )
    kept = {
        "inventory": [_absolute(source) for source in target.inventory],
        "families": target.families,
        "controls": target.controls,
        "profile": target.profile,
        "guard_timeout": staging.guard_timeout,
    }
    return context, Rollout.begin(batches, kept, staging.why)


def _absolute(source: str) -> str:
    return source if "," in source else str(Path(source).absolute())


def _resumed(target: Target, staging: Staging, folder: stages.Folder) -> tuple[Context, Rollout]:
    state = folder.unfinished()
    if state is None:
        raise BadInputError(f"--resume: {folder.path} holds no rollout that is not done")
    kept = state.options
    target = replace(
        target,
        inventory=target.inventory or kept["inventory"],
        families=kept["families"],
        controls=kept["controls"],
        profile=kept.get("profile"),
    )
    context = Context(target)
    there = set(context.selection.hosts)
    state.hosts = {name: found for name, found in state.hosts.items() if name in there}
    state.reason = staging.why or state.reason
    return context, state


def _refuse_closed_windows(context: Context, state: Rollout, staging: Staging) -> None:
    if staging.outside_window:
        return
    hosts = [name for batch in state.remaining() for name in batch]
    closed = closed_windows(context, hosts)
    if closed:
        more = len(closed) - _WINDOWS_SHOWN
        listed = "; ".join(closed[:_WINDOWS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise BadInputError(
            f"outside the change window: {listed}; wait, leave those hosts out with -l, "
            'or --outside-window --why "…"'
        )


def _show_commands(context: Context, state: Rollout, as_json: bool) -> int:
    jobs = [_job(context, state, batch) for batch in state.remaining()]
    if as_json:
        out.print_json({"commands": [job.command_line() for job in jobs], "exit_code": 0})
        return 0
    print(" && \\\n".join(job.command_line() for job in jobs))
    return 0


def _job(context: Context, state: Rollout, batch: list[str], **more: Any) -> Job:
    timeout = state.options.get("guard_timeout")
    variables = {} if timeout is None else {"ringfence_guard_timeout": timeout}
    job = context.job("apply", variables, **more)
    settings = {**job.settings, **({_REASON_VARIABLE: state.reason} if state.reason else {})}
    return replace(job, limit=",".join(batch), settings=settings)


class _Rollout:
    """Runs the batches and keeps the state."""

    def __init__(
        self, context: Context, state: Rollout, folder: stages.Folder, staging: Staging, quiet: bool
    ) -> None:
        self.context = context
        self.state = state
        self.folder = folder
        self.staging = staging
        self.quiet = quiet

    def run(self) -> Outcome:
        """All batches that are to be done, or those up to the one that failed."""
        started = time.monotonic()
        batches = self.state.remaining()
        names = [name for batch in batches for name in batch]
        together = Results(names)
        outcomes: list[Outcome] = []
        credentials = self.context.credentials
        self._wait_for_guards()
        self.state.status, self.state.stopped_because = stages.RUNNING, ""
        with Progress("Apply", len(names), out.notes(), self.quiet) as progress:
            for number, batch in enumerate(batches):
                if self._window_has_closed(number, batch):
                    break
                progress.begin_stage(_stage(number, len(batches), batch))
                job = _job(self.context, self.state, batch, credentials=credentials)
                outcome = self._batch(number, batch, job, progress)
                outcomes.append(outcome)
                together.hosts.update({name: outcome.results.hosts[name] for name in batch})
                together.catalogue_sha256 = outcome.results.catalogue_sha256
                if self.state.status != stages.RUNNING:
                    break
        if self.state.status == stages.RUNNING:
            pending = [name for name, found in self.state.hosts.items() if found != stages.APPLIED]
            self.state.status = stages.STOPPED if pending else stages.DONE
        self.folder.save(self.state)
        last = outcomes[-1] if outcomes else None
        return Outcome(
            together,
            time.monotonic() - started,
            last.run_id if last else None,
            last.interrupted if last else None,
            next((outcome.evidence for outcome in outcomes if outcome.evidence), ""),
            last.return_code if last else None,
        )

    def _wait_for_guards(self) -> None:
        """A host that was cut off may look finished now, and put itself back a minute later."""
        seconds = self.state.unsettled(datetime.now(UTC))
        if not seconds:
            return
        self.folder.save(self.state)
        names = [name for name, found in self.state.hosts.items() if found == stages.STARTED]
        text = f"{out.names(names)} may still put back what was cut off: waiting {seconds:.0f} s"
        out.notes().print(Text(text, style="yellow"), soft_wrap=True)
        time.sleep(seconds)

    def _batch(self, number: int, batch: list[str], job: Job, progress: Progress) -> Outcome:
        for name in batch:
            self.state.hosts[name] = stages.STARTED
        self.folder.save(self.state)
        outcome = run(job, batch, progress)
        self.state.note(batch, outcome.results.hosts)
        if outcome.run_id:
            self.state.runs.append(outcome.run_id)
        bad = stages.failed(self.state, batch, canary=number == 0)
        if outcome.interrupted:
            self.state.interrupt(datetime.now(UTC))
        elif bad:
            self.state.status = stages.STOPPED
            self.state.stopped_because = f"{out.names(bad)} failed"
        self.folder.save(self.state)
        return outcome

    def _window_has_closed(self, number: int, batch: list[str]) -> bool:
        """A rollout may be longer than the window it began in."""
        if number == 0 or self.staging.outside_window:
            return False
        closed = closed_windows(self.context, batch)
        if closed:
            self.state.status = stages.STOPPED
            self.state.stopped_because = f"the change window has closed: {closed[0]}"
        return bool(closed)


def _stage(number: int, total: int, batch: list[str]) -> str:
    what = "canary" if number == 0 else "batch"
    return f"{what} {out.names(batch, 3)} ({number + 1} of {total})"


def _code(state: Rollout, result: Outcome) -> int:
    if state.status != stages.DONE:
        return NOT_CHECKED
    return result.results.exit_code()


def _page(context: Context, state: Rollout, result: Outcome) -> None:
    target = out.console()
    controls = context.catalogue.controls
    asked = [
        host for host in result.results.hosts.values() if host.state != "not_run" or host.begun
    ]
    shown = Results()
    shown.hosts = {host.name: host for host in asked}
    summary.headline(target, f"Apply to {out.count(len(asked), 'host')}", result)
    summary.host_table(target, shown)
    summary.change_list(target, asked, controls, heading="Changed")
    for status in ("error", "fail"):
        items = findings(asked, status)
        summary.finding_list(target, items, controls, len(asked))
    summary.waiver_lines(target, shown)
    out.paragraph(target, Text(_verdict(state, asked, result), style="bold"))
    closing(result)
    _next(context, state, result)


def _verdict(state: Rollout, asked: list[Any], result: Outcome) -> str:
    changed = sum(host.counts["changed"] for host in asked)
    applied, total = state.count(stages.APPLIED), len(state.hosts)
    words = {
        stages.DONE: f"Done: {out.count(total, 'host')}",
        stages.STOPPED: f"STOPPED after {applied} of {out.count(total, 'host')}",
        stages.INTERRUPTED: f"INTERRUPTED after {applied} of {out.count(total, 'host')}",
    }
    failing = result.results.totals()["fail"]
    return out.joined(
        (
            words.get(state.status, state.status),
            state.stopped_because,
            f"{out.count(changed, 'change')}" if changed else "nothing had to change",
            f"{out.count(failing, 'control')} must be mended by hand" if failing else "",
            troubles(result) if state.status == stages.DONE else _stuck(state),
        )
    )


def _stuck(state: Rollout) -> str:
    failed, cut_off, down = (
        [name for name, found in state.hosts.items() if found == wanted]
        for wanted in (stages.FAILED, stages.STARTED, stages.UNREACHABLE)
    )
    return out.joined(
        (
            f"not as it should be: {out.names(failed)}" if failed else "",
            f"cut off: {out.names(cut_off)}" if cut_off else "",
            f"could not be reached: {out.names(down)}" if down else "",
            f"{out.count(state.count(stages.PENDING), 'host')} untouched"
            if state.count(stages.PENDING)
            else "",
        )
    )


def _next(context: Context, state: Rollout, result: Outcome) -> None:
    target = out.console()
    if state.status == stages.DONE:
        out.next_step(target, f"ringfence audit{options(context)}", "asks the hosts again")
        return
    cut_off = [n for n, s in state.hosts.items() if s == stages.STARTED]
    if result.interrupted and cut_off:
        seconds = state.options.get("guard_timeout") or stages.DEFAULT_GUARD_SECONDS
        line = (
            f"{out.names(cut_off)} may have been in mid-change: what was guarded goes back by "
            f"itself within {seconds} s, the rest is written whole or not at all."
        )
        out.paragraph(target, line)
    chosen = context.target.evidence_dir
    where = f" --evidence-dir {chosen}" if chosen else ""
    out.next_step(target, f"ringfence apply --resume{where}", "goes on where this stopped")
