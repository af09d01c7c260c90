# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the guard: prove that a new sign-in works, or say what was put back.

The old connection is kept until the new one has succeeded. It proves nothing, but when the new
sign-in fails while it is still open, it lets the host be put back at once and not only when the
guard expires.
"""

from __future__ import annotations

import contextlib
import getpass
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

_MODULE = "ringfence.hosting.guard"
# Sign in over the network. The others (local, podman) reach a host whose door is shut.
_SIGN_INS = ("ssh", "paramiko", "paramiko_ssh")
_SEPARATE = "-o ControlMaster=no -o ControlPath=none"
# A very slow host takes longer: who gives its guard more time gives the new sign-in more as well.
_CONNECT_SECONDS = 5
_CONNECTS_IN_A_GUARD = 30
_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0
# How much longer than its guard a host may stay silent before the operator is sent to the console.
_GRACE_SECONDS = 60
# ssh's words when it never got in.
_NEVER_CONNECTED = (
    "connect to host",
    "could not resolve",
    "host key verification failed",
    "permission denied",
    "banner exchange",
    "kex_exchange_identification",
    "no such identity",
)


class Verdict(TypedDict):
    """`confirmed`: the change stays. `msg`: one line when it does not. `guard`: its outcome, empty
    when unknown. `warnings`: what the operator should know of a confirmed one."""

    confirmed: bool
    msg: str
    guard: dict[str, Any]
    warnings: list[str]


class _Answer(TypedDict):
    guard: dict[str, Any]
    problem: str
    ended: dict[str, Any]
    answered: bool


def operator() -> str:
    """Who changes something, for those who are refused meanwhile: account@controller."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's account without a name
        account = "unknown"
    return f"{account}@{socket.gethostname()}"


def told_operator(
    action: ActionBase, module: str, task_vars: dict[str, Any], **more: str
) -> dict[str, Any]:
    """The result of a module with the arguments of `action`, and the operator unless it is there.

    `more`: arguments that the user has no say in.
    """
    result: dict[str, Any] = action._execute_module(
        module_name=f"ringfence.hosting.{module}",
        module_args={"operator": operator(), **action._task.args, **more},
        task_vars=task_vars,
    )
    return result


def never_connected(error: Exception) -> bool:
    """Whether ssh never got in: then nothing was changed, and there is nothing to wait for."""
    said = str(error).lower()
    return any(words in said for words in _NEVER_CONNECTED)


def one_line(result: Mapping[str, Any]) -> str:
    """Why a result is failed: what the program said, else what Ansible says about it."""
    said = (result.get(key) for key in ("module_stderr", "module_stdout", "stderr", "msg"))
    return _last_line(next((str(text) for text in said if text), ""))


def told_late(guard: Mapping[str, Any]) -> list[str]:
    """A line on what an earlier guard put back, when the run it belonged to could not say so."""
    previous = guard.get("previous")
    if not previous:
        return []
    return [
        f"an earlier change ({previous['reason']}, by {previous['operator']}) was put back at "
        f"{previous['at']} ({previous['why']}): {previous['summary']}"
    ]


def confirm_over_new_connection(
    action: ActionBase,
    task_vars: Mapping[str, Any],
    guard: Mapping[str, Any],
    *,
    activate: bool = True,
) -> Verdict:
    """Sign in anew (TCP, authentication, become) and confirm there; else have the host put back.

    `guard` is what `_guard.arm` returned: {id, timeout}. With `activate` the units the guard names
    are first made to read the changed files, over the old connection. Returns when the change is
    confirmed or put back, or when the host stayed silent for longer than its guard. Never raises
    for a host that does not answer.
    """
    guard_id = str(guard["id"])
    expiry = time.monotonic() + float(guard["timeout"])
    if activate:
        answer = _ask(action, task_vars, state="activated", id=guard_id)
        if answer["problem"]:
            return settle(action, task_vars, guard, answer["problem"])
    if not _signs_in(action):
        return _confirm_without_sign_in(action, task_vars, guard)
    with _new_connections(action, float(guard["timeout"])):
        answer = _confirm(action, task_vars, guard_id, expiry)
    if answer["problem"]:
        problem = f"the new sign-in failed ({answer['problem']})"
        if answer["answered"]:
            problem = answer["problem"]
        return settle(action, task_vars, guard, problem)
    # What follows in the play goes over a connection made under the new rules as well.
    _reset(action)
    return Verdict(confirmed=True, msg="", guard=answer["guard"], warnings=[])


def settle(
    action: ActionBase, task_vars: Mapping[str, Any], guard: Mapping[str, Any], problem: str
) -> Verdict:
    """Have the host put back, or wait until it did so itself, and say what, in one line.

    For a change that failed, a sign-in that failed (`problem` says which), and a module call whose
    answer never came: `guard` then needs only the {id, timeout} it was to be armed with.
    """
    guard_id = str(guard["id"])
    until = time.monotonic() + float(guard["timeout"]) + _GRACE_SECONDS
    answer = _restore(action, task_vars, guard_id, problem)
    while not answer["answered"] and time.monotonic() < until:
        time.sleep(_PAUSE_SECONDS)
        with _new_connections(action, float(guard["timeout"])):
            answer = _restore(action, task_vars, guard_id, problem)
    _reset(action)
    return _verdict(guard_id, problem, answer)


