# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide to the register: its examples are a good register, and it names every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    catalogue,
    register,
    register_files,
)

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "register.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n# (part of )?(\S+)\n(.*?)```", GUIDE, re.DOTALL)
WHOLE = {name: text for part, name, text in BLOCKS if not part}
PARTS = [(name, text) for part, name, text in BLOCKS if part]


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def load(folder: Path) -> register.Register:
    groups = {"cms_wordpress"}
    return register.load(folder, catalogue.load().controls, hosts={"web1"}, groups=groups)


def test_every_block_says_which_file_it_is() -> None:
    assert len(BLOCKS) == GUIDE.count("```yaml")
    assert sorted(WHOLE) == [
        "blocked.yml",
        "clients/acme.yml",
        "people.yml",
        "ringfence.yml",
        "third_parties.yml",
        "tiers.yml",
        "waivers.yml",
    ]


def test_the_examples_are_a_good_register(tmp_path: Path) -> None:
    found = load(written(tmp_path, WHOLE))
    assert [
        str(problem) for problem in found.problems if problem.code != "no_processing_record"
    ] == []


@pytest.mark.parametrize(("name", "text"), PARTS, ids=[text.split(":")[0] for _name, text in PARTS])
def test_each_part_fits_into_its_file(name: str, text: str, tmp_path: Path) -> None:
    added = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    assert added.isdisjoint(yaml.safe_load(WHOLE[name]))
    found = load(written(tmp_path, {**WHOLE, name: WHOLE[name] + text}))
    assert [str(problem) for problem in found.errors] == []
    assert {problem.code for problem in found.warnings} <= {"no_processing_record"}


def keys(part: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            found |= set(part["properties"])
        for inner in part.values():
            found |= keys(inner)
    elif isinstance(part, list):
        for inner in part:
            found |= keys(inner)
    return found


@pytest.mark.parametrize("kind", register_files.KINDS)
def test_every_key_is_explained(kind: str) -> None:
    spelt = re.findall(r"`([a-z0-9_]+)`|(?:^|[ {])([a-z_]+):\s", GUIDE, re.MULTILINE)
    named = {word for groups in spelt for word in groups if word}
    assert keys(register_files.schema(kind)) - named == set()


def test_every_warning_is_explained() -> None:
    source = (ROOT / "plugins" / "plugin_utils" / "register_checks.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'WARNING, "([a-z_]+)"', source))
    assert len(codes) > 8
    assert {code for code in codes if f"| `{code}` |" not in GUIDE} == set()


def test_the_tiers_named_are_there() -> None:
    tiers = yaml.safe_load((ROOT / "tiers" / "tiers.yml").read_text(encoding="utf-8"))["tiers"]
    assert all(f"`{name}`" in GUIDE for name in tiers)
