# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controls and benchmarks that this collection declares, checked once and then kept.

A parsed and checked catalogue is kept in the user's cache folder under the hash of its sources, so
that a run reads one JSON file instead of checking YAML again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.plugin_utils import benchmarks as _benchmarks
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import (
    DocumentError,
    located,
    nearest,
    read_yaml,
    schema_problems,
)

_ROOT = Path(__file__).parents[2]
_MECHANISMS = _ROOT / "plugins" / "module_utils" / "_mechanisms"
_ONLY_OF_HOSTS = ("mechanism", "params", "applies", "apply")
_PYTHON_TYPES: dict[str, type[Any]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "list": list,
    "mode": str,
}


@dataclass(frozen=True)
class Catalogue:
    """The controls, and on demand the benchmarks.

    `controls`: id -> declaration with its `family`, its `target` (what it is judged of: host,
    bucket, …), its `level` (1 or 2) and its `references` (benchmark -> sections), in file order.
    `sha256`: of the sources.
    """

    controls: dict[str, dict[str, Any]]
    sha256: str
    by_value_name: dict[str, str] = field(default_factory=dict)
    read_benchmarks: Callable[[], dict[str, dict[str, Any]]] = field(default=dict, repr=False)

    @cached_property
    def benchmarks(self) -> dict[str, dict[str, Any]]:
        """Name -> benchmark as in its file; read when first asked for, as few runs need it."""
        return self.read_benchmarks()

    @property
    def families(self) -> list[str]:
        """The families, in the order of their files."""
        return list(dict.fromkeys(control["family"] for control in self.controls.values()))

    def of_target(self, target: str) -> dict[str, dict[str, Any]]:
        """The controls that are judged of `target`."""
        return {
            name: one for name, one in self.controls.items() if one.get("target", "host") == target
        }


def load(root: Path | None = None) -> Catalogue:
    """The catalogue of the collection at `root` (ours by default).

    Raises DocumentError with a line for each problem: file, line, path, what was expected.
    """
    return _load(Path(root) if root is not None else _ROOT)


@lru_cache(maxsize=4)
def _load(root: Path) -> Catalogue:
    sources = _sources(root)
    digest = _digest(root, sources)
    kept = [_cache_file(kind, digest, _checker_digest()) for kind in ("catalogue", "benchmarks")]
    controls = _read_cache(kept[0])
    if controls is None:
        controls, benchmarks = _read_sources(root, sources)
        _write_cache(kept[0], controls)
        _write_cache(kept[1], benchmarks)
    names = {c["value"]["name"]: control_id for control_id, c in controls.items()}

    def read_benchmarks() -> dict[str, dict[str, Any]]:
        found = _read_cache(kept[1])
        return _read_sources(root, sources)[1] if found is None else found

    return Catalogue(controls, digest, names, read_benchmarks)


def value_problem(control: dict[str, Any], value: Any) -> str | None:
    """What is wrong with `value` for a control, as `found x, expected y`; None where it fits."""
    spec = control["value"]
    kind = _PYTHON_TYPES[spec["type"]]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return f"found {value!r}, expected {spec['type']}"
    if spec["type"] == "mode" and (not value or not set(str(value)) <= set("01234567")):
        return f"found {value!r}, expected octal digits such as '0640'"
    chosen: list[Any] = value if isinstance(value, list) else [value]
    if "choices" in spec and not all(item in spec["choices"] for item in chosen):
        return f"found {value!r}, expected one of {', '.join(map(str, spec['choices']))}"
    if "pattern" in spec and not re.fullmatch(spec["pattern"], value):
        return f"found {value!r}, expected {spec['expected']}"
    if "min" in spec and value < spec["min"]:
        return f"found {value}, expected at least {spec['min']}"
    if "max" in spec and value > spec["max"]:
        return f"found {value}, expected at most {spec['max']}"
    return None


def _sources(root: Path) -> list[Path]:
    found = sorted((root / "controls").glob("*.yml"))
    if not found:
        raise DocumentError(
            [f"{root / 'controls'}: expected files of controls (*.yml), found none"]
        )
    return found + sorted((root / "benchmarks").glob("*.yml"))


