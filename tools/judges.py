#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has Lynis, OpenSCAP and ssh-audit judge test hosts, and writes docs/judges.md from what they say.

tools/judges.py measure             both releases, before and after apply.yml (about 5 minutes)
tools/judges.py measure peers       the same with what other collections set (about 10 minutes)
tools/judges.py measure machine     a virtual machine, in software emulation (an hour and more)
tools/judges.py docs [--check]      the tables of docs/judges.md, from the figures and the answers
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.hosts.judges import ledger  # noqa: E402
from tests.hosts.judges.verdicts import JUDGES, LYNIS, OPENSCAP, SSH_AUDIT, Verdict  # noqa: E402

RESULTS = ledger.FOLDER / "results.json"
PAGE = ROOT / "docs" / "judges.md"
NAMES = {LYNIS: "Lynis", OPENSCAP: "OpenSCAP", SSH_AUDIT: "ssh-audit"}
FLEET = {"bookworm": "Debian 12", "trixie": "Debian 13"}
HOSTS = {**FLEET, "machine": "Debian 12, virtual machine"}
STATES = {"before": "before", "after": "after", "strict": "after, tier `strict`"}
WHAT = ("hosts", "peers", "machine")


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 where `docs --check` finds the page stale."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure")
    measure.add_argument("what", nargs="?", choices=WHAT, default="hosts")
    measure.add_argument("--state", action="append", choices=tuple(STATES), help="machine: which")
    commands.add_parser("docs").add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    if options.command == "measure":
        if options.what == "machine":
            measure_machine(options.state or tuple(STATES))
        else:
            {"hosts": measure_hosts, "peers": measure_peers}[options.what]()
        return 0
    text = page()
    if options.check:
        fresh = PAGE.read_text(encoding="utf-8") == text
        print("" if fresh else f"{PAGE.relative_to(ROOT)}: stale; run tools/judges.py docs", end="")
        return 0 if fresh else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


# -- measuring; the figures of what is not judged now stay ----------------------------


def measure_hosts() -> None:
    """Hosts of both releases, as they come and as our playbook leaves them."""
    from tests.hosts.judges.session import HARDENED, judge_fleet

    with tempfile.TemporaryDirectory() as scratch, _fleet("judges") as fleet:
        _write(judge_fleet(fleet, Path(scratch), ("before", *HARDENED)), FLEET)


def measure_machine(states: Sequence[str]) -> None:
    """A virtual machine with a kernel of its own. Rules come from a host of Debian 13.

    Each state is written as soon as it is measured.
    """
    from tests.fleet import Fleet, Machine
    from tests.hosts.judges import panel
    from tests.hosts.judges.session import judge_machine, seats_of

    with Fleet(f"judges-rules-{os.getpid()}", {"trixie": "trixie"}) as fleet:
        rules = panel.content(seats_of(fleet)[0])
    with (
        tempfile.TemporaryDirectory() as scratch,
        Machine("machine", "bookworm", memory=2048) as machine,
    ):
        for state in states:
            _write(judge_machine(machine, rules, Path(scratch, state), [state]), ["machine"])


def measure_peers() -> None:
    """Hosts of both releases with the settings of each other collection."""
    from tests.hosts.judges import peers
    from tests.hosts.judges.session import judge_peer

    for name, peer in peers.load().items():
        with _fleet(f"judges-{name.replace('_', '-')}") as fleet:
            judged = judge_peer(fleet, peer)
        rows = {
            host: {judge: _figures(verdict) for judge, verdict in row.items()}
            for host, row in judged.items()
        }
        known = _results()
        known.setdefault("peers", {})[name] = {"date": time.strftime("%Y-%m-%d"), "hosts": rows}
        _save(known, f"{name} on {', '.join(rows)}")


def _fleet(name: str) -> Any:
    from tests.fleet import Fleet

    return Fleet(f"{name}-{os.getpid()}", {"bookworm": "bookworm", "trixie": "trixie"})


def _figures(verdict: Verdict) -> dict[str, Any]:
    """What a comparison needs of a verdict."""
    return {"score": verdict.score, "findings": verdict.findings}


def _results() -> dict[str, Any]:
    known: dict[str, Any] = {"hosts": {}}
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else known


def _save(results: dict[str, Any], what: str) -> None:
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS.relative_to(ROOT)}: {what}")


def _write(session: Any, hosts: Iterable[str]) -> None:
    for state, done in session.applied.items():
        if done.returncode:
            print(
                f"apply.yml ended with {done.returncode}; the figures of {state} are of what it did"
            )
            print(done.output[-2000:])
    known = _results()
    for host in hosts:
        known["hosts"].setdefault(host, {})
        known["hosts"][host] |= {
            state: {
                "date": time.strftime("%Y-%m-%d"),
                "statuses": dict(sorted(session.statuses(state, host).items())),
                **{judge: asdict(session.verdict(state, host, judge)) for judge in JUDGES},
            }
            for state in session.verdicts
        }
    _save(known, ", ".join(hosts))


# -- the page -------------------------------------------------------------------------


