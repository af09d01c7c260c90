# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence vendor-access`: what third parties' people may do on the hosts, given and taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli import _register as registers
from ringfence.cli._context import Context, unknown
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome, watched
from ringfence.cli._runs import command, troubles
from ringfence.errors import BadInputError
from ringfence.results import CLEAN, NOT_CHECKED, printable

ACTIONS = ("apply", "revoke", "reinstate")


def vendor_access(target: Target, action: str, party: str, as_json: bool, show: bool) -> int:
    """Bring every host to what the register grants; or take a third party's access, or give it."""
    _require(action, party)
    context = Context(target)
    register = registers.needed(context)
    if party and party not in register.third_parties:
        raise BadInputError(unknown("third party", party, register.third_parties))
    variables: dict[str, Any] = {f"vendor_access_{action}": [party]} if party else {}
    if show:
        return command(context.job("vendor_access", variables), as_json)
    job = context.job("vendor_access", variables, credentials=context.credentials)
    result = watched("Vendor access", job, context.selection.hosts, as_json)
    hosts = dict(sorted(result.results.hosts.items()))
    silent = {
        name: host.message for name, host in hosts.items() if host.state != "ok" or host.failed
    }
    code = NOT_CHECKED if silent or result.interrupted else CLEAN
    answers = {name: host.answer for name, host in hosts.items() if host.answer}
    granted = _still_granted(register, party) if action == "revoke" else []
    if as_json:
        kept = ("open", "removed", "closed_now", "revoked")
        shown = {name: {key: one.get(key) for key in kept} for name, one in answers.items()}
        out.print_json(
            {"exit_code": code, "hosts": shown, "not_done": silent, "still_granted": granted}
        )
        return code
    _ended_and_silent(answers, silent)
    if granted:
        text = (
            f"people.yml still grants {party} something ({', '.join(granted)}): end those grants; "
            f"until `ringfence vendor-access reinstate {party}` the hosts let nobody of it in"
        )
        out.paragraph(out.console(), text)
    _total(answers, result, code)
    return code


def _require(action: str, party: str) -> None:
    if action not in ACTIONS:
        raise BadInputError(f"{action}: expected one of {', '.join(ACTIONS)}")
    if bool(party) != (action != "apply"):
        expected = "no third party" if action == "apply" else "the id of a third party"
        raise BadInputError(f"{action}: expected {expected}")


def _ended_and_silent(answers: Mapping[str, Any], silent: Mapping[str, str]) -> None:
    page = out.console()
    for name, one in answers.items():
        if one.get("closed_now"):
            accounts = ", ".join(map(printable, one["closed_now"]))
            text = f"{name}: access of {accounts} has ended, home kept"
            page.print(Text(text), soft_wrap=True)
    for name, why in silent.items():
        text = f"{name}: not done: {printable(why)}"
        page.print(Text(text, style="magenta"), soft_wrap=True)


def _total(answers: Mapping[str, Any], result: Outcome, code: int) -> None:
    opened = {account for one in answers.values() for account in one.get("open", {})}
    ended = sum(len(one.get("closed_now") or []) for one in answers.values())
    said = out.joined((
        f"{out.count(len(opened), 'account')} open on {out.count(len(answers), 'host')}",
        f"{out.count(ended, 'access', 'accesses')} ended now",
        troubles(result),
    ))  # fmt: skip
    out.paragraph(out.console(), Text(said, style="bold green" if code == CLEAN else "bold"))


def _still_granted(register: Any, party: str) -> list[str]:
    """Who of a third party has a grant of servers that the register does not end."""
    return sorted(
        name
        for name, person in register.people.items()
        if person.get("third_party") == party
        and any(grant["system"] == "server" for grant in person.get("access", []))
    )
