# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m ringfence.report` and playbooks/report.yml, from evidence on a disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.evidence import Store
from ringfence.report.__main__ import main

from .fleet import catalogue, control, host, result, run_document, run_id

ROOT = Path(__file__).parents[4]
KNOWN = catalogue(control("ssh_banner"))


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """Two runs in the store and one that still waits."""
    folder = tmp_path / "evidence"
    store = Store(Store.url_in(folder))
    for number, status in ((1, "fail"), (2, "fail")):
        store.ingest(run_document([host("web1", result("ssh_banner", status))], number), KNOWN)
    waiting = run_document([host("web1", result("ssh_banner", "pass"))], 3)
    (folder / "incoming").mkdir()
    (folder / "incoming" / f"{run_id(3)}.json").write_text(json.dumps(waiting))
    return folder


@pytest.mark.parametrize("form", ["html", "json", "csv", "pdf"])
def test_the_latest_run_is_reported_on(
    evidence: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = evidence / f"reports/report.{form}"
    assert main(["--evidence", str(evidence), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 1 of 1 checked controls pass\n"
    assert out.stat().st_size > 300
    assert out.stat().st_mode & 0o777 == 0o600
    assert not list((evidence / "incoming").iterdir())


def test_a_run_and_one_to_compare_with_can_be_named(evidence: Path) -> None:
    out = evidence / "x.json"
    arguments = ["--evidence", str(evidence), "--out", str(out)]
    assert main([*arguments, "--run", run_id(3), "--compare", run_id(1)]) == 0
    found = json.loads(out.read_text())
    assert [c["control"] for c in found["comparison"]["fixed"]] == ["ssh_banner"]
    assert [point["finished"][:10] for point in found["trend"]] == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
    ]
    assert main([*arguments, "--compare", "previous"]) == 0
    assert json.loads(out.read_text())["comparison"]["before"]["id"] == run_id(2)
    assert json.loads(out.read_text())["controls"][0]["title"] == "Title of ssh_banner"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--evidence", "nowhere", "--out", "x.html"], "nowhere: no such folder"),
        (["--out", "x.doc"], "x.doc: expected a name ending in .html"),
        (["--out", "x.html", "--run", "01ZZ"], "run 01ZZ: is not in the store"),
        (["--out", "x.html", "--compare", "01ZZ"], "run 01ZZ: is not in the store"),
        (["--out", "/proc/x.html"], "/proc"),
    ],
)
def test_what_is_wrong_is_one_line(
    evidence: Path,
    arguments: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(evidence.parent)
    assert main(arguments) == 3
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_no_run_yet_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--evidence", str(tmp_path), "--out", str(tmp_path / "x.html")]) == 3
    assert "there is no run yet" in capsys.readouterr().err


def test_the_playbook_writes_the_report(evidence: Path, tmp_path: Path) -> None:
    ansible = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [ansible, "playbooks/report.yml", "-e", f"ringfence_report_file={tmp_path / 'r.html'}"],
        cwd=ROOT,
        env={**os.environ, "RINGFENCE_EVIDENCE_DIR": str(evidence)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 checked controls pass" in done.stdout
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")
