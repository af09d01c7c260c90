# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the files that take minutes first, so that none of them is left to run alone at the end."""

from __future__ import annotations

import pytest

# Each takes minutes on two cores, the longest first.
LONG = (
    "hosts/test_controls_before_after.py",
    "hosts/firewall/test_keeps.py",
    "hosts/sites/test_sites_stay.py",
    "hosts/cli/test_runs.py",
    "hosts/guard/test_faults.py",
    "hosts/bans/test_bans.py",
    "hosts/judges/test_judges.py",
    "hosts/backups/test_backups.py",
    "hosts/firewall/test_lists.py",
    "hosts/second_factor/test_policy.py",
    "hosts/gate/test_gate.py",
    "hosts/firewall/test_reach.py",
    "hosts/sites/test_addresses.py",
    "hosts/bans/test_central.py",
    "s3/test_faults.py",
    "hosts/firewall/test_countries_and_feeds.py",
    "hosts/second_factor/test_sign_in.py",
    "hosts/firewall/test_lock_out.py",
    "hosts/gate/test_browser.py",
    "hosts/certificates/test_certbot.py",
    "hosts/firewall/test_streams.py",
    "hosts/access_changes/test_vendor_access.py",
    "hosts/access_changes/test_offboard.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts by file; the order within a file stays."""
    ranks = {f"tests/{name}": rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(ranks)))
