# SPDX-License-Identifier: GPL-3.0-or-later
"""What is a run document, and what is said of what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ringfence.evidence import DocumentError
from ringfence.evidence.document import canonical, check, read, summary

from .conftest import run_document, run_id


def test_a_good_document_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run_document()))
    assert read(path) == run_document()


def edited(path: list[Any], value: Any) -> dict[str, Any]:
    """A good document with one thing in it replaced; `...` removes it."""
    document = run_document()
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


RESULT = ["hosts", 0, "results", 0]


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["schema"], 2, "schema"),
        (["run"], ..., "the document"),
        (["run", "id"], "1; drop table", "run.id"),
        (["run", "id"], "01M85" + "u" * 21, "run.id"),
        (["run", "mode"], "pretend", "run.mode"),
        (["run", "started"], "yesterday", "run.started"),
        (["run", "catalogue_sha256"], "abc", "run.catalogue_sha256"),
        (["run", "verdict"], "fine", "run"),
        (["run", "finished"], ..., "run"),
        (["hosts"], {}, "hosts"),
        (["hosts", 0], "web1", "hosts[0]"),
        (["hosts", 1, "state"], "fine", "hosts[1].state"),
        (["hosts", 1, "name"], "", "hosts[1].name"),
        (["hosts", 1, "name"], "web1", "hosts[1].name"),
        (["hosts", 0, "results"], None, "hosts[0].results"),
        ([*RESULT, "status"], "ok", "hosts[0].results[0].status"),
        ([*RESULT, "status"], ..., "hosts[0].results[0]"),
        ([*RESULT, "id"], "../x", "hosts[0].results[0].id"),
        ([*RESULT, "message"], 5, "hosts[0].results[0].message"),
        ([*RESULT, "waiver"], {"reason": "x"}, "hosts[0].results[0].waiver"),
        ([*RESULT, "extra"], 1, "hosts[0].results[0]"),
        (RESULT, [], "hosts[0].results[0]"),
    ],
)
def test_a_bad_document_is_refused_in_one_line(path: list[Any], value: Any, where: str) -> None:
    with pytest.raises(DocumentError) as error:
        check(edited(path, value), "evidence/incoming/x.json")
    assert str(error.value).startswith(f"evidence/incoming/x.json: {where}: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 350


def test_a_control_that_is_there_twice_is_refused() -> None:
    document = run_document()
    document["hosts"][0]["results"] *= 2
    with pytest.raises(DocumentError, match=r"hosts\[0\]\.results\[1\]\.id: is there twice"):
        check(document, "x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"schema": NaN}', "NaN is not JSON"),
        (b"\xff\xfe", "cannot be read"),
        (b"[" * 100_000, "is not JSON"),
        (b"null", "the document"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=reason) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_canonical_form_is_one_for_one_content() -> None:
    assert canonical({"b": 1, "a": "é\udcff"}) == b'{"a":"\\u00e9\\udcff","b":1}'
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    with pytest.raises(DocumentError):
        canonical(float("nan"))


def test_a_summary_counts_and_names_nobody() -> None:
    kept = summary(run_document())
    assert kept["id"] == run_id(1)
    assert kept["hosts"] == {"ok": 1, "unreachable": 1}
    assert kept["counts"] == {"fail": 1}
    assert "alice" not in str(kept)
    assert "web1" not in str(kept)
