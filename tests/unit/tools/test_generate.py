# SPDX-License-Identifier: GPL-3.0-or-later
"""What is generated from the declarations is as they say, and whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import generate  # noqa: E402

# A family that no host is asked has no role; what bans judges is the role automatic_bans' work.
FAMILIES = sorted(
    {one["family"] for one in generate.catalogue.load(ROOT).of_target("host").values()} - {"bans"}
)


@pytest.mark.parametrize(
    ("path", "text"),
    generate.generated().items(),
    ids=lambda part: str(part.relative_to(ROOT)) if isinstance(part, Path) else "",
)
def test_no_file_has_drifted(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run tools/generate.py"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_role_declares_each_variable_once_with_one_default(family: str) -> None:
    role = ROOT / "roles" / family
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]

    assert {name: option["default"] for name, option in options.items()} == defaults
    assert all(name.startswith(f"{family}_") for name in defaults)


def test_check_tells_of_a_stale_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = ROOT / "roles" / "ssh" / "README.md"
    monkeypatch.setattr(generate, "generated", lambda: {stale: "otherwise"})

    assert generate.main(["--check"]) == 1
    assert "roles/ssh/README.md: is not as controls/ says" in capsys.readouterr().out
