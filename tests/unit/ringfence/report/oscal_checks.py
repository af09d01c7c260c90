# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds of every OSCAL document, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def result_of(text: str) -> dict[str, Any]:
    """The one result of a document."""
    (found,) = json.loads(text)["assessment-results"]["results"]
    return dict(found)


def is_valid(text: str, folder: Path) -> None:
    """By compliance-trestle, which loses nothing of it."""
    results = pytest.importorskip("trestle.oscal.assessment_results")
    path = folder / "results.json"
    path.write_text(text)
    found = results.AssessmentResults.oscal_read(path)
    again = result_of(found.oscal_serialize_json())
    ours = result_of(text)
    assert again.keys() == ours.keys()
    for key in ("observations", "findings", "risks"):
        assert len(again.get(key, [])) == len(ours.get(key, []))


def is_whole(text: str) -> list[dict[str, Any]]:
    """Each reference leads somewhere, each finding was chosen; the observations of no finding."""
    found = json.loads(text)
    known = [value for name, value in walk(found) if name == "uuid"]
    assert len(known) == len(set(known))
    wanted = [
        value.removeprefix("#")
        for name, value in walk(found)
        if name.endswith("-uuid") or (name == "href" and value.startswith("#"))
    ]
    assert wanted
    assert set(wanted) <= set(known)
    result = result_of(text)
    judged = {one["target"]["target-id"] for one in result["findings"]}
    (selection,) = result["reviewed-controls"]["control-selections"]
    assert {one["control-id"] for one in selection["include-controls"]} == judged
    used = {o["observation-uuid"] for f in result["findings"] for o in f["related-observations"]}
    return [one for one in result["observations"] if one["uuid"] not in used]


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of everything that is no list and no mapping."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from walk(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item, key)
    else:
        yield key, value
