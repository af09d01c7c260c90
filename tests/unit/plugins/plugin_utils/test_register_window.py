# SPDX-License-Identifier: GPL-3.0-or-later
"""Change windows, over midnight and over the days when clocks change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_window import (
    all_open,
    is_open,
)

NIGHT = {
    "timezone": "Europe/London",
    "windows": [{"days": ["sat"], "from": "22:00", "to": "04:00"}],
    "freeze": [{"from": "2026-12-20", "to": "2026-12-28", "reason": "Christmas trade"}],
}
DAY = {
    "timezone": "America/New_York",
    "windows": [
        {"days": ["mon", "wed"], "from": "09:00", "to": "11:30"},
        {"days": ["fri"], "from": "00:00", "to": "00:00"},
    ],
}


@pytest.mark.parametrize(
    ("window", "now", "expected"),
    [
        # 2026-06-06 is a Saturday; London is one hour ahead of UTC in June
        (NIGHT, "2026-06-06T20:59:59+00:00", (False, "closed; opens Sat 22:00 Europe/London")),
        (NIGHT, "2026-06-06T21:00:00+00:00", (True, "open until Sun 04:00 Europe/London")),
        (NIGHT, "2026-06-07T02:59:59+00:00", (True, "open until Sun 04:00 Europe/London")),
        (NIGHT, "2026-06-07T03:00:00+00:00", (False, "closed; opens Sat 22:00 Europe/London")),
        (NIGHT, "2026-06-08T01:00:00+00:00", (False, "closed; opens Sat 22:00 Europe/London")),
        # in winter the same wall clock is an hour later in UTC
        (NIGHT, "2026-01-10T21:30:00+00:00", (False, "closed; opens Sat 22:00 Europe/London")),
        (NIGHT, "2026-01-10T22:00:00+00:00", (True, "open until Sun 04:00 Europe/London")),
        # the night on which the clocks go forward, 2026-03-29 at 01:00 UTC
        (NIGHT, "2026-03-29T02:59:00+00:00", (True, "open until Sun 04:00 Europe/London")),
        (NIGHT, "2026-03-29T03:00:00+00:00", (False, "closed; opens Sat 22:00 Europe/London")),
        # and back, 2026-10-25
        (NIGHT, "2026-10-25T03:59:00+00:00", (True, "open until Sun 04:00 Europe/London")),
        (NIGHT, "2026-12-26T23:00:00+00:00", (False, "frozen until 2026-12-28: Christmas trade")),
        (NIGHT, "2026-12-20T00:00:00+00:00", (False, "frozen until 2026-12-28: Christmas trade")),
        # 2026-06-08 is a Monday; New York is four hours behind UTC in June
        (DAY, "2026-06-08T13:00:00+00:00", (True, "open until Mon 11:30 America/New_York")),
        (DAY, "2026-06-08T15:30:00+00:00", (False, "closed; opens Wed 09:00 America/New_York")),
        (DAY, "2026-06-12T12:00:00-04:00", (True, "open until Sat 00:00 America/New_York")),
        (DAY, "2026-06-13T00:00:00-04:00", (False, "closed; opens Mon 09:00 America/New_York")),
    ],
)
def test_is_open(window: dict[str, Any], now: str, expected: tuple[bool, str]) -> None:
    assert is_open(window, datetime.fromisoformat(now)) == expected


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        is_open(NIGHT, datetime(2026, 6, 6, 22, 0))


def test_one_closed_window_closes_a_shared_host() -> None:
    now = datetime.fromisoformat("2026-06-06T21:00:00+00:00")
    rows = [{"client": "acme", **NIGHT}, {"client": "zoo", **DAY}]
    assert all_open(rows, now) == (False, "zoo: closed; opens Mon 09:00 America/New_York")
    assert all_open(rows[:1], now) == (True, "acme: open until Sun 04:00 Europe/London")
    assert all_open([], now) == (True, "no change window is declared")
