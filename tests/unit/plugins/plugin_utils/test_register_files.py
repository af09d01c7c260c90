# SPDX-License-Identifier: GPL-3.0-or-later
"""How a file of the register is read, and that its two validators are of one mind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.ringfence.hosting.plugins.plugin_utils import register_files
from hypothesis import given, settings
from hypothesis import strategies as st
from register_samples import FIXTURES
from test_register import BAD, spoil


def read(tmp_path: Path, text: str | bytes, kind: str = "client") -> register_files.RegisterFile:
    path = tmp_path / "acme.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return register_files.read(path, kind)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("22:00", "22:00"),
        ("010", "010"),
        ("0750", "0750"),
        ("0", 0),
        ("-3", -3),
        ("1_000", "1_000"),
        ("0x1f", "0x1f"),
        ("8.2", 8.2),
        ("2027-01-31", "2027-01-31"),
        ("2027-02-30", "2027-02-30"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'7'", "7"),
    ],
)
def test_yaml_is_read_as_version_1_2(text: str, expected: Any, tmp_path: Path) -> None:
    found = read(tmp_path, f"a: {text}\n").document["a"]
    assert (type(found), found) == (type(expected), expected)


def test_merge_keys_and_anchors_work(tmp_path: Path) -> None:
    document = read(tmp_path, "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n").document
    assert document["d"] == {"b": 1, "c": 3}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"name: caf\xe9\n", "acme.yml: is not UTF-8 text: "),
        (b"name: a\x00b\n", "acme.yml: is not UTF-8 text: control characters are not allowed"),
        (b"\xef\xbb\xbfname: [\n", "acme.yml:2: is not YAML: "),
        (b"a: 1\na: 2\n", "acme.yml:2: is not YAML: the key a comes twice"),
        (b"a: {b: 1, b: 2}\n", "acme.yml:1: is not YAML: the key b comes twice"),
        (b"? [a]\n: 1\n", "acme.yml:1: is not YAML: found unhashable key"),
        (b"a: !!python/object/apply:os.system [id]\n", "acme.yml:1: is not YAML: could not "),
        (b"---\na: 1\n---\nb: 2\n", "acme.yml:3: is not YAML: but found another document"),
        (b"just text\n", "acme.yml:1: found a text, expected a mapping"),
        (b"a: " + b"[" * 4000 + b"]" * 4000, "acme.yml: is nested too deeply"),
    ],
)
def test_what_is_no_mapping_is_said_in_one_line(text: bytes, line: str, tmp_path: Path) -> None:
    with pytest.raises(register_files.UnreadableError) as caught:
        read(tmp_path, text)
    said = str(caught.value).replace(f"{tmp_path}/", "")
    assert said.startswith(line)
    assert "\n" not in said


def test_a_missing_file_a_folder_and_a_dangling_link_are_said(tmp_path: Path) -> None:
    (tmp_path / "link.yml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.yml").mkdir()
    for name in ("absent.yml", "link.yml", "folder.yml"):
        with pytest.raises(register_files.UnreadableError, match="cannot be read: "):
            register_files.read(tmp_path / name, "client")


def test_a_secret_is_never_quoted(tmp_path: Path) -> None:
    text = "id: acme\nbackup:\n  password: !vault |\n    $ANSIBLE_VAULT;1.1;AES256\n    616263\n"
    file = read(tmp_path, text)
    lines = "\n".join(map(str, register_files.schema_problems(file)))
    assert "616263" not in lines
    assert "password" not in lines
    assert register_files.shown(file.document["backup"]["password"]) == "an encrypted value"


@pytest.mark.parametrize("kind", register_files.KINDS)
def test_the_schemas_are_good_schemas(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(register_files.schema(kind))


def objects(part: Any, where: str = "") -> list[str]:
    """Places where a schema lets any key pass without saying so."""
    found = []
    if isinstance(part, dict):
        open_ended = part.get("type") == "object" and "additionalProperties" not in part
        if open_ended and "controls" not in part.get("x-expected", "").split():
            found.append(where)
        for key, inner in part.items():
            found += objects(inner, f"{where}/{key}")
    elif isinstance(part, list):
        for number, inner in enumerate(part):
            found += objects(inner, f"{where}/{number}")
    return found


@pytest.mark.parametrize("kind", register_files.KINDS)
def test_no_schema_lets_unknown_keys_pass(kind: str) -> None:
    left_open = [where for where in objects(register_files.schema(kind)) if "controls" not in where]
    assert left_open == []


def verdicts(kind: str, document: Any) -> tuple[bool, bool]:
    quick = register_files._quick_validator(kind)
    assert quick is not None
    return quick(document), not list(register_files._schema_errors(kind, document))


@pytest.mark.parametrize("case", BAD, ids=[case["name"] for case in BAD])
def test_the_quick_and_the_thorough_validator_agree(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / Path(case["file"]).name
    original = FIXTURES / "good" / case["file"]
    (tmp_path / "clients").mkdir()
    (tmp_path / case["file"]).write_bytes(original.read_bytes())
    spoil(tmp_path, {key: value for key, value in case.items() if key != "more"})
    kind = "client" if "clients" in case["file"] else path.stem
    try:
        file = register_files.read(tmp_path / case["file"], kind)
    except register_files.UnreadableError:
        return
    if b"!vault" in file.text:  # only the thorough one knows encrypted values
        return
    quick, thorough = verdicts(kind, file.document)
    assert quick == thorough


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["acme", "web1", "2027-01-31", "22:00", "192.0.2.0/24", "GB", "nginx", "30m"]),
    st.text(max_size=5),
)  # fmt: skip
GOOD = yaml.safe_load((FIXTURES / "good" / "clients" / "acme.yml").read_text(encoding="utf-8"))
GOOD["since"] = "2021-04-01"
GOOD["waivers"][0]["expires"] = "2026-12-31"
PLACES = [where for where, _value in register_files.walk(GOOD)]


@given(st.sampled_from(PLACES), leaves)
@settings(max_examples=300, deadline=None)
def test_the_validators_agree_on_any_leaf(where: list[str | int], leaf: Any) -> None:
    document: Any = yaml.safe_load(yaml.safe_dump(GOOD))
    spot = document
    for step in where[:-1]:
        spot = spot[step]
    spot[where[-1]] = leaf
    quick, thorough = verdicts("client", document)
    assert quick == thorough


def test_without_the_quick_validator_all_works_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register_files, "_quick_validator", lambda _kind: None)
    good = register_files.read(FIXTURES / "good" / "clients" / "acme.yml", "client")
    assert register_files.schema_problems(good) == []


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ([], 1),
        (["name"], 3),
        (["sites", 1, "host"], 44),
        (["sites", 1, "absent"], 43),
        (["sites", 7], 33),
    ],
)
def test_a_place_has_its_line(where: list[str | int], line: int) -> None:
    file = register_files.read(FIXTURES / "good" / "clients" / "acme.yml", "client")
    assert file.line(where) == line
