# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence backup-keys`: changes who can open a client's backups."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli._backups import asked_controller, for_controller
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.cli._runs import command
from ringfence.errors import BadInputError, NotCheckedError
from ringfence.results import CLEAN, FINDINGS, printable

_PLAYBOOK = "backup_care"
_ANSWERS = ("changed", "dropped", "copied", "file", "recipients", "deleted", "locked", "opens")
_SET_UP = "ansible-playbook playbooks/backup_hosts.yml"


@dataclass(frozen=True)
class Wish:
    """What is to be done with whose repository; the rest is for `copy` alone."""

    client: str
    action: str
    old_repository: str = ""
    old_password_file: Path | None = None
    check: bool = False
    yes: bool = False


@dataclass(frozen=True)
class _Action:
    """`plan` and `done` tell an answer in a line; `after` is what to do next."""

    what: str
    plan: Callable[[Mapping[str, Any]], str]
    done: Callable[[Mapping[str, Any]], str]
    after: str = ""
    why: str = ""


def _backups(answer: Mapping[str, Any]) -> str:
    return out.count(int(answer.get("copied", 0)), "backup")


def _passwords(answer: Mapping[str, Any]) -> str:
    return out.count(int(answer.get("dropped", 0)), "other password")


def _versions(answer: Mapping[str, Any]) -> str:
    return out.count(int(answer.get("deleted", 0)), "version") + " of its key files"


def _people(answer: Mapping[str, Any]) -> str:
    return out.count(len(answer.get("recipients", [])), "person", "people")


ACTIONS: Mapping[str, _Action] = {
    "add-password": _Action(
        "add_password",
        lambda _: "backup.next.password would open it too",
        lambda _: "backup.next.password opens it too",
        _SET_UP,
        "after the new one is backup.password in the register, and backup.next is gone",
    ),
    "drop-passwords": _Action(
        "drop_passwords",
        lambda answer: f"{_passwords(answer)} would open it no more",
        lambda answer: f"{_passwords(answer)} removed: backup.password alone opens it",
    ),
    "escrow": _Action(
        "escrow",
        lambda answer: f"would be encrypted to {_people(answer)}, in {answer.get('file', '')}",
        lambda answer: f"encrypted to {_people(answer)}, in {answer.get('file', '')}",
    ),
    "copy": _Action(
        "copy",
        lambda answer: f"{_backups(answer)} would be copied into the new repository",
        lambda answer: f"{_backups(answer)} copied, all data read and sound",
    ),
    "shred": _Action(
        "shred",
        lambda answer: f"{_versions(answer)} would be deleted: nobody can open it after that",
        lambda answer: f"{_versions(answer)} deleted",
    ),
}


def backup_keys(target: Target, wish: Wish, as_json: bool, show: bool) -> int:
    """Say what would be done, ask, and do it."""
    action, variables = ACTIONS.get(wish.action), _variables(wish)
    if action is None:
        raise BadInputError(f"{wish.action}: expected one of {', '.join(ACTIONS)}")
    context = Context(target)
    if show:
        return command(for_controller(context, _PLAYBOOK, variables, wish.check), as_json)
    planned = _answer(context, variables, as_json, check=True)
    if not as_json:
        _say(wish, action.plan(planned) if planned.get("changed") else "nothing is to be done")
    if wish.check or not planned.get("changed"):
        return _end(wish, planned, as_json, done=False)
    if not wish.yes and not _agreed(wish):
        raise BadInputError("nothing was changed")
    answer = _answer(context, variables, as_json, check=False)
    if not as_json:
        _say(wish, action.done(answer))
        _warn(answer)
        if action.after:
            out.next_step(out.console(), action.after, action.why)
    return _end(wish, answer, as_json, done=True)


def _variables(wish: Wish) -> dict[str, Any]:
    """The playbook's variables; a password is named by its file and read by the playbook."""
    copies = wish.action == "copy"
    if copies != bool(wish.old_repository and wish.old_password_file):
        needed = "needs --old-repository and --old-password-file"
        raise BadInputError(f"{wish.action}: {needed if copies else 'only copy ' + needed}")
    found: dict[str, Any] = {"care_client": wish.client}
    found["care_what"] = wish.action.replace("-", "_")
    if wish.action == "shred":
        found["care_confirm"] = wish.client
    if wish.old_password_file:
        path = wish.old_password_file.expanduser().absolute()
        if not path.is_file():
            raise BadInputError(f"{path}: there is no such file")
        found |= {"care_old_repository": wish.old_repository, "care_old_password_file": str(path)}
    return found


def _answer(
    context: Context, variables: dict[str, Any], quiet: bool, *, check: bool
) -> dict[str, Any]:
    title = "Plan" if check else "Backup keys"
    host = asked_controller(context, _PLAYBOOK, variables, title, quiet, check=check)
    # A repository that is still open after shredding has an answer, though the run failed.
    if (host.failed or host.state != "ok") and not host.answer:
        raise NotCheckedError(printable(host.message))
    return host.answer


def _agreed(wish: Wish) -> bool:
    """What cannot be taken back needs the client's name once more."""
    if not sys.stdin.isatty():
        raise BadInputError("nobody is there to be asked: give --yes")
    if wish.action == "shred":
        said = f"The backups of {wish.client} will be lost for ever. Type its id to go on"
        return str(typer.prompt(said)).strip() == wish.client
    return typer.confirm("Go on?")


def _say(wish: Wish, said: str) -> None:
    text = f"{printable(wish.client)}: {printable(said)}"
    out.paragraph(out.console(), Text(text, style="bold"))


def _warn(answer: Mapping[str, Any]) -> None:
    """What shredding could not reach."""
    page = out.console()
    for name in answer.get("locked") or []:
        page.print(Text(f"held by its lock: {printable(name)}", style="magenta"), soft_wrap=True)
    for path in answer.get("destroy") or []:
        page.print(Text(f"destroy by hand: {printable(path)}", style="magenta"), soft_wrap=True)
    if answer.get("opens"):
        out.paragraph(page, Text("The repository can still be opened.", style="bold red"))


def _end(wish: Wish, answer: Mapping[str, Any], as_json: bool, *, done: bool) -> int:
    left = bool(done and (answer.get("opens") or answer.get("locked")))
    code = FINDINGS if left else CLEAN
    if as_json:
        told = {key: answer[key] for key in (*_ANSWERS, "destroy") if key in answer}
        out.print_json({"exit_code": code, "client": wish.client, "done": done, **told})
    return code
