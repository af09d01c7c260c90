# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes SSH ask for the code, or stop asking: planned whole, tried on a copy, then written.

The plan is refused before anything is written where it would shut out who must not be shut out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _guard,
    _notify,
    _packages,
    _totp,
    _totp_host,
    _totp_policy,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import TotpError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp_host import Account, Sshd
from ansible_collections.ringfence.hosting.plugins.module_utils._totp_policy import (
    CODE_STACK,
    SSHD_DROP_IN,
    SSHD_STACK,
    Policy,
)

PACKAGE = "libpam-google-authenticator"

_NAMES_SHOWN = 12


@dataclass(frozen=True)
class SignIn:
    """How this play signed in: as `user` from `address`, and whether it can answer a question.

    Both are "" where it does not come over SSH: then nothing it changes there can shut it out.
    """

    user: str = ""
    address: str = ""
    can_answer: bool = False


@dataclass
class Plan:
    """What would be written: path -> text (None: removed); `states` likewise, the state files."""

    contents: dict[str, str | None] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    package: bool = False
    required: list[str] = field(default_factory=list)
    unenrolled: list[str] = field(default_factory=list)
    shut_out: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    asks_this_play: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.contents or self.states or self.package)


def plan(host: Host, policy: Policy, today: date, sign_in: SignIn, *, shut_out: bool) -> Plan:
    """What has to be written. Raises TotpError or HostError where it must not be."""
    _require_groups(host, policy)
    made = Plan(expired=_expired(policy, today))
    wanted = _wanted(host, policy, today)
    made.contents = {p: text for p, text in wanted.items() if host.text(p) != text}
    made.package = bool(policy.groups) and not _totp_host.module_installed(host)
    if not policy.groups:
        return made
    made.states = _stricter_states(host, policy)
    with _totp_host.candidate(host, wanted) as coming:
        _judge(host, policy, today, coming, made)
        if made.contents:
            _require_way_in(host, policy, today, coming, sign_in, made)
    _warn_of_shut_out(made, allowed=shut_out)
    made.warnings += _open_exemptions(policy, today)
    return made


def carry_out(
    host: Host, made: Plan, guard_timeout: int, *, guard_id: str = "", operator: str = ""
) -> dict[str, Any] | None:
    """Write a plan. Returns what `_guard.arm` did: who activates that guard makes sshd read it.

    None, and sshd has read it, where no guard was armed.
    Raises TotpError or HostError, everything put back.
    """
    if made.package:
        _install(host)
    guard = None
    if made.contents and guard_timeout:
        guard = _armed(made, guard_timeout, guard_id, operator)
    try:
        os.makedirs(host.real(_totp_policy.STATE_FOLDER), mode=0o700, exist_ok=True)
        for path, state in made.states.items():
            replace_file(host, path, state.encode())
        for path, text in _in_order(made.contents):
            _write(host, path, text)
        if made.contents and guard is None:
            _notify.carry_out(host, "reload_sshd")
    except (HostError, OSError) as error:
        if guard is not None:
            _put_back(str(guard["id"]), str(error))
        raise
    return guard


def diffs(host: Host, made: Plan) -> list[dict[str, str]]:
    """Before and after, a file each. State files are named only: they hold secrets."""
    found = [_diff(path, host.text(path) or "", text or "") for path, text in made.contents.items()]
    found += [_diff(path, "(older limits)\n", "(limits as declared)\n") for path in made.states]
    if made.package:
        found.append(_diff(f"package {PACKAGE}", "absent\n", "present\n"))
    return found


def _wanted(host: Host, policy: Policy, today: date) -> dict[str, str | None]:
    stack = host.text(SSHD_STACK)
    if stack is None:
        raise TotpError(f"{SSHD_STACK}: is missing; is openssh-server installed?")
    return {
        CODE_STACK: _totp_policy.code_stack(policy),
        SSHD_DROP_IN: _totp_policy.drop_in(policy, today),
        SSHD_STACK: _totp_policy.sshd_stack(stack, required=bool(policy.groups)),
    }


