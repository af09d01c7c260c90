# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: what it says, to whom, and that nothing in it acts."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ringfence.access import documents, judges, judges_facts, page, review, tables
from ringfence.access.model import COLUMNS, shape
from ringfence.evidence import document as evidence
from ringfence.report.scope import WITHHELD, Scope

from .fleet import a_case, a_collection, a_register, catalogue, clean_rows, key, row

WHEN = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOSTILE = "</script><img src=x onerror=alert(1)>\"'=cmd|' /C calc'!A0\u202e"


def reported(
    rows: list[dict[str, Any]], scope: Scope | None = None, **more: Any
) -> tuple[review.Report, Any, Any]:
    case = a_case(documents.population(a_collection(rows, **more)), a_register())
    found = [*judges.judge(case), *judges_facts.judge(case)]
    controls = catalogue().of_target("access")
    report = review.build(
        case.population, found, case.directory, controls, scope=scope, generated=WHEN
    )
    return report, case, found


def hostile_rows() -> list[dict[str, Any]]:
    return [
        *clean_rows(),
        key(HOSTILE, "SHA256:x", details={"key_comment": HOSTILE, "gecos": HOSTILE}),
        row("cms", 9, HOSTILE, privileged=True, roles=[HOSTILE], credential_type="password",
            details={"place": "shop.example", "email": HOSTILE, "name": HOSTILE}),
        row("server", 8, "=1+1", credential_type="password", grant_path=["@SUM(A1)"]),
    ]  # fmt: skip


