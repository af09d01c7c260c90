# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of MariaDB: as the running server has them, and as it will have them when it starts.

What the server can change while it runs it is told at once; for the rest it is restarted.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _mariadb, _web
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# variable: as the server has it; option: as its files write it; default: where they do not.
# dynamic: whether the running server can be told. kind: switch, number, list, folder, addresses.
# needs_tls: only where the server has TLS.
PARAMS = {
    "variable": "str",
    "option": "str",
    "default": "str",
    "kind": "str",
    "dynamic": "bool?",
    "needs_tls": "bool?",
}
VALUE = ("str", "int", "list")

_ON = ("on", "yes", "1", "true")
_OFF = ("off", "no", "0", "false", "disabled")


def observe(host: Host, control: Control) -> Observation:
    server, files = _mariadb.ask(host), _mariadb.persisted(host)
    name, option = str(control.params["variable"]), str(control.params["option"])
    live = server.variables.get(name)
    if live is None:
        raise HostError(f"MariaDB has no variable {name}")
    no_network = control.params["kind"] == "addresses" and not server.listens_to_all
    awaited = not control.params.get("dynamic") and _mariadb.SERVICE in host.awaited
    next_one = _typed(control, files.get(option, str(control.params["default"])))
    state = {
        "tls": server.variables.get("have_ssl", "").upper() == "YES",
        "live": _typed(control, live),
        "next": next_one,
        "live_good": awaited or no_network or control.meets(_typed(control, live)),
        "next_good": (no_network and _is_on(files, "skip-networking")) or control.meets(next_one),
        "remote": [account.name for account in server.accounts if _comes_from_elsewhere(account)],
    }
    seen = next_one if state["live_good"] else state["live"]
    return Observation(state, _web.disliked(control, seen) or "empty")


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if control.params.get("needs_tls") and not state["tls"]:
        return Verdict(NOT_APPLICABLE, "MariaDB has no certificate, and so speaks no TLS")
    if state["live_good"] and state["next_good"]:
        return Verdict(PASS)
    name = control.params["variable"]
    if not state["live_good"]:
        said = f"the running MariaDB has {name} {_shown(control, state['live'])}"
    else:
        said = f"MariaDB will start with {name} {_shown(control, state['next'])}"
    if _is_left(control, state):
        said += f"; {state['remote'][0]} may sign in from elsewhere, so a person decides"
        return Verdict(FAIL, said, by_hand=True)
    return Verdict(FAIL, said)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state = observation.state
    if _is_left(control, state):
        return
    variable, option = str(control.params["variable"]), str(control.params["option"])
    if not state["next_good"]:
        _mariadb.stage_options(stage, option, {option: _written(control)})
    if control.params.get("dynamic"):
        if not state["live_good"]:
            value = _literal(control)
            stage.step(lambda host: _mariadb.tell(host, f"SET GLOBAL {variable} = {value}"))
        return
    if not state["live_good"]:
        stage.host.awaited.add(_mariadb.SERVICE)
        stage.notify("restart_mariadb")
        if state["next_good"]:
            stage.step(_nothing)  # the files are right: the server has only not been restarted


def _is_on(files: dict[str, str], option: str) -> bool:
    return files.get(option, "").lower() in _ON


def _nothing(_host: Host) -> None:
    """A step that changes nothing, for the restart that comes after it."""


def _comes_from_elsewhere(account: _mariadb.Account) -> bool:
    return not account.local and not account.locked and account.user != ""


def _is_left(control: Control, state: dict[str, Any]) -> bool:
    """Whether a site on another machine could be cut off."""
    return control.params["kind"] == "addresses" and bool(state["remote"])


def _typed(control: Control, text: str) -> Any:
    kind = control.params["kind"]
    if kind == "switch":
        lowered = text.lower()
        return "on" if lowered in _ON else "off" if lowered in _OFF else text
    if kind == "number":
        return int(text) if text.isdecimal() else text
    if kind == "list":
        return [word.strip() for word in text.split(",") if word.strip()]
    if kind == "addresses":
        return _mariadb.addresses(text)
    return text.rstrip("/")


def _written(control: Control) -> str:
    kind, value = control.params["kind"], control.value
    if kind == "list":
        return ",".join(value)
    if kind == "addresses":
        return str(value[0])
    if kind == "switch":
        return str(value).upper()
    return str(value)


def _literal(control: Control) -> str:
    written = _written(control)
    return written if control.params["kind"] in ("switch", "number") else _mariadb.quoted(written)


def _shown(control: Control, seen: Any) -> str:
    return _web.disliked(control, seen) or "empty"