def page() -> str:
    """docs/judges.md with its tables as the figures and the answers say now."""
    known = _results()
    results = known["hosts"]
    tables = {
        "scores": _scores(results),
        "peers": _peers(known.get("peers", {}), results),
        "agreement": _agreement(results),
        **{judge: _findings(judge, results) for judge in JUDGES},
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in tables.items():
        marks = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        body = "\n".join(lines)
        head, _begin, rest = text.partition(marks[0])
        _old, end, tail = rest.partition(marks[1])
        if end:
            text = f"{head}{marks[0]}\n{body}\n{end}{tail}"
    return text


def _verdict(row: dict[str, Any], judge: str) -> Verdict:
    fields = dict(row[judge])
    fields["findings"], fields["passed"] = tuple(fields["findings"]), tuple(fields["passed"])
    return Verdict(**fields)


def _scores(results: dict[str, Any]) -> Iterator[str]:
    yield f"| Judge | Host | Version | Figure | {' | '.join(map(_capital, STATES.values()))} |"
    yield f"|---|---|---|---|{'---:|' * len(STATES)}"
    for judge in JUDGES:
        for host, states in _known(results):
            judged = {state: _verdict(row, judge) for state, row in states.items()}
            before = judged["before"]
            for figure in before.score:
                values = [
                    judged[state].score[figure] if state in judged else "not measured"
                    for state in STATES
                ]
                cells = (NAMES[judge], HOSTS[host], before.version, figure, *values)
                yield f"| {' | '.join(str(cell) for cell in cells)} |"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _known(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((host, results[host]) for host in HOSTS if host in results)


def _comparable(judge: str, statuses: dict[str, str]) -> bool:
    """Whether our audit of that day knew every control that the answers name."""
    named = {name for entry in ledger.load(judge).values() for name in entry.controls}
    return named <= set(statuses)


def _whole(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Hosts that were judged as they came and hardened: of others nothing is compared."""
    return (row for row in _known(results) if {"before", "after"} <= set(row[1]))


def _peers(measured: dict[str, Any], results: dict[str, Any]) -> Iterator[str]:
    """Figures of other collections beside ours, and what was left out of each."""
    from tests.hosts.judges import peers

    known = {name: peer for name, peer in peers.load().items() if name in measured}
    heads = ["Judge", "Host", "Figure", "Ringfence", "Ringfence, tier `strict`"]
    heads += [f"{peer.title} (approximated)" for peer in known.values()]
    yield f"| {' | '.join(heads)} |"
    yield f"|---|---|---|{'---:|' * (len(heads) - 3)}"
    for judge in JUDGES:
        for host in FLEET:
            ours = [results[host].get(state, {}).get(judge) for state in ("after", "strict")]
            theirs = [measured[name]["hosts"][host][judge] for name in known]
            rows = [_with_failed(row["score"]) if row else {} for row in ours + theirs]
            for figure in rows[0]:
                values = [row.get(figure, "not measured") for row in rows]
                cells = (NAMES[judge], HOSTS[host], figure, *values)
                yield f"| {' | '.join(str(cell) for cell in cells)} |"
    for peer in known.values():
        yield ""
        yield f"**{peer.title}**: {peer.source}. Left out: {'; '.join(peer.left_out)}."


def _with_failed(score: dict[str, int]) -> dict[str, int]:
    """A score, with the failed rules of OpenSCAP: more are answered where more is installed."""
    if "answered" not in score:
        return score
    return {**score, "failed": score["answered"] - score["passed"]}


def _agreement(results: dict[str, Any]) -> Iterator[str]:
    heads = ("Judge", "Host", "State", "Both content", "Both complain", "Judge alone", "Ours alone")
    yield f"| {' | '.join(heads)} | Nobody of ours asks |"
    yield "|---|---|---|---|---|---|---|---|"
    for judge in JUDGES:
        for host, states in _whole(results):
            for state in (name for name in STATES if name in states):
                if not _comparable(judge, states[state]["statuses"]):
                    continue
                rows = ledger.compare(_verdict(states[state], judge), states[state]["statuses"])
                asked = [row for row in rows if row.controls]
                cells = (
                    sum(row.agreed and row.judged == "passed" for row in asked),
                    sum(row.agreed and row.judged == "found" for row in asked),
                    sum(not row.agreed and row.judged == "found" for row in asked),
                    sum(not row.agreed and row.judged == "passed" for row in asked),
                    len(rows) - len(asked),
                )
                words = " | ".join(
                    str(cell) for cell in (NAMES[judge], HOSTS[host], STATES[state], *cells)
                )
                yield f"| {words} |"


def _findings(judge: str, results: dict[str, Any]) -> Iterator[str]:
    yield "| Finding | What it asks | Remains on | Our controls say | Answer |"
    yield "|---|---|---|---|---|"
    seen: dict[str, dict[str, ledger.Row]] = {}
    for host, states in _whole(results):
        # With the default profile and the stricter one: what remains of either has its answer.
        for after in (states[state] for state in ("after", "strict") if state in states):
            for row in ledger.compare(_verdict(after, judge), after["statuses"]):
                if row.judged == "found" or not row.agreed:
                    seen.setdefault(row.finding, {}).setdefault(host, row)
    for finding, rows in sorted(seen.items()):
        yield _finding(judge, finding, rows)


def _finding(judge: str, finding: str, rows: dict[str, ledger.Row]) -> str:
    entry = ledger.answer(judge, finding)
    first = next(iter(rows.values()))
    names = " ".join(f"`{name}`" for name in first.controls)
    said = sorted({row.ours for row in rows.values() if row.ours})
    ours = f"{names}: {', '.join(said)}" if names else "none asks it"
    reasons = dict.fromkeys(row.reason for row in rows.values() if row.reason)
    if any(row.agreed for row in rows.values()):
        reasons["Both say the same: it is for a person to do, or waived."] = None
    on = ", ".join(HOSTS[host] for host in rows)
    judged = "" if first.judged == "found" else " (the judge is content)"
    about = entry.about if entry else "UNEXPLAINED"
    answer = " ".join(reasons) or "UNEXPLAINED"
    return f"| `{finding}`{judged} | {about} | {on} | {ours} | {answer} |"


if __name__ == "__main__":
    raise SystemExit(main())