def _verdict(guard_id: str, problem: str, answer: _Answer) -> Verdict:
    outcome = answer["guard"] or answer["ended"]
    if outcome.get("outcome") == "confirmed":
        # The confirmation arrived and only its answer was lost.
        return Verdict(confirmed=True, msg="", guard=outcome, warnings=[problem])
    if outcome.get("outcome") == "restored":
        # By the host itself, or by us for the very problem that is told here.
        why = "" if outcome["why"] == problem else f" ({outcome['why']})"
        how = f"the host was put back at {outcome['at']}{why}"
        line = f"{problem}; {how}: {outcome['summary']} [guard {guard_id}]"
    elif answer["answered"]:
        line = f"{problem}; {answer['problem']}"
    else:
        folder = f"/var/lib/ringfence/guard/{guard_id}"
        line = (
            f"{problem}; the host does not answer though its guard {guard_id} has expired "
            f"({answer['problem']}): sign in at the console and run "
            f"python3 -IS {folder}/guard.pyz restore {folder}"
        )
    return Verdict(confirmed=False, msg=line, guard=outcome, warnings=[])


def _confirm(
    action: ActionBase, task_vars: Mapping[str, Any], guard_id: str, expiry: float
) -> _Answer:
    """Two sign-ins in a row must work, the second of which confirms.

    One may be luck: sshd that has just been reloaded has room, even where strangers fill it a
    moment later. And one lost packet must not undo a good change: try a few times while the guard
    lasts.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        answer = _sign_in(action)
        if not answer["problem"]:
            answer = _ask(action, task_vars, state="confirmed", id=guard_id)
        if not answer["problem"] or answer["answered"] or time.monotonic() > expiry:
            break
    return answer


def _sign_in(action: ActionBase) -> _Answer:
    """Sign in, become whom the task becomes, and leave."""
    try:
        result = action._low_level_execute_command("true")
    except AnsibleError as error:
        problem = _words_of_ssh(error)
    else:
        problem = one_line(result) if result["rc"] else ""
    if action._connection.transport != "ssh":
        _reset(action)
    return _Answer(guard={}, problem=problem, ended={}, answered=False)


def _confirm_without_sign_in(
    action: ActionBase, task_vars: Mapping[str, Any], guard: Mapping[str, Any]
) -> Verdict:
    answer = _ask(action, task_vars, state="confirmed", id=str(guard["id"]))
    if answer["problem"]:
        return settle(action, task_vars, guard, answer["problem"])
    warning = (
        f"the change is confirmed without a new sign-in: the connection plugin "
        f"{action._connection.transport} does not sign in over the network"
    )
    return Verdict(confirmed=True, msg="", guard=answer["guard"], warnings=[warning])


def _restore(
    action: ActionBase, task_vars: Mapping[str, Any], guard_id: str, problem: str
) -> _Answer:
    return _ask(action, task_vars, state="restored", id=guard_id, reason=problem)


def _ask(action: ActionBase, task_vars: Mapping[str, Any], **arguments: str) -> _Answer:
    """Call the guard module. `answered` is whether the module itself ran on the host."""
    try:
        result = action._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=dict(task_vars)
        )
    except AnsibleError as error:
        return _Answer(guard={}, problem=_words_of_ssh(error), ended={}, answered=False)
    if result.get("failed"):
        # Only the module says "guard"; sudo, PAM or a missing Python fail without it.
        answered = "guard" in result
        problem = str(result["msg"]) if answered else one_line(result)
        ended = result.get("guard") or {}
        return _Answer(guard={}, problem=problem, ended=ended, answered=answered)
    return _Answer(guard=result.get("guard") or {}, problem="", ended={}, answered=True)


def _signs_in(action: ActionBase) -> bool:
    return action._connection.transport in _SIGN_INS


@contextlib.contextmanager
def _new_connections(action: ActionBase, guard_seconds: float) -> Iterator[None]:
    """Within, every call makes its own TCP connection and authenticates.

    ssh takes the first value it is given, so what stands in front outweighs any ControlMaster in
    ssh_args, in the inventory or in ~/.ssh/config.
    """
    connection = action._connection
    if connection.transport != "ssh":
        _reset(action)
        yield
        return
    patience = max(_CONNECT_SECONDS, int(guard_seconds / _CONNECTS_IN_A_GUARD))
    changed = {
        "ssh_args": f"{_SEPARATE} {connection.get_option('ssh_args') or ''}",
        "timeout": min(patience, int(connection.get_option("timeout"))),
        # A second try after the first failed is ours to decide.
        "reconnection_retries": 0,
    }
    with options_set(connection, changed):
        yield


@contextlib.contextmanager
def options_set(connection: Any, changed: Mapping[str, Any]) -> Iterator[None]:
    """Within, a connection has other options."""
    before = {name: connection.get_option(name) for name in changed}
    for name, value in changed.items():
        connection.set_option(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            connection.set_option(name, value)


def _reset(action: ActionBase) -> None:
    # A master that is gone already cannot be asked to go.
    with contextlib.suppress(AnsibleError, AttributeError):
        action._connection.reset()


def _words_of_ssh(error: AnsibleError) -> str:
    # Of Ansible's own words around it nothing helps: ssh says why.
    return _last_line(str(error).rpartition("over ssh: ")[2]).rstrip(".")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
