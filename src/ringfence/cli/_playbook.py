# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook, shows it as it goes, and says what came of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from ringfence.cli import _output as out
from ringfence.cli._progress import Progress
from ringfence.errors import BadInputError, NotCheckedError
from ringfence.results import Results, printable
from ringfence.runner import Job, Run

_RUN_ID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")


@dataclass(frozen=True)
class Outcome:
    """`evidence`: what was said about the record of this run, when it is not in the store."""

    results: Results
    seconds: float
    run_id: str | None
    interrupted: str | None
    evidence: str
    return_code: int | None


def run(job: Job, names: list[str], progress: Progress) -> Outcome:
    """Run `job` on the hosts `names`, shown by `progress`, which is live already.

    Raises BadInputError where Ansible refused before it asked any host, NotCheckedError where it
    ended without a word about a host that it was to ask.
    """
    results = Results(names)
    started = time.monotonic()
    with Run(job) as running:
        for event in running:
            progress.take(event, results.take(event))
            if running.interrupted and not progress.notice:
                progress.say(f"Stopping ({running.interrupted}) … once more to stop at once")
    if not running.started and not running.interrupted:
        raise BadInputError(printable(running.trouble()) or "ansible-playbook did not start")
    if running.return_code != 0 and not running.interrupted and _silent(results):
        raise NotCheckedError(printable(running.trouble()) or "ansible-playbook failed")
    said = running.said("Evidence:")
    recorded = _RUN_ID.search(said[-1]) if said else None
    asked = any(host.begun for host in results.hosts.values())
    warning = _evidence_warning(running) if asked and not recorded else ""
    return Outcome(
        results,
        time.monotonic() - started,
        recorded.group() if recorded else None,
        running.interrupted,
        warning,
        running.return_code,
    )


def watched(title: str, job: Job, names: list[str], quiet: bool) -> Outcome:
    """Run `job` on the hosts `names`, seen below `title` unless `quiet`; raises as `run` does."""
    with Progress(title, len(names), out.notes(), quiet) as progress:
        return run(job, names, progress)


def _silent(results: Results) -> bool:
    return all(host.state == "not_run" and not host.failed for host in results.hosts.values())


def _evidence_warning(running: Run) -> str:
    said = running.said("[WARNING]: Evidence:")
    return printable(said[-1].removeprefix("[WARNING]: ")) if said else "no evidence was recorded"
