# SPDX-License-Identifier: GPL-3.0-or-later
"""From a collection to a population: rows are placed, gaps are kept."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.access import documents
from ringfence.access.model import kind_of, place_of, shape, target_of
from ringfence.errors import BadInputError

NOW = "2026-01-31T12:00:00Z"


def a_collection(*targets: dict[str, Any]) -> dict[str, Any]:
    run = {"id": "01KHZZZZZZZZZZZZZZZZZZZZZZ", "started": NOW, "finished": NOW, "operator": "ada"}
    return {"schema": 1, "kind": "access", "run": run, "targets": list(targets)}


def a_target(name: str, *rows: dict[str, Any], covered: Any = ()) -> dict[str, Any]:
    document = shape.document("access_info", NOW, rows, covered, {"host": {"release": "12"}})
    return {"name": name, "state": "ok", "message": "", "documents": [document]}


def test_rows_are_placed_and_say_where_they_come_from() -> None:
    row = shape.row("cms", 1, "boss", details={"place": "shop.example"})
    found = documents.population(a_collection(a_target("web1", row), a_target("web2", row)))
    assert len(found.rows) == 2
    one = next(iter(found.rows.values()))
    assert (kind_of(one), target_of(one), place_of(one)) == ("cms", "web1", "shop.example")
    assert (one["collected_at"], one["decision"], one["source"]) == (NOW, "pending", "access_info")
    assert len(one["source_sha256"]) == 64
    assert found.facts["web2"]["host"] == {"release": "12"}


def test_a_host_that_was_not_reached_is_a_gap() -> None:
    dark = {"name": "web2", "state": "unreachable", "message": "no route", "documents": []}
    covered = [shape.coverage("journal", "failed", "too long"), shape.coverage("nginx", "absent")]
    found = documents.population(a_collection(a_target("web1", covered=covered), dark))
    assert [(gap.target, gap.source, gap.message) for gap in found.gaps] == [
        ("web1", "journal", "too long"),
        ("web2", "host", "no route"),
    ]


@pytest.mark.parametrize("found", [[], {"kind": "run"}, {"kind": "access", "schema": 1}])
def test_what_is_no_collection_is_refused(found: Any) -> None:
    with pytest.raises(BadInputError, match=r"x\.json: is no"):
        documents.check(found, "x.json")


def test_a_bad_row_is_told_with_its_target() -> None:
    bad = a_collection(a_target("web1"))
    bad["targets"][0]["documents"][0]["rows"] = [{"system": "moon"}]
    with pytest.raises(BadInputError, match=r"x\.json: web1: rows\[0\].system"):
        documents.check(bad, "x.json")
