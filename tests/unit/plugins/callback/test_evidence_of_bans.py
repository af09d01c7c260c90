# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was banned, in real runs of ansible-playbook; see conftest.py."""

from __future__ import annotations

from typing import Any

from ringfence.evidence import Store

from .conftest import Controller, Run, ask

BAN: dict[str, Any] = {
    "kind": "address", "subject": "198.51.100.9", "site": "acme/shop", "reason": "scans for holes",
    "rule": "ringfence-exploits-1", "source": "web1", "failures": 3, "seconds": 3600,
    "since": "2026-01-31T12:00:00Z", "until": "2026-01-31T13:00:00Z", "state": "over",
    "lifted": "", "why": "",
}  # fmt: skip


def answer(*rows: Any, days: int = 30) -> dict[str, Any]:
    return {"changed": False, "set_up": True, "days": days, "bans": list(rows), "peers": {}}


def store(run: Run) -> Store:
    return Store(Store.url_in(run.evidence))


def test_bans_are_an_entry_of_the_chain_with_who_said_nothing(controller: Controller) -> None:
    replies = {"web1/first": answer(BAN), "web2/first": {"unreachable": "no route"}}
    run = controller.run([ask(module="ban_info")], replies, ["web1", "web2"])
    found = store(run).collection(kind="bans")
    assert found is not None, run.output
    by_name = {target["name"]: target for target in found["targets"]}
    (kept,) = by_name["web1"]["documents"]
    assert kept == {"days": 30, "rows": [BAN], "set_up": True}
    assert by_name["web2"]["state"] == "unreachable"
    assert store(run).verify().ok
    assert store(run).collections() == []
    (summary,) = store(run).collections("bans")
    assert (summary["rows"], summary["targets"]) == (1, {"ok": 1, "unreachable": 1})


def test_a_look_at_what_is_in_force_leaves_no_evidence(controller: Controller) -> None:
    run = controller.run([ask(module="ban_info")], {"*/first": answer(BAN, days=0)})
    assert "Evidence:" not in run.output


def test_a_host_that_says_nonsense_is_a_gap(controller: Controller) -> None:
    replies = {"web1/first": answer({"subject": 7}), "web2/first": answer(BAN)}
    run = controller.run([ask(module="ban_info")], replies, ["web1", "web2"])
    found = store(run).collection(kind="bans")
    assert found is not None, run.output
    assert [target["state"] for target in found["targets"]] == ["error", "ok"]
