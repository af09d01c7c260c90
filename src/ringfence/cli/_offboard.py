# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence offboard`: shows what a person has, takes it, and proves that it is gone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.text import Text

from ringfence import collection
from ringfence.cli import _access
from ringfence.cli import _evidence as evidence
from ringfence.cli import _output as out
from ringfence.cli import _register as registers
from ringfence.cli._context import Context, unknown
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome, watched
from ringfence.cli._runs import command
from ringfence.errors import BadInputError
from ringfence.results import CLEAN, FINDINGS, NOT_CHECKED, printable


@dataclass(frozen=True)
class Consent:
    """What was agreed to. `sure`: take it; `erase`: what cannot be undone too."""

    sure: bool
    erase: bool


def offboard(
    target: Target, url: str | None, person: str, consent: Consent, as_json: bool, show: bool
) -> int:
    """Plan; where one is sure take everything and look again."""
    from ringfence.access import leaving

    sure = consent.sure
    context = Context(target)
    register = _register_with(context, person)

    emails, shared = leaving.addresses(register, person)
    variables = {
        "ringfence_person": person,
        "ringfence_iam_users": _iam_users(register, person),
        "ringfence_emails": emails,
        "ringfence_erase": consent.erase,
    }
    if show:
        return command(context.job("offboard", variables, check=not sure), as_json)
    before, kept, gaps = _seen(context, register, url, person, as_json)
    outcome = _run(context, variables, sure, as_json)
    done, named, silent = _answers(outcome, context.selection.hosts)
    named += [f"{email} is the address of others too: nothing is deleted by it" for email in shared]
    left, kept_left = before, kept
    if sure:
        left, kept_left, gaps = _seen(context, register, url, person, as_json)
    code = FINDINGS if sure and (left or kept_left or named) else CLEAN
    if silent or gaps or outcome.interrupted:
        code = NOT_CHECKED
    todo = leaving.tasks(register, person, before, str(date.today()))
    still = [*map(leaving.line, left), *kept_left] if sure else []
    said: dict[str, Any] = {
        "exit_code": code,
        "person": person,
        "done": sure,
        "known_before": [*map(leaving.line, before), *kept],
        "taken": done,
        "named": named,
        "still_shown": still,
        "not_done": silent,
        "not_read": gaps,
        "by_hand": [asdict(task) for task in todo],
    }
    if sure:
        name = str(register.people[person]["name"])
        text = leaving.markdown(person, name, done, named, still, todo)
        said["files"] = [str(path) for path in _write(context, person, text, said)]
    if as_json:
        out.print_json(said)
    else:
        _page(said, code)
    return code


def _register_with(context: Context, person: str) -> Any:
    """The client register. Raises BadInputError where there is none, or nobody of that id."""
    register = registers.needed(context)
    if person not in register.people:
        raise BadInputError(unknown("person", person, register.people))
    return register


def _seen(
    context: Context, register: Any, url: str | None, person: str, quiet: bool
) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """What a new collection knows of the person: accesses, data; and what it could not read."""
    from ringfence.access import documents, leaving, people

    emails, _shared = leaving.addresses(register, person)
    run_id = _access.collect(context, quiet, {"ringfence_emails": emails})
    store = evidence.open_store(context, url)
    known = store.collection(run_id)
    if known is None:
        raise BadInputError(f"{context.evidence_dir}: holds no collection of accesses")
    population = documents.population(documents.check(known, "the evidence"))
    directory = people.Directory(register, date.today(), context.selection.groups)
    joined = people.joined(population, directory)
    gaps = [f"{gap.target} {gap.source}: {gap.message}" for gap in joined.gaps]
    return leaving.accesses(joined, person), leaving.entries(joined, emails), gaps


def _run(context: Context, variables: dict[str, Any], sure: bool, quiet: bool) -> Outcome:
    names = context.selection.hosts
    job = context.job("offboard", variables, check=not sure, credentials=context.credentials)
    return watched("Offboard" if sure else "Plan", job, names, quiet)


def _answers(outcome: Outcome, chosen: list[str]) -> tuple[list[str], list[str], dict[str, str]]:
    done, named, silent = [], [], {}
    for name, host in sorted(outcome.results.hosts.items()):
        done += [f"{name}: {line}" for line in host.answer.get("taken", [])]
        named += [f"{name}: {line}" for line in host.answer.get("named", [])]
        # The controller has nothing to do where neither AWS nor another third party is asked.
        skipped = name not in chosen and host.state == "not_run"
        if host.failed or (host.state != "ok" and not skipped):
            silent[name] = printable(host.message)
    return done, named, silent


def _iam_users(register: Any, person: str) -> dict[str, list[str]]:
    """Names that are the person's alone, at each third party: one of them may be AWS."""
    leaver = collection.plugin_util("leaver")
    said = {
        "people": list(register.people.values()),
        "service_accounts": list(register.service_accounts.values()),
    }
    subject = leaver.subject(said, person)
    return {
        system: [name for name in names if name not in subject["kept"].get(system, [])]
        for system, names in subject["accounts"].items()
        if system == "aws" or system in register.third_parties
    }


def _write(context: Context, person: str, text: str, said: dict[str, Any]) -> list[Path]:
    from ringfence.report.__main__ import write

    folder = context.evidence_dir / "reports"
    paths = [folder / f"offboard-{person}.md", folder / f"offboard-{person}.json"]
    for path, content in zip(paths, (text, json.dumps(said, indent=2) + "\n"), strict=True):
        try:
            write(path, content.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error
    return paths


def _page(said: dict[str, Any], code: int) -> None:
    page = out.console()
    titles = {
        "known_before": "known",
        "taken": "taken" if said["done"] else "would be taken",
        "named": "for a person to decide",
        "still_shown": "still there",
        "not_read": "not read",
    }
    for key, title in titles.items():
        for text in said[key]:
            page.print(Text(f"{title}: {printable(text)}"), soft_wrap=True)
    for name, why in said["not_done"].items():
        page.print(Text(f"not done: {name}: {why}", style="magenta"), soft_wrap=True)
    for task in said["by_hand"]:
        page.print(Text(f"by hand: {task['system']}: {printable(task['what'])}"), soft_wrap=True)
    for path in said.get("files", []):
        page.print(Text(path), soft_wrap=True)
    verb = "taken" if said["done"] else "would be taken; nothing was changed, --yes does it"
    text = f"{out.count(len(said['taken']), 'thing')} {verb}"
    out.paragraph(page, Text(text, style="bold green" if code == CLEAN else "bold"))