def _require_groups(host: Host, policy: Policy) -> None:
    if not policy.groups or policy.everyone:
        return
    unknown = sorted(set(policy.groups) - _totp_host.group_names(host))
    if unknown:
        raise TotpError(
            f"ssh_second_factor_groups: this host has no group {', '.join(unknown)}, "
            "so nobody in it would have to"
        )


def _stricter_states(host: Host, policy: Policy) -> dict[str, str]:
    found = {}
    for name in _totp_host.enrolled_names(host):
        path = _totp_host.state_path(name)
        with suppress(TotpError):  # what cannot be read lets nobody in; totp_info tells of it
            _totp_host.state_of(host, name)
            before = (host.read(path) or b"").decode("ascii")
            after = _totp.with_limits(before, policy.limits)
            if after != before:
                found[path] = after
    return found


def _judge(host: Host, policy: Policy, today: date, coming: Sshd, made: Plan) -> None:
    """Fill in who must and who is not enrolled; see that sshd would do as the policy says."""
    now = Sshd(host).effective("root", _totp_policy.NOWHERE[0])
    everybody = _totp_host.accounts(host)
    present = {n: a for n, a in everybody.items() if _totp_host.can_sign_in(host, a, now)}
    covered = {n: a for n, a in present.items() if policy.wants(n, a.groups)}
    _require_effect(host, policy, today, coming, covered)
    made.required = sorted(covered)
    for name in made.required:
        elsewhere = policy.elsewhere(name, today)
        if not elsewhere or policy.is_exempt(name, today) or not _lacks(host, coming, name):
            continue
        made.unenrolled.append(name)
        if not Sshd(host).asks_for_code(name, elsewhere):
            made.shut_out.append(name)


def _require_effect(
    host: Host, policy: Policy, today: date, coming: Sshd, covered: dict[str, Account]
) -> None:
    """Ask the sshd to come itself: another Match block before ours would overrule it."""
    names = sorted(covered)
    if not _totp_host.has_other_matches(host, SSHD_DROP_IN):
        # With no other Match block one account stands for all that are treated alike.
        plain = [name for name in names if name not in policy.named()]
        names = [name for name in names if name in policy.named()] + plain[:1]
    for name in names:
        elsewhere = policy.elsewhere(name, today)
        if elsewhere and not coming.asks_for_code(name, elsewhere):
            raise TotpError(
                f"sshd would not ask {_totp.shown(name)} for a code: another Match block overrules "
                f"{SSHD_DROP_IN}, or /etc/ssh/sshd_config does not begin with "
                "'Include /etc/ssh/sshd_config.d/*.conf'"
            )
    for exemption in policy.exemptions:
        if exemption.holds(today) and exemption.account in names:
            address = str(exemption.sources[0].network_address)
            if coming.asks_for_code(exemption.account, address):
                raise TotpError(
                    f"sshd would ask '{exemption.account}' for a code from {address} in spite of "
                    "its exemption: another Match block overrules it"
                )


def _require_way_in(
    host: Host, policy: Policy, today: date, coming: Sshd, sign_in: SignIn, made: Plan
) -> None:
    """The account that this very play uses must get in again."""
    user, address = sign_in.user, sign_in.address
    if not user or not coming.asks_for_code(user, address):
        return
    made.asks_this_play = True
    who = f"this play signs in as {_totp.shown(user)} from {address}, which would need a code,"
    lacks = _lacks(host, coming, user)
    if lacks:
        raise TotpError(f"{who} and {lacks}{_why_not_exempt(policy, user, today)}: {_EXEMPT}")
    if not sign_in.can_answer:
        raise TotpError(f"{who} and has no terminal to ask for one: {_EXEMPT}")


_EXEMPT = (
    "nothing was changed; declare it in ssh_second_factor_exemptions with the address it comes from"
)


def _why_not_exempt(policy: Policy, user: str, today: date) -> str:
    mine = [exemption for exemption in policy.exemptions if exemption.account == user]
    if not mine:
        return ""
    holding = [exemption for exemption in mine if exemption.holds(today)]
    if holding:
        return f" (exempt only from {'; '.join(exemption.places() for exemption in holding)})"
    return f" (its exemption expired on {max(exemption.expires for exemption in mine)})"


