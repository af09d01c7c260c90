# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback in real runs of ansible-playbook; see conftest.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from .conftest import SHA, Controller, ask, finding, reply

DEBUG = {"name": "Another task", "ansible.builtin.debug": {"msg": "hello"}}
FAIL_WEB1 = {
    "name": "Check the weather",
    "ansible.builtin.fail": {"msg": "secret-in-a-message"},
    "when": "inventory_hostname == 'web1'",
}


@pytest.mark.parametrize(
    ("control", "mode", "expected"),
    [
        (
            finding(),
            "audit",
            "web1  FAILED        ssh_root_login — SSH refuses direct root login: "
            "expected no, seen yes (sshd -T says permitrootlogin yes)",
        ),
        (
            finding("changed", observed="no", message="was yes"),
            "apply",
            "web1  CHANGED       ssh_root_login — SSH refuses direct root login: now no (was yes)",
        ),
        (
            finding("changed", message=""),
            "check",
            "web1  WOULD CHANGE  ssh_root_login — SSH refuses direct root login: "
            "expected no, seen yes",
        ),
        (
            finding("error", expected=None, observed=None, message="sshd -T: exit 255"),
            "audit",
            "web1  NOT CHECKED   ssh_root_login — SSH refuses direct root login: sshd -T: exit 255",
        ),
        (
            finding(id="unknown_control", message=""),
            "audit",
            "web1  FAILED        unknown_control: expected no, seen yes",
        ),
        (
            finding(expected=["a", "b"], observed=[], message=""),
            "audit",
            "expected a, b, seen nothing",
        ),
    ],
)
def test_each_finding_is_one_readable_line(
    controller: Controller, control: dict[str, Any], mode: str, expected: str
) -> None:
    run = controller.run([ask()], {"*/first": reply([control], mode=mode)})
    assert expected in run.output
    assert run.document["run"]["mode"] == mode


@pytest.mark.parametrize("status", ["not_applicable", "waived", "manual"])
def test_what_is_no_finding_is_recorded_but_not_printed(
    controller: Controller, status: str
) -> None:
    run = controller.run([ask()], {"*/first": reply([finding(status)])})
    assert "SSH refuses direct root login" not in run.output
    assert f"{status}=1" in run.output
    assert [r["status"] for r in run.host("web1")["results"]] == ["pass", status]


def test_what_the_profile_does_not_demand_is_recorded_as_such_and_not_counted(
    controller: Controller,
) -> None:
    answer = reply([finding()], ok=["kernel_ptrace", "kernel_more"])
    outside = ["ssh_root_login", "kernel_more"]
    run = controller.run([ask()], {"*/first": answer | {"not_demanded": outside}})
    assert "SSH refuses direct root login" not in run.output
    assert "1 of 1 checked controls pass" in run.output
    rows = {row["id"]: row for row in run.host("web1")["results"]}
    assert {name: row.get("demanded") for name, row in rows.items()} == {
        "kernel_ptrace": None,
        "kernel_more": False,
        "ssh_root_login": False,
    }
    assert rows["ssh_root_login"]["status"] == "fail"


def test_the_document_holds_every_control_and_what_the_run_was(controller: Controller) -> None:
    waiver = {"reason": "old client", "owner": "ops", "approver": None, "expires": "2027-01-31"}
    run = controller.run(
        [ask()],
        {"*/first": reply([finding("waived", waiver=waiver)])},
        arguments=["--limit", "web1"],
    )
    head = run.document["run"]
    assert {k: head[k] for k in ("playbook", "mode", "limit", "catalogue_sha256")} == {
        "playbook": "audit.yml",
        "mode": "audit",
        "limit": "web1",
        "catalogue_sha256": SHA,
    }
    host = run.host("web1")
    assert (host["state"], host["message"]) == ("ok", "")
    assert host["host"]["release"] == "12"
    assert host["results"] == [
        {"id": "kernel_ptrace", "status": "pass", "expected": 2},
        {
            "id": "ssh_root_login",
            "status": "waived",
            "expected": "no",
            "observed": "yes",
            "message": "sshd -T says permitrootlogin yes",
            "waiver": waiver,
        },
    ]
    assert "2 checked controls pass" in run.output


def test_hosts_that_could_not_be_asked_are_said_to_be_so(controller: Controller) -> None:
    run = controller.run(
        [ask()],
        {
            "*/first": reply(),
            "web2/first": {"unreachable": "Private property.\n\nops@web2: Permission denied.\n"},
            "web3/first": {"failed": True, "msg": "MODULE FAILURE\nno python"},
            "web4/first": {"changed": False, "msg": "not a control result"},
            "web5/first": reply(controls=[{"id": "x", "status": "splendid"}]),
            "web6/first": reply(ok=["../../etc/passwd"]),
        },
        [f"web{number}" for number in range(1, 7)],
    )
    states = {host["name"]: (host["state"], host["message"]) for host in run.document["hosts"]}
    assert states["web1"] == ("ok", "")
    assert states["web2"] == ("unreachable", "ops@web2: Permission denied.")
    assert states["web3"] == ("error", "MODULE FAILURE no python")
    assert states["web4"] == ("error", "not a control result")
    assert states["web5"] == ("error", "controls[0] of the result has no known status")
    assert states["web6"] == ("error", "ok_ids[0] of the result is not a control id")
    assert all(not host["results"] for host in run.document["hosts"] if host["name"] != "web1")
    assert "web2 : UNREACHABLE" in run.output
    assert "5 of 6 hosts not or only partly checked" in run.output


