# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence review`, from opening to closing, on a store of evidence."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence.evidence import Store
from tests.unit.ringfence.access.fleet import clean_rows, row
from tests.unit.ringfence.access_review.desk import collected
from tests.unit.ringfence.cli.conftest import Call

PEOPLE = """
people:
  - id: ada
    name: Ada Quill
    accounts: {server: [ada]}
    access:
      - {system: server, scope: {everything: true}, account: ada, granted_by: ben}
  - id: ben
    name: Ben Strand
    accounts: {server: [ben]}
    access:
      - {system: server, scope: {everything: true}, account: ben, granted_by: ada}
"""
ROWS = [
    row("server", 1, "ada", credential_type="password"),
    row("server", 2, "ben", credential_type="password"),
    row("server", 3, "ghost", credential_type="password"),
]
GHOST = "ghost on web1"


def at(days: float) -> str:
    """A moment so many days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def desk(place: Path) -> Path:
    """A folder with a register that knows people, and a collection of yesterday."""
    (place / "inv/people.yml").write_text(PEOPLE)
    (place / "evidence").mkdir()
    keep(place, ROWS, 1, -1)
    return place


def keep(place: Path, rows: list[dict[str, Any]], number: int, days: float) -> None:
    store = Store(Store.url_in(place / "evidence"))
    store.ingest(collected(rows, number, at(days)))


def fill(place: Path, call: Call, *only: str, **decisions: str) -> Path:
    """Exports the review and decides on accounts: username -> decision."""
    path = place / "sheet.csv"
    assert call("review", "export", "-i", "inv", "-o", str(path), *only).exit_code == 0
    lines = list(csv.DictReader(io.StringIO(path.read_text())))
    for line in lines:
        if line["username"] in decisions:
            line |= {"decision": decisions[line["username"]], "reason": "looked at it"}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_a_whole_review(desk: Path, call: Call, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    opened = call("review", "open", "-i", "inv", "--signing-key", str(key))
    assert opened.exit_code == 0, opened.output
    assert "3 accesses to decide" in opened.stdout
    assert "signed" in opened.stdout
    again = call("review", "open", "-i", "inv")
    assert again.exit_code == 3
    assert "is open since" in again.output

    early = call("review", "sign-off", "-i", "inv", "--reviewer", "ben")
    assert early.exit_code == 3
    assert "3 of 3 accesses are undecided" in early.output

    own = fill(desk, call, ada="keep", ghost="revoke")
    refused = call("review", "import", str(own), "-i", "inv", "--reviewer", "ada")
    assert refused.exit_code == 3
    assert f"{own}: line 2: decision: ada would review their own access" in refused.output
    assert json.loads(call("review", "status", "-i", "inv", "--json").stdout)["counts"][
        "pending"
    ] == 3  # fmt: skip

    by_ada = fill(desk, call, ben="keep", ghost="revoke")
    stuck = call("review", "import", str(by_ada), "-i", "inv", "--reviewer", "ada")
    assert stuck.exit_code == 3
    assert "ada granted this access" in stuck.output
    by_ada = fill(desk, call, ghost="revoke")
    taken = call("review", "import", str(by_ada), "-i", "inv", "--reviewer", "ada")
    assert taken.exit_code == 0, taken.output
    assert "1 decision taken" in taken.stdout
    assert "1 revoke, 0 defer, 2 undecided" in taken.stdout


def decided(desk: Path, call: Call) -> None:
    """A review signed today, with ghost revoked; Cleo decides, who has and granted nothing."""
    more = "  - {id: cleo, name: Cleo Dale}\n"
    (desk / "inv/people.yml").write_text(PEOPLE + more)
    assert call("review", "open", "-i", "inv").exit_code == 0
    path = fill(desk, call, ada="keep", ben="keep", ghost="revoke")
    assert call("review", "import", str(path), "-i", "inv", "--reviewer", "cleo").exit_code == 0
    found = call("review", "sign-off", "-i", "inv", "--reviewer", "cleo")
    assert found.exit_code == 0, found.output
    assert "Signed off by cleo: 3 accesses: 2 keep, 0 modify, 1 revoke, 0 defer" in found.stdout


def test_a_revoke_is_open_until_a_later_collection_no_longer_sees_it(
    desk: Path, call: Call
) -> None:
    decided(desk, call)
    status = call("review", "status", "-i", "inv")
    assert status.exit_code == 0
    assert f"revoke {GHOST}: not read since" in status.stdout
    closing = call("review", "close", "-i", "inv")
    assert closing.exit_code == 3
    assert "1 of 1 not seen to be done" in closing.output
    keep(desk, ROWS, 2, 1)
    assert f"revoke {GHOST}: still there" in call("review", "status", "-i", "inv").stdout
    keep(desk, ROWS[:2], 3, 2)
    found = json.loads(call("review", "status", "-i", "inv", "--json").stdout)
    assert [one["state"] for one in found["follow_up"]] == ["gone"]
    closed = call("review", "close", "-i", "inv")
    assert closed.exit_code == 0, closed.output
    assert call("verify").exit_code == 0
    assert "closed" in call("review", "status", "-i", "inv").stdout
    assert call("review", "export", "-i", "inv").exit_code == 0


def test_the_access_report_has_a_revoke_that_is_overdue(
    desk: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringfence.cli import _review

    monkeypatch.setattr(_review, "now", lambda: at(-0.5))
    decided(desk, call)
    keep(desk, ROWS, 2, 0)
    found = json.loads(call("access", "-i", "inv", "--last", "--json", "--format", "json").stdout)
    assert "access_revoke_overdue" not in found["findings"]
    monkeypatch.setattr("ringfence.cli._access.date", Later)
    monkeypatch.setattr(_review, "date", Later)
    found = json.loads(call("access", "-i", "inv", "--last", "--json", "--format", "json").stdout)
    assert found["findings"]["access_revoke_overdue"] == 1
    status = call("review", "status", "-i", "inv", "--json")
    assert status.exit_code == 1
    assert json.loads(status.stdout)["follow_up"][0]["overdue"] is True


class Later:
    """The calendar nine days on."""

    fromisoformat = staticmethod(__import__("datetime").date.fromisoformat)

    @staticmethod
    def today() -> Any:
        return (datetime.now(UTC) + timedelta(days=9)).date()


@pytest.mark.usefixtures("desk")
def test_a_review_can_be_abandoned_and_a_next_one_opened(call: Call) -> None:
    assert call("review", "open", "-i", "inv").exit_code == 0
    assert call("review", "close", "-i", "inv", "--abandon", " ").exit_code == 3
    assert call("review", "close", "-i", "inv", "--abandon", "wrong fleet").exit_code == 0
    assert call("review", "open", "-i", "inv").exit_code == 0


def test_each_client_alone(desk: Path, call: Call) -> None:
    rows = [*ROWS, row("cms", 1, "x", details={"place": "beta0.example"}), *clean_rows()[6:7]]
    keep(desk, rows, 2, -0.5)  # all of them on web1, whose one client is acme
    opened = call("review", "open", "-i", "inv", "--client", "acme", "--json")
    assert opened.exit_code == 0, opened.output
    assert json.loads(opened.stdout)["accesses"] == 5
    assert call("review", "status", "-i", "inv").exit_code == 3
    assert call("review", "status", "-i", "inv", "--client", "acme").exit_code == 1
    path = desk / "acme.csv"
    assert call("review", "export", "-i", "inv", "--client", "acme", "-o", str(path)).exit_code == 0
    assert "beta" not in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("open", "--client", "acm"), "acm"),
        (("open", "--signing-key", "none"), "--signing-key none: there is no such file"),
        (("status",), "there is no review that is opened"),
        (("sign-off", "--reviewer", "ada"), "there is no review that is opened"),
        (("status", "--review", "01X"), "--review 01X: there is no such review"),
        (("sign-off",), "Missing option '--reviewer'"),
    ],
)
def test_bad_input(desk: Path, call: Call, arguments: tuple[str, ...], problem: str) -> None:
    found = call("review", *arguments, "-i", "inv")
    assert found.exit_code == 3
    assert problem in found.output
    assert desk


def test_the_access_report_in_every_form(desk: Path, call: Call) -> None:
    forms = ("oscal", "sarif", "junit", "prometheus", "pdf", "csv")
    wanted = [word for form in forms for word in ("--format", form)]
    found = call("access", "-i", "inv", "--last", "--json", "-o", str(desk / "out"), *wanted)
    assert json.loads(found.stdout)["accesses"] == 3
    assert {one.name for one in (desk / "out").iterdir()} == {
        "access.oscal.json", "access.sarif", "access.junit.xml", "access.prom", "access.pdf",
        "access.csv",
    }  # fmt: skip
    assert call("access", "-i", "inv", "--last", "--format", "xls").exit_code == 3


def test_a_collection_that_is_old_is_not_reviewed(place: Path, call: Call) -> None:
    (place / "inv/people.yml").write_text(PEOPLE)
    (place / "evidence").mkdir()
    keep(place, ROWS, 1, -8)
    found = call("review", "open", "-i", "inv")
    assert found.exit_code == 3
    assert "older than 7 days" in found.output
    assert call("review", "open", "-i", "inv", "--max-age", "9").exit_code == 0
