# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader: our own catalogue is sound; a bad one is refused in words that lead to the line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import DocumentError

_ROOT = Path(__file__).parents[4]

_CONTROL: dict[str, Any] = {
    "id": "kernel_pointers",
    "title": "Kernel addresses are hidden from users",
    "severity": "medium",
    "rationale": "Addresses of the kernel make it easier to break.",
    "mechanism": "sysctl",
    "params": {"keys": ["kernel.kptr_restrict"]},
    "value": {
        "name": "kernel_pointers",
        "type": "int",
        "default": 1,
        "min": 1,
        "max": 2,
        "stricter": "higher",
    },
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _root(tmp_path: Path, files: dict[str, str]) -> Path:
    root = tmp_path / "collection"
    (root / "controls").mkdir(parents=True)
    (root / "benchmarks").mkdir()
    for folder in ("controls", "benchmarks"):
        shutil.copy(_ROOT / folder / "schema.json", root / folder)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


def _with(**changes: Any) -> str:
    """The sound control with keys set (a dotted name goes deeper; None removes)."""
    control: dict[str, Any] = yaml.safe_load(yaml.safe_dump(_CONTROL))
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        place = control
        for step in path:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return yaml.safe_dump([control], sort_keys=False)


def test_our_own_catalogue_is_sound() -> None:
    found = catalogue.load()
    assert len(found.controls) >= 40
    assert {"ssh", "kernel", "accounts", "filesystem", "packages"} <= set(found.families)
    assert len(found.by_value_name) == len(found.controls)


@pytest.mark.parametrize(
    ("value", "wrong"), [("", False), ("https://logs.example:19532", False), ("http://logs", True)]
)
def test_the_journal_goes_nowhere_in_the_clear(value: str, wrong: bool) -> None:
    said = catalogue.value_problem(catalogue.load().controls["logging_journal_upload"], value)
    assert bool(said) == wrong


# What is changed in these can reach a hosted site, or those who bring its files.
_REACH_SITES = ("apache", "nginx", "php_fpm", "filesystem", "services", "firewall")
# Nothing of a site is read there, or it stays as readable as it was.
_OUT_OF_REACH = {
    "filesystem_sudo_rules",
    "filesystem_audit_logs",
    "filesystem_boot",
    "services_time_daemon",
    "services_time_user",
}


def test_what_can_break_a_site_says_how() -> None:
    silent = {
        name
        for name, control in catalogue.load().of_target("host").items()
        if control["family"] in _REACH_SITES
        and control["apply"].get("automatic", True)
        and control["apply"].get("disruption", "none") != "none"
        and not control["apply"].get("breaks")
    }
    assert silent == _OUT_OF_REACH


_BAD = {
    "unknown mechanism": (_with(mechanism="sysclt"), "did you mean sysctl?"),
    "severity": (_with(severity="urgent"), "severity: found 'urgent', expected one of low"),
    "no id": (_with(id=None), "id is missing"),
    "id": (_with(id="Kernel-1"), "expected text that matches"),
    "unknown key": (_with(titel="x"), "unknown key titel (did you mean title?)"),
    "missing parameter": (_with(params={}), "params.keys is missing"),
    "unknown parameter": (_with(params__key=1), "unknown key key (did you mean keys?)"),
    "type of a parameter": (_with(params__keys="x"), "params.keys: found 'x', expected list"),
    "type of a value": (_with(value__type="list"), "value.type: found list, expected int or str"),
    "default of another type": (_with(value__default="1"), "found '1', expected int"),
    "default that is a truth value": (_with(value__default=True), "found True, expected int"),
    "default too high": (_with(value__default=3), "found 3, expected at most 2"),
    "default too low": (_with(value__default=0), "found 0, expected at least 1"),
    "choice": (_with(value__choices=[2]), "found 1, expected one of 2"),
    "pattern": (
        _with(
            value={
                "name": "x_url",
                "type": "str",
                "default": "http://a",
                "pattern": "https://.+",
                "expected": "an address by TLS",
            }
        ),
        "found 'http://a', expected an address by TLS",
    ),
    "pattern without words": (
        _with(value={"name": "x_url", "type": "str", "default": "a", "pattern": "a"}),
        "expected",
    ),
    "order of a text": (
        _with(value__stricter="superset"),
        "value.stricter: found superset for a value of type int, expected a list or a mode",
    ),
    "order of what is no number": (
        _with(value={"name": "kernel_x", "type": "str", "default": "a", "stricter": "higher"}),
        "value.stricter: found higher for a value of type str, expected an int",
    ),
    "mechanism of what is no host": (
        _with(target="bucket"),
        "mechanism: is for controls of hosts, not of a bucket",
    ),
    "target": (_with(target="pail"), "target: found 'pail', expected one of host, site, bucket"),
    "no mechanism": (_with(mechanism=None), "mechanism is missing"),
    "level": (_with(level=3), "level: found 3, expected one of 1, 2"),
    "not a list": ("id: x\n", "expected array"),
    "not YAML": ("- id: [\n", "is not YAML"),
    "a tag that would run code": ("- !!python/object/apply:os.system [id]\n", "is not YAML"),
    "empty": ("", "expected array"),
    "twice": (_with() + _with(), "the id is taken already"),
    "value name twice": (_with() + _with(id="other_id"), "kernel_pointers is taken already by"),
}


@pytest.mark.parametrize(("text", "expected"), _BAD.values(), ids=list(_BAD))
def test_a_bad_file_is_refused_with_file_line_and_reason(
    tmp_path: Path, text: str, expected: str
) -> None:
    root = _root(tmp_path, {"controls/kernel.yml": text})
    with pytest.raises(DocumentError) as caught:
        catalogue.load(root)
    said = caught.value.problems
    assert all(str(root / "controls/kernel.yml") in line for line in said)
    assert all("\n" not in line for line in said)
    assert any(expected in line for line in said), said


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    root = _root(tmp_path, {})
    (root / "controls/kernel.yml").write_bytes(b"- id: \xff\xfe\n")
    with pytest.raises(DocumentError, match=r"kernel\.yml.*is not"):
        catalogue.load(root)


def test_no_controls_at_all(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="expected files of controls"):
        catalogue.load(_root(tmp_path, {}))


def test_a_second_load_reads_the_cache_and_a_changed_source_does_not(tmp_path: Path) -> None:
    root = _root(tmp_path, {"controls/kernel.yml": _with()})
    first = catalogue.load(root)
    assert len(list((tmp_path / "cache/ringfence").iterdir())) == 2
    (root / "controls/kernel.yml").write_text(_with(severity="high"))
    catalogue._load.cache_clear()
    second = catalogue.load(root)
    assert second.sha256 != first.sha256
    assert second.controls["kernel_pointers"]["severity"] == "high"


def test_a_cache_that_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    root = _root(tmp_path, {"controls/kernel.yml": _with()})
    catalogue.load(root)
    kept = next((tmp_path / "cache/ringfence").glob("catalogue-*"))
    kept.write_text("{}")
    kept.chmod(0o666)
    catalogue._load.cache_clear()
    assert "kernel_pointers" in catalogue.load(root).controls