def _digest(root: Path, sources: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in [root / "controls" / "schema.json", *sources]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DocumentError([f"{path}: cannot be read: {error.strerror}"]) from error
        digest.update(f"{path.name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def _read_sources(
    root: Path, sources: list[Path]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Controls and benchmarks, checked. Raises DocumentError."""
    try:
        import jsonschema  # noqa: F401
    except ImportError as error:
        needs = (
            "the controls are checked with the Python library jsonschema: pip install jsonschema"
        )
        raise DocumentError([needs]) from error
    schema = json.loads((root / "controls" / "schema.json").read_text(encoding="utf-8"))
    controls: dict[str, dict[str, Any]] = {}
    benchmarks: dict[str, dict[str, Any]] = {}
    places: dict[str, tuple[Path, int]] = {}
    problems: list[str] = []
    mechanisms = _mechanisms()
    for path in sources:
        try:
            document = read_yaml(path)
        except DocumentError as error:
            problems += error.problems
            continue
        if path.parent.name == "benchmarks":
            found = schema_problems(path, document, _benchmark_schema(root))
            problems += found or list(_benchmarks.problems(path, document, controls))
            if not found:
                benchmarks[path.stem] = document
            continue
        found = schema_problems(path, document, schema)
        problems += found or list(_semantic_problems(path, document, controls, mechanisms))
        if not found:
            controls.update(
                {c["id"]: {"target": "host", **c, "family": path.stem} for c in document}
            )
            places.update({c["id"]: (path, number) for number, c in enumerate(document)})
    for control_id, said in _benchmarks.level_problems(controls, benchmarks):
        path, number = places[control_id]
        problems.append(f"{located(path, [number])} ({control_id}): {said}")
    if problems:
        raise DocumentError(problems)
    _benchmarks.mark(controls, benchmarks)
    return controls, benchmarks


def _benchmark_schema(root: Path) -> dict[str, Any]:
    text = (root / "benchmarks" / "schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _semantic_problems(
    path: Path,
    document: list[dict[str, Any]],
    known: dict[str, dict[str, Any]],
    mechanisms: dict[str, dict[str, Any]],
) -> Iterator[str]:
    seen = dict(known)
    names = {control["value"]["name"]: control_id for control_id, control in known.items()}
    for number, control in enumerate(document):
        found = list(_declared_problems(control, mechanisms))
        if control["id"] in seen:
            family = seen[control["id"]]["family"]
            found.append(f"the id is taken already, in family {family}")
        name = control["value"]["name"]
        if names.setdefault(name, control["id"]) != control["id"]:
            found.append(f"value.name: {name} is taken already by {names[name]}")
        seen[control["id"]] = {"family": path.stem}
        for said in found:  # located only where there is something: it reads the file again
            yield f"{located(path, [number])} ({control['id']}): {said}"


def _declared_problems(
    control: dict[str, Any], mechanisms: dict[str, dict[str, Any]]
) -> Iterator[str]:
    if control.get("target", "host") == "host":
        mechanism = mechanisms.get(control["mechanism"])
        if mechanism is None:
            hint = nearest(control["mechanism"], mechanisms)
            expected = f"expected one of {', '.join(mechanisms)}"
            yield f"mechanism: found {control['mechanism']}, {expected}{hint}"
            return
        yield from _param_problems(control, mechanism)
    else:
        only = [key for key in _ONLY_OF_HOSTS if key in control]
        yield from (
            f"{key}: is for controls of hosts, not of a {control['target']}" for key in only
        )
    wrong = value_problem(control, control["value"]["default"])
    if wrong:
        yield f"value.default: {wrong}"
    wrong = _order_problem(control["value"])
    if wrong:
        yield f"value.stricter: {wrong}"


def _order_problem(spec: dict[str, Any]) -> str | None:
    """An order that the type of a value does not have."""
    found = spec.get("stricter")
    if found in ("superset", "subset") and spec["type"] not in ("list", "mode"):
        return f"found {found} for a value of type {spec['type']}, expected a list or a mode"
    if found in ("higher", "lower") and spec["type"] != "int":
        return f"found {found} for a value of type {spec['type']}, expected an int"
    return None


def _param_problems(control: dict[str, Any], mechanism: dict[str, Any]) -> Iterator[str]:
    spec: dict[str, str] = mechanism["PARAMS"]
    for name, kind in spec.items():
        if name not in control["params"]:
            if not kind.endswith("?"):
                yield f"params.{name} is missing"
            continue
        value = control["params"][name]
        if not isinstance(value, _PYTHON_TYPES[kind.rstrip("?")]):
            yield f"params.{name}: found {value!r}, expected {kind.rstrip('?')}"
    for name in control["params"]:
        if name not in spec:
            yield f"params: unknown key {name}{nearest(name, spec)}"
    kind = control["value"]["type"]
    if kind not in mechanism["VALUE"]:
        expected = f"{' or '.join(mechanism['VALUE'])} for {control['mechanism']}"
        yield f"value.type: found {kind}, expected {expected}"


def _mechanisms() -> dict[str, dict[str, Any]]:
    """PARAMS and VALUE of each mechanism, read from its source: it is the host that runs it."""
    found = {}
    for path in sorted(_MECHANISMS.glob("[a-z]*.py")):
        constants: dict[str, Any] = {}
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                with suppress(ValueError):
                    constants[node.targets[0].id] = ast.literal_eval(node.value)
        found[path.stem] = {name: constants.get(name, {}) for name in ("PARAMS", "VALUE")}
    return found


def _checker_digest() -> str:
    """Of the code that checks: what an older Ringfence let through is checked again."""
    here = Path(__file__)
    own = [here, *(here.with_name(f"{name}.py") for name in ("benchmarks", "profiles"))]
    sources = [*sorted(_MECHANISMS.glob("*.py")), *own]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _cache_file(kind: str, digest: str, checker: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = f"{kind}-{digest[:32]}-{checker[:16]}.json"
    return Path(base).expanduser() / "ringfence" / name


def _read_cache(path: Path) -> dict[str, Any] | None:
    try:
        found = path.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            return None
        data: dict[str, Any] = json.loads(path.read_bytes())
        return data
    except (OSError, ValueError):
        return None


def _write_cache(path: Path, data: dict[str, Any]) -> None:
    """A cache that cannot be written costs time, not correctness."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, staged = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(data, handle, separators=(",", ":"))
        Path(staged).replace(path)
