# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs on a host and is no finding. The rest is shown on live sites: tests/hosts."""

from __future__ import annotations

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_audit
from ansible_collections.ringfence.hosting.plugins.module_utils._site_config import Change

TIMER = "/etc/systemd/system/ringfence-site-addresses.timer"
ONE, TWO = b"OnCalendar=2026-01-01 00:00:00 UTC\n", b"OnCalendar=2026-02-01 00:00:00 UTC\n"


@pytest.mark.parametrize(
    ("change", "spent"),
    [
        (Change(TIMER, ONE + TWO, TWO), True),
        (Change(TIMER, ONE, None), True),
        (Change(TIMER, ONE, ONE + TWO), False),
        (Change(TIMER, None, ONE), False),
        (Change("/usr/local/lib/ringfence/site_addresses.py", b"a", b"b"), False),
        (Change("/usr/local/lib/ringfence/site_addresses.py", b"a", None), True),
        (Change("/etc/ringfence/sites/addresses/a__b_deny.geo", b"1\n", None), False),
    ],
)
def test_a_timer_whose_moments_are_over_is_no_finding(change: Change, spent: bool) -> None:
    assert _site_audit.is_spent(change) is spent