def test_hosts_of_batches_that_never_started_are_not_run(controller: Controller) -> None:
    play = {"hosts": "all", "gather_facts": False, "serial": 1, "tasks": [ask()]}
    run = controller.run(
        [play], {"*/first": {"failed": True, "msg": "no python"}}, ["web1", "web2"]
    )
    assert run.host("web1")["state"] == "error"
    assert run.host("web2")["state"] == "not_run"
    assert run.host("web2")["message"] == "the run ended before this host was asked"


def test_a_limit_narrows_what_was_targeted(controller: Controller) -> None:
    run = controller.run(
        [ask()], {"*/first": reply()}, ["web1", "web2"], arguments=["--limit", "web2"]
    )
    assert [host["name"] for host in run.document["hosts"]] == ["web2"]


def test_variables_that_leave_out_a_part_are_told_as_a_limit(controller: Controller) -> None:
    chosen = '{"ringfence_hosts": "web2", "backup_clients": ["acme", "beta"], "other": 1}'
    run = controller.run(
        [ask()], {"*/first": reply()}, ["web1", "web2"],
        arguments=["--limit", "web*", "-e", chosen],
    )  # fmt: skip
    assert run.document["run"]["limit"] == "web* ringfence_hosts=web2 backup_clients=acme,beta"


def test_a_condition_that_skips_a_host_is_no_pass(controller: Controller) -> None:
    run = controller.run(
        [ask(when="inventory_hostname == 'web1'")], {"*/first": reply()}, ["web1", "web2"]
    )
    assert run.host("web2")["state"] == "not_run"
    assert "condition" in run.host("web2")["message"]


def test_a_host_that_failed_before_its_controls_is_not_checked(controller: Controller) -> None:
    run = controller.run([FAIL_WEB1, ask()], {"*/first": reply()}, ["web1", "web2"])
    assert run.host("web1")["state"] == "error"
    assert run.host("web1")["message"] == "the run stopped at the task 'Check the weather'"
    assert "secret-in-a-message" not in json.dumps(run.document)
    assert run.host("web2")["state"] == "ok"


def test_a_fleet_that_failed_before_its_controls_is_recorded(controller: Controller) -> None:
    run = controller.run([FAIL_WEB1, ask()], {"*/first": reply()})
    assert run.host("web1")["state"] == "error"


def test_a_host_that_drops_out_between_two_roles_is_incomplete(controller: Controller) -> None:
    second = reply([finding()], ok=[])
    run = controller.run(
        [ask("first"), FAIL_WEB1, ask("second")],
        {"*/first": reply(), "*/second": second},
        ["web1", "web2"],
    )
    assert run.host("web1")["state"] == "error"
    assert [r["id"] for r in run.host("web1")["results"]] == ["kernel_ptrace"]
    assert "so far: pass=1" in run.output
    assert run.host("web2")["state"] == "ok"
    assert len(run.host("web2")["results"]) == 2


def test_a_failure_after_all_controls_takes_nothing_away(controller: Controller) -> None:
    run = controller.run([ask(), FAIL_WEB1], {"*/first": reply()})
    assert run.code != 0
    assert run.host("web1")["state"] == "ok"


@pytest.mark.parametrize(
    "wrapped",
    [
        [{"block": [FAIL_WEB1], "rescue": [DEBUG]}, ask()],
        [{**FAIL_WEB1, "ignore_errors": True}, ask()],
    ],
)
def test_a_rescued_failure_is_no_failure(
    controller: Controller, wrapped: list[dict[str, Any]]
) -> None:
    run = controller.run(wrapped, {"*/first": reply()})
    assert run.host("web1")["state"] == "ok"


def test_the_later_word_on_a_control_stands(controller: Controller) -> None:
    run = controller.run(
        [ask("first"), ask("second")],
        {"*/first": reply([finding()]), "*/second": reply(ok=["ssh_root_login"])},
    )
    assert {r["id"]: r["status"] for r in run.host("web1")["results"]} == {
        "kernel_ptrace": "pass",
        "ssh_root_login": "pass",
    }


def test_a_failed_apply_is_recorded_and_its_diff_shown(controller: Controller) -> None:
    diff = [{"before": "a\n", "after": "b\x1b]0;owned\x07\n", "before_header": "/etc/x"}]
    failed = reply([finding()], mode="apply", failed=True, msg="1 control failed", diff=diff)
    play = [ask(module="control_apply")]
    run = controller.run(play, {"*/first": failed}, arguments=["--diff"])
    assert run.document["run"]["mode"] == "apply"
    assert run.host("web1")["state"] == "ok"
    assert "--- before: /etc/x" in run.output
    assert "\n+b\n" in run.output
    assert "+b" not in controller.run(play, {"*/first": failed}).output


