# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen while a playbook runs: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli._output import count
from ringfence.results import HostResult, printable
from ringfence.runner import Event

_RECENT_HOSTS = 6
_TOP_CONTROLS = 5
_PLANNED = {"changed": "to change", "taken": "to take"}

# What the answer of a host is counted by, and in which words; the first that it has.
_COUNTED: Mapping[str, Callable[[Any], str]] = {
    "sites": lambda sites: count(len(sites), "site"),
    "accesses": lambda number: count(number, "access", "accesses"),
    "ringfence_targets": lambda rows: f"{len(rows)} judged",
    "bans": lambda bans: count(len(bans), "ban"),
    "lifted": lambda bans: f"{len(bans)} lifted",
    "open": lambda accounts: f"{count(len(accounts), 'account')} open",
}


class Progress:
    """Follows a run. `take` gets each event, and the host that it was a result of."""

    def __init__(self, verb: str, total: int, target: Console, quiet: bool = False) -> None:
        self.verb = verb
        self.total = total
        self.done: dict[str, HostResult] = {}
        self.stage = ""
        self.notice = ""
        self._console = target
        self._quiet = quiet
        self._running: dict[str, float] = {}
        self._controls: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._started = time.monotonic()
        self._live: Live | None = None
        if target.is_terminal and not quiet:
            self._live = Live(
                get_renderable=self._view, console=target, refresh_per_second=8, transient=True
            )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._live.stop()

    def take(self, event: Event, host: HostResult | None) -> None:
        """Note an event."""
        data = event.get("event_data") or {}
        if event.get("event") == "runner_on_start":
            self._running.setdefault(str(data.get("host")), time.monotonic())
        if host is None or host.state == "not_run":
            return
        self._running.pop(host.name, None)
        self.done[host.name] = host
        for control in host.with_status("fail", "changed", "error"):
            self._controls[(str(control["id"]), str(control["status"]))].add(host.name)
        if self._live is None and not self._quiet:
            self._print(host)

    def begin_stage(self, text: str) -> None:
        """A batch begins."""
        self.stage = text
        if self._live is None and not self._quiet:
            self._console.print(text, soft_wrap=True, markup=False)

    def say(self, text: str) -> None:
        """Something the user must know now."""
        self.notice = text
        if self._live is None and not self._quiet:
            self._console.print(text, soft_wrap=True, markup=False)

    def _tally(self, host: HostResult) -> str:
        return tally(host, planned=self.verb == "Plan")

    def _print(self, host: HostResult) -> None:
        said = self._tally(host) if host.state == "ok" else host.state
        words = [word for word in (said, host.message) if word]
        # Of an answer that is not counted, the command's own page tells.
        if words:
            line = out.mark(outcome(host), self._console)
            line.append(f" {printable(host.name)}: ", style="default")
            line.append(": ".join(words))
            self._console.print(line, soft_wrap=True)

    def _view(self) -> Any:
        spent = int(time.monotonic() - self._started)
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(self.verb, style="bold"),
            ProgressBar(total=max(1, self.total), completed=len(self.done), width=24),
            f"{len(self.done)}/{self.total} hosts",
            Text(f"{spent // 60}:{spent % 60:02}", style="dim"),
            Text(self.stage, style="dim", overflow="ellipsis", no_wrap=True),
        )
        parts: list[Any] = [head, self._hosts()]
        if self._controls:
            parts.append(self._top_controls())
        if self.notice:
            parts.append(Text(self.notice, style="bold yellow"))
        return Group(*parts)

    def _hosts(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        room = max(2, min(_RECENT_HOSTS, self._console.height - 8 - _TOP_CONTROLS))
        longest = sorted(self._running.items(), key=lambda item: item[1])[:room]
        for host in list(self.done.values())[-(room - min(len(longest), room // 2)) :]:
            grid.add_row(
                " ",
                out.mark(outcome(host), self._console),
                printable(host.name),
                Text(host.message or self._tally(host), overflow="ellipsis", no_wrap=True),
            )
        for name, since in longest:
            seconds = int(time.monotonic() - since)
            grid.add_row(" ", Text("…"), printable(name), Text(f"{seconds} s", style="dim"))
        return grid

    def _top_controls(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        most = sorted(self._controls.items(), key=lambda item: -len(item[1]))
        for (control, status), hosts in most[:_TOP_CONTROLS]:
            number = Text(count(len(hosts), "host"))
            grid.add_row(" ", out.mark(status, self._console), control, number)
        return grid


def outcome(host: HostResult) -> str:
    """The one word for a host: a state, or the worst status of its controls."""
    if host.state == "unreachable":
        return "unreachable"
    if host.state in ("error", "not_run"):
        return host.state
    counts = host.counts
    if host.failed or counts["error"]:
        return "error"
    return next((status for status in ("fail", "changed") if counts[status]), "pass")


def tally(host: HostResult, *, planned: bool = False) -> str:
    """`1 fail, 38 pass`; empty where a command's answer is nothing to count."""
    words = _PLANNED if planned else {}
    if "taken" in host.answer:
        return f"{len(host.answer['taken'])} {words.get('taken', 'taken')}"
    if host.answer:
        said = (say(host.answer[key]) for key, say in _COUNTED.items() if key in host.answer)
        return next(said, "")
    counts = host.counts
    order = ("fail", "error", "changed", "pass", "waived", "manual")
    words = {"error": "not checked", **words}
    parts = [f"{counts[status]} {words.get(status, status)}" for status in order if counts[status]]
    return ", ".join(parts) or "nothing applies"