def _warn_of_shut_out(made: Plan, *, allowed: bool) -> None:
    """The door closes on these accounts. An exemption that ran out was decided when it was made."""
    undecided = [name for name in made.shut_out if name not in made.expired]
    if undecided and not allowed:
        raise TotpError(
            f"{_count(undecided)} would be shut out, unable to give a code: {_listed(undecided)}. "
            "Enrol them with second_factor_enrol.yml, exempt them, or say "
            "ssh_second_factor_shut_out_unenrolled: true; nothing was changed"
        )
    if made.shut_out:
        made.warnings.append(f"shut out until enrolled: {', '.join(made.shut_out)}")


def _open_exemptions(policy: Policy, today: date) -> list[str]:
    return [
        f"'{exemption.account}' is exempt from anywhere until {exemption.expires}"
        for exemption in policy.exemptions
        if exemption.holds(today) and any(not network.prefixlen for network in exemption.sources)
    ]


def _expired(policy: Policy, today: date) -> list[str]:
    return [name for name in policy.named() if not policy.is_exempt(name, today)]


def _lacks(host: Host, coming: Sshd, name: str) -> str:
    """Why `name` could not give a code; "" where it can."""
    account = _totp_host.accounts(host).get(name)
    if account is not None and account.uid == 0:
        root_login = coming.effective(name, _totp_policy.NOWHERE[0])["permitrootlogin"]
        if root_login != ["yes"]:
            # sshd takes nothing but keys from root then, whatever AuthenticationMethods says.
            return f"cannot, with PermitRootLogin {root_login[0]}"
    try:
        enrolled = _totp_host.state_of(host, name) is not None
    except TotpError:
        enrolled = False
    return "" if enrolled else "is not enrolled"


def _install(host: Host) -> None:
    _packages.install(host, [PACKAGE])
    if not _totp_host.module_installed(host):
        raise TotpError(f"{PACKAGE} is installed, but pam_google_authenticator.so is not there")


def _armed(made: Plan, timeout: int, guard_id: str, operator: str) -> dict[str, Any]:
    try:
        return _guard.arm(
            sorted(made.contents),
            timeout=timeout,
            reason="second factor for SSH",
            nftables=False,
            reload=["ssh"],
            guard_id=guard_id,
            operator=operator,
        )
    except _guard.GuardError as error:
        raise TotpError(f"no guard, so nothing was changed: {error}") from error


def _put_back(guard_id: str, why: str) -> None:
    try:
        _guard.restore(guard_id, why)
    except _guard.GuardError as error:
        raise TotpError(f"{why}; and {error}") from error


def _in_order(contents: dict[str, str | None]) -> list[tuple[str, str | None]]:
    """PAM's include last when asking begins, first when it ends: never one that leads nowhere."""
    starts = contents.get(CODE_STACK) is not None or CODE_STACK not in contents
    key: Callable[[str], bool] = lambda path: (path == SSHD_STACK) is starts  # noqa: E731
    return sorted(contents.items(), key=lambda item: key(item[0]))


def _write(host: Host, path: str, text: str | None) -> None:
    if text is None:
        with suppress(FileNotFoundError):
            os.unlink(host.real(path))
        return
    mode = 0o600 if path == SSHD_DROP_IN else 0o644
    replace_file(host, path, text.encode("utf-8", "surrogateescape"), mode)


def _diff(path: str, before: str, after: str) -> dict[str, str]:
    printable = [t.encode("utf-8", "backslashreplace").decode() for t in (before, after)]
    return {
        "before": printable[0],
        "after": printable[1],
        "before_header": path,
        "after_header": path,
    }


def _count(names: list[str]) -> str:
    counted = "1 account that signs" if len(names) == 1 else f"{len(names)} accounts that sign"
    return f"{counted} in now"


def _listed(names: list[str]) -> str:
    shown = ", ".join(_totp.shown(name)[1:-1] for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
