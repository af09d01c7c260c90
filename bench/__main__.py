# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures an audit and a no-change apply against `setup` and against ordinary tasks, in one run.

Usage: python -m bench [--hosts N] [--rounds N] [--quick] [--out FOLDER]

Rounds are interleaved, so that what else the machine does falls on all alike; medians are reported.
Beside them, for a measure that everybody knows, Lynis and OpenSCAP look at the same hosts, once.
`--quick` leaves out the ordinary tasks, which take minutes a round, and the bar that needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.loader import init_plugin_loader

from bench import ordinary
from ringfence.evidence import Store
from tests.fleet import Fleet

ROOT = Path(__file__).resolve().parents[1]
_BIN = ROOT / ".venv" / "bin"
_SAME = "apply of what tasks set, no change"
_TASKS = "ordinary tasks, no change"
_BARS = {
    "audit": ("setup", 1.5),
    "apply, no change": ("setup", 2),
    _SAME: (_TASKS, 1 / 15),
}


def main() -> int:
    """Run, print the table, write the JSON. Returns 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args()
    init_plugin_loader([str(ROOT / "collections")])
    with tempfile.TemporaryDirectory() as scratch:
        names = {f"web{number}": "trixie" for number in range(1, options.hosts + 1)}
        with Fleet("bench", names) as fleet:
            plays = Path(scratch, "ordinary.yml")
            controls = _applicable(str(fleet.inventory), scratch)
            play = ordinary.playbook(controls)
            same = [control["id"] for control in controls if ordinary.knows(control)]
            options.controls, options.same = len(controls), len(same)
            options.tasks = len(play[0]["tasks"])
            plays.write_text(yaml.safe_dump(play), encoding="utf-8")
            commands = _commands(str(fleet.inventory), str(plays), same)
            if options.quick:
                del commands[_TASKS], commands[_SAME]
            found = _measure(commands, _judges(fleet), options.rounds)
    result = _result(found, options)
    _print(result)
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"{options.hosts}-hosts.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(bar["met"] for bar in result["bars"]) else 1


def _applicable(inventory: str, scratch: str) -> list[dict[str, Any]]:
    """The controls that say something of such a host: tasks are not charged for the others."""
    from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue

    evidence = Path(scratch, "evidence")
    _timed([str(_BIN / "ansible-playbook"), "-i", inventory, "playbooks/audit.yml"], evidence)
    document = Store(f"sqlite:///{evidence / 'ringfence.sqlite'}").latest()
    rows = document["hosts"][0]["results"]
    ids = {row["id"] for row in rows if row["status"] != "not_applicable"}
    return [found for name, found in catalogue.load().controls.items() if name in ids]


def _commands(inventory: str, plays: str, same: list[str]) -> dict[str, list[str]]:
    only = json.dumps({"ringfence_controls": same})
    playbook = [str(_BIN / "ansible-playbook"), "-i", inventory]
    return {
        "setup": [
            str(_BIN / "ansible"),
            "-i",
            inventory,
            "all",
            "-b",
            "-m",
            "ansible.builtin.setup",
        ],
        "audit": [*playbook, "playbooks/audit.yml"],
        "apply, no change": [*playbook, "playbooks/apply.yml"],
        _SAME: [*playbook, "playbooks/apply.yml", "-e", only],
        _TASKS: [*playbook, plays],
    }


def _judges(fleet: Fleet) -> dict[str, list[str]]:
    """Lynis and OpenSCAP on every host at once, as tests/hosts/judges has them look."""
    from tests.hosts.judges import panel
    from tests.hosts.judges.session import seats_of

    seats = seats_of(fleet)
    panel.seat_judges(seats, panel.content(seats[0]))
    found = {}
    for name, script in (("Lynis", panel.LYNIS), ("oscap xccdf eval", panel.OSCAP)):
        each = [shlex.join(panel.by_ssh(seat, script)) for seat in seats]
        found[name] = ["sh", "-c", " & ".join([*each, "wait"])]
    return found


def _measure(
    commands: dict[str, list[str]], judges: dict[str, list[str]], rounds: int
) -> dict[str, list[dict[str, float]]]:
    for name in (_TASKS, "apply, no change", _SAME):
        if name in commands:
            _timed(commands[name])  # brings the host there, so that the rounds change nothing
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _number in range(rounds):
        for name, command in commands.items():
            found[name].append(_timed(command))
    return found | {name: [_timed(command)] for name, command in judges.items()}


def _timed(command: list[str], evidence: Path | None = None) -> dict[str, float]:
    """Wall and controller CPU seconds of a run over a warm connection. Raises on a failed run."""
    folder = evidence or Path(tempfile.gettempdir(), "ringfence-bench-evidence")
    environment = {**os.environ, "RINGFENCE_EVIDENCE_DIR": str(folder)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr}"
        )
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "controller_cpu": cpu}


def _result(
    found: dict[str, list[dict[str, float]]], options: argparse.Namespace
) -> dict[str, Any]:
    medians = {
        name: {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
        for name, rows in found.items()
    }
    bars = []
    for name, (reference, factor) in _BARS.items():
        if name not in medians or reference not in medians:
            continue
        ratio = medians[name]["wall"] / medians[reference]["wall"]
        bars.append(
            {
                "what": name,
                "against": reference,
                "ratio": round(ratio, 3),
                "bar": round(factor, 3),
                "met": ratio <= factor,
            }
        )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, Linux {platform.release()}",
        "hosts": options.hosts,
        "rounds": options.rounds,
        "controls": options.controls,
        "controls_that_tasks_set": options.same,
        "ordinary_tasks": options.tasks,
        "medians_s": medians,
        "bars": bars,
    }


def _print(result: dict[str, Any]) -> None:
    print(f"{result['hosts']} host(s), {result['rounds']} rounds, medians, {result['machine']}")
    same, tasks = result["controls_that_tasks_set"], result["ordinary_tasks"]
    print(f"{result['controls']} controls that apply; {same} of them as {tasks} ordinary tasks\n")
    print(f"{'':<36}{'wall s':>9}{'controller CPU s':>19}")
    for name, row in result["medians_s"].items():
        print(f"{name:<36}{row['wall']:>9.2f}{row['controller_cpu']:>19.2f}")
    print()
    medians = result["medians_s"]
    for name in ("Lynis", "oscap xccdf eval"):
        factor = medians[name]["wall"] / medians["audit"]["wall"]
        print(f"{name} takes {factor:.0f} times as long as the audit")
    for bar in result["bars"]:
        verdict = "met" if bar["met"] else "MISSED"
        print(f"{bar['what']} / {bar['against']}: {bar['ratio']} (bar {bar['bar']}): {verdict}")


if __name__ == "__main__":
    raise SystemExit(main())
