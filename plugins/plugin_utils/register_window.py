# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change windows: whether a host may be changed now. Pure: the clock is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_open(window: dict[str, Any], now: datetime) -> tuple[bool, str]:
    """Whether a `change_window` of the register is open at `now`, and why, in one line.

    `now` carries a time zone (ValueError if it doesn't). Times are those on a wall clock at the
    window's zone, so a window keeps its hours when the clocks change.
    """
    if now.tzinfo is None:
        raise ValueError("expected a time with its time zone")
    local = now.astimezone(ZoneInfo(window["timezone"])).replace(tzinfo=None)
    for freeze in window.get("freeze", []):
        if date.fromisoformat(freeze["from"]) <= local.date() <= date.fromisoformat(freeze["to"]):
            return False, f"frozen until {freeze['to']}: {freeze['reason']}"
    for row in window["windows"]:
        for begins in (local.date(), local.date() - timedelta(days=1)):
            start, end = _span(row, begins)
            if _DAYS[begins.weekday()] in row["days"] and start <= local < end:
                return True, f"open until {end:%a %H:%M} {window['timezone']}"
    return False, f"closed; opens {_next(window, local)} {window['timezone']}"


def all_open(windows: Iterable[dict[str, Any]], now: datetime) -> tuple[bool, str]:
    """Whether all of `windows` (with their `client`) are open, and why, in one line."""
    reason = "no change window is declared"
    for window in windows:
        opened, said = is_open(window, now)
        reason = f"{window['client']}: {said}"
        if not opened:
            return False, reason
    return True, reason


def _span(row: dict[str, Any], begins: date) -> tuple[datetime, datetime]:
    start, end = time.fromisoformat(row["from"]), time.fromisoformat(row["to"])
    ends = begins + timedelta(days=1) if end <= start else begins
    return datetime.combine(begins, start), datetime.combine(ends, end)


def _next(window: dict[str, Any], local: datetime) -> str:
    starts = [
        _span(row, day)[0]
        for row in window["windows"]
        for day in (local.date() + timedelta(days=ahead) for ahead in range(8))
        if _DAYS[day.weekday()] in row["days"]
    ]
    return f"{min(start for start in starts if start > local):%a %H:%M}"
