# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""YAML that people write: read quickly, each problem said as file, line, path, expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(Exception):
    """A file that cannot be used. `problems` holds one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises DocumentError with file and line."""
    try:
        return yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - the safe loader, in C
    except OSError as error:
        raise DocumentError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise DocumentError([f"{path}: is not UTF-8 text"]) from error
    except yaml.YAMLError as error:
        raise DocumentError([f"{path}{_mark(error)}: is not YAML: {_problem(error)}"]) from error


def schema_problems(path: Path, document: Any, schema: dict[str, Any]) -> list[str]:
    """Each way in which `document` departs from the JSON schema, as one line."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    lines = []
    for error in sorted(Draft202012Validator(schema).iter_errors(document), key=_position):
        deepest = best_match([error]) or error
        where = list(deepest.absolute_path)
        lines.append(f"{located(path, where)}: {_said(deepest)}")
    return lines


def located(path: Path, where: Sequence[str | int]) -> str:
    """`file:line: a.b[2]` for a path inside a YAML document."""
    spelt = ""
    for step in where:
        spelt += f"[{step}]" if isinstance(step, int) else f".{step}" if spelt else str(step)
    line = _line(path, where)
    return f"{path}:{line}: {spelt}" if spelt else f"{path}:{line}"


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean x?)` where something known is near, else nothing."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def _line(path: Path, where: Sequence[str | int]) -> int:
    node = yaml.compose(path.read_bytes(), Loader=_Loader)
    line = node.start_mark.line if node is not None else 0
    for step in where:
        child = _child(node, step)
        if child is None:
            break
        line, node = child
    return int(line) + 1


def _child(node: Any, step: str | int) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None


def _position(error: Any) -> list[str]:
    return [str(step) for step in error.absolute_path]


def _said(error: Any) -> str:
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        unknown = sorted(set(error.instance) - set(known))
        if unknown:
            return f"unknown key {unknown[0]}{nearest(unknown[0], known)}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{missing[0]} is missing"
    found = repr(error.instance)
    found = found if len(found) <= 60 else found[:57] + "..."
    return f"found {found}, {_expected(error)}"


def _expected(error: Any) -> str:
    wanted = error.validator_value
    if error.validator == "enum":
        return "expected one of " + ", ".join(map(str, wanted))
    if error.validator == "pattern":
        return f"expected text that matches {wanted}"
    return f"expected {wanted}" if error.validator == "type" else str(error.message)


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]
