# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes a finding of a site, and that no finding speaks of another's site."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import site_addresses, site_judge

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SITE: dict[str, Any] = {
    "client": "acme", "id": "shop", "domains": ["a.example"], "root": "/srv/a",
    "web_server": "nginx", "cdn": {"ranges": ["198.18.0.0/20"]},
    "security": {"addresses": {"deny": [{"network": "192.0.2.1"}]}},
}  # fmt: skip
GOOD: dict[str, Any] = {
    "differs": [], "unhooked": [], "refused": [], "loaded": {"nginx": True},
    "believed": {"acme__shop": ["198.18.0.0/20"]},
    "ends": {"/d/acme__shop_deny.geo": ["2026-06-01T12:00:01Z"]},
}  # fmt: skip
LISTS = "/etc/ringfence/sites/addresses"


def statuses(facts: dict[str, Any], site: dict[str, Any] = SITE) -> dict[str, tuple[str, str]]:
    plan = site_addresses.planned(site, [], NOW)
    found = site_judge.judged(plan, ["acme__shop", "zoo__blog"], {**GOOD, **facts}, NOW)
    return {one["id"]: (one["status"], one.get("message", "")) for one in found}


def test_a_site_as_it_was_agreed_passes() -> None:
    assert {status for status, _message in statuses({}).values()} == {"pass"}


@pytest.mark.parametrize(
    ("facts", "control", "status", "message"),
    [
        ({"differs": [f"{LISTS}/acme__shop_deny.geo", f"{LISTS}/feed_x.geo"]}, "in_force", "fail",
         f"{LISTS}/acme__shop_deny.geo is not as the register asks (and 1 more)"),
        ({"differs": [f"{LISTS}/zoo__blog_deny.geo"]}, "in_force", "pass", ""),
        ({"differs": ["/etc/nginx/ringfence/zoo__blog/addresses.conf"]}, "in_force", "pass", ""),
        ({"unhooked": ["acme__shop"]}, "in_force", "fail", "does not include its rules"),
        ({"refused": ["acme/shop: no server block"]}, "in_force", "fail", "no server block"),
        ({"refused": ["zoo/blog: no server block"]}, "in_force", "pass", ""),
        ({"loaded": {"nginx": False}}, "in_force", "fail", "has not read the lists"),
        ({"loaded": {"nginx": None}}, "in_force", "error", "does not run"),
        ({"believed": {"acme__shop": ["198.18.0.0/20", "0.0.0.0/0"]}}, "visitor", "fail",
         "the address that 0.0.0.0/0 names is believed"),
        ({"believed": {"acme__shop": ["198.18.0.0/20", "unix:"]}}, "visitor", "fail", "unix:"),
        ({"believed": {"acme__shop": []}}, "visitor", "fail", "198.18.0.0/20 is not believed"),
        ({"ends": {"/d/acme__shop_deny.geo": ["2026-06-01T12:00:00Z"]}}, "ended", "fail",
         "an entry that ended at 2026-06-01T12:00:00Z is still there"),
        ({"ends": {"/d/zoo__blog_deny.geo": ["2026-06-01T12:00:00Z"]}}, "ended", "pass", ""),
    ],
)  # fmt: skip
def test_what_is_otherwise_is_found(
    facts: dict[str, Any], control: str, status: str, message: str
) -> None:
    name = {"in_force": site_judge.IN_FORCE, "visitor": site_judge.VISITOR,
            "ended": site_judge.ENDED}[control]  # fmt: skip
    found = statuses(facts)[name]
    assert found[0] == status
    assert message in found[1]
    assert "zoo" not in str(statuses(facts).values())


def test_a_site_that_asks_for_nothing_is_none_of_these_but_must_believe_nobody() -> None:
    site = {key: SITE[key] for key in ("client", "id", "domains", "root", "web_server")}
    found = statuses({"believed": {"acme__shop": []}}, site)
    assert {status for status, _message in found.values()} == {"not_applicable"}
    assert statuses({}, site)[site_judge.VISITOR][0] == "fail"