def test_nothing_hostile_acts_in_the_page() -> None:
    text = page.render(reported(hostile_rows())[0])
    assert "<img" not in text
    assert text.count("<script") == text.count("</script>") == 2
    assert "\u202e" not in text
    assert re.search(r"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-", text)
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_no_cell_is_a_formula() -> None:
    text = tables.render_csv(reported(hostile_rows())[0])
    lines = list(csv.reader(io.StringIO(text)))
    assert lines[0] == [*COLUMNS, *tables.MORE]
    cells = [cell for line in lines[1:] for cell in line]
    assert not [cell for cell in cells if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t"))]
    assert "'=1+1" in cells


def test_the_csv_has_each_access_with_its_findings_and_their_remedy() -> None:
    report, _case, _found = reported([*clean_rows(), key("ben", "SHA256:strange")])
    lines = list(csv.DictReader(io.StringIO(tables.render_csv(report))))
    assert len(lines) == len(report.rows)
    (bad,) = [line for line in lines if line["findings"]]
    assert bad["findings"] == "access_key_owner"
    assert "take its line out of authorized_keys" in bad["remedy"]
    assert bad["source_sha256"]


def test_json_holds_everything() -> None:
    report, _case, _found = reported(hostile_rows())
    found = json.loads(tables.render_json(report))
    assert found["counts"]["rows"] == len(found["rows"]) == len(report.rows)
    assert {one["id"] for one in found["controls"]} == set(catalogue().of_target("access"))


def test_what_was_not_read_is_in_every_form() -> None:
    gap = [shape.coverage("mariadb", "failed", "the server does not answer")]
    report, _case, _found = reported(clean_rows(), covered=gap)
    for text in (page.render(report), tables.render_csv(report), tables.render_json(report)):
        assert "the server does not answer" in text
    assert "No finding, but not everything was told" in page.render(report)


def test_of_what_was_not_there_nothing_is_said_to_pass() -> None:
    report, _case, _found = reported(clean_rows())
    states = {one.id: one.outcome for one in report.controls}
    assert states["access_domain_lock"] == states["access_cloud_root"] == "not_asked"
    assert states["access_mfa"] == states["access_vendor_dates"] == "pass"
    only_server = reported([clean_rows()[0]])[0]
    states = {one.id: one.outcome for one in only_server.controls}
    assert states["access_cms_administrator"] == states["access_vendor_dates"] == "not_asked"


SCOPE = Scope(
    "Acme Bikes", frozenset({"web1"}), frozenset({"beta", "Beta Choir", "blog.example"}), "acme"
)


def test_a_client_sees_its_own_and_who_looks_after_its_host() -> None:
    strange = row("cms", 7, "spy", privileged=True, credential_type="password",
                  details={"place": "blog.example", "email": "spy@beta.example"})  # fmt: skip
    report, _case, _found = reported([*clean_rows(), strange], SCOPE)
    names = {one["username"] for one in report.rows.values()}
    assert names == {"ada", "ben", "care_sam", "ops", "db_shop", "root"}
    assert set(report.people) == {"ada", "ben", "sam", "deploy"}
    assert report.failed == 0
    for text in (page.render(report), tables.render_csv(report), tables.render_json(report)):
        assert not re.search(r"blog\.example|zoe|beta|spy", text, re.IGNORECASE)


def test_words_of_another_client_are_withheld_on_a_shared_host() -> None:
    rows = clean_rows()
    rows[0]["grant_path"] = ["sudo ada: (root) /srv/blog.example/deploy"]
    report, _case, _found = reported(rows, SCOPE)
    paths = [path for one in report.rows.values() for path in one["grant_path"]]
    assert WITHHELD in paths


def test_results_are_evidence_in_which_the_unread_is_no_pass() -> None:
    gap = [shape.coverage("journal", "failed", "too slow"), shape.coverage("sudo", "read")]
    _report, case, found = reported([*clean_rows(), key("ben", "SHA256:strange")], covered=gap)
    rows = list(review.results(case.population, found, case))
    versions = {"ansible_core": "2.19", "ringfence": "0.1.0"}
    document = review.run_document(case.population, rows, catalogue(), versions)
    evidence.check(document, "the run")
    assert [host["name"] for host in document["hosts"]] == ["access:register", "access:web1"]
    web1 = {one["id"]: one for one in document["hosts"][1]["results"]}
    assert web1["access_key_owner"]["status"] == "fail"
    assert web1["access_dormant"]["status"] == "error"
    assert web1["access_dormant"]["message"] == "journal could not be read"
    assert web1["access_leaver"]["status"] == "pass"
    assert document["hosts"][1]["host"]["kind"] == "access"


def test_of_what_a_target_does_not_have_there_is_no_pass() -> None:
    rows = [one for one in clean_rows() if one["system"].startswith("server")]
    _report, case, found = reported(rows)
    targets = {one["name"]: one for one in review.results(case.population, found, case)}
    web1 = {one["id"]: one["status"] for one in targets["access:web1"]["controls"]}
    assert {name for name, status in web1.items() if status == "not_applicable"} >= {
        "access_database_tls",
        "access_database_unused",
        "access_cms_administrator",
    }
    assert "access_leaver" in targets["access:web1"]["ok_ids"]


def test_a_source_that_tells_of_accounts_leaves_all_open() -> None:
    gap = [shape.coverage("accounts", "failed", "getent")]
    _report, case, found = reported(clean_rows(), covered=gap)
    (web1, _register) = review.results(case.population, found, case)
    assert web1["ok_ids"] == []
    assert {one["status"] for one in web1["controls"]} == {"error"}


@pytest.mark.parametrize("system", ["cms", "web"])
def test_accounts_join_by_address(system: str) -> None:
    one = row(system, 5, "quill", credential_type="password",
              details={"place": "shop.example", "email": "ADA@agency.example"})  # fmt: skip
    report, _case, _found = reported([one])
    assert {one["person"] for one in report.rows.values()} == {"ada"}


def test_the_graph_is_left_out_where_it_could_not_be_read() -> None:
    many = [key(f"u{number}", f"SHA256:{number}", uid=str(number)) for number in range(200)]
    assert 'id="graph"' in page.render(reported(clean_rows())[0])
    assert '<svg id="graph"' not in page.render(reported(many)[0])
