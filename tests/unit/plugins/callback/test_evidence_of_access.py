# SPDX-License-Identifier: GPL-3.0-or-later
"""Collections of accesses, in real runs of ansible-playbook; see conftest.py."""

from __future__ import annotations

import json
from typing import Any

from ringfence.evidence import Store

from .conftest import Controller, Run, ask, reply

NOW = "2026-01-31T12:00:00Z"


def answer(*names: str, **more: Any) -> dict[str, Any]:
    rows = [{"system": "server", "account_id": name, "username": name} for name in names]
    covered = [{"source": "sudo", "state": "read"}]
    document: dict[str, Any] = {"schema": 1, "collector": "access_info", "collected_at": NOW}
    document |= {"rows": rows, "coverage": covered, "facts": {}}
    return {"changed": False, "access": document, **more}


def collected(run: Run) -> dict[str, Any]:
    found = Store(Store.url_in(run.evidence)).collection()
    assert found is not None, run.output
    return {target["name"]: target for target in found["targets"]} | {"run": found["run"]}


def test_a_collection_is_an_entry_of_the_chain(controller: Controller) -> None:
    run = controller.run(
        [ask(module="access_info")],
        {
            "web1/first": answer("ada"),
            "web2/first": {"unreachable": "no route"},
            "web3/first": {"failed": True, "msg": "no sudo"},
        },
        ["web1", "web2", "web3"],
    )
    found = collected(run)
    assert found["web1"]["documents"][0]["rows"][0]["username"] == "ada"
    states = {name: (found[name]["state"], found[name]["message"]) for name in ("web2", "web3")}
    assert states == {
        "web2": ("unreachable", "Task failed: no route"),
        "web3": ("error", "no sudo"),
    }
    assert found["run"]["playbook"] == "audit.yml"
    assert "is entry 1 of the store" in run.output
    store = Store(Store.url_in(run.evidence))
    assert store.verify().ok
    assert store.runs() == []
    (summary,) = store.collections()
    assert (summary["rows"], summary["targets"]) == (1, {"error": 1, "ok": 1, "unreachable": 1})


def test_beside_controls_both_are_kept(controller: Controller) -> None:
    run = controller.run(
        [ask("second"), ask(module="access_info")], {"*/first": answer(), "*/second": reply()}
    )
    assert [host["name"] for host in run.document["hosts"]] == ["web1"]
    assert collected(run)["web1"]["state"] == "ok"


def test_a_host_that_says_nonsense_is_a_gap(controller: Controller) -> None:
    bad = answer("ada")
    bad["access"]["rows"][0]["person"] = "ada"
    run = controller.run([ask(module="access_info")], {"*/first": bad})
    target = collected(run)["web1"]
    assert (target["state"], target["documents"]) == ("error", [])
    assert "no column person" in target["message"]


def test_only_the_controller_speaks_for_others(controller: Controller) -> None:
    replies = {"*/first": answer("ada", access_target="aws")}
    run = controller.run([ask(module="access_info")], replies, ["web1", "localhost"])
    found = collected(run)
    assert set(found) == {"web1", "aws", "run"}


def test_what_a_condition_kept_from_being_asked_is_no_gap(controller: Controller) -> None:
    task = {**ask(module="access_info"), "when": "inventory_hostname != 'localhost'"}
    run = controller.run([task], {"*/first": answer("ada")}, ["web1", "localhost"])
    assert set(collected(run)) == {"web1", "run"}


def test_pruning_takes_the_accounts_and_leaves_the_counts(controller: Controller) -> None:
    run = controller.run([ask(module="access_info")], {"*/first": answer("ada", "ben")})
    store = Store(Store.url_in(run.evidence))
    store.prune("2999-01-01T00:00:00Z")
    assert store.collection() is None
    (summary,) = store.collections()
    assert (summary["pruned"], summary["rows"]) == (True, 2)
    assert "ada" not in json.dumps(summary)
    assert store.verify().ok
