# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks: ours say what is so, and a bad file is refused in words that lead to the line."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ringfence.hosting.plugins.plugin_utils import benchmarks, catalogue
from ansible_collections.ringfence.hosting.plugins.plugin_utils.profiles import LEVELS
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import DocumentError

_ROOT = Path(__file__).parents[4]
_CONTROLS = """\
- id: kernel_pointers
  title: Kernel addresses are hidden from users
  severity: medium
  rationale: Addresses of the kernel make it easier to break.
  mechanism: sysctl
  params: {keys: [kernel.kptr_restrict]}
  value: {name: kernel_pointers, type: int, default: 1}
- id: kernel_messages
  title: Kernel messages are hidden from users
  severity: medium
  level: 2
  rationale: Addresses of the kernel make it easier to break.
  mechanism: sysctl
  params: {keys: [kernel.dmesg_restrict]}
  value: {name: kernel_messages, type: int, default: 1}
"""
_SECTION: dict[str, Any] = {
    "section": "1.9",
    "title": "Addresses are hidden",
    "levels": ["l2_server"],
    "status": "automated",
    "controls": ["kernel_pointers"],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _loaded(tmp_path: Path, *sections: dict[str, Any], **more: Any) -> catalogue.Catalogue:
    root = tmp_path / "collection"
    for folder in ("controls", "benchmarks"):
        (root / folder).mkdir(parents=True)
        shutil.copy(_ROOT / folder / "schema.json", root / folder)
    (root / "controls/kernel.yml").write_text(_CONTROLS)
    document = {
        "title": "A benchmark",
        "version": "1",
        "about": "What somebody asks of a server.",
        "levels": {"l1_server": "Level 1", "l2_server": "Level 2"},
        "sections": list(sections),
        **more,
    }
    (root / "benchmarks/asked.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return catalogue.load(root)


def _row(**changes: Any) -> dict[str, Any]:
    return {k: v for k, v in {**_SECTION, **changes}.items() if v is not None}


_BAD = {
    "a control that is not there": ([_row(controls=["kernel_pointer"])], "mean kernel_pointers?"),
    "evidence that is not there": (
        [_row(status="manual", controls=None, how="Look at it yourself.", evidence=["kernel_x"])],
        "evidence: there is no control kernel_x",
    ),
    "automated by nothing": ([_row(controls=None)], "controls is missing: every section that is"),
    "manual without a way": ([_row(status="manual", controls=None)], "how is missing"),
    "not applicable without a reason": (
        [_row(status="not_applicable", controls=None)],
        "why is missing",
    ),
    "manual that claims controls": (
        [_row(status="manual", how="Look at it yourself.")],
        "controls: belongs to no section that is manual",
    ),
    "a section twice": ([_row(), _row()], "(1.9): is there already, as sections[0]"),
    "out of order": ([_row(section="1.10"), _row()], "(1.9): comes too late"),
    "no level": ([_row(levels=None)], "levels is missing: expected one of l1_server, l2_server"),
    "a level of another": ([_row(levels=["high"])], "found high, expected one of l1_server"),
    "a key that is not known": ([_row(sektion="x")], "unknown key sektion (did you mean section?)"),
    "a status that is not known": ([_row(status="yes")], "expected one of automated, manual"),
    "a level said twice": (
        [_row(controls=["kernel_messages"])],
        "(kernel_messages): level: benchmarks/asked.yml says it in 1.9",
    ),
}


@pytest.mark.parametrize(("sections", "expected"), _BAD.values(), ids=list(_BAD))
def test_a_bad_benchmark_is_refused_with_file_line_and_reason(
    tmp_path: Path, sections: list[dict[str, Any]], expected: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        _loaded(tmp_path, *sections)
    said = caught.value.problems
    assert all("\n" not in line and ".yml:" in line for line in said), said
    assert any(expected in line for line in said), said


def test_levels_and_references_of_controls_come_from_benchmarks(tmp_path: Path) -> None:
    known = _loaded(tmp_path, _row())
    assert known.controls["kernel_pointers"]["level"] == 2
    assert known.controls["kernel_pointers"]["references"] == {"asked": ["1.9"]}
    assert known.controls["kernel_messages"]["level"] == 2


def test_the_lowest_level_counts(tmp_path: Path) -> None:
    known = _loaded(tmp_path, _row(), _row(section="2", levels=["l1_server"]))
    assert known.controls["kernel_pointers"]["level"] == 1


@pytest.mark.parametrize(
    "sections", [["1.2", "1.10", "2"], ["R2", "R10"], ["32.1.a", "32.1.b", "32.2"]]
)
def test_order_is_that_of_numbers(sections: list[str]) -> None:
    mixed = [*sections[1:], sections[0]]
    assert sorted(mixed, key=benchmarks.order) == sections


_OURS = catalogue.load().benchmarks


@pytest.mark.parametrize("name", _OURS)
def test_our_benchmarks_say_in_whole_sentences_what_a_person_does(name: str) -> None:
    for row in _OURS[name]["sections"]:
        words = row.get("how", row.get("why", "Said by controls."))
        assert words.strip().endswith("."), row["section"]
        assert not row["title"].startswith("Ensure"), row["section"]


def test_cis_debian_12_is_there_in_whole() -> None:
    """The figures are those of version 1.1.0's own list of recommendations for servers."""
    sections = _OURS["cis_debian12"]["sections"]
    numbers = [row["section"] for row in sections]
    chapters = [sum(number.split(".")[0] == str(n) for number in numbers) for n in range(1, 8)]
    assert chapters == [66, 43, 18, 29, 71, 62, 23]
    assert sum("l2_server" in row["levels"] for row in sections) == 61
    assert sum(row["status"] == "automated" for row in sections) >= 220
    assert {"l1_server"} == set().union(
        *(row["levels"] for row in sections if row["section"].startswith("4."))
    )


def test_anssi_bp28_is_there_in_whole() -> None:
    """Numbers and levels are those of version 2.0."""
    sections = _OURS["anssi_bp28"]["sections"]
    assert [row["section"] for row in sections] == [f"R{number}" for number in range(1, 81)]
    counted = Counter(level for row in sections for level in row["levels"])
    assert counted == {"minimal": 11, "intermediary": 29, "enhanced": 18, "high": 22}


def test_the_cis_controls_are_there_in_whole() -> None:
    """Version 8 has 153 safeguards under 18 controls, 56 of them in group 1, 74 more in group 2."""
    sections = _OURS["cis_controls_v8"]["sections"]
    by_control = Counter(int(row["section"].split(".")[0]) for row in sections)
    expected = (5, 7, 14, 12, 6, 8, 7, 12, 7, 7, 5, 8, 11, 9, 7, 14, 9, 5)
    assert by_control == dict(enumerate(expected, 1))
    assert Counter(row["levels"][0] for row in sections) == {"ig1": 56, "ig2": 74, "ig3": 23}


def test_every_part_of_article_32_is_there() -> None:
    parts = {row["section"].rsplit(".", 1)[0] for row in _OURS["gdpr_art32"]["sections"]}
    letters = {f"32(1)({letter})" for letter in "abcd"}
    assert parts == {"32(1)", *letters, "32(2)", "32(3)", "32(4)"}


def test_every_theme_of_cyber_essentials_is_there() -> None:
    sections = _OURS["cyber_essentials"]["sections"]
    themes = Counter(row["section"].split(".")[0] for row in sections)
    assert themes == {"1": 7, "2": 8, "3": 5, "4": 11, "5": 4}


def test_all_levels_of_the_profiles_are_those_of_a_benchmark() -> None:
    assert set(LEVELS) <= set(_OURS["cis_debian12"]["levels"])
