# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets and other things that are no server, in real runs of ansible-playbook."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Controller, ask, finding, reply

BUCKET = {"kind": "bucket", "client": "acme"}


def bucket(name: str = "s3://acme", **more: Any) -> dict[str, Any]:
    """A row as targets.row gives it."""
    return {**reply([finding()], host=BUCKET), "name": name, "state": "ok", **more}


def answer(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"changed": False, "ringfence_targets": list(rows)}


def test_a_target_is_recorded_under_its_name_and_its_client(controller: Controller) -> None:
    run = controller.run([ask(module="bucket_info")], {"*/first": answer(bucket())})
    assert [host["name"] for host in run.document["hosts"]] == ["s3://acme"]
    assert run.host("s3://acme")["host"] == BUCKET
    assert {r["id"]: r["status"] for r in run.host("s3://acme")["results"]} == {
        "kernel_ptrace": "pass",
        "ssh_root_login": "fail",
    }
    assert "s3://acme  FAILED        ssh_root_login" in run.output
    assert "1 of 2 checked controls pass" in run.output


def test_servers_and_targets_of_one_run_stand_side_by_side(controller: Controller) -> None:
    run = controller.run(
        [ask("second"), ask(module="bucket_info")],
        {"*/first": answer(bucket()), "*/second": reply()},
    )
    assert [host["name"] for host in run.document["hosts"]] == ["s3://acme", "web1"]


def test_a_target_that_could_not_be_read_is_no_pass(controller: Controller) -> None:
    unread = {"name": "s3://beta", "state": "error", "message": "access denied", "host": BUCKET}
    run = controller.run([ask(module="bucket_info")], {"*/first": answer(bucket(), unread)})
    row = run.host("s3://beta")
    assert (row["state"], row["message"], row["results"]) == ("error", "access denied", [])
    assert row["host"] == BUCKET


@pytest.mark.parametrize(
    "result",
    [{"failed": True, "msg": "no credentials"}, {"changed": False}],
    ids=["failed", "silent"],
)
def test_a_task_that_brought_no_row_is_in_the_evidence(
    controller: Controller, result: dict[str, Any]
) -> None:
    run = controller.run([ask(module="bucket_info")], {"*/first": result})
    row = run.host("bucket_info on web1")
    assert row["state"] == "error"
    assert row["message"]


def test_a_server_cannot_speak_for_a_bucket(controller: Controller) -> None:
    lie = {**reply(), **answer(bucket())}
    run = controller.run([ask()], {"*/first": lie})
    assert [host["name"] for host in run.document["hosts"]] == ["web1"]
