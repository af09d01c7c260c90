# SPDX-License-Identifier: GPL-3.0-or-later
"""`status`, `diff`, `verify`, `report`: on a real store."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence.evidence import Store
from tests.unit.ringfence.cli.conftest import Call

RUN = "01JZZZZZZZZZZZZZZZZZZZZZZ"


def results(**statuses: str) -> list[dict[str, Any]]:
    return [{"id": name, "status": status} for name, status in statuses.items()]


def host(name: str, state: str = "ok", **statuses: str) -> dict[str, Any]:
    message = "" if state == "ok" else "ssh: connection refused"
    rows = results(**statuses)
    return {"name": name, "state": state, "message": message, "host": {}, "results": rows}


def document(number: int, *hosts: dict[str, Any], days: float = 0.0, mode: str = "audit") -> Any:
    when = f"{datetime.now(UTC) - timedelta(days=days, minutes=9 - number):%Y-%m-%dT%H:%M:%SZ}"
    run = {
        "id": f"{RUN}{number}", "started": when, "finished": when, "playbook": "audit.yml",
        "mode": mode, "operator": "ada", "controller": "ctl", "limit": None,
        "ansible_core": "2.19.14", "ringfence": "0.1.0", "catalogue_sha256": None,
    }  # fmt: skip
    return {"schema": 1, "run": run, "hosts": list(hosts)}


@pytest.fixture
def store(place: Path) -> Store:
    (place / "evidence").mkdir()
    return Store(Store.url_in(place / "evidence"))


ALL = [host(f"web{n}", ssh_root_login="pass", ssh_log_level="pass") for n in (1, 2, 3)]


def status(call: Call, *more: str) -> tuple[int, dict[str, Any]]:
    result = call("status", "-i", "inv", "--json", *more)
    answer = json.loads(result.stdout)
    assert answer["exit_code"] == result.exit_code
    return result.exit_code, {one["name"]: one for one in answer["hosts"]}


def test_what_is_not_demanded_is_no_finding_and_no_drift(call: Call, store: Store) -> None:
    later = [host(f"web{n}", ssh_root_login="pass", ssh_log_level="fail") for n in (1, 2, 3)]
    for one in later:
        one["results"][1]["demanded"] = False
    store.ingest(document(1, *ALL))
    store.ingest(document(2, *later))
    code, hosts = status(call)
    assert (code, hosts["web1"]["counts"], hosts["web1"]["drift"]) == (0, {"pass": 1}, [])
    assert call("diff", "--json").exit_code == 0


def test_all_is_well(call: Call, store: Store) -> None:
    store.ingest(document(1, *ALL))
    code, hosts = status(call)
    assert code == 0
    assert {one["state"] for one in hosts.values()} == {"ok"}
    page = call("status", "-i", "inv")
    assert "3 of 3 hosts clean" in page.stdout


@pytest.mark.parametrize(
    ("web3", "days", "code", "said"),
    [
        (host("web3", ssh_root_login="fail"), 0, 1, "1 host with findings"),
        (host("web3", "unreachable"), 0, 2, "unreachable: ssh: connection refused"),
        (host("web3", "error"), 0, 2, "error: ssh: connection refused"),
        (host("web3", ssh_root_login="error"), 0, 2, "not known well enough"),
        (host("web3", "not_run"), 0, 2, "never"),
        (host("other", ssh_root_login="pass"), 0, 2, "no evidence of this host"),
        (host("web3", ssh_root_login="pass"), 30, 2, "30 d ago"),
    ],
)
def test_one_host_is_not_well(
    call: Call, store: Store, web3: dict[str, Any], days: int, code: int, said: str
) -> None:
    store.ingest(document(1, *ALL[:2], web3, days=days))
    page = call("status", "-i", "inv")
    assert page.exit_code == code
    assert said in page.stdout
    assert page.stdout.splitlines()[1].split()[1] == ("web1" if days else "web3")
    assert status(call)[0] == code


def test_drift_is_what_fails_now_and_did_not_before(call: Call, store: Store) -> None:
    store.ingest(document(1, *ALL))
    store.ingest(document(2, host("web1", ssh_root_login="fail", ssh_log_level="pass")))
    code, hosts = status(call)
    assert code == 1
    assert hosts["web1"]["drift"] == ["ssh_root_login"]
    assert hosts["web2"]["drift"] == []
    assert hosts["web2"]["run"] == f"{RUN}1"


def test_a_trial_is_no_evidence_of_a_state(call: Call, store: Store) -> None:
    store.ingest(document(1, *ALL))
    store.ingest(document(2, host("web1", ssh_root_login="changed"), mode="check"))
    assert status(call)[1]["web1"]["run"] == f"{RUN}1"


def test_one_client(call: Call, store: Store) -> None:
    store.ingest(document(1, *ALL))
    assert set(status(call, "--client", "beta")[1]) == {"web2"}


DIFFS = [
    (host("web1", a_control="pass"), host("web1", a_control="fail"), "new", 1),
    (host("web1", a_control="fail"), host("web1", a_control="pass"), "fixed", 0),
    (host("web1", a_control="fail"), host("web1", a_control="fail"), "unchanged", 0),
    (host("web1", a_control="fail"), host("web1", a_control="waived"), "closed", 0),
    (host("web1", a_control="fail"), host("web1", "unreachable"), "lost", 2),
    (host("web1", a_control="pass"), host("web1", "unreachable"), None, 2),
    (host("web2", a_control="pass"), host("web1", a_control="fail"), "first_seen", 1),
]


@pytest.mark.parametrize(("before", "after", "kind", "code"), DIFFS)
def test_two_runs(
    call: Call,
    store: Store,
    before: dict[str, Any],
    after: dict[str, Any],
    kind: str | None,
    code: int,
) -> None:
    store.ingest(document(1, before))
    store.ingest(document(2, after))
    named = call("diff", f"{RUN}1", f"{RUN}2", "--json")
    last = call("diff", "--json")
    assert json.loads(named.stdout) == json.loads(last.stdout)
    answer = json.loads(last.stdout)
    assert last.exit_code == code
    kinds = ("new", "fixed", "unchanged", "closed", "lost", "first_seen")
    assert [name for name in kinds if answer[name]] == ([kind] if kind else [])
    page = call("diff")
    assert page.exit_code == code
    assert ("NOT CHECKED" in page.stdout) == (after["state"] != "ok")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("diff",), "there is only one audit in the store"),
        (("diff", "nope", f"{RUN}1"), "run nope"),
        (("report", "-i", "inv", "--run", "nope"), "run nope"),
        (("report", "-i", "inv", "--client", "acne"), "did you mean acme?"),
    ],
)
def test_bad_runs(call: Call, store: Store, arguments: tuple[str, ...], said: str) -> None:
    store.ingest(document(1, *ALL))
    result = call(*arguments)
    assert result.exit_code == 3
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_whole_chain(call: Call, store: Store) -> None:
    store.ingest(document(1, *ALL))
    answer = json.loads(call("verify", "--json").stdout)
    assert (answer["exit_code"], answer["entries"], answer["findings"]) == (0, 1, [])
    store.ingest(document(2, *ALL))
    assert call("verify", "--head", answer["head"]).exit_code == 0


def test_tampering_is_found(call: Call, store: Store, place: Path) -> None:
    store.ingest(document(1, *ALL))
    store.ingest(document(2, *ALL))
    with sqlite3.connect(place / "evidence/ringfence.sqlite") as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        ).fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE entries SET ref = 'forged' WHERE seq = 1")
    result = call("verify")
    assert result.exit_code == 1
    assert "tampering: entry 1" in result.stdout


def test_a_wrong_head_is_found(call: Call, store: Store) -> None:
    store.ingest(document(1, *ALL))
    assert call("verify", "--head", f"9:{'0' * 64}").exit_code == 1


@pytest.mark.parametrize(
    ("web1", "code"),
    [
        (host("web1", ssh_root_login="pass"), 0),
        (host("web1", ssh_root_login="fail"), 1),
        (host("web1", "unreachable"), 2),
        (host("web1", ssh_root_login="error"), 2),
    ],
)
def test_reports(call: Call, store: Store, place: Path, web1: dict[str, Any], code: int) -> None:
    store.ingest(document(1, web1, *ALL[1:]))
    forms = ("html", "json", "oscal", "sarif", "junit", "prometheus")
    formats = [word for form in forms for word in ("--format", form)]
    result = call("report", "-i", "inv", *formats, "-o", "out")
    assert result.exit_code == code, result.output
    assert (place / "out/report.html").read_text().startswith("<!")
    assert json.loads((place / "out/report.json").read_text())
    assert "assessment-results" in json.loads((place / "out/report.oscal.json").read_text())
    assert json.loads((place / "out/report.sarif").read_text())["version"] == "2.1.0"
    assert (place / "out/report.junit.xml").read_text().startswith("<?xml")
    assert "ringfence_results{" in (place / "out/report.prom").read_text()


def test_a_client_sees_its_own_alone(call: Call, store: Store, place: Path) -> None:
    store.ingest(document(1, *ALL))
    formats = [part for form in ("html", "json", "csv") for part in ("--format", form)]
    result = call("report", "-i", "inv", "--client", "acme", *formats, "-o", "out")
    assert result.exit_code == 0, result.output
    for form in ("html", "json", "csv"):
        text = (place / f"out/report-acme.{form}").read_text().lower()
        assert "web1" in text
        for foreign in ("beta", "web3"):
            assert foreign not in text
