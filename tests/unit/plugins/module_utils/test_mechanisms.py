# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mechanism against its fixtures: what it sees, what it says, what it would change."""

from __future__ import annotations

from pathlib import Path

import pytest
from mechanism_cases import FIXTURES, cases, make_control, make_host, outcome, read_case

MECHANISMS = Path(__file__).parents[4] / "plugins" / "module_utils" / "_mechanisms"
NAMES = sorted(path.stem for path in MECHANISMS.glob("[a-z]*.py"))


def _name(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


def _text(said: str | bytes) -> str:
    return said if isinstance(said, str) else said.decode("utf-8", "surrogateescape")


def _decided_by_files(folder: Path) -> bool:
    """Whether files alone mend the case: no daemon has to be asked, nothing live changed."""
    expected = read_case(folder)["expect"]
    asked = folder.parent.name in ("apt_option", "sshd_option", "kernel_module")
    return (
        "files" in expected and not asked and not expected.get("steps") and "enough" not in expected
    )


@pytest.mark.parametrize("folder", cases(), ids=_name)
def test_case(folder: Path, tmp_path: Path) -> None:
    case = read_case(folder)
    host = make_host(folder, case, tmp_path)
    control = make_control(folder.parent.name, case)
    expected = case["expect"]

    found = outcome(host, control)

    assert (found.status, found.message) == (expected["status"], found.message)
    assert expected.get("message", "") in found.message
    assert found.files == {path: _text(said) for path, said in expected.get("files", {}).items()}
    assert found.packages == expected.get("packages", {})
    assert found.units == expected.get("units", {})
    assert found.notify == set(expected.get("notify", []))
    assert found.steps == expected.get("steps", 0)
    assert found.guarded >= set(expected.get("guarded", []))
    assert expected.get("plan_error", "") in found.plan_error
    assert bool(found.plan_error) == bool(expected.get("plan_error"))


@pytest.mark.parametrize("folder", cases(), ids=_name)
def test_folder_name_tells_the_outcome(folder: Path) -> None:
    passes = read_case(folder)["expect"]["status"] == "pass"

    assert folder.suffix == (".pass" if passes else ".fail")


@pytest.mark.parametrize("folder", [f for f in cases() if _decided_by_files(f)], ids=_name)
def test_what_is_planned_is_enough(folder: Path, tmp_path: Path) -> None:
    case = read_case(folder)
    host = make_host(folder, case, tmp_path)
    control = make_control(folder.parent.name, case)

    for path, text in outcome(host, control).files.items():
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode("utf-8", "surrogateescape"))
    host.forget()

    assert outcome(host, control).status == "pass"


@pytest.mark.parametrize("name", NAMES)
def test_each_mechanism_has_cases_of_both_kinds(name: str) -> None:
    kinds = [path.suffix for path in (FIXTURES / name).iterdir()]

    assert kinds.count(".pass") >= 2
    assert kinds.count(".fail") >= 2
