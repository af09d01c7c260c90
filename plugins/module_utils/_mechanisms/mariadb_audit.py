# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MariaDB's own audit: which kinds of statements are told to the host's log.

The value: kinds of events. The module that comes with the server is put in while it runs. An
audit that leaves users out, or watches some users only, tells too little, whatever its events are.
"""

from __future__ import annotations

from functools import partial

from ansible_collections.ringfence.hosting.plugins.module_utils import _mariadb
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

PARAMS: dict[str, str] = {}
VALUE = ("list",)

_PART = "server-audit"
_LOG = "syslog"


def observe(host: Host, control: Control) -> Observation:
    server, files = _mariadb.ask(host), _mariadb.persisted(host)
    loaded = "server_audit_logging" in server.variables
    live = _events(server.variables, "_")
    later = _events(files, "-")
    state = {
        "loaded": loaded,
        "live": live,
        "later": later,
        "live_good": bool(live) and control.meets(live),
        "later_good": bool(later) and control.meets(later),
        "chosen": _chosen(server.variables, "_") or _chosen(files, "-"),
    }
    return Observation(state, ", ".join(live) or "nothing")


def judge(_control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not state["loaded"]:
        return Verdict(FAIL, "MariaDB has not loaded server_audit")
    if not state["live_good"]:
        return Verdict(FAIL, f"MariaDB tells of {observation.shown}")
    if not state["later_good"]:
        return Verdict(FAIL, "MariaDB will tell of less once it is restarted")
    if state["chosen"]:
        return Verdict(FAIL, f"MariaDB leaves users out: {state['chosen']}", by_hand=True)
    return Verdict(PASS)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    events = ",".join(control.value)
    if not observation.state["later_good"]:
        options = {
            "loose-server-audit-logging": "ON",
            "loose-server-audit-output-type": _LOG,
            "loose-server-audit-events": events,
        }
        _mariadb.stage_options(stage, _PART, options)
    if observation.state["live_good"]:
        return
    statements = [] if observation.state["loaded"] else ["INSTALL SONAME 'server_audit'"]
    statements += [
        f"SET GLOBAL server_audit_output_type = {_mariadb.quoted(_LOG)}",
        f"SET GLOBAL server_audit_events = {_mariadb.quoted(events)}",
        "SET GLOBAL server_audit_logging = ON",
    ]
    stage.step(partial(_tell, statements=statements))


def _tell(host: Host, *, statements: list[str]) -> None:
    _mariadb.tell(host, *statements)


def _chosen(values: dict[str, str], separator: str) -> str:
    """Which users it leaves out or keeps to; "" where it watches all."""
    for kind in ("excl", "incl"):
        name = f"server_audit_{kind}_users".replace("_", separator)
        if values.get(name):
            return f"{name} is {values[name]}"
    return ""


def _events(values: dict[str, str], separator: str) -> list[str]:
    """What the host's log is told of: all kinds where none is named, nothing where it is off."""
    logging, target, named = (
        values.get(f"server_audit_{name}".replace("_", separator), "")
        for name in ("logging", "output_type", "events")
    )
    if logging.upper() not in ("ON", "1") or target.lower() != _LOG:
        return []
    every = ["CONNECT", "QUERY", "TABLE", "QUERY_DDL", "QUERY_DML", "QUERY_DCL"]
    found = [word.strip().upper() for word in named.split(",") if word.strip()] or every
    return [*found, "QUERY_DDL", "QUERY_DML", "QUERY_DCL"] if "QUERY" in found else found