@pytest.mark.parametrize(
    ("module", "mode"), [("control_apply", "apply"), ("control_info", "audit")]
)
def test_a_check_run_is_recorded_as_one(controller: Controller, module: str, mode: str) -> None:
    run = controller.run([ask(module=module)], {"*/first": reply(mode=mode)}, arguments=["--check"])
    assert run.document["run"]["mode"] == "check"


def test_nothing_is_written_without_a_control_task(controller: Controller) -> None:
    run = controller.run([DEBUG, FAIL_WEB1], {})
    assert not run.evidence.exists()
    assert "CONTROLS" not in run.output


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b[1;1Hall is well",
        "\x1b]0;title\x07all is well",
        "line one\r\nPLAY RECAP all is well",
        "\u202egnol\u202c all is well",
        "\x9b31mall is well",
        "\udcff\udc80 all is well",
        "a\u2028all is well",
    ],
)
def test_a_hostile_host_cannot_steer_the_terminal(controller: Controller, hostile: str) -> None:
    run = controller.run([ask()], {"*/first": reply([finding(observed=hostile, message=hostile)])})
    line = next(line for line in run.output.splitlines() if "FAILED " in line)
    assert "all is well" in line
    assert not set(line) & set("\x1b\x9b\x07\r\u202e\u202c\u2028\udcff\udc80")
    assert run.host("web1")["results"][1]["observed"] == hostile


def test_long_texts_are_cut_for_the_terminal_and_for_evidence(controller: Controller) -> None:
    run = controller.run([ask()], {"*/first": reply([finding(observed="x" * 9000)])})
    line = next(line for line in run.output.splitlines() if "FAILED " in line)
    assert len(line) < 600
    assert run.host("web1")["results"][1]["observed"].endswith("(5000 more characters)")


def test_an_unwritable_folder_is_one_warning(controller: Controller) -> None:
    (controller.folder / "evidence").write_text("a file where a folder should be")
    run = controller.run([ask()], {"*/first": reply()})
    assert run.code == 0
    assert "this run is NOT recorded" in " ".join(run.output.split())
    assert "Traceback" not in run.output


def test_a_store_that_fails_leaves_the_document_and_says_so(controller: Controller) -> None:
    url = "mysql://user:hunter2@db/evidence"
    run = controller.run([ask()], {"*/first": reply()}, env={"RINGFENCE_EVIDENCE_STORE": url})
    assert run.code == 0
    assert "but not in the store" in " ".join(run.output.split())
    assert "hunter2" not in run.output
    assert run.document["hosts"][0]["state"] == "ok"
    assert list(run.evidence.glob("incoming/*.json"))


def test_without_the_package_the_document_waits(controller: Controller) -> None:
    ingest = controller.folder / (
        "ansible_collections/ringfence/hosting/plugins/plugin_utils/_ingest.py"
    )
    text = ingest.read_text().replace('find_spec("ringfence")', 'find_spec("not_installed")')
    ingest.unlink()
    ingest.write_text(text)
    run = controller.run([ask()], {"*/first": reply()})
    assert "is not installed here" in run.output
    (path,) = run.evidence.glob("incoming/*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert run.evidence.stat().st_mode & 0o777 == 0o700
    assert json.loads((run.evidence / f"catalogues/{SHA}.json").read_text())["sha256"] == SHA


def test_the_catalogue_is_loaded_once_and_before_the_workers(controller: Controller) -> None:
    log = controller.folder / "catalogue.log"
    controller.run(
        [DEBUG, ask(), ask()],
        {"*/first": reply()},
        ["web1", "web2", "web3"],
        env={"CATALOGUE_LOG": str(log)},
    )
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["imported", "loaded"]


def test_an_interrupted_run_is_recorded_as_interrupted(controller: Controller) -> None:
    pause = {"name": "Wait", "ansible.builtin.command": "sleep 60"}
    command = controller.command([ask(), pause, ask("second")], {"*/first": reply()}, ["web1"])
    process = subprocess.Popen(
        command,
        cwd=controller.folder,
        env={**controller.environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout
    seen = b""
    while b"TASK [Wait]" not in seen:
        seen += os.read(process.stdout.fileno(), 4096)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    run = controller.result(process.returncode, output.decode())
    assert run.document["run"]["interrupted"] is True
    assert run.host("web1")["state"] == "error"
    assert run.host("web1")["message"] == "the run ended before all controls were asked"
    assert run.host("web1")["results"] == [{"id": "kernel_ptrace", "status": "pass", "expected": 2}]


def test_two_playbooks_of_one_command_are_two_runs(controller: Controller) -> None:
    run = controller.run([ask()], {"*/first": reply()}, arguments=["audit.yml"])
    assert len(run.documents) == 2
