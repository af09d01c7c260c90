# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""rsyslog: what its configuration says of listening, of its files' mode, and of a log host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Edit,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: reception, file_mode, forwarding or encryption (of all that is sent anywhere).
PARAMS = {"check": "str"}
VALUE = ("str", "mode")

_MAIN = "/etc/rsyslog.conf"
_MODE_DROP_IN = "/etc/rsyslog.d/00-ringfence.conf"
_FORWARD_DROP_IN = "/etc/rsyslog.d/90-ringfence-forwarding.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"
_TLS_PACKAGE = "rsyslog-gnutls"
_DEEPEST = 5
_INCLUDE = re.compile(r'^\s*(?:\$IncludeConfig\s+(\S+)|include\(.*?file="([^"]+)")', re.I)
_LISTENS = re.compile(
    r'^\s*(?:input\s*\(.*?type\s*=\s*"im(?:p?tcp|udp|relp|gssapi|http|3195)"'
    r"|\$(?:UDPServerRun|Input(?:TCP|PTCP|RELP|GSS|3195)\w*Run|InputRELPServerRun)\b)",
    re.I | re.S,
)
# A module that listens nowhere is a mistake to rsyslog: it goes with its inputs.
_LOADS = re.compile(
    r'^\s*(?:module\s*\(.*?load\s*=\s*"|\$ModLoad\s+)im(?:p?tcp|udp|relp|gssapi|http|3195)\b',
    re.I | re.S,
)
_MODE = re.compile(r'^(\s*\$FileCreateMode\s+|[^#]*?\bFileCreateMode\s*=\s*")([0-7]{3,4})\b', re.I)
# An old-style action behind a selector, a filter or &: @host is UDP, @@host is TCP.
_SENDS = re.compile(
    r"""^\s*(?:[^\s#"'$@(]+|&|:[^@]*"|if\s.*\sthen)\s+(@@?)(?:\([^)]*\))?(\[?[\w.:-]+)"""
)
_OLD_MODE = re.compile(r"^\s*\$ActionSendStreamDriverMode\s+(\d)", re.I)
_ACTION = re.compile(r'action\s*\(.*?type\s*=\s*"om(fwd|relp)"', re.I | re.S)
_PARAMETER = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')
_LOCAL = re.compile(r"(?:localhost|127\.[0-9.]+|\[?::1)", re.I)
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<port>[0-9]{1,5})")
_FORWARDING = """\
global(DefaultNetstreamDriverCAFile="/etc/ssl/certs/ca-certificates.crt")
action(type="omfwd" target="{host}" port="{port}" protocol="tcp"
       streamDriver="gtls" streamDriverMode="1" streamDriverAuthMode="x509/name"
       streamDriverPermittedPeers="{host}"
       queue.type="LinkedList" queue.filename="ringfence-forwarding" queue.maxDiskSpace="256m"
       queue.saveOnShutdown="on" action.resumeRetryCount="-1")
"""


class _Statement(NamedTuple):
    """Text from line `first` to `last` (from 0) of a file; a parenthesis may span lines."""

    path: str
    first: int
    last: int
    text: str


def observe(host: Host, control: Control) -> Observation:
    check = control.params["check"]
    if check == "forwarding":
        return _observe_forwarding(host, control)
    statements = host.once("rsyslog configuration", lambda: list(_statements(host, _MAIN, 0)))
    if check == "reception":
        listening = [one for one in statements if _LISTENS.search(one.text)]
        loading = [one for one in statements if _LOADS.search(one.text)]
        shown = "; ".join(f"{one.path}:{one.first + 1}" for one in listening)
        state = {"found": listening, "paths": {one.path for one in listening + loading}}
        return Observation(state, shown or "does not listen")
    if check == "encryption":
        clear = [f"{one.path}:{one.first + 1} sends to {to}" for one, to in _in_clear(statements)]
        return Observation(
            {"clear": clear}, "; ".join(clear[:5]) or "nothing goes out in the clear"
        )
    matches = [(one, _MODE.search(one.text)) for one in statements]
    modes = [(one, match[2]) for one, match in matches if match]
    too_open = [(one, mode) for one, mode in modes if not _narrow(control, mode)]
    return Observation(
        {"modes": modes, "open": too_open},
        ", ".join(sorted({mode for _one, mode in modes})) or "not set",
    )


def judge(control: Control, observation: Observation) -> Verdict:
    check, state = control.params["check"], observation.state
    if check == "forwarding":
        return _judge_forwarding(control, observation)
    if check == "reception":
        if control.value == "accepted" or not state["found"]:
            return Verdict(PASS)
        first = state["found"][0]
        return Verdict(FAIL, f"{first.path}:{first.first + 1} takes messages from the network")
    if check == "encryption":
        if control.value == "accepted" or not state["clear"]:
            return Verdict(PASS)
        return Verdict(FAIL, f"{state['clear'][0]} in the clear", by_hand=True)
    if not state["modes"]:
        return Verdict(FAIL, f"{_MAIN} sets no FileCreateMode: rsyslog takes 0644")
    if state["open"]:
        first, mode = state["open"][0]
        return Verdict(FAIL, f"{first.path}:{first.first + 1} lets log files be {mode}")
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    check, state = control.params["check"], observation.state
    if check == "forwarding":
        _plan_forwarding(control, stage)
    elif check == "reception":
        for path in sorted(state["paths"]):
            stage.edit(path, _quiet(path), validator="rsyslog")
    elif check == "encryption":
        return  # where the log has to arrive, and how, is for a person to say
    elif state["modes"]:
        for path in sorted({one.path for one, _mode in state["open"]}):
            stage.edit(path, _narrowed(int(control.value, 8)), validator="rsyslog")
    else:
        line = f"$FileCreateMode {control.value}\n"
        stage.edit(_MODE_DROP_IN, lambda _text: _HEADER + line, validator="rsyslog")


