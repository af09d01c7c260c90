# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who must give a code on a host, who can, and where the host does less than was declared.

Reads only, and never hands out a secret or a recovery code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _totp,
    _totp_host,
    _totp_policy,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import TotpError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp_host import Account, Sshd
from ansible_collections.ringfence.hosting.plugins.module_utils._totp_policy import (
    CODE_STACK,
    SSHD_DROP_IN,
    SSHD_STACK,
    Policy,
)

Finding = dict[str, str]


def report(host: Host, policy: Policy, today: date) -> dict[str, Any]:
    """{accounts: a row each, findings: where the host does less than `policy`, a line each}.

    A row: account, uid (None where it is gone), can_sign_in, required, enrolled, recovery_codes,
    exempt (sources), exempt_until, changed_at, change, change_reason. Raises HostError.
    """
    everybody = _totp_host.accounts(host)
    now = Sshd(host).effective("root", _totp_policy.NOWHERE[0])
    present = {n for n, a in everybody.items() if _totp_host.can_sign_in(host, a, now)}
    asked = _Asked(host, policy, today)
    events = _totp_host.history(host)
    names = present | set(_totp_host.enrolled_names(host)) | set(policy.named())
    rows, findings = [], list(_of_files(host, policy, today))
    for name in sorted(names):
        account = everybody.get(name)
        row = {"account": name, "uid": account.uid if account else None}
        row["can_sign_in"] = name in present
        row["required"] = asked.of(account) if account else False
        row |= _enrolment(host, name) | _exemption(policy, name, today) | _event(events, name)
        rows.append(row)
        findings += _of_account(host, policy, today, account, row)
    findings += _of_exemptions(policy, today)
    return {"accounts": rows, "findings": findings}


class _Asked:
    """Whether sshd asks an account for a code; one question for all that it treats alike."""

    def __init__(self, host: Host, policy: Policy, today: date) -> None:
        self._sshd, self._policy, self._today = Sshd(host), policy, today
        alike = bool(policy.groups) and not _totp_host.has_other_matches(host, SSHD_DROP_IN)
        # What stands in our own drop-in counts too, until it is what was declared.
        self._alike = alike and host.text(SSHD_DROP_IN) == _totp_policy.drop_in(policy, today)
        self._answers: dict[tuple[str, frozenset[str]], bool] = {}

    def of(self, account: Account) -> bool:
        named = account.name in self._policy.named()
        own = named or not self._alike
        key = (account.name if own else "", account.groups & set(self._policy.groups))
        if key not in self._answers:
            elsewhere = self._policy.elsewhere(account.name, self._today)
            asked = bool(elsewhere) and self._sshd.asks_for_code(account.name, elsewhere)
            self._answers[key] = asked
        return self._answers[key]


def _of_files(host: Host, policy: Policy, today: date) -> Iterator[Finding]:
    wanted = {
        SSHD_DROP_IN: _totp_policy.drop_in(policy, today),
        CODE_STACK: _totp_policy.code_stack(policy),
    }
    for path, text in wanted.items():
        found = host.text(path)
        if found != text:
            was = "is missing" if found is None else "differs from what is declared"
            yield _finding("", f"{path} {was}")
    yield from _of_stack(host, policy)
    if policy.groups and not _totp_host.module_installed(host):
        yield _finding("", "PAM has no pam_google_authenticator.so: nobody who must can sign in")


def _of_stack(host: Host, policy: Policy) -> Iterator[Finding]:
    text = host.text(SSHD_STACK) or ""
    try:
        right = _totp_policy.sshd_stack(text, required=bool(policy.groups)) == text
    except TotpError as error:
        yield _finding("", str(error))
        return
    if not right:
        asks = "a password where a code is declared" if policy.groups else "a code nobody declared"
        yield _finding("", f"{SSHD_STACK} asks for {asks}")


def _of_account(
    host: Host, policy: Policy, today: date, account: Account | None, row: dict[str, Any]
) -> Iterator[Finding]:
    name = row["account"]
    if account is None:
        if row["enrolled"]:
            yield _finding(name, "is enrolled but gone: reset it, or a namesake inherits the token")
        elif name in policy.named():
            yield _finding(name, "has an exemption but is no account of this host")
        return
    wanted = policy.wants(name, account.groups) and policy.elsewhere(name, today)
    if wanted and row["can_sign_in"] and not row["required"]:
        yield _finding(name, "signs in without a code, and must give one")
    try:
        state = _totp_host.state_of(host, name)
    except TotpError as error:
        yield _finding(name, str(error))
        return
    if state is not None:
        for weakness in _totp.weaknesses(state, policy.limits):
            yield _finding(name, f"{_totp_host.state_path(name)}: {weakness}")


def _of_exemptions(policy: Policy, today: date) -> Iterator[Finding]:
    for exemption in policy.exemptions:
        if not exemption.holds(today):
            yield _finding(
                exemption.account,
                f"exemption expired on {exemption.expires} (owner {exemption.owner}): "
                "renew it or take it out",
            )


def _enrolment(host: Host, name: str) -> dict[str, Any]:
    try:
        state = _totp_host.state_of(host, name)
    except TotpError:
        state = None
    codes = len(state.recovery_codes) if state else 0
    return {"enrolled": state is not None, "recovery_codes": codes}


def _exemption(policy: Policy, name: str, today: date) -> dict[str, Any]:
    holding = [e for e in policy.exemptions if e.account == name and e.holds(today)]
    sources = [str(network) for exemption in holding for network in exemption.sources]
    until = max((str(exemption.expires) for exemption in holding), default=None)
    return {"exempt": sources, "exempt_until": until}


def _event(events: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    event = events.get(name, {})
    return {
        "change": event.get("event"),
        "changed_at": event.get("at"),
        "changed_by": event.get("operator"),
        "change_reason": event.get("reason"),
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows of a report as lines for people."""
    width = max((len(row["account"]) for row in rows), default=0)
    return [f"{row['account']:<{width}}  {_in_words(row)}" for row in rows]


def _in_words(row: dict[str, Any]) -> str:
    words = ["must give a code" if row["required"] else "need not give a code"]
    if row["exempt"]:
        words[0] += f", but not from {', '.join(row['exempt'])} until {row['exempt_until']}"
    if row["enrolled"]:
        words.append(f"enrolled, {row['recovery_codes']} recovery codes left")
    elif row["required"]:
        words.append("not enrolled" if row["exempt"] else "not enrolled, so cannot sign in")
    if not row["can_sign_in"]:
        words.append("has no key or password that sshd takes" if row["uid"] is not None else "gone")
    return "; ".join(words)


def _finding(account: str, message: str) -> Finding:
    line = f"{account}: {message}" if account else message
    return {"account": account, "message": message, "line": line}
