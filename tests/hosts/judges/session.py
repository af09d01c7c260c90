# SPDX-License-Identifier: GPL-3.0-or-later
"""The judges' visits to hosts: judged as they come, hardened by our playbook, judged again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tests.fleet import Fleet, Machine
from tests.fleet.inventory import ADMIN
from tests.hosts.judges import panel
from tests.hosts.judges.panel import Seat
from tests.hosts.judges.peers import Peer
from tests.hosts.judges.verdicts import Verdict
from tests.hosts.playing import Done, evidence, play, statuses
from tests.hosts.tiers import asked

# Not the guard is tried here: a busy machine may take its time, and an emulated one takes more.
_PATIENT = ("-e", "ringfence_guard_timeout=3600")
_SECONDS = 3 * 3600
BEFORE = "before"
# Lynis opens every certificate there, one program for each line of each: a quarter of an hour.
_SLOW_UNDER_EMULATION = ("CRYP-7902",)
# The states that our playbook brings about, one after the other, and its options for each. Test
# hosts ask for every control otherwise: a host of a client has the default profile.
HARDENED = {
    "after": ("-e", '{"ringfence_profile": "l1_server"}'),
    # What the audit asks of an operator and no tier can name is who signs in.
    "strict": ("-e", json.dumps(asked("strict") | {"ssh_allow_groups": [ADMIN]})),
}
# AIDE's database is built in the background. A state that changes between our audit and the judge's
# look would be a disagreement about two states, not about one.
_SETTLED = """
for _try in $(seq 3000); do
    [ "$(systemctl is-active ringfence-aide-init.service)" = activating ] || exit 0
    sleep 1
done
echo "the database of AIDE is still being built" >&2
exit 1
"""


@dataclass
class Session:
    """State -> host -> judge -> verdict; and our own audit beside it."""

    verdicts: dict[str, dict[str, dict[str, Verdict]]] = field(default_factory=dict)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    applied: dict[str, Done] = field(default_factory=dict)

    def verdict(self, state: str, host: str, judge: str) -> Verdict:
        """One judge's word on one host in one state."""
        return self.verdicts[state][host][judge]

    def statuses(self, state: str, host: str) -> Mapping[str, str]:
        """What our audit said of the same host in the same state."""
        return statuses(self.documents[state], host)


def judge_fleet(fleet: Fleet, folder: Path, states: Iterable[str] = (BEFORE, "after")) -> Session:
    """A visit to every host of a fleet that has a trixie, in each of `states`, in that order.

    Evidence is left in `folder`.
    """
    seats = seats_of(fleet)
    rules = panel.content(next(s for s in seats if fleet.hosts[s.name].release == "trixie"))
    return _judge(fleet, seats, rules, folder, states)


def judge_machine(machine: Machine, rules: bytes, folder: Path, states: Iterable[str]) -> Session:
    """The same of a virtual machine; `rules` from a trixie host."""
    seat = Seat(machine.name, machine.ssh_config, machine.host.port, skipped=_SLOW_UNDER_EMULATION)
    return _judge(machine, [seat], rules, folder, states)


def judge_peer(fleet: Fleet, peer: Peer) -> dict[str, dict[str, Verdict]]:
    """Host -> judge -> verdict of a fleet with a trixie that a peer's settings were made on."""
    seats = seats_of(fleet)
    rules = panel.content(next(s for s in seats if fleet.hosts[s.name].release == "trixie"))
    panel.seat_judges(seats, rules)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda seat: seat.root("sh", stdin=peer.script().encode()), seats))
    return panel.judge(seats)


def seats_of(fleet: Fleet) -> list[Seat]:
    """Every host of a fleet, as the judges reach it."""
    return [Seat(name, fleet.ssh_config, host.port) for name, host in fleet.hosts.items()]


def _play(where: Fleet | Machine, name: str, *options: str, evidence_in: Path) -> Done:
    # A playbook asks of either nothing but its inventory.
    return play(cast(Fleet, where), name, *options, evidence_in=evidence_in, timeout=_SECONDS)


def _judge(
    where: Fleet | Machine, seats: list[Seat], rules: bytes, folder: Path, states: Iterable[str]
) -> Session:
    session = Session()
    panel.seat_judges(seats, rules)
    for state in states:
        if state == BEFORE:
            _visit(session, state, where, seats, folder)
            continue
        session.applied[state] = _play(
            where,
            "apply.yml",
            *_PATIENT,
            *HARDENED[state],
            evidence_in=folder / f"apply-{state}",
        )
        for seat in seats:
            seat.root(_SETTLED, timeout=_SECONDS)
        _visit(session, state, where, seats, folder)
    return session


def _visit(
    session: Session, state: str, where: Fleet | Machine, seats: list[Seat], folder: Path
) -> None:
    _play(where, "audit.yml", evidence_in=folder / state)
    session.documents[state] = evidence(folder / state)
    session.verdicts[state] = panel.judge(seats)