def _observe_forwarding(host: Host, control: Control) -> Observation:
    if not control.value:
        return Observation({"asked": False}, "not asked for")
    installed = host.installed_packages()
    missing = [name for name in ("rsyslog", _TLS_PACKAGE) if name not in installed]
    text = host.text(_FORWARD_DROP_IN)
    state = {"asked": True, "missing": missing, "right": text == _forwarding(control.value)}
    return Observation(state, "no forwarding of ours" if text is None else "forwards")


def _judge_forwarding(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not state["asked"]:
        return Verdict(NOT_APPLICABLE, "no log host is declared for this host")
    if state["missing"]:
        return Verdict(FAIL, f"{state['missing'][0]} is not installed")
    if not state["right"]:
        # Open still where this run has only put the packages on yet.
        return Verdict(FAIL, f"{_FORWARD_DROP_IN} does not forward to {control.value}", True)
    return Verdict(PASS)


def _plan_forwarding(control: Control, stage: Stage) -> None:
    wanted = _forwarding(control.value)
    installed = stage.host.installed_packages()
    missing = [name for name in ("rsyslog", _TLS_PACKAGE) if name not in installed]
    for name in missing:
        stage.package(name, "present")
    if missing:
        return  # rsyslogd itself must judge the file: the second pass writes it
    stage.edit(_FORWARD_DROP_IN, lambda _text: wanted, validator="rsyslog")


def _forwarding(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise HostError(
            f"log host {address!r}: expected a name and a port, as logs.example.org:6514"
        )
    return _HEADER + _FORWARDING.format(host=match["host"], port=match["port"])


def _narrow(control: Control, mode: str) -> bool:
    return int(mode, 8) & ~int(control.value, 8) == 0


def _in_clear(statements: list[_Statement]) -> Iterator[tuple[_Statement, str]]:
    """What sends to another host without TLS, and to which."""
    old_mode = "0"
    for one in statements:
        mode = _OLD_MODE.match(one.text)
        old_mode = mode[1] if mode else old_mode
        sends = _SENDS.match(one.text)
        if sends and not _LOCAL.match(sends[2]) and (sends[1] == "@" or old_mode == "0"):
            yield one, sends[2]
        for action in _ACTION.finditer(one.text):
            given = {name.lower(): value for name, value in _PARAMETER.findall(one.text)}
            target = given.get("target", "a host")
            if not _LOCAL.match(target) and not _is_encrypted(action[1].lower(), given):
                yield one, target


def _is_encrypted(kind: str, given: dict[str, str]) -> bool:
    if kind == "relp":
        return given.get("tls", "").lower() == "on"
    return given.get("protocol", "").lower() == "tcp" and given.get("streamdrivermode") == "1"


def _statements(host: Host, path: str, depth: int) -> Iterator[_Statement]:
    """All statements in the order in which rsyslog meets them."""
    text = host.text(path)
    if text is None:
        if depth == 0:
            raise HostError(f"there is no {path}")
        return
    if depth > _DEEPEST:
        raise HostError(f"{path}: includes are nested more than {_DEEPEST} deep")
    for statement in _split(path, text):
        yield statement
        include = _INCLUDE.match(statement.text)
        if include is not None:
            pattern = include[1] or include[2]
            for name in _matches(host, pattern):
                yield from _statements(host, name, depth + 1)


def _matches(host: Host, pattern: str) -> list[str]:
    try:
        return host.glob(pattern) if pattern.startswith("/") else []
    except (ValueError, NotImplementedError) as error:
        raise HostError(f"{_MAIN} includes {pattern!r}: {error}") from error


def _split(path: str, text: str) -> Iterator[_Statement]:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        first = number
        held = lines[first]
        while _is_open(held) and number + 1 < len(lines):
            number += 1
            held += "\n" + lines[number]
        if held.strip() and not held.lstrip().startswith("#"):
            yield _Statement(path, first, number, held)
        number += 1


def _is_open(text: str) -> bool:
    if not re.match(r"\s*(?:input|module|action|global|include|template|ruleset)\s*\(", text, re.I):
        return False
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|#.*', "", text)
    return bare.count("(") > bare.count(")")


def _quiet(path: str) -> Edit:
    def edit(text: str) -> str:
        lines = text.split("\n")
        for one in _split(path, text):
            if _LISTENS.search(one.text) or _LOADS.search(one.text):
                for number in range(one.first, one.last + 1):
                    lines[number] = f"# Off by Ringfence: {lines[number]}"
        return "\n".join(lines)

    return edit


def _narrowed(most: int) -> Edit:
    def edit(text: str) -> str:
        return "\n".join(
            line
            if line.lstrip().startswith("#")
            else _MODE.sub(lambda match: f"{match[1]}{int(match[2], 8) & most:04o}", line)
            for line in text.split("\n")
        )

    return edit
